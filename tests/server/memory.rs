//! maxmemory, where the keys are not spread evenly over the shards.

use crate::common::client::encode;
use crate::common::{Client, Launch, Random, Setup, Value, each_setup, sys, wait_until};

const LIMIT: usize = 12 << 20;

fn used(client: &mut Client) -> usize {
    client.info_number("memory", "used_memory") as usize
}

/// Writes values of so many bytes at random keys of one slot, `bytes` in all.
fn fill(client: &mut Client, random: &mut Random, value_bytes: usize, bytes: usize) {
    let (value, count) = ("x".repeat(value_bytes), 200_000 / value_bytes);
    for _ in 0..bytes / (count * value_bytes) {
        let set = |_| encode(&["SET", &format!("{{one}}{}:{value_bytes}", random.below(100_000)), &value]);
        let batch: Vec<u8> = (0..count).flat_map(set).collect();
        assert!(client.pipeline(&batch, count).iter().all(|reply| *reply == Value::ok()));
    }
}

/// The core that a client is on has nothing to evict itself: that of the keys keeps up with what comes in.
#[test]
fn one_shard_with_all_the_keys_keeps_within_the_limit() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--maxmemory-policy allkeys-random").start();
        let mut clients: Vec<Client> = (0..setup.shards.max(1)).map(|_| server.client()).collect();
        let limit = used(&mut clients[0]) + LIMIT;
        clients[0].ok(&format!("CONFIG SET maxmemory {limit}"));
        for client in &mut clients {
            fill(client, &mut Random(1), 40, LIMIT / 2);
            fill(client, &mut Random(2), 3000, 2 * LIMIT);
            let used = used(client);
            assert!(used < limit + LIMIT / 4, "{used} of {limit}");
        }
    });
}

/// Large values leave whole pages of the heap behind, with a few of them in each; small ones cannot use those.
#[test]
fn what_large_values_leave_behind_is_given_back_as_small_ones_come() {
    const LIMIT: usize = 128 << 20;
    let server = Launch::new(&Setup::typical()).args("--maxmemory-policy allkeys-lru").start();
    let mut client = server.client();
    client.ok(&format!("CONFIG SET maxmemory {LIMIT}"));
    let (mut random, mut most) = (Random(3), 0);
    let value = "x".repeat(150_000);
    for (keys, bytes, total) in [(100_000, 100_000, 3 * LIMIT / 2), (1_000_000, 200, LIMIT)] {
        let count = 400_000 / bytes;
        for _ in 0..total / (count * bytes) {
            let mut set = |_| {
                let len = bytes / 2 + random.below(bytes);
                encode(&["SET", &format!("{}:{bytes}", random.below(keys)), &value[..len]])
            };
            let batch: Vec<u8> = (0..count).flat_map(&mut set).collect();
            assert!(client.pipeline(&batch, count).iter().all(|reply| *reply == Value::ok()));
            most = most.max(sys::resident_bytes(server.pid()));
        }
    }
    // 111% in a fast build; it was 160% and more when such blocks stayed with the allocator
    assert!(most < LIMIT as u64 / 100 * 130, "{most} of {LIMIT}");
}

/// An idle server has nothing to free that would remind the allocator of what is free already.
#[test]
fn what_was_deleted_goes_back_to_the_system_while_nothing_happens() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let before = sys::resident_bytes(server.pid());
        let value = "x".repeat(5000);
        let batch: Vec<u8> = (0..10_000).flat_map(|n| encode(&["SET", &format!("k{n}"), &value])).collect();
        assert!(client.pipeline(&batch, 10_000).iter().all(|reply| *reply == Value::ok()));
        assert!(sys::resident_bytes(server.pid()) > before + 40_000_000);
        client.ok("FLUSHALL");
        wait_until("memory goes back", || sys::resident_bytes(server.pid()) < before + 20_000_000);
    });
}
