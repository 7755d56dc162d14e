//! What comes in is there, in order and without a trace, and a shard that is slow slows its loader.

use super::*;
use crate::base::hash;
use crate::runtime::driver::{DriverKind, prepare};
use crate::runtime::mesh::mesh;
use crate::shard::keyspace::Shard;
use crate::txn::hop::Terms;
use crate::txn::message::Message;
use crate::txn::router::{Router, slots_of};
use crate::types::rdb::Flavor;
use crate::types::rdb::kind;
use crate::types::rdb::write;
use crate::types::table::Key;
use crate::types::value::View;

const NOW: u64 = 1_795_228_262_001;

/// Two cores without threads, and a loader for them.
struct World {
    routers: Vec<Router>,
    feeder: Option<Feeder>,
    loading: Arc<Loading>,
}

impl World {
    fn new() -> World {
        let (_, doorbells, ..) = prepare(2, DriverKind::Epoll).expect("epoll is there");
        let loading = Arc::new(Loading::default());
        loading.begin(NOW);
        let (feeder, intakes) = feed(2, 16, &doorbells, &loading);
        let table = Arc::new(CommandTable::new());
        let clock = Arc::default();
        let routers = mesh::<Message>(2, 64).into_iter().zip(intakes).map(|(endpoint, intake)| {
            let shard = Shard::new(16, slots_of(endpoint.core(), 2), 1);
            let terms = Terms { bulk_bytes_max: 1 << 29, slow_ticks: u64::MAX };
            let mut router = Router::new(shard, table.clone(), endpoint, terms, Arc::clone(&clock));
            router.attach(intake);
            router
        });
        World { routers: routers.collect(), feeder: Some(feeder), loading }
    }

    /// Runs `load` beside the cores, until both have ended.
    fn run(&mut self, load: impl FnOnce(&mut Feeder) + Send) {
        let mut feeder = self.feeder.take().expect("one run");
        std::thread::scope(|scope| {
            let loader = scope.spawn(move || {
                load(&mut feeder);
                feeder.end()
            });
            while !loader.is_finished() {
                self.tick();
            }
            let result = loader.join().expect("the loader runs to its end");
            assert_eq!(result.is_ok(), self.loading.failure().is_none());
        });
    }

    fn tick(&mut self) {
        for router in &mut self.routers {
            router.shard.now_ms = NOW;
            if router.is_fed() {
                router.prepare_feed();
            }
            let mut messages = Vec::new();
            router.mesh.drain(100, |from, message| messages.push((from, message)));
            for (from, message) in messages {
                match message {
                    Message::Commands(batch) => router.on_commands(from, batch, &mut |_, _, _| ()),
                    Message::Replies(batch) => router.on_replies(batch, &mut |_, _, _, _| ()),
                    other => router.on_message(from, other),
                }
            }
            router.unpack(NOW);
            assert!(router.take_finished().is_empty(), "replies of loaded commands go nowhere");
            router.flush(|_| ());
        }
    }

    fn get(&mut self, db: usize, key: &str) -> Option<(String, Option<u64>)> {
        let shard = &mut self.routers[owner(hash::slot(key.as_bytes()), 2)].shard;
        shard.now_ms = NOW;
        let entry = shard.peek(db, Key::new(key.as_bytes()))?;
        let text = match entry.value {
            View::Int(n) => n.to_string(),
            View::Str { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("{other:?}"),
        };
        Some((text, entry.expire_ms))
    }
}

fn string(text: &str) -> Vec<u8> {
    let payload = write::payload(View::Str { bytes: text.as_bytes(), raw: false }, Flavor::Redis);
    payload[1..payload.len() - 10].to_vec()
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

#[test]
fn keys_come_in_and_those_that_have_expired_do_not() {
    let mut world = World::new();
    world.run(|feeder| {
        let source = Source { file: "f".into(), version: 10, keeps_expired: false, replaces: false };
        feeder.begin_file(source).expect("it runs");
        for i in 0..5000u64 {
            let attributes = Attributes { expire_ms: (i % 5 == 0).then_some(NOW - 2500 + i), ..Default::default() };
            let meta = Meta { db: 3, kind: kind::STRING, at: i, attributes };
            feeder.entry(meta, format!("k{i}").as_bytes(), &string(&format!("v{i}"))).expect("it runs");
        }
    });
    assert_eq!(world.loading.counted(), (4500, 500));
    assert_eq!(world.get(3, "k1"), Some(("v1".into(), None)));
    assert_eq!(world.get(3, "k0"), None);
    assert_eq!(world.get(3, "k4995"), Some(("v4995".into(), Some(NOW + 2495))));
    for router in &world.routers {
        assert_eq!((router.shard.dirty, router.shard.stats.expired), (0, 0));
        assert!(router.shard.len(3) > 1000, "both shards have their part");
    }
}

#[test]
fn commands_run_in_order_also_over_several_shards() {
    let mut world = World::new();
    world.run(|feeder| {
        for line in [
            "MSET a 1 b 2 c 3 d 4",
            "INCR a",
            "RENAME a e",
            "COPY e b REPLACE",
            "INCR b",
            "SUNIONSTORE s none",
            "MSETNX x 1 y 2 z 3",
            "MSETNX x 9 w 9",
            "DEL c d",
            "PEXPIREAT b 1700000000000",
            "INCR b",
            "SET soon 1 EX 100",
        ] {
            feeder.command(1, &words(line)).expect(line);
        }
        assert_eq!(
            feeder.command(1, &words("NONSENSE a")),
            Err(FeedError::Refused("Unknown command 'NONSENSE' reading the append only file".into()))
        );
        assert!(matches!(feeder.command(16, &words("SET a 1")), Err(FeedError::Refused(_))));
        assert!(matches!(feeder.command(1, &words("SET a")), Err(FeedError::Refused(_))));
    });
    let value = |world: &mut World, key: &str| world.get(1, key).map(|(value, _)| value);
    for (key, expected) in [("a", None), ("e", Some("2")), ("c", None), ("x", Some("1")), ("w", None)] {
        assert_eq!(value(&mut world, key).as_deref(), expected, "{key}");
    }
    // It had expired when the last command counted it: the log alone says when a key goes.
    let shard = &mut world.routers[owner(hash::slot(b"b"), 2)].shard;
    shard.now_ms = 1_699_999_999_999;
    assert!(matches!(shard.peek(1, Key::new(b"b")).map(|entry| entry.value), Some(View::Int(4))));
    assert_eq!(world.get(1, "soon").and_then(|(_, at)| at), Some(NOW + 100_000));
    assert!(world.routers.iter().all(|router| router.shard.dirty == 0));
}

#[test]
fn a_value_that_is_damaged_stops_the_load() {
    let mut world = World::new();
    world.run(|feeder| {
        let source = Source { file: "dump.rdb".into(), version: 10, keeps_expired: false, replaces: false };
        feeder.begin_file(source).expect("it runs");
        let meta = Meta { db: 0, kind: kind::SET_INTSET, at: 77, attributes: Attributes::default() };
        feeder.entry(meta, b"k", &string("no intset")).expect("it is not looked at here");
    });
    assert_eq!(world.loading.failure().as_deref(), Some("dump.rdb: at byte 77: the key \"k\": intset"));
}
