//! WAIT and WAITAOF: a client waits until what all clients were told before it is with replicas, or durable on disk
//! here. There are no replicas yet, so none ever says that it has it. Never commits and never syncs:
//! [`crate::net::durability`] does.

use crate::base::bytes::OutBuf;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::net::connection::Conn;
use crate::net::worker::Worker;
use crate::persist::aof::frontier::Barrier;
use crate::resp::reply::{Proto, Reply};
use crate::txn::finished::{Cores, Finished};
use crate::txn::message::ConnId;
use crate::txn::router::Outcome;
use std::sync::atomic::Ordering;

/// Nothing is logged that could become durable.
const NO_LOG: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// A client that waits, in WAITAOF if there is a barrier, otherwise in WAIT.
#[derive(Debug)]
pub struct AofWait {
    pub(super) conn: ConnId,
    seq: u32,
    proto: Proto,
    /// What was journaled when it asked.
    barrier: Option<Barrier>,
    /// Whether this server's own log counts, and whether it is enough.
    wants_local: bool,
    /// See `wants_local`.
    local_is_enough: bool,
    /// Unix milliseconds; the largest number for never.
    until_ms: u64,
}

/// What a call asks for.
struct Wanted {
    local: i64,
    replicas: i64,
    timeout_ms: u64,
}

impl Wanted {
    fn parse(args: &Args<'_>) -> Result<Wanted, &'static str> {
        let number = |index: usize| parse_i64(&args[index]);
        let local = number(1).ok_or(errors::NOT_INTEGER)?;
        if !(0..=1).contains(&local) {
            return Err("ERR value is out of range, value must between 0 and 1");
        }
        let replicas = number(2).filter(|replicas| *replicas >= 0);
        let replicas = replicas.ok_or("ERR value is out of range, must be positive")?;
        let timeout_ms = timeout_of(&args[3])?;
        Ok(Wanted { local, replicas, timeout_ms })
    }
}

fn answer(out: &mut OutBuf, proto: Proto, local: bool) {
    let mut reply = Reply::new(out, proto);
    reply.array(2);
    reply.integer(i64::from(local));
    reply.integer(0);
}

/// A timeout in milliseconds; 0 for none.
fn timeout_of(arg: &[u8]) -> Result<u64, &'static str> {
    let timeout_ms = parse_i64(arg).ok_or("ERR timeout is not an integer or out of range")?;
    u64::try_from(timeout_ms).map_err(|_| "ERR timeout is negative")
}

/// `WAIT numreplicas timeout`
pub fn wait(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    let replicas = parse_i64(&args[1]).ok_or(errors::NOT_INTEGER);
    let asked = replicas.and_then(|replicas| Ok((replicas, timeout_of(&args[2])?)));
    match asked {
        Err(refusal) => reply.error(refusal),
        // none is as many as there are, and inside a transaction nobody waits
        Ok((replicas, _)) if replicas <= 0 || conn.stalled => reply.integer(0),
        Ok((_, timeout_ms)) => {
            let until_ms = worker.clock.unix_ms().saturating_add(if timeout_ms == 0 { u64::MAX } else { timeout_ms });
            let wait = AofWait {
                conn: conn.id,
                seq: conn.next_seq(),
                proto: conn.session.proto,
                barrier: None,
                wants_local: false,
                local_is_enough: false,
                until_ms,
            };
            worker.aof_waits.push(wait);
            return Outcome::Stalls;
        }
    }
    Outcome::Done
}

/// `WAITAOF numlocal numreplicas timeout`
pub fn waitaof(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let proto = conn.session.proto;
    let wanted = match Wanted::parse(args) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            Reply::new(out, proto).error(refusal);
            return Outcome::Done;
        }
    };
    if wanted.local > 0 && !worker.may_become_durable() {
        Reply::new(out, proto).error(NO_LOG);
        return Outcome::Done;
    }
    let mut barrier = worker.shared.frontier.barrier();
    let local = worker.shared.is_durable(&mut barrier);
    // inside a transaction nobody waits
    if (local || wanted.local == 0) && wanted.replicas == 0 || conn.stalled {
        answer(out, proto, local);
        return Outcome::Done;
    }
    let now = worker.clock.unix_ms();
    let until_ms = match wanted.timeout_ms {
        0 => u64::MAX,
        timeout => now.saturating_add(timeout),
    };
    let (conn, seq) = (conn.id, conn.next_seq());
    let (wants_local, local_is_enough) = (wanted.local > 0, wanted.replicas == 0);
    worker.aof_waits.push(AofWait { conn, seq, proto, barrier: Some(barrier), wants_local, local_is_enough, until_ms });
    Outcome::Stalls
}

impl Worker {
    /// Whether there is a log that works, or will be.
    fn may_become_durable(&self) -> bool {
        self.config.appendonly && self.shared.log_error.load(Ordering::Relaxed) == 0
    }

    /// Of these waits, those that end after some time.
    pub fn timed_aof_waits(&self) -> usize {
        self.aof_waits.iter().filter(|wait| wait.until_ms != u64::MAX).count()
    }

    /// When the first of these waits is over by its time, Unix milliseconds.
    pub fn aof_waits_end_ms(&self) -> Option<u64> {
        self.aof_waits.iter().map(|wait| wait.until_ms).min()
    }

    /// The client has gone: it waits no more. True if it did.
    pub fn forget_aof_wait(&mut self, conn: ConnId) -> bool {
        let at = self.aof_waits.iter().position(|wait| wait.conn == conn);
        at.is_some_and(|at| self.aof_waits.swap_remove(at).conn == conn)
    }

    /// CLIENT UNBLOCK: as if its time were over, or with an error. False if this client does not wait so.
    pub fn unblock_aof_wait(&mut self, conn: ConnId, error: bool) -> bool {
        let Some(at) = self.aof_waits.iter().position(|wait| wait.conn == conn) else { return false };
        let wait = self.aof_waits.swap_remove(at);
        let refusal = error.then_some("UNBLOCKED client unblocked via CLIENT UNBLOCK");
        self.end_aof_wait(wait, refusal);
        true
    }

    /// Once a tick: answers the clients whose wait is over.
    pub fn settle_aof_waits(&mut self) {
        if self.aof_waits.is_empty() {
            return;
        }
        let now = self.clock.unix_ms();
        for mut wait in std::mem::take(&mut self.aof_waits) {
            if self.conn_mut(wait.conn).is_none() {
                continue;
            }
            let switched_off = wait.wants_local && !self.may_become_durable();
            let durable = wait.barrier.as_mut().is_some_and(|barrier| self.shared.is_durable(barrier));
            let enough = wait.local_is_enough && durable;
            if switched_off || enough || now >= wait.until_ms {
                self.end_aof_wait(wait, switched_off.then_some(NO_LOG));
            } else {
                self.aof_waits.push(wait);
            }
        }
    }

    fn end_aof_wait(&mut self, mut wait: AofWait, refusal: Option<&str>) {
        let mut reply = OutBuf::default();
        match (refusal, &mut wait.barrier) {
            (Some(refusal), _) => Reply::new(&mut reply, wait.proto).error(refusal),
            (None, Some(barrier)) => answer(&mut reply, wait.proto, self.shared.is_durable(barrier)),
            (None, None) => Reply::new(&mut reply, wait.proto).integer(0),
        }
        let (conn, seq, seen) = (wait.conn, wait.seq, Cores::default());
        self.router.finished.push(Finished { conn, seq, reply, command: None, unstalls: true, seen, wrote: None });
    }
}
