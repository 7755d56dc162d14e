//! Cost of the keyspace's table without I/O, on a million keys in random order: lookups, overwrites, inserts with
//! removal, a step of SCAN. `cargo bench --bench table`; "thrpt" is per key.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pinion::types::table::{Expire, Key, Table};
use pinion::types::value::NewValue;
use std::hint::black_box;

/// Keys in the table: more than any cache holds.
const KEYS: u64 = 1_000_000;
/// Keys that one iteration touches.
const COUNT: u64 = 1024;

fn key(n: u64) -> Vec<u8> {
    format!("key:{n:012}").into_bytes()
}

/// The n-th of a sequence of keys that jumps about.
fn scattered(n: u64) -> Vec<u8> {
    key(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS)
}

fn value(bytes: &[u8]) -> NewValue<'_> {
    NewValue::Str { bytes, raw: false }
}

fn filled(value_bytes: usize) -> Table {
    let (mut table, bytes) = (Table::default(), vec![b'v'; value_bytes]);
    for n in 0..KEYS {
        table.insert(Key::new(&key(n)), value(&bytes), Expire::Clear, |_| 0);
    }
    table
}

fn table(c: &mut Criterion) {
    for value_bytes in [8, 64, 512] {
        let mut table = filled(value_bytes);
        let bytes = vec![b'w'; value_bytes];
        let mut group = c.benchmark_group(format!("table/{value_bytes} B"));
        group.throughput(Throughput::Elements(COUNT));
        let mut turn = 0;
        let mut keys = move || -> Vec<Vec<u8>> {
            turn += COUNT;
            (turn..turn + COUNT).map(scattered).collect()
        };
        group.bench_function("find", |b| {
            b.iter_batched(
                &mut keys,
                |keys| keys.iter().for_each(|key| assert!(black_box(table.find(Key::new(key))).is_some())),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("find nothing", |b| {
            let absent = |n: u64| format!("absent:{n}").into_bytes();
            b.iter_batched(
                || (0..COUNT).map(absent).collect::<Vec<_>>(),
                |keys| keys.iter().for_each(|key| assert!(black_box(table.find(Key::new(key))).is_none())),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("overwrite", |b| {
            b.iter_batched(
                &mut keys,
                |keys| {
                    for key in &keys {
                        black_box(table.insert(Key::new(key), value(&bytes), Expire::Clear, |_| 0));
                    }
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function("remove and insert", |b| {
            b.iter_batched(
                &mut keys,
                |keys| {
                    for key in &keys {
                        black_box(table.discard(Key::new(key)));
                        black_box(table.insert(Key::new(key), value(&bytes), Expire::Clear, |_| 0));
                    }
                },
                BatchSize::SmallInput,
            );
        });
        let mut cursor = 0;
        group.bench_function("scan", |b| {
            b.iter(|| {
                cursor = table.scan(cursor, COUNT as usize, 0..16384, |entry| {
                    black_box(entry.key);
                });
            });
        });
    }
}

criterion_group!(benches, table);
criterion_main!(benches);
