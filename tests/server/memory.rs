//! maxmemory, where the keys are not spread evenly over the shards.

use crate::common::client::encode;
use crate::common::{Client, Launch, Random, Value, each_setup};

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
