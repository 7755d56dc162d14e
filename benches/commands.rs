//! Cost of command functions alone: parsed arguments in, reply bytes out, on a shard of a million keys; no parsing, no
//! dispatch, no I/O. `cargo bench --bench commands`; times are per command (per key for the multi-key ones).
//!
//! "hot" uses one key again and again, so it counts instructions; "random" walks over all keys in an order that the
//! caches cannot guess, one at a time and without the prefetching that a batch gets, so it counts memory misses too.

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use pinion::base::bytes::OutBuf;
use pinion::base::limits::BULK_BYTES_MAX;
use pinion::commands::args::Args;
use pinion::commands::context::{CommandFn, Context};
use pinion::commands::spec::Plan;
use pinion::commands::table::CommandTable;
use pinion::resp::parse::Span;
use pinion::resp::reply::{Proto, Reply};
use pinion::shard::keyspace::Shard;
use std::hint::black_box;

const KEYS: usize = 1_000_000;

/// A request as the parser leaves it.
struct Request {
    run: CommandFn,
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

impl Request {
    fn new(commands: &CommandTable, words: &[&[u8]]) -> Request {
        let spec = commands.get(commands.lookup(words[0]).expect("a command"));
        let run = match spec.plan {
            Plan::OneShard(run) | Plan::Scatter(run, _) | Plan::TwoPhase { run, .. } => run,
            _ => panic!("{} does not run on one shard", spec.name),
        };
        let (mut buffer, mut spans) = (Vec::new(), Vec::new());
        for word in words {
            spans.push(Span { start: buffer.len() as u32, len: word.len() as u32 });
            buffer.extend_from_slice(word);
        }
        Request { run, buffer, spans }
    }

    #[inline]
    fn run(&self, shard: &mut Shard, out: &mut OutBuf) {
        let mut ctx =
            Context { shard, db: 0, no_touch: false, hint: None, bulk_bytes_max: BULK_BYTES_MAX, foreign: &mut [] };
        let mut args = Args::new(black_box(&self.buffer), &self.spans);
        (self.run)(&mut ctx, &mut args, &mut Reply::new(out, Proto::Resp2));
    }
}

fn key(n: usize) -> Vec<u8> {
    format!("key:{:012}", n % KEYS).into_bytes()
}

/// A million keys of 32 bytes, and some for the single benchmarks.
fn filled(commands: &CommandTable) -> Shard {
    let mut shard = Shard::new(16, 0..16384, 1);
    shard.now_ms = 1_700_000_000_000;
    let mut out = OutBuf::default();
    for n in 0..KEYS {
        Request::new(commands, &[b"SET", &key(n), &[b'v'; 32]]).run(&mut shard, &mut out);
        out.clear();
    }
    for words in [
        [&b"SET"[..], b"int", b"1000000"],
        [b"SET", b"short", b"hello"],
        [b"SET", b"float", b"1.25"],
        [b"SET", b"large", &[b'x'; 100_000]],
    ] {
        Request::new(commands, &words).run(&mut shard, &mut out);
    }
    shard
}

fn hot(group: &mut BenchmarkGroup<'_, WallTime>, shard: &mut Shard, commands: &CommandTable) {
    for (name, words) in [
        ("get int", &[&b"GET"[..], b"int"][..]),
        ("get 32 B", &[b"GET", &key(7)]),
        ("get absent", &[b"GET", b"absent"]),
        ("set 32 B", &[b"SET", &key(7), &[b'w'; 32]]),
        ("set int", &[b"SET", b"int", b"1000000"]),
        ("set ex", &[b"SET", b"expiring", b"v", b"EX", b"100"]),
        ("incr", &[b"INCR", b"int"]),
        ("incrbyfloat", &[b"INCRBYFLOAT", b"float", b"0.25"]),
        ("setrange small", &[b"SETRANGE", b"short", b"1", b"a"]),
        ("setrange large", &[b"SETRANGE", b"large", b"50000", b"a"]),
        ("setbit small", &[b"SETBIT", b"short", b"3", b"1"]),
        ("bitcount 100 kB", &[b"BITCOUNT", b"large"]),
        ("bitop or 100 kB", &[b"BITOP", b"OR", b"result", b"large", b"large"]),
    ] {
        let request = Request::new(commands, words);
        let mut out = OutBuf::default();
        group.bench_function(format!("hot/{name}"), |b| {
            b.iter(|| {
                request.run(shard, &mut out);
                black_box(&out.bytes);
                out.clear();
                shard.free_step(16); // as a tick does
            });
        });
    }
}

fn random(group: &mut BenchmarkGroup<'_, WallTime>, shard: &mut Shard, commands: &CommandTable) {
    type Words<'a> = dyn Fn(&[Vec<u8>]) -> Vec<Vec<u8>> + 'a;
    let with = |head: &[&[u8]], tail: &[&[u8]], keys: &[Vec<u8>]| -> Vec<Vec<u8>> {
        head.iter().map(|w| w.to_vec()).chain(keys.iter().cloned()).chain(tail.iter().map(|w| w.to_vec())).collect()
    };
    let cases: [(&str, usize, &Words<'_>); 4] = [
        ("get 32 B", 1, &|keys| with(&[b"GET"], &[], keys)),
        ("set 32 B", 1, &|keys| with(&[b"SET"], &[&[b'x'; 32]], keys)),
        ("mget of 16", 16, &|keys| with(&[b"MGET"], &[], keys)),
        ("mset of 16", 16, &|keys| {
            let pairs: Vec<Vec<u8>> = keys.iter().flat_map(|key| [key.clone(), vec![b'y'; 32]]).collect();
            with(&[b"MSET"], &[], &pairs)
        }),
    ];
    for (name, count, words) in cases {
        // 7919 is prime to a million: a full walk in a scattered order.
        let requests: Vec<Request> = (0..200_000 / count)
            .map(|turn| {
                let keys: Vec<Vec<u8>> = (0..count).map(|n| key((turn * count + n) * 7919 * 131)).collect();
                let words = words(&keys);
                Request::new(commands, &words.iter().map(Vec::as_slice).collect::<Vec<_>>())
            })
            .collect();
        let mut out = OutBuf::default();
        let mut turn = 0;
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("random/{name}"), |b| {
            b.iter(|| {
                requests[turn].run(shard, &mut out);
                black_box(&out.bytes);
                out.clear();
                turn = (turn + 1) % requests.len();
            });
        });
    }
}

fn commands(c: &mut Criterion) {
    let commands = CommandTable::new();
    let mut shard = filled(&commands);
    let mut group = c.benchmark_group("commands");
    group.throughput(Throughput::Elements(1));
    hot(&mut group, &mut shard, &commands);
    random(&mut group, &mut shard, &commands);
    group.finish();
}

criterion_group!(benches, commands);
criterion_main!(benches);
