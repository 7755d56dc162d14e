//! Values written in steps against the values themselves, and against the same written at once.

use super::*;
use crate::types::list::{End, Fill};
use crate::types::rdb::Flavor;
use crate::types::rdb::read::{Limits, Reader};
use crate::types::set::Set;
use crate::types::stream::{BlockLimits, Group, Pending};
use crate::types::table::Expire;
use crate::types::value::View;
use crate::types::vector::{Quant, Shape};

/// A value of each type, large enough for many steps.
pub(crate) fn large_values(members: u64) -> Vec<Value> {
    let limits = Limits::default();
    let (mut set, mut zset, mut list) = (Set::new(), Zset::new(), List::new());
    let (mut plain, mut timed) = (Hash::new(), Hash::new());
    let mut stream = Stream::new();
    for n in 0..members {
        let name = format!("member:{n}");
        set.add(name.as_bytes(), &limits.set);
        zset.insert(name.as_bytes(), (n / 3) as f64, limits.zset);
        list.grow(name.len(), 1, Fill::default());
        list.push(End::Tail, name.as_bytes(), Fill::default());
        plain.set(name.as_bytes(), b"value", Expire::Clear, 0, limits.hash);
        let expire = if n % 3 == 0 { Expire::Clear } else { Expire::At(5000 + n) };
        timed.set(name.as_bytes(), b"1", expire, 0, limits.hash);
        let words: [&[u8]; 2] = [b"field", name.as_bytes()];
        stream.log.append(Id { ms: n + 1, seq: 0 }, &words, BlockLimits { bytes: 4096, entries: 100 });
    }
    for name in ["first", "second"] {
        let mut group = Group::new(Id { ms: members, seq: 0 }, Some(members));
        let owners: Vec<_> = (0..3).filter_map(|n| group.add_consumer(format!("c{n}").as_bytes(), 77)).collect();
        for n in 0..members / 2 {
            let consumer = owners[n as usize % 2];
            group.assign(Id { ms: n + 1, seq: 0 }, Pending { consumer, delivered_ms: 9, deliveries: 2 });
        }
        stream.add_group(name.as_bytes(), group);
    }
    vec![
        Value::Set(set),
        Value::Zset(zset),
        Value::List(list),
        Value::Hash(plain),
        Value::Hash(timed),
        Value::Stream(crate::base::thin::Thin::new(stream)),
        text((0..members * 40).map(|n| (n % 7 * n % 251) as u8).collect()),
    ]
}

fn text(bytes: Vec<u8>) -> Value {
    Value::Str(crate::base::thin::Thin::new(std::sync::Arc::new(bytes)))
}

#[test]
fn a_string_is_compressed_by_parts_if_that_makes_it_shorter() {
    let mut random = 1u64;
    let mut noise = |bytes: usize| -> Vec<u8> {
        let next = |_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        };
        (0..bytes).map(next).collect()
    };
    let (short, long) = (noise(100_000), noise(STRING_TRIAL_BYTES + 100_000));
    let words = b"seven words that come again and again ".repeat(50_000);
    // noise in front keeps what follows from being tried
    let (early, late) = ([&short[..], &words].concat(), [&long[..], &words].concat());
    for (bytes, shrinks) in [(short, false), (words, true), (early, true), (late, false), (long, false)] {
        let (mut writer, mut steps) = (Writer { compress: true, ..Writer::default() }, Steps::new(kind::STRING));
        let value = text(bytes.clone());
        let mut most = 0;
        loop {
            let before = writer.bytes.len();
            let whole = steps.step(&mut writer, &value, 1);
            most = most.max(writer.bytes.len() - before);
            if whole {
                break;
            }
        }
        assert!(most <= 3 * STRING_BYTES, "{most}");
        assert_eq!(writer.bytes.len() < bytes.len() / 2, shrinks);
        let whole = Reader::new(&writer.bytes, 12).value(kind::STRING, &Limits::default()).expect("our own");
        assert!(whole == Reader::new(&plain(&bytes), 12).value(kind::STRING, &Limits::default()).expect("our own"));
    }
}

fn vectors(input: Option<usize>) -> Value {
    let mut set = VectorSet::new(Shape { dim: 8, quant: Quant::Q8, links: 4, input }, 7);
    for n in 0..400 {
        let vector = (0..8).map(|at| (n * 31 % 17 + at * n % 5) as f32 - 4.0).collect();
        set.add(format!("e{n}").as_bytes(), vector, (n % 3 == 0).then_some(b"{}"), 20);
    }
    for n in (0..400).step_by(7) {
        set.remove(format!("e{n}").as_bytes());
    }
    Value::Vectors(crate::base::thin::Thin::new(set))
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.string(bytes);
    writer.bytes
}

#[test]
fn steps_write_what_is_written_at_once() {
    for value in large_values(3000).into_iter().chain([vectors(None), vectors(Some(24))]) {
        assert!(has_steps(&value), "{}", value.type_name());
        for (flavor, bytes) in [(Flavor::Redis, 1), (Flavor::Redis, 5000), (Flavor::Valkey, 1 << 30)] {
            let mut whole = Writer { flavor, ..Writer::default() };
            let kind = whole.kind(View::Boxed(&value));
            whole.body(View::Boxed(&value), kind);
            let (mut writer, mut steps) = (Writer { flavor, ..Writer::default() }, Steps::new(kind));
            let mut most = 0;
            loop {
                let before = writer.bytes.len();
                let whole = steps.step(&mut writer, &value, bytes);
                most = most.max(writer.bytes.len() - before);
                if whole {
                    break;
                }
            }
            assert_eq!(writer.bytes.len(), whole.bytes.len(), "{}", value.type_name());
            assert!(bytes > 5000 || most < bytes + 20_000, "a step of {most} bytes");
            let read = |bytes: &[u8]| Reader::new(bytes, 80).value(kind, &Limits::default()).expect("our own");
            // members of tables come in the order of the cursor
            assert!(matches!(value, Value::Set(_) | Value::Hash(_)) || writer.bytes == whole.bytes);
            assert!(read(&writer.bytes) == read(&whole.bytes), "{}", value.type_name());
        }
    }
}

#[test]
fn many_groups_and_consumers_take_no_longer_each() {
    let mut stream = Stream::new();
    for n in 0..30_000 {
        let mut group = Group::new(Id { ms: 1, seq: 0 }, None);
        let consumers = if n == 7 { 30_000 } else { n % 3 };
        for c in 0..consumers {
            let consumer = group.add_consumer(format!("c{c}").as_bytes(), 1).expect("a new name");
            group.assign(Id { ms: 1 + c, seq: 0 }, Pending { consumer, delivered_ms: 9, deliveries: 1 });
        }
        stream.add_group(format!("g{n}").as_bytes(), group);
    }
    let value = Value::Stream(crate::base::thin::Thin::new(stream));
    let mut whole = Writer::default();
    let kind = whole.kind(View::Boxed(&value));
    whole.body(View::Boxed(&value), kind);
    let (mut writer, mut steps) = (Writer::default(), Steps::new(kind));
    while !steps.step(&mut writer, &value, 500) {}
    assert!(writer.bytes == whole.bytes);
}

#[test]
#[should_panic(expected = "a value stays as it is while it is written")]
fn a_table_that_changed_under_the_cursor_is_noticed() {
    let Some(Value::Set(mut set)) = large_values(3000).into_iter().next() else { panic!("the set is first") };
    let (mut writer, mut steps) = (Writer::default(), Steps::new(kind::SET));
    assert!(!steps.step(&mut writer, &Value::Set(set.clone()), 5000));
    for n in 0..1000 {
        set.add(format!("other:{n}").as_bytes(), &Limits::default().set);
    }
    steps.step(&mut writer, &Value::Set(set), usize::MAX);
}
