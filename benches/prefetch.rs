//! What looking a batch of keys up together saves: a million keys in random order, found one at a time or in groups
//! whose buckets, then entries, are fetched before the first lookup. `cargo bench --bench prefetch`; "thrpt" is
//! per key.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pinion::types::table::{Expire, Key, Table};
use pinion::types::value::NewValue;
use std::hint::black_box;

/// Keys in the table: more than any cache holds.
const KEYS: u64 = 1_000_000;
/// Keys that one iteration looks up.
const COUNT: u64 = 1024;

fn key(n: u64) -> Vec<u8> {
    format!("key:{n:012}").into_bytes()
}

fn prefetch(c: &mut Criterion) {
    let mut table = Table::default();
    for n in 0..KEYS {
        let value = NewValue::Str { bytes: &[b'v'; 64], raw: false };
        table.insert(Key::new(&key(n)), value, Expire::Clear, |_| 0);
    }
    let mut turn = 0u64;
    let mut keys = move || -> Vec<Vec<u8>> {
        turn += COUNT;
        (turn..turn + COUNT).map(|n| key(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS)).collect()
    };
    let mut group = c.benchmark_group("prefetch");
    group.throughput(Throughput::Elements(COUNT));
    group.bench_function("one at a time", |b| {
        b.iter_batched(
            &mut keys,
            |keys| {
                for key in &keys {
                    assert!(black_box(table.find(Key::new(key))).is_some());
                }
            },
            BatchSize::SmallInput,
        );
    });
    for together in [4, 8, 16, 32, 64] {
        group.bench_function(format!("{together} together"), |b| {
            b.iter_batched(
                &mut keys,
                |keys| {
                    let keys: Vec<Key<'_>> = keys.iter().map(|key| Key::new(key)).collect();
                    for batch in keys.chunks(together) {
                        batch.iter().for_each(|key| table.prefetch_bucket(key.pos));
                        batch.iter().for_each(|key| table.prefetch_entry(key.pos));
                        batch.iter().for_each(|key| assert!(black_box(table.find(*key)).is_some()));
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, prefetch);
criterion_main!(benches);
