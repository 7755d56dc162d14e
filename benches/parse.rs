//! Cost of requests and replies without I/O: parsing pipelines, slots and hashes of keys, writing replies.
//! `cargo bench --bench parse`; times are per element (command, key, reply), as "thrpt" and in the name's group.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pinion::base::bytes::OutBuf;
use pinion::base::hash::{Position, hash, slot};
use pinion::resp::parse::{Batch, Limits, Parser};
use pinion::resp::reply::{Proto, Reply};
use std::hint::black_box;

/// Commands of the pipelines.
const COUNT: usize = 16;

fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        wire.extend_from_slice(arg);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

fn key(n: usize) -> Vec<u8> {
    format!("key:{:012}", n * 7919).into_bytes()
}

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse/command");
    group.throughput(Throughput::Elements(COUNT as u64));
    let mut bench = |name: &str, wire: Vec<u8>| {
        let (mut parser, mut batch, limits) = (Parser::default(), Batch::default(), Limits::default());
        group.bench_function(name, |b| {
            b.iter(|| {
                batch.clear();
                batch.clear();
                let (consumed, _) = parser.parse(black_box(&wire), &limits, &mut batch, 1024);
                assert!(consumed == wire.len() && batch.commands.len() == COUNT);
                black_box(&batch.spans);
            });
        });
    };
    let value = [b'v'; 1000];
    bench("ping", request(&[b"PING"]).repeat(COUNT));
    bench("get", (0..COUNT).flat_map(|n| request(&[b"GET", &key(n)])).collect());
    bench("set 32 B", (0..COUNT).flat_map(|n| request(&[b"SET", &key(n), &value[..32]])).collect());
    bench("set 1000 B", (0..COUNT).flat_map(|n| request(&[b"SET", &key(n), &value])).collect());
    let mset: Vec<&[u8]> = [&b"MSET"[..]].into_iter().chain([&b"key:0001"[..]; 20]).collect();
    bench("mset of 10", request(&mset).repeat(COUNT));
    bench("inline ping", b"PING\r\n".repeat(COUNT));
    group.finish();
}

fn torn(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse/torn in two");
    let wire: Vec<u8> = (0..COUNT).flat_map(|n| request(&[b"GET", &key(n)])).collect();
    let (mut parser, mut batch, limits) = (Parser::default(), Batch::default(), Limits::default());
    let middle = wire.len() / 2 + 13;
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("get", |b| {
        b.iter(|| {
            batch.clear();
            batch.clear();
            let (first, _) = parser.parse(black_box(&wire[..middle]), &limits, &mut batch, 1024);
            let (second, _) = parser.parse(black_box(&wire[first..]), &limits, &mut batch, 1024);
            assert_eq!(first + second, wire.len());
        });
    });
    group.finish();
}

fn hashing(c: &mut Criterion) {
    let keys: Vec<Vec<u8>> = (0..COUNT).map(key).collect();
    let odd: Vec<Vec<u8>> = (0..COUNT).map(|n| format!("k:{n}:xyz").into_bytes()).collect();
    let tagged: Vec<Vec<u8>> = (0..COUNT).map(|n| format!("{{user{n}}}:cart").into_bytes()).collect();
    let mut group = c.benchmark_group("hash/key");
    group.throughput(Throughput::Elements(COUNT as u64));
    for (name, keys) in [("16 B", &keys), ("7-8 B", &odd), ("tagged", &tagged)] {
        group.bench_function(format!("slot {name}"), |b| {
            b.iter(|| keys.iter().map(|k| u64::from(slot(black_box(k)))).sum::<u64>());
        });
        group.bench_function(format!("hash {name}"), |b| {
            b.iter(|| keys.iter().map(|k| hash(black_box(k))).fold(0, u64::wrapping_add));
        });
    }
    group.bench_function("position 16 B", |b| {
        b.iter(|| keys.iter().map(|k| Position::of(black_box(k)).0).fold(0, u64::wrapping_add));
    });
    group.finish();
}

fn replying(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply");
    group.throughput(Throughput::Elements(COUNT as u64));
    let mut bench = |name: &str, write: &dyn Fn(&mut Reply<'_>, usize)| {
        let mut out = OutBuf::default();
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                for n in 0..COUNT {
                    write(&mut Reply::new(black_box(&mut out), Proto::Resp2), n);
                }
            });
        });
    };
    let value = [b'v'; 1000];
    bench("ok", &|r, _| r.ok());
    bench("null", &|r, _| r.null());
    bench("integer small", &|r, n| r.integer(n as i64));
    bench("integer large", &|r, n| r.integer(n as i64 + 1_234_567_890_123));
    bench("bulk 8 B", &|r, _| r.bulk(black_box(&value[..8])));
    bench("bulk 32 B", &|r, _| r.bulk(black_box(&value[..32])));
    bench("bulk 1000 B", &|r, _| r.bulk(black_box(&value)));
    bench("double", &|r, n| r.double(n as f64 + 0.1));
    group.finish();
}

criterion_group!(benches, parsing, torn, hashing, replying);
criterion_main!(benches);
