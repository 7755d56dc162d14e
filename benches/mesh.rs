//! How fast two cores exchange messages through the mesh: one way and there and back, in batches of 1 and of 16.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pinion::runtime::affinity;
use pinion::runtime::mesh::{Endpoint, mesh};

/// As large as a message between shards: one cache line.
type Message = [u64; 8];

/// Messages a queue holds.
const DEPTH: usize = 512;

/// Runs `peer` on `cpu`, while `work` runs here, until `work` is done.
fn beside<R>(
    cpu: usize,
    mut peer: impl FnMut(&mut Endpoint<Message>) + Send + 'static,
    work: impl FnOnce(&mut Endpoint<Message>) -> R,
) -> R {
    let mut ends = mesh::<Message>(2, DEPTH);
    let (mut theirs, mut ours) = (ends.pop().expect("two ends"), ends.pop().expect("two ends"));
    let (pinned, is_pinned) = mpsc::channel();
    let over = Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    let thread = thread::spawn(move || {
        affinity::pin_to(cpu);
        pinned.send(()).expect("someone waits");
        while !ended.load(Ordering::Relaxed) {
            peer(&mut theirs);
            spin_loop();
        }
    });
    is_pinned.recv().expect("the peer starts");
    let result = work(&mut ours);
    over.store(true, Ordering::Relaxed);
    thread.join().expect("the peer");
    result
}

/// Sends `count` messages, `batch` between two flushes, to a peer that only takes them.
fn one_way(cpu: usize, count: u64, batch: u64) -> Duration {
    let peer = |end: &mut Endpoint<Message>| _ = black_box(end.drain(DEPTH, |_, message| _ = black_box(message)));
    beside(cpu, peer, |end| {
        let start = Instant::now();
        let mut sent = 0;
        while sent < count {
            for _ in 0..batch {
                end.send(1, [sent; 8]);
                sent += 1;
            }
            end.flush(|_| {});
            while end.overflow_len(1) > 0 {
                end.flush(|_| {});
                spin_loop();
            }
        }
        while end.outbound_len(1) > 0 {
            spin_loop();
        }
        start.elapsed()
    })
}

/// Sends `batch` messages and waits for as many answers, until `count` were answered.
fn there_and_back(cpu: usize, count: u64, batch: u64) -> Duration {
    let mut answers = Vec::new();
    let peer = move |end: &mut Endpoint<Message>| {
        end.drain(DEPTH, |from, message| answers.push((from, message)));
        for (to, message) in answers.drain(..) {
            end.send(to, message);
        }
        end.flush(|_| {});
    };
    beside(cpu, peer, |end| {
        let start = Instant::now();
        let mut answered = 0;
        while answered < count {
            for n in 0..batch {
                end.send(1, [n; 8]);
            }
            end.flush(|_| {});
            let mut missing = batch as usize;
            while missing > 0 {
                missing -= end.drain(DEPTH, |_, message| _ = black_box(message));
                spin_loop();
            }
            answered += batch;
        }
        start.elapsed()
    })
}

fn mesh_between_two_cores(c: &mut Criterion) {
    let cpus = affinity::available_cpus();
    if cpus.len() < 2 {
        eprintln!("the mesh needs two CPUs");
        return;
    }
    affinity::pin_to(cpus[0]);
    let mut group = c.benchmark_group("mesh");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(3));
    for batch in [1, 16] {
        group.bench_function(format!("one way, batch {batch}"), |b| {
            b.iter_custom(|count| one_way(cpus[1], count, batch))
        });
        group.bench_function(format!("there and back, batch {batch}"), |b| {
            b.iter_custom(|count| there_and_back(cpus[1], count, batch))
        });
    }
    group.finish();
}

criterion_group!(benches, mesh_between_two_cores);
criterion_main!(benches);
