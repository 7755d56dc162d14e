//! Commands over several shards: cut into parts, checked and then run, or run in two phases with the keys of other
//! shards fetched first. They are not isolated from each other. Never touches a connection.

use crate::base::bytes::OutBuf;
use crate::base::hash;
use crate::commands::args::Args;
use crate::commands::context::Foreign;
use crate::commands::key_args::KeyCut;
use crate::commands::spec::Gather;
use crate::resp::parse::Span;
use crate::resp::reply::Proto;
use crate::txn::gather;
use crate::txn::hop;
use crate::txn::message::{Fetch, HomeRun, Message, Phase, Ticket};
use crate::txn::router::{Call, Finished, Outcome, Pending, Router, Step, owner};
use std::ops::Range;

impl Router {
    /// Cuts a command into one part per shard that holds some of its keys; `cut` says how, if the table does not.
    pub(super) fn scatter(
        &mut self,
        call: Call,
        phase: Phase,
        args: &mut Args<'_>,
        out: &mut OutBuf,
        gather: Gather,
        cut: Option<KeyCut>,
    ) -> Outcome {
        let cut = cut.or_else(|| self.table.get(call.id).key_cut(args));
        let Some(units) = cut.and_then(|cut| Units::of(cut, args)) else {
            // not cut: the function itself answers what is wrong with the arguments
            self.run_here(call, Phase::Run, args, out);
            return Outcome::Done;
        };
        let checked = phase == Phase::Check;
        let mut part_of_key = Vec::with_capacity(units.count());
        let mut cores: Vec<usize> = Vec::new();
        for list in &mut self.scratch {
            list.clear();
        }
        for (unit, at) in units.starts().enumerate() {
            let core = owner(hash::slot(&args[at]), self.cores);
            let part = cores.iter().position(|c| *c == core).unwrap_or_else(|| {
                cores.push(core);
                cores.len() - 1
            });
            part_of_key.push(part as u32);
            self.scratch[core].push(unit as u32);
        }
        if cores.len() == 1 {
            let phase = if checked { Phase::Run } else { phase };
            return self.one(cores[0], call, phase, args, out);
        }
        let parts: Vec<(usize, Vec<Vec<u8>>)> =
            cores.iter().map(|&core| (core, units.part(args, &self.scratch[core]))).collect();
        let step = if checked { Step::Check { gather } } else { Step::Merge { gather, part_of_key } };
        self.start_parts(call, parts, step, phase);
        if checked { Outcome::Stalls } else { Outcome::Waits }
    }

    pub(super) fn all_shards(&mut self, call: Call, phase: Phase, args: &Args<'_>, gather: Gather) -> Outcome {
        let args: Vec<Vec<u8>> = args.from(0).map(<[u8]>::to_vec).collect();
        let parts = (0..self.cores).map(|core| (core, args.clone())).collect();
        self.start_parts(call, parts, Step::Merge { gather, part_of_key: Vec::new() }, phase);
        Outcome::Waits
    }

    fn start_parts(&mut self, call: Call, parts: Vec<(usize, Vec<Vec<u8>>)>, step: Step, phase: Phase) {
        let index = self.pend(Pending {
            conn: call.conn,
            seq: call.seq,
            id: call.id,
            manner: call.manner,
            stalls: phase == Phase::Check,
            remaining: 0,
            parts: Vec::new(),
            args: Vec::new(),
            step,
        });
        self.run_parts(index, call, parts, phase);
    }

    /// Sends every part; the one of this core runs at once. Parts are kept for a second phase if this is a check.
    fn run_parts(&mut self, index: u32, call: Call, parts: Vec<(usize, Vec<Vec<u8>>)>, phase: Phase) {
        {
            let pending = self.pending[index as usize].as_mut().expect("a pending command stays until it is finished");
            pending.remaining = parts.len() as u32;
            pending.parts = (0..parts.len()).map(|_| OutBuf::default()).collect();
        }
        let call = Call { pos: None, ..call };
        let mut here = None;
        for (part, (core, args)) in parts.iter().enumerate() {
            if *core == self.core {
                here = Some(part);
            } else {
                self.send_owned(*core, Ticket::Part { pending: index, part: part as u32 }, call, phase, args);
            }
        }
        let mut reply = OutBuf::default();
        if let Some(part) = here {
            let (data, spans) = join(&parts[part].1);
            self.run_here(call, phase, &mut Args::new(&data, &spans), &mut reply);
        }
        if phase == Phase::Check {
            self.pending[index as usize].as_mut().expect("see above").args = parts;
        }
        if let Some(part) = here {
            self.part_done(index, part as u32, reply);
        }
    }

    /// Reads the keys of other shards, then runs on the home key's shard.
    pub(super) fn two_phase(&mut self, call: Call, args: &mut Args<'_>, out: &mut OutBuf, home: usize) -> Outcome {
        let Some(home_key) = args.get(home) else {
            self.run_here(call, Phase::Run, args, out);
            return Outcome::Done;
        };
        let home = owner(hash::slot(home_key), self.cores);
        let mut foreign: Vec<(usize, Foreign)> = Vec::new();
        for index in self.table.get(call.id).key_indices(args) {
            let key = &args[index];
            let core = owner(hash::slot(key), self.cores);
            if core != home && !foreign.iter().any(|(_, f)| f.key == *key) {
                let foreign_key =
                    Foreign { key: key.to_vec(), db: call.manner.db as usize, found: None, delete: false };
                foreign.push((core, foreign_key));
            }
        }
        let call = Call { pos: None, ..call };
        if foreign.is_empty() {
            return self.one(home, call, Phase::Run, args, out);
        }
        let all: Vec<Vec<u8>> = args.from(0).map(<[u8]>::to_vec).collect();
        let mut cores: Vec<usize> = foreign.iter().map(|(core, _)| *core).collect();
        cores.sort_unstable();
        cores.dedup();
        let index = self.pend(Pending {
            conn: call.conn,
            seq: call.seq,
            id: call.id,
            manner: call.manner,
            stalls: true,
            remaining: cores.len() as u32,
            parts: Vec::new(),
            args: vec![(home, all)],
            step: Step::Fetch { home, foreign: Vec::new() },
        });
        let mut here = None;
        for core in cores {
            let keys: Vec<Foreign> = foreign.extract_if(.., |(c, _)| *c == core).map(|(_, f)| f).collect();
            let fetch = Box::new(Fetch { ticket: Ticket::Part { pending: index, part: 0 }, keys });
            if core == self.core {
                here = Some(fetch);
            } else {
                self.mesh_after_commands(core, Message::Fetch(fetch));
            }
        }
        if let Some(mut fetch) = here {
            self.fetch_here(&mut fetch);
            self.fetched(*fetch);
        }
        Outcome::Stalls
    }

    /// Sends a message behind the commands already gathered for `core`, so that order per shard holds.
    pub(super) fn mesh_after_commands(&mut self, core: usize, message: Message) {
        if let Some(batch) = self.outboxes.take(core) {
            self.mesh.send(core, Message::Commands(batch));
        }
        self.hops_out += 1;
        self.mesh.send(core, message);
    }

    pub(super) fn fetch_here(&mut self, fetch: &mut Fetch) {
        for foreign in &mut fetch.keys {
            let key = crate::types::table::Key::new(&foreign.key);
            foreign.found = self.shard.copy_out(foreign.db, key);
        }
    }

    pub(super) fn fetched(&mut self, fetch: Fetch) {
        let Ticket::Part { pending: index, .. } = fetch.ticket else { return };
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        let Step::Fetch { home, foreign } = &mut pending.step else { return };
        foreign.extend(fetch.keys);
        pending.remaining -= 1;
        if pending.remaining > 0 {
            return;
        }
        let home = *home;
        let run = Box::new(HomeRun {
            ticket: fetch.ticket,
            id: pending.id,
            manner: pending.manner,
            args: std::mem::take(&mut pending.args).pop().map(|(_, args)| args).unwrap_or_default(),
            foreign: std::mem::take(foreign),
            reply: OutBuf::default(),
        });
        pending.step = Step::Home;
        if home == self.core {
            let mut run = run;
            hop::run_home(&mut run, &mut self.shard, &self.table, self.terms);
            self.home_done(*run);
        } else {
            self.mesh_after_commands(home, Message::HomeRun(run));
        }
    }

    pub(super) fn home_done(&mut self, run: HomeRun) {
        let Ticket::Part { pending: index, .. } = run.ticket else { return };
        let deletes: Vec<&Foreign> = run.foreign.iter().filter(|f| f.delete).collect();
        if deletes.is_empty() {
            return self.finish(index, run.reply);
        }
        let Some(unlink) = self.table.lookup(b"unlink") else { return self.finish(index, run.reply) };
        let parts: Vec<(usize, Vec<Vec<u8>>)> = deletes
            .iter()
            .map(|f| (owner(hash::slot(&f.key), self.cores), vec![b"UNLINK".to_vec(), f.key.clone()]))
            .collect();
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        pending.step = Step::Delete { reply: run.reply };
        let call = Call { id: unlink, manner: pending.manner, pos: None, conn: pending.conn, seq: pending.seq };
        self.run_parts(index, call, parts, Phase::Quiet);
    }

    pub(super) fn part_done(&mut self, index: u32, part: u32, mut reply: OutBuf) {
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        gather::flatten(&mut reply);
        pending.parts[part as usize] = reply;
        pending.remaining -= 1;
        if pending.remaining == 0 {
            self.parts_done(index);
        }
    }

    fn parts_done(&mut self, index: u32) {
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        let parts = std::mem::take(&mut pending.parts);
        let mut out = OutBuf::default();
        match &mut pending.step {
            Step::Merge { gather, part_of_key } => {
                let first = (self.shard.random_u64() % parts.len() as u64) as usize;
                merge(*gather, &parts, part_of_key, first, pending.manner.proto, &mut out.bytes);
            }
            Step::Check { gather } => {
                let refused = parts.iter().find(|p| gather::integer(&p.bytes) != Some(1));
                if let Some(refused) = refused {
                    out.bytes.extend_from_slice(&refused.bytes);
                } else {
                    let call = Call {
                        id: pending.id,
                        manner: pending.manner,
                        pos: None,
                        conn: pending.conn,
                        seq: pending.seq,
                    };
                    let gather = *gather;
                    pending.step = Step::Merge { gather, part_of_key: Vec::new() };
                    let args = std::mem::take(&mut pending.args);
                    return self.run_parts(index, call, args, Phase::Run);
                }
            }
            Step::Delete { reply } => out = std::mem::take(reply),
            Step::Fetch { .. } | Step::Home | Step::Ask { .. } => return,
        }
        self.finish(index, out);
    }

    fn finish(&mut self, index: u32, reply: OutBuf) {
        let Some(pending) = self.pending[index as usize].take() else { return };
        self.pending_free.push(index);
        self.finished.push(Finished { conn: pending.conn, seq: pending.seq, reply, unstalls: pending.stalls });
    }
}

fn merge(gather: Gather, parts: &[OutBuf], part_of_key: &[u32], first: usize, proto: Proto, out: &mut Vec<u8>) {
    match gather {
        Gather::Sum => gather::sum(parts, out),
        Gather::AllOk => gather::all_ok(parts, out),
        Gather::ByKey => gather::by_key(parts, part_of_key, out),
        Gather::Concat => gather::concat(parts, out),
        Gather::Draw => gather::draw(parts, first, proto, out),
    }
}

/// Owned arguments as one buffer and its spans.
pub fn join(args: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let mut data = Vec::with_capacity(args.iter().map(Vec::len).sum());
    let mut spans = Vec::with_capacity(args.len());
    for arg in args {
        spans.push(Span { start: data.len() as u32, len: arg.len() as u32 });
        data.extend_from_slice(arg);
    }
    (data, spans)
}

/// How the arguments of a Scatter command are cut: a head, units of one key each, a tail.
#[derive(Debug)]
struct Units {
    /// Arguments before the first key, the name included.
    head: Range<usize>,
    /// Index of the argument in the head that counts the keys, if one does.
    count_at: Option<usize>,
    /// First argument of the first unit, and the end of the last.
    keys: Range<usize>,
    /// Arguments per unit: the key, and its value if it has one.
    step: usize,
    /// Arguments behind the units.
    tail: Range<usize>,
}

impl Units {
    /// `None` if the arguments do not have the form that `cut` describes.
    fn of(cut: KeyCut, args: &Args<'_>) -> Option<Units> {
        let whole = cut.first < cut.end && (cut.end - cut.first).is_multiple_of(cut.step) && cut.end <= args.len();
        whole.then(|| Units {
            head: 0..cut.first,
            count_at: cut.count_at,
            keys: cut.first..cut.end,
            step: cut.step,
            tail: cut.end..args.len(),
        })
    }

    fn count(&self) -> usize {
        self.keys.len() / self.step
    }

    fn starts(&self) -> impl Iterator<Item = usize> {
        self.keys.clone().step_by(self.step)
    }

    /// The arguments of the part that holds these units.
    fn part(&self, args: &Args<'_>, units: &[u32]) -> Vec<Vec<u8>> {
        let mut part = Vec::with_capacity(self.head.len() + units.len() * self.step + self.tail.len());
        for i in self.head.clone() {
            if Some(i) == self.count_at {
                part.push(units.len().to_string().into_bytes());
            } else {
                part.push(args[i].to_vec());
            }
        }
        for &unit in units {
            let start = self.keys.start + unit as usize * self.step;
            part.extend((start..start + self.step).map(|i| args[i].to_vec()));
        }
        part.extend(self.tail.clone().map(|i| args[i].to_vec()));
        part
    }
}
