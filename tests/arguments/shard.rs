//! Random calls on a shard in this process. Never opens a socket.

use crate::common::Random;
use crate::common::server::OnPanic;
use crate::common::value::{self, Value};
use crate::draw::{Call, Form, SETTING, forms, words};
use crate::shown;
use pinion::base::bytes::OutBuf;
use pinion::commands::args::{Args, lay_out};
use pinion::commands::context::{CommandFn, Context};
use pinion::commands::debug::{DatabaseDigest, database_digests};
use pinion::commands::spec::{CommandTable, Plan, flag};
use pinion::resp::reply::{Proto, Reply};
use pinion::runtime::alloc::own_bytes;
use pinion::shard::keyspace::Shard;
use std::time::{Duration, Instant};

/// Databases of the shard.
const DATABASES: usize = 4;
/// proto-max-bulk-len: no string grows beyond it.
const BULK_BYTES_MAX: usize = 1 << 20;
/// What one call may leave behind: the longest string and what its buffers round it up to.
const GROWTH_BYTES_MAX: isize = 8 << 20;
/// Calls between two times that everything begins anew.
const CALLS_PER_LIFE: usize = 400;

/// Read-only by their row, but they may write what they have worked out to where they read it.
const REMEMBER: [&str; 1] = ["pfcount"];

/// A key with its database, expiry and value as DUMP shows it.
type Kept = (usize, Vec<u8>, Option<u64>, Vec<u8>);

/// What there was before a call.
struct State {
    keys: Vec<Kept>,
    digests: Vec<DatabaseDigest>,
}

/// A shard with what [`SETTING`] puts there.
pub(crate) struct Home {
    pub(crate) shard: Shard,
    proto: Proto,
    table: CommandTable,
}

impl Home {
    pub(crate) fn new(proto: Proto) -> Home {
        let mut shard = Shard::new(DATABASES, 0..16384, 1);
        shard.now_ms = 1_700_000_000_000;
        shard.events.journaled = true;
        let mut home = Home { shard, proto, table: CommandTable::new() };
        for line in SETTING {
            let call = words(line);
            assert!(!home.call(home.plan(&call), &call).is_error(), "{line}");
        }
        home
    }

    /// How a call is carried out.
    pub(crate) fn plan(&self, call: &Call) -> Plan {
        self.table.get(self.table.lookup_full(&name_of(&self.table, call)).expect("a command")).plan
    }

    /// One reply, whole.
    pub(crate) fn call(&mut self, plan: Plan, call: &Call) -> Value {
        match plan {
            Plan::Session => panic!("{} has no function here", shown(call)),
            Plan::CheckedScatter { check, run, .. } => match self.run(check, call) {
                Value::Int(1) => self.run(run, call),
                other => other,
            },
            Plan::OneShard(run)
            | Plan::Scatter(run, _)
            | Plan::TwoPhase { run, .. }
            | Plan::Relay { run, .. }
            | Plan::AllShards(run, _)
            | Plan::ByCursor(run) => self.run(run, call),
        }
    }

    fn run(&mut self, function: CommandFn, call: &Call) -> Value {
        let mut out = OutBuf::default();
        let (buffer, spans) = lay_out(call);
        let mut ctx = Context {
            shard: &mut self.shard,
            db: 0,
            no_touch: false,
            hint: None,
            bulk_bytes_max: BULK_BYTES_MAX,
            foreign: &mut [],
        };
        function(&mut ctx, &mut Args::new(&buffer, &spans), &mut Reply::new(&mut out, self.proto));
        let bytes = out.flat();
        match value::parse(&bytes) {
            Ok((value, len)) if len == bytes.len() => value,
            _ => panic!("no reply, or more than one: {}", value::shown(&bytes)),
        }
    }

    /// Takes what the call tells beyond its reply, as the tick does.
    pub(crate) fn settle(&mut self) {
        self.shard.events.due.clear();
        self.shard.events.effects = None;
        while !self.shard.free_step(1 << 20) {}
    }

    fn all(&mut self) -> Vec<Kept> {
        let mut all = Vec::new();
        for db in 0..DATABASES {
            self.shard.for_each(db, |entry| {
                all.push((db, entry.key.to_vec(), entry.expire_ms, Vec::new()));
                true
            });
        }
        let Plan::OneShard(dump) = self.table.get(self.table.lookup(b"dump").expect("DUMP")).plan else {
            panic!("DUMP is for one key");
        };
        for (db, key, _, bytes) in &mut all {
            let (buffer, spans) = lay_out(&[b"DUMP".as_slice(), key]);
            let mut out = OutBuf::default();
            let shard = &mut self.shard;
            let mut ctx =
                Context { shard, db: *db, no_touch: true, hint: None, bulk_bytes_max: usize::MAX, foreign: &mut [] };
            dump(&mut ctx, &mut Args::new(&buffer, &spans), &mut Reply::new(&mut out, Proto::Resp2));
            *bytes = out.flat();
        }
        all.sort();
        all
    }

    /// One random call, which either changes something or leaves everything as it was.
    fn try_one(&mut self, form: &Form, random: &mut Random, before: &mut State) {
        let call = form.draw(random);
        let _said = OnPanic(format!("{} (a call of {})", shown(&call), form.spec.name));
        {
            let (buffer, spans) = lay_out(&call);
            let _ = form.spec.key_args(&Args::new(&buffer, &spans)).map(Iterator::count);
        }
        if !form.spec.accepts(call.len()) {
            return;
        }
        let (dirty, bytes) = (self.shard.dirty, own_bytes());
        let reply = self.call(form.spec.plan, &call);
        self.settle();
        let grown = own_bytes() - bytes;
        assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");
        let (after, digests) = (self.all(), database_digests(&self.shard));
        let reads = form.spec.has(flag::READONLY) && !REMEMBER.contains(&form.spec.name);
        if reply.is_error() || reads {
            assert!(after == before.keys, "{reply:?}, but something changed");
            assert_eq!(self.shard.dirty, dirty, "{reply:?}, but changes were counted");
        }
        // values, not how they are kept: HEXPIRE makes room for times before it looks for the fields
        if digests != before.digests {
            assert_ne!(self.shard.dirty, dirty, "something changed without being counted");
        }
        *before = State { keys: after, digests };
    }
}

/// The table's name of what a call names.
fn name_of(table: &CommandTable, call: &Call) -> Vec<u8> {
    let both =
        [call[0].as_slice(), b"|", call.get(1).map_or(b"".as_slice(), |word| word)].concat().to_ascii_lowercase();
    if table.lookup_full(&both).is_some() { both } else { call[0].to_ascii_lowercase() }
}

/// Calls every command that runs on shards, in rounds of random order, until the time is over; answers how many calls.
pub(crate) fn try_all(proto: Proto, seed: u64, time: Duration) -> usize {
    let end = Instant::now() + time;
    let forms = forms(&CommandTable::new(), |spec| !matches!(spec.plan, Plan::Session));
    assert!(forms.len() > 150, "only {} commands", forms.len());
    let mut calls = 0;
    for life in 0.. {
        let mut random = Random(seed + life);
        let _said = OnPanic(format!("seed {}, {proto:?}", seed + life));
        let mut home = Home::new(proto);
        let mut before = State { keys: home.all(), digests: database_digests(&home.shard) };
        for call in 0..CALLS_PER_LIFE {
            // the first life calls each at least once, whatever the time
            if life > 0 && Instant::now() > end {
                return calls;
            }
            let form = if life == 0 { &forms[call % forms.len()] } else { random.one(&forms) };
            home.try_one(form, &mut random, &mut before);
            calls += 1;
        }
    }
    calls
}
