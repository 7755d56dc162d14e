//! Appointments with hashes: kept in time, moved with the key, gone with it.

use super::*;
use crate::types::hash::{Hash, PackLimits};
use crate::types::table::Expire;
use crate::types::value::{NewValue, Owned};

const LIMITS: PackLimits = PackLimits { entries: 512, value_bytes: 64 };

fn shard() -> Shard {
    let mut shard = Shard::new(4, 0..16384, 1);
    shard.now_ms = 1000;
    shard.events.wanted = crate::shard::events::class::ALL;
    shard
}

fn put(shard: &mut Shard, db: usize, key: &str, fields: &[(&str, Option<u64>)]) {
    let mut hash = Hash::new();
    for (name, at) in fields {
        hash.set(name.as_bytes(), b"v", at.map_or(Expire::Clear, Expire::At), shard.now_ms, LIMITS);
    }
    let value = NewValue::Boxed(Box::new(Value::Hash(hash)));
    shard.set(db, Key::new(key.as_bytes()), value, Expire::Clear);
}

fn fields(shard: &mut Shard, db: usize, key: &str) -> usize {
    let Some((Owned::Boxed(value), _)) = shard.copy_out(db, Key::new(key.as_bytes())) else { return 0 };
    value.as_hash().map_or(0, Hash::len)
}

fn told(shard: &mut Shard) -> Vec<String> {
    shard.events.happened.drain(..).map(|h| format!("{} {}", h.event, String::from_utf8_lossy(&h.key))).collect()
}

#[test]
fn due_fields_go_and_the_last_takes_the_key() {
    let mut shard = shard();
    put(&mut shard, 0, "h", &[("a", Some(2000)), ("b", Some(3000)), ("c", None)]);
    put(&mut shard, 0, "only", &[("a", Some(2000)), ("b", Some(2001))]);
    assert_eq!(shard.field_expiry.hashes(0), 2);
    shard.expire_step(100);
    assert_eq!((fields(&mut shard, 0, "h"), fields(&mut shard, 0, "only")), (3, 2));
    shard.now_ms = 2500;
    shard.events.journaled = true;
    shard.expire_step(100);
    assert_eq!((fields(&mut shard, 0, "h"), shard.exists(0, Key::new(b"only"))), (2, false));
    assert_eq!(told(&mut shard), ["hexpired h", "hexpired only", "del only"]);
    assert_eq!(shard.events.effects, None);
    let effects = shard.events.due_fields.iter().map(|(_, words)| String::from_utf8(words.join(&b' ')).unwrap());
    assert_eq!(effects.collect::<Vec<_>>(), ["HDEL h a", "HDEL only a b"]);
    assert_eq!((shard.stats.expired_fields, shard.field_expiry.hashes(0)), (3, 1));
    shard.settings.active_expire = false;
    shard.now_ms = 9000;
    shard.expire_step(100);
    assert_eq!(fields(&mut shard, 0, "h"), 2);
    shard.settings.active_expire = true;
    shard.expire_step(100);
    assert_eq!((fields(&mut shard, 0, "h"), shard.field_expiry.hashes(0)), (1, 0));
}

#[test]
fn the_appointment_follows_the_value() {
    let mut shard = shard();
    put(&mut shard, 0, "h", &[("a", Some(2000)), ("b", None)]);
    let (value, _) = shard.take(0, Key::new(b"h")).unwrap();
    shard.put(1, Key::new(b"moved"), value, Expire::Clear);
    let (value, _) = shard.copy_out(1, Key::new(b"moved")).unwrap();
    shard.put(1, Key::new(b"copied"), value, Expire::Clear);
    put(&mut shard, 0, "h", &[("x", None)]);
    shard.swap_db(1, 3);
    shard.now_ms = 2500;
    shard.expire_step(100);
    assert_eq!((fields(&mut shard, 3, "moved"), fields(&mut shard, 3, "copied")), (1, 1));
    assert_eq!((fields(&mut shard, 0, "h"), shard.stats.expired_fields), (1, 2));
    put(&mut shard, 3, "later", &[("x", Some(9000))]);
    shard.flush(Some(3));
    assert_eq!(shard.field_expiry.hashes(3), 0);
}

#[test]
fn a_step_keeps_to_its_budget() {
    let mut shard = shard();
    let names: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, Option<u64>)> = names.iter().map(|n| (n.as_str(), Some(2000))).collect();
    (0..5).for_each(|n| put(&mut shard, 0, &format!("h{n}"), &many));
    shard.now_ms = 3000;
    for round in 1..=15 {
        shard.expire_step(100);
        assert_eq!(shard.stats.expired_fields, round * 100);
    }
    assert_eq!((shard.len(0), shard.field_expiry.hashes(0)), (0, 0));
}

#[test]
fn an_appointment_goes_with_its_hash_and_with_a_sooner_one() {
    let mut shard = shard();
    let key = Key::new(b"h");
    let new = |shard: &mut Shard, at: u64| put(shard, 0, "h", &[("a", Some(at)), ("b", None)]);
    for at in 5000..5100 {
        // the same time again, and others, over and over
        new(&mut shard, at);
        new(&mut shard, at);
        assert_eq!(shard.field_expiry.hashes(0), 1);
    }
    shard.set(0, key, NewValue::Int(1), Expire::Clear);
    assert_eq!(shard.field_expiry.hashes(0), 0);
    new(&mut shard, 5000);
    assert!(shard.remove(0, key));
    assert_eq!(shard.field_expiry.hashes(0), 0);
    new(&mut shard, 5000);
    assert!(shard.take(0, key).is_some());
    assert_eq!(shard.field_expiry.hashes(0), 0);
    for by_step in [true, false] {
        new(&mut shard, 500_000);
        assert!(shard.set_expire(0, key, Some(shard.now_ms + 10)));
        shard.now_ms += 20;
        if by_step {
            shard.expire_step(100);
        }
        assert!(!shard.exists(0, key));
        assert_eq!(shard.field_expiry.hashes(0), 0);
    }
    new(&mut shard, 500_000);
    let mut change = |at: Option<u64>| {
        let hash = shard.boxed_mut(0, key).and_then(Value::as_hash_mut).unwrap();
        hash.set_expire(b"a", at);
        let note = hash.take_note();
        shard.note_fields(0, key, note);
        shard.field_expiry.hashes(0)
    };
    for at in (400_000..400_100).rev() {
        assert_eq!(change(Some(at)), 1);
    }
    assert_eq!((change(None), change(Some(9)), change(None)), (0, 1, 0));
}
