//! `pinion aof export [--to OUT] [--for SERVER] [--lossy] [--databases N] DIR`: reads the data directory of a server
//! that is not running, as its next start would, and writes what it holds as an append-only file that other servers
//! load: a base, an empty increment and the manifest. Starts no server; changes nothing in DIR beside the new files.
//!
//! What the other server cannot hold is never left out in silence: it is counted and refused, or, with `--lossy`,
//! counted and left out.

use crate::base::clock;
use crate::base::config::Config;
use crate::base::limits::DATABASES_MAX;
use crate::persist::aof::folder::Folder;
use crate::persist::lock::lock;
use crate::runtime::files::replace;
use crate::server::compact;
use crate::server::recovery::{self, ReadBack};
use crate::shard::keyspace::Shard;
use crate::txn::loading::Loading;
use crate::types::hash::Hash;
use crate::types::rdb::{Flavor, VERSION_MIN, VERSION_REDIS, VERSION_STREAM_3, VERSION_VALKEY};
use crate::types::stream::Stream;
use crate::types::table::Key;
use crate::types::value::{Value, View};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const USAGE: &str = "Usage: pinion aof export [--to OUT] [--for SERVER] [--lossy] [--databases N] DIR
Writes what the data directory DIR of a stopped Pinion holds as an append-only file for another server.
  --to OUT        folder that the server will have as its `dir`; the files go to OUT/appendonlydir
                  (default: DIR/export). Nothing in it is overwritten.
  --for SERVER    the oldest server that has to load it: redis-7.0 (default), redis-7.2, redis-7.4, redis-8.0,
                  valkey-7.2 or valkey-9.0
  --lossy         leaves out what that server does not know: times to live of fields (the fields stay), vector
                  sets. Without it they are counted and nothing is written
  --databases N   `databases` of the server that wrote DIR (default: 16)";

/// The folder and the name that servers look for unless told otherwise.
const FOLDER: &str = "appendonlydir";
const NAME: &str = "appendonly.aof";

/// A server that files are written for.
struct Target {
    name: &'static str,
    /// The newest version of snapshots that it reads.
    version: u16,
    has_vectors: bool,
}

const TARGETS: [Target; 6] = [
    Target { name: "redis-7.0", version: VERSION_MIN, has_vectors: false },
    Target { name: "redis-7.2", version: VERSION_STREAM_3, has_vectors: false },
    Target { name: "redis-7.4", version: VERSION_REDIS, has_vectors: false },
    Target { name: "redis-8.0", version: VERSION_REDIS, has_vectors: true },
    Target { name: "valkey-7.2", version: VERSION_STREAM_3, has_vectors: false },
    Target { name: "valkey-9.0", version: VERSION_VALKEY, has_vectors: false },
];

impl Target {
    fn flavor(&self) -> Flavor {
        if self.version == VERSION_VALKEY { Flavor::Valkey } else { Flavor::Redis }
    }

    fn has_field_times(&self) -> bool {
        self.version >= VERSION_REDIS
    }

    fn has_active_times(&self) -> bool {
        self.version >= VERSION_STREAM_3
    }
}

/// What the arguments say.
struct Order {
    dir: PathBuf,
    out: PathBuf,
    target: &'static Target,
    lossy: bool,
    databases: usize,
}

/// Runs the tool if the arguments ask for it; answers the exit code: 0 if the files were written, 1 if not.
pub fn run(args: &[OsString]) -> Option<i32> {
    if args.first()? != "aof" {
        return None;
    }
    let Some(order) = order(args.get(1..).unwrap_or_default()) else {
        eprintln!("{USAGE}");
        return Some(1);
    };
    match export(&order) {
        Ok(()) => Some(0),
        Err(why) => {
            eprintln!("{why}");
            Some(1)
        }
    }
}

fn order(args: &[OsString]) -> Option<Order> {
    let (first, rest) = args.split_first()?;
    if first != "export" {
        return None;
    }
    let (mut dir, mut out, mut target, mut lossy, mut databases) = (None, None, &TARGETS[0], false, 16);
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match arg.to_str() {
            Some("--to") => out = Some(PathBuf::from(rest.next()?)),
            Some("--for") => {
                let name = rest.next()?;
                target = TARGETS.iter().find(|target| name == target.name)?;
            }
            Some("--lossy") => lossy = true,
            Some("--databases") => databases = rest.next()?.to_str()?.parse().ok()?,
            Some(option) if option.starts_with("--") => return None,
            _ if dir.is_some() => return None,
            _ => dir = Some(PathBuf::from(arg)),
        }
    }
    let dir = dir?;
    let out = out.unwrap_or_else(|| dir.join("export"));
    (1..=DATABASES_MAX).contains(&databases).then_some(Order { dir, out, target, lossy, databases })
}

fn export(order: &Order) -> Result<(), String> {
    let _lock = lock(&order.dir)?;
    let from = find(&order.dir)?;
    let to = Folder::new(order.out.join(FOLDER), NAME);
    if fs::read_dir(&to.path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!("{}: not empty; give another folder with --to", to.path.display()));
    }
    let manifest = from.manifest().map_err(|error| format!("{}: {error}", from.manifest_path().display()))?;
    let config = Config { databases: order.databases, ..Config::default() };
    let back = recovery::read_back(&config, &from, &manifest.unwrap_or_default(), 1, &Loading::default())?;
    back.left_out.iter().for_each(|line| println!("{line}"));
    let ReadBack { mut shards, libraries, .. } = back;
    let mut unknown = Unknown::default();
    let now_ms = clock::unix_ms_now();
    for shard in &mut shards {
        shard.now_ms = now_ms;
        unknown.look_through(shard, order);
    }
    unknown.told(order)?;
    let written = write(&to, order.target.flavor(), &libraries, &shards);
    let bytes = written.map_err(|error| format!("{}: {error}", to.path.display()))?;
    let keys: usize = shards.iter().map(|shard| shard.tables.iter().map(|table| table.len()).sum::<usize>()).sum();
    println!("{}: {keys} keys, {bytes} bytes, for {} and later", to.path.display(), order.target.name);
    println!("Start the other server with --dir {} --appendonly yes", order.out.display());
    let databases = shards.iter().flat_map(|shard| (0..shard.tables.len()).filter(|db| shard.len(*db) > 0)).max();
    if let Some(highest) = databases.filter(|highest| *highest >= Config::default().databases) {
        println!("It needs --databases {} as well", highest + 1);
    }
    Ok(())
}

/// The one log of ours in a data directory.
fn find(dir: &Path) -> Result<Folder, String> {
    let mut found = Folder::find(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    match (found.pop(), found.pop()) {
        (Some(folder), None) => Ok(folder),
        (None, _) => Err(format!(
            "{}: no append-only log of Pinion is here. What a server without one keeps is a snapshot (dump.rdb), which \
             other servers load as it is",
            dir.display()
        )),
        (Some(one), Some(other)) => {
            let (one, other) = (one.manifest_path(), other.manifest_path());
            Err(format!("{} and {}: two logs; move one of them elsewhere", one.display(), other.display()))
        }
    }
}

/// Writes the files; answers the base's bytes. They count from the moment that the manifest is there, and are whole
/// then.
fn write(to: &Folder, flavor: Flavor, libraries: &[Vec<u8>], shards: &[Shard]) -> io::Result<u64> {
    let (base, increment) = (format!("{NAME}.1.base.rdb"), format!("{NAME}.1.incr.aof"));
    fs::create_dir_all(&to.path)?;
    let bytes = compact::write_base(to, &base, flavor, libraries, shards)?;
    File::create(to.path.join(&increment))?.sync_all()?;
    let temporary = to.path.join(format!("temp-{NAME}.manifest"));
    let text = format!("file {base} seq 1 type b\nfile {increment} seq 1 type i\n");
    replace(&temporary, &to.others_path(), text.as_bytes())?;
    Ok(bytes)
}

/// What the other server does not know.
#[derive(Debug, Default)]
struct Unknown {
    /// Fields that expire, and a key that has one.
    fields: u64,
    hash: Option<String>,
    /// Vector sets, and one of them.
    vectors: u64,
    vector: Option<String>,
    /// Consumers of streams that were active at another time than they were last seen.
    consumers: u64,
}

impl Unknown {
    /// Counts it in a shard, and takes it out if that is wanted. Removes fields that are due.
    fn look_through(&mut self, shard: &mut Shard, order: &Order) {
        for db in 0..shard.tables.len() {
            let mut affected = Vec::new();
            shard.for_each(db, |entry| {
                let is_affected = match entry.value {
                    View::Boxed(Value::Hash(hash)) => hash.may_expire(),
                    View::Boxed(Value::Stream(_)) => !order.target.has_active_times(),
                    View::Boxed(Value::Vectors(_)) => !order.target.has_vectors,
                    _ => false,
                };
                if is_affected {
                    affected.push(entry.key.to_vec());
                }
                true
            });
            for name in affected {
                self.look_at(shard, db, &name, order);
            }
        }
    }

    fn look_at(&mut self, shard: &mut Shard, db: usize, name: &[u8], order: &Order) {
        let (key, now_ms) = (Key::new(name), shard.now_ms);
        let place = || format!("{:?} of database {db}", String::from_utf8_lossy(name));
        let goes = match shard.boxed_mut(db, key) {
            Some(Value::Hash(hash)) => {
                hash.sweep(now_ms, usize::MAX, |_| {});
                if !order.target.has_field_times() {
                    let fields = make_lasting(hash, order.lossy);
                    self.fields += fields;
                    self.hash.get_or_insert_with(place);
                }
                hash.is_empty()
            }
            Some(Value::Stream(stream)) => {
                self.consumers += forget_active_times(stream);
                false
            }
            Some(Value::Vectors(_)) => {
                self.vectors += 1;
                self.vector.get_or_insert_with(place);
                order.lossy
            }
            _ => false,
        };
        if goes {
            shard.remove(db, key);
        }
    }

    /// Says what is left out, or why nothing is written.
    fn told(&self, order: &Order) -> Result<(), String> {
        let target = order.target.name;
        let mut lines = Vec::new();
        if let Some(hash) = self.hash.as_ref().filter(|_| self.fields > 0) {
            lines.push(format!(
                "{} fields of hashes expire (one in {hash}), which {target} does not know: redis-7.4 and valkey-9.0 do",
                self.fields
            ));
        }
        if let Some(vector) = &self.vector {
            lines.push(format!(
                "{} vector sets (one is {vector}), which {target} does not know: redis-8.0 does",
                self.vectors
            ));
        }
        if !lines.is_empty() && !order.lossy {
            let lines = lines.join("\n");
            return Err(format!("{lines}\nNothing was written. Choose a newer server with --for, or add --lossy"));
        }
        lines.iter().for_each(|line| println!("Left out: {line}"));
        if self.consumers > 0 {
            println!(
                "{} consumers of streams: {target} knows when they were last seen, not when they were last active",
                self.consumers
            );
        }
        Ok(())
    }
}

/// Counts fields that expire; they no longer do if `lossy`.
fn make_lasting(hash: &mut Hash, lossy: bool) -> u64 {
    let timed: Vec<Vec<u8>> =
        hash.iter().filter(|pair| pair.expire_ms.is_some()).map(|pair| pair.name.with_bytes(<[u8]>::to_vec)).collect();
    if lossy {
        timed.iter().for_each(|name| hash.set_expire(name, None));
    }
    timed.len() as u64
}

/// Has consumers of a stream seem to have been active when they were last seen, as it is read from files that do not
/// tell; answers how many were active at another time.
fn forget_active_times(stream: &mut Stream) -> u64 {
    let mut count = 0;
    let groups: Vec<Vec<u8>> = stream.groups().map(|(name, _)| name.to_vec()).collect();
    for name in groups {
        stream.edit_group(&name, |_, group| {
            let consumers = group.consumers().filter(|consumer| consumer.active_ms != Some(consumer.seen_ms));
            let names: Vec<Vec<u8>> = consumers.map(|consumer| consumer.name().to_vec()).collect();
            for consumer in names.iter().filter_map(|name| group.find(name)).collect::<Vec<_>>() {
                let consumer = group.consumer_mut(consumer);
                consumer.active_ms = Some(consumer.seen_ms);
                count += 1;
            }
        });
    }
    count
}
