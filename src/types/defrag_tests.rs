//! Values of every form are the same after all their blocks moved, in steps of any length.

use super::*;
use crate::types::hash::{Hash, PackLimits};
use crate::types::list::{End, Fill, List};
use crate::types::set::{Set, SetLimits};
use crate::types::stream::{BlockLimits, Id, Stream};
use crate::types::table::{Expire, Key, Table};
use crate::types::value::{NewValue, Owned, Value};
use crate::types::vector::{Quant, Shape, VectorSet};
use crate::types::zset::Zset;
use std::sync::Arc;

const PACKED: PackLimits = PackLimits { entries: 128, value_bytes: 64 };

fn text(n: usize) -> Vec<u8> {
    format!("{n:07}").repeat(1 + n % 40).into_bytes()
}

/// A value of each type with so many elements.
fn values(count: usize) -> Vec<Value> {
    let (mut list, mut hash, mut set, mut ints, mut zset) =
        (List::new(), Hash::new(), Set::new(), Set::new(), Zset::new());
    let limits = SetLimits { ints: 512, pack: 128, pack_value_bytes: 64 };
    let mut stream = Stream::new();
    let mut vectors = VectorSet::new(Shape { dim: 8, quant: Quant::F32, links: 16, input: None }, 1);
    for n in 0..count {
        list.grow(text(n).len(), 1, Fill::default());
        list.push(End::Tail, &text(n), Fill::default());
        hash.set(&text(n), &text(n + 1), Expire::Clear, 0, PACKED);
        set.add(&text(n), &limits);
        ints.add(n.to_string().as_bytes(), &limits);
        zset.insert(&text(n), n as f64, PACKED);
        stream.log.append(
            Id { ms: n as u64 + 1, seq: 0 },
            &[b"field", &text(n)],
            BlockLimits { bytes: 4096, entries: 100 },
        );
        if n < 100 {
            vectors.add(&text(n), (0..8).map(|i| (n * 8 + i) as f32).collect(), Some(b"{}"), 10);
        }
    }
    let string = Value::Str(Thin::new(Arc::new(text(count).repeat(50))));
    let (stream, vectors) = (Value::Stream(Thin::new(stream)), Value::Vectors(Thin::new(vectors)));
    vec![
        string,
        Value::List(list),
        Value::Hash(hash),
        Value::Set(set),
        Value::Set(ints),
        Value::Zset(zset),
        stream,
        vectors,
    ]
}

fn table() -> (Table, Vec<(Vec<u8>, Value)>) {
    let (mut table, mut all) = (Table::default(), Vec::new());
    for count in [1, 20, 300, 3000] {
        for (kind, value) in values(count).into_iter().enumerate() {
            let long = if kind % 2 == 0 { "" } else { "long".repeat(300).leak() };
            all.push((format!("{kind}:{count}{long}").into_bytes(), value));
        }
    }
    for n in 0..5000 {
        all.push((format!("key{n}").into_bytes(), Value::Str(Thin::new(Arc::new(vec![n as u8; 1100])))));
    }
    for (key, value) in &all {
        let copy = match value {
            Value::Str(string) => Value::Str(Thin::new(Arc::new(string.to_vec()))),
            other => other.clone(),
        };
        let value = NewValue::Boxed(Box::new(copy));
        table.insert(Key::new(key), value, Expire::Clear, |_| 0);
    }
    (table, all)
}

#[test]
fn nothing_changes_when_everything_moves() {
    let (mut table, all) = table();
    let memory = table.memory();
    for budget in [1000, 7, usize::MAX] {
        let (mut moved, mut bytes, mut keys, mut steps) = (0, 0, 0, 0);
        loop {
            let mut mover = Mover::new(|_| true, budget);
            let ended = table.defrag_step(&mut mover);
            assert_eq!(mover.stayed, 0);
            (moved, keys, steps) = (moved + mover.moved, keys + mover.keys_moved, steps + 1);
            bytes += mover.moved_bytes as usize;
            if ended {
                break;
            }
        }
        assert!((5000..=all.len()).contains(&(keys as usize)), "{keys} keys");
        assert!(moved > 15_000 && (budget == usize::MAX) == (steps == 1), "{moved} blocks in {steps} steps");
        assert!((memory / 2..memory * 3 / 2).contains(&bytes), "{bytes} of {memory} bytes");
        assert!(table.memory().abs_diff(memory) < memory / 50, "{} of {memory} bytes", table.memory());
    }
    for (key, value) in &all {
        let found = table.find(Key::new(key)).expect("the key is there");
        assert_eq!(Owned::from(found.value), Owned::Boxed(Box::new(value.clone())));
    }
    let mut mover = Mover::new(|_| false, usize::MAX);
    assert!(table.defrag_step(&mut mover));
    assert!(mover.moved == 0 && mover.stayed > 15_000 && mover.keys_stayed > 5000);
    for (key, _) in &all {
        assert!(table.remove(Key::new(key)).is_some());
    }
    assert!(table.is_empty());
}

#[test]
fn a_string_that_a_reply_holds_stays() {
    let reply = Arc::new(vec![7; 5000]);
    let mut value = Value::Str(Thin::new(reply.clone()));
    assert_eq!(value.defrag(&mut Mover::new(|_| true, 10), 0), None);
    assert!(matches!(&value, Value::Str(string) if Arc::ptr_eq(string, &reply)));
}
