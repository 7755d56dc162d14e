//! One client: its session, input not yet run, replies not yet sent, and the order of replies that come back from
//! several shards. Never runs a command.

use crate::base::bytes::{BigPart, BigString, OutBuf};
use crate::base::config::ClientClass;
use crate::base::limits;
use crate::commands::table::CommandId;
use crate::net::durability::Gate;
use crate::net::pubsub::Subscriptions;
use crate::net::session::Session;
use crate::net::source::Input;
use crate::persist::aof::frontier::Participants;
use crate::resp::big::BigCollector;
use crate::resp::parse::Parser;
use crate::txn::finished::Cores;
use crate::txn::message::ConnId;
use std::collections::VecDeque;
use std::sync::Arc;

/// Whether and how a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It goes on.
    No,
    /// When every reply is sent.
    AfterReplies,
    /// At once.
    Now,
    /// The driver was told; the place is free when the driver says so.
    Told,
}

impl Closing {
    /// Whether it goes without waiting for its replies to leave.
    pub fn is_at_once(self) -> bool {
        matches!(self, Closing::Now | Closing::Told)
    }
}

/// A large argument that bypasses the connection's input.
#[derive(Debug)]
pub enum Big {
    /// On its way in.
    Collecting(BigCollector),
    /// Here; its command runs as soon as the rest of it is.
    Ready(BigString),
}

#[derive(Debug)]
enum Slot {
    Waiting,
    /// To be thrown away when it comes (`CLIENT REPLY OFF`).
    Muted,
    Ready {
        start: usize,
        len: usize,
        bigs: Vec<(usize, BigPart)>,
    },
}

/// Room for replies that is kept for the next pipeline.
const KEPT_SIDE_BYTES_MAX: usize = 16 * 1024;
const KEPT_SLOTS_MAX: usize = 128;

/// Replies in the order of their commands, while some of them are still on other cores.
#[derive(Debug, Default)]
struct Parked {
    slots: VecDeque<Slot>,
    /// Sequence number of the first slot.
    front: u32,
    /// Bytes of the ready ones; the first `side_base` ever written are gone.
    side: Vec<u8>,
    side_base: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Conn {
    /// Its place on this core.
    pub id: ConnId,
    /// The number `CLIENT ID` answers.
    pub client_id: u64,
    /// See [`Session`].
    pub session: Session,
    /// State of a command that has not arrived whole.
    pub parser: Parser,
    /// Bytes not yet parsed or not yet run.
    pub input: Input,
    /// A large argument of the command under way.
    pub big: Option<Box<Big>>,
    /// Replies to send.
    pub out: OutBuf,
    /// Bytes handed to the driver and not yet sent; 0 if no send is under way.
    pub sending: usize,
    /// Its commands wait for one that runs in phases.
    pub stalled: bool,
    /// It waits for keys: its place on the board of those who do.
    pub blocked: Option<u32>,
    /// A command of it waits for the end of CLIENT PAUSE.
    pub held_back: bool,
    /// In the worker's list of connections with input to run.
    pub queued: bool,
    /// In the worker's list of connections with output.
    pub touched: bool,
    /// Receiving is switched off until output or input drains.
    pub receive_paused: bool,
    /// The input holds no whole command: nothing can run before more arrives.
    pub starved: bool,
    /// The client will send nothing more.
    pub ended: bool,
    /// See [`Closing`].
    pub closing: Closing,
    /// Where the client is: `ip:port`, or the socket's path and `:0`.
    pub addr: Box<str>,
    /// Our end.
    pub laddr: Box<str>,
    /// Descriptor, for CLIENT LIST.
    pub fd: i32,
    /// Whether it came through the unix socket.
    pub unix: bool,
    /// Whether it came over loopback or the unix socket.
    pub local: bool,
    /// Unix milliseconds of its start.
    pub created_ms: u64,
    /// Unix milliseconds of its last command.
    pub active_ms: u64,
    /// Its last command.
    pub last_command: Option<CommandId>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Commands run.
    pub commands: u64,
    /// Unix milliseconds since when the soft output limit is passed; 0 if it is not.
    pub over_soft_ms: u64,
    /// What it subscribes to, if to anything.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// A command inside EXEC whose reply is to come: its sequence number, and the reply once it has.
    pub turn: Option<Box<(u32, Option<OutBuf>)>>,
    /// Shards whose data the replies in `out` may have seen, while there is a log.
    pub seen: Cores,
    /// Transactions over several shards that `out` holds the replies of.
    pub wrote: Vec<Arc<Participants>>,
    /// Replies that wait until what they saw is in the logs.
    pub gate: Option<Box<Gate>>,
    /// Kept for its buffers while nothing is outstanding, until the connection idles.
    parked: Option<Box<Parked>>,
    next_seq: u32,
    /// What [`Conn::memory_bytes`] was when its core last added up; while `maxmemory-clients` is set.
    pub noted_bytes: usize,
    /// Output waits until the reply before this number is in it.
    held_until: Option<u32>,
}

impl Conn {
    /// A connection that has said nothing yet.
    pub fn new(id: ConnId, client_id: u64, authenticated: bool, now_ms: u64) -> Self {
        Conn {
            id,
            client_id,
            session: Session::new(authenticated),
            parser: Parser::default(),
            input: Input::default(),
            big: None,
            out: OutBuf::default(),
            sending: 0,
            stalled: false,
            blocked: None,
            held_back: false,
            queued: false,
            touched: false,
            receive_paused: false,
            starved: true,
            ended: false,
            closing: Closing::No,
            addr: Box::default(),
            laddr: Box::default(),
            fd: -1,
            unix: false,
            local: false,
            created_ms: now_ms,
            active_ms: now_ms,
            last_command: None,
            bytes_in: 0,
            bytes_out: 0,
            commands: 0,
            over_soft_ms: 0,
            turn: None,
            subscriptions: None,
            seen: Cores::default(),
            wrote: Vec::new(),
            gate: None,
            parked: None,
            next_seq: 0,
            noted_bytes: 0,
            held_until: None,
        }
    }

    /// The sequence number that the next parked reply gets.
    pub fn next_seq(&self) -> u32 {
        self.next_seq
    }

    /// Whether replies are outstanding on other cores.
    pub fn is_parked(&self) -> bool {
        self.parked.as_ref().is_some_and(|p| !p.slots.is_empty())
    }

    /// Whether what is ready to leave waits for replies that other cores owe to the same pipeline, so that they leave
    /// together, as a single instance's would. With two shards and pipelines of 16 that is one send instead of two.
    pub fn holds_output(&mut self) -> bool {
        let parked = self.parked.as_ref().filter(|p| !p.slots.is_empty());
        let Some(parked) = parked.filter(|_| !self.stalled && self.out.len() < limits::HELD_OUTPUT_BYTES_MAX) else {
            self.held_until = None;
            return false;
        };
        let until = *self.held_until.get_or_insert(self.next_seq);
        let holds = (until.wrapping_sub(parked.front) as i32) > 0;
        if !holds {
            self.held_until = None;
        }
        holds
    }

    /// Gives back the memory that it keeps for the next pipeline over several cores.
    pub fn forget_buffers(&mut self) {
        if !self.is_parked() {
            self.parked = None;
        }
    }

    /// Which output limit it has.
    pub fn output_class(&self) -> ClientClass {
        if self.subscriptions.is_some() { ClientClass::Pubsub } else { ClientClass::Normal }
    }

    /// Whether input has to wait for a large argument.
    pub fn is_collecting(&self) -> bool {
        matches!(self.big.as_deref(), Some(Big::Collecting(_)))
    }

    /// Whether so many replies wait that no further command may run.
    pub fn is_clogged(&self) -> bool {
        self.output_bytes() > limits::OUTPUT_PAUSE_BYTES || self.has_many_parked()
    }

    /// Whether as many replies are outstanding on other cores as may be.
    pub fn has_many_parked(&self) -> bool {
        self.parked.as_ref().is_some_and(|p| p.slots.len() >= limits::PARKED_REPLIES_MAX)
    }

    /// Bytes that came in and belong to commands that have not run.
    pub fn input_bytes(&self) -> usize {
        let collected = match self.big.as_deref() {
            Some(Big::Collecting(collector)) => collector.collected(),
            Some(Big::Ready(value)) => value.len(),
            None => 0,
        };
        self.input.len() + collected
    }

    /// Of [`Conn::input_bytes`]: what stands in front of a large argument that is being collected, its command's other
    /// arguments.
    pub fn set_apart_bytes(&self) -> usize {
        if self.big.is_some() { self.input.len() } else { 0 }
    }

    /// Gives the front of `bytes` to the large argument under way; how many bytes that was.
    pub fn collect(&mut self, bytes: &[u8]) -> usize {
        let Some(Big::Collecting(collector)) = self.big.as_deref_mut() else { return 0 };
        let taken = collector.feed(bytes);
        if collector.missing() == 0
            && let Some(Big::Collecting(collector)) = self.big.take().map(|b| *b)
        {
            self.parser.big_done();
            self.big = Some(Box::new(Big::Ready(BigString::new(collector.finish()))));
        }
        taken
    }

    /// Reserves the next place in the order of replies for one that comes later.
    pub fn park(&mut self, muted: bool) {
        let parked = self.parked.get_or_insert_default();
        if parked.slots.is_empty() {
            parked.front = self.next_seq;
        }
        parked.slots.push_back(if muted { Slot::Muted } else { Slot::Waiting });
        self.next_seq = self.next_seq.wrapping_add(1);
    }

    /// Moves the reply that was just written at the end of `out`, from `mark` on, behind the outstanding ones.
    pub fn park_ready(&mut self, out: &mut OutBuf, mark: usize) {
        let Some(parked) = &mut self.parked else { return };
        let start = parked.side_base + parked.side.len();
        parked.side.extend_from_slice(&out.bytes[mark..]);
        let first_big = out.bigs.partition_point(|(at, _)| *at < mark);
        let bigs = out.bigs.drain(first_big..).map(|(at, big)| (at - mark, big)).collect();
        parked.slots.push_back(Slot::Ready { start, len: out.bytes.len() - mark, bigs });
        out.bytes.truncate(mark);
        self.next_seq = self.next_seq.wrapping_add(1);
    }

    /// A reply from another core: goes out if its turn has come, else waits for its turn.
    pub fn deliver(&mut self, seq: u32, bytes: &[u8], bigs: Vec<(usize, BigPart)>) {
        if let Some(turn) = self.turn.as_deref_mut()
            && turn.0 == seq
        {
            turn.1 = Some(OutBuf { bytes: bytes.to_vec(), bigs });
            return;
        }
        let Some(parked) = &mut self.parked else { return };
        let index = seq.wrapping_sub(parked.front) as usize;
        let Some(slot) = parked.slots.get_mut(index) else { return };
        let (bytes, bigs) = if matches!(slot, Slot::Muted) { (&[][..], Vec::new()) } else { (bytes, bigs) };
        if index > 0 {
            let start = parked.side_base + parked.side.len();
            parked.side.extend_from_slice(bytes);
            *slot = Slot::Ready { start, len: bytes.len(), bigs };
            return;
        }
        push(&mut self.out, bytes, bigs);
        parked.slots.pop_front();
        parked.front = parked.front.wrapping_add(1);
        while matches!(parked.slots.front(), Some(Slot::Ready { .. })) {
            let Some(Slot::Ready { start, len, bigs }) = parked.slots.pop_front() else { break };
            parked.front = parked.front.wrapping_add(1);
            let from = start - parked.side_base;
            push(&mut self.out, &parked.side[from..from + len], bigs);
        }
        if parked.slots.is_empty() {
            parked.side.clear();
            parked.side_base = 0;
            if parked.side.capacity() > KEPT_SIDE_BYTES_MAX || parked.slots.capacity() > KEPT_SLOTS_MAX {
                self.parked = None;
            }
        } else {
            parked.trim();
        }
    }

    /// Bytes of replies that have not left: ready, waiting, and with the driver.
    pub fn output_bytes(&self) -> usize {
        let gated = self.gate.as_ref().map_or(0, |gate| gate.out.len());
        self.out.len() + gated + self.sending + self.parked.as_ref().map_or(0, |p| p.side.len())
    }

    /// Bytes of memory behind this connection: what has not run, what it has queued, watches and subscribes to, and
    /// replies that have not left.
    pub fn memory_bytes(&self) -> usize {
        let big = match self.big.as_deref() {
            Some(Big::Collecting(collector)) => collector.reserved(),
            Some(Big::Ready(value)) => value.len(),
            None => 0,
        };
        let replies = self.out.bytes.capacity() + self.output_bytes() - self.out.bytes.len();
        let subscriptions = self.subscriptions.as_ref().map_or(0, |own| own.memory_bytes());
        size_of::<Conn>() + self.input.capacity() + big + replies + subscriptions + self.session.memory_bytes()
    }

    /// Unsent replies as Redis would keep them: bytes in a fixed buffer, and in a list behind it.
    pub fn output_split(&self) -> (usize, usize) {
        let all = self.output_bytes();
        let fixed = all.min(limits::OUTPUT_BYTES_START);
        (fixed, all - fixed)
    }

    /// Whether nothing is left to run or to send.
    pub fn is_drained(&self) -> bool {
        self.out.is_empty() && self.sending == 0 && self.gate.is_none() && !self.is_parked() && !self.stalled
    }
}

impl Parked {
    /// Gives back the bytes of replies that have gone, once they are many.
    fn trim(&mut self) {
        if self.side.len() <= limits::PARKED_BYTES_KEPT {
            return;
        }
        let starts = self.slots.iter().filter_map(|s| match s {
            Slot::Ready { start, .. } => Some(*start - self.side_base),
            Slot::Waiting | Slot::Muted => None,
        });
        let keep_from = starts.min().unwrap_or(self.side.len());
        if keep_from * 2 >= self.side.len() {
            self.side.drain(..keep_from);
            self.side_base += keep_from;
        }
    }
}

fn push(out: &mut OutBuf, bytes: &[u8], bigs: Vec<(usize, BigPart)>) {
    let at = out.bytes.len();
    out.bytes.extend_from_slice(bytes);
    out.bigs.extend(bigs.into_iter().map(|(offset, big)| (at + offset, big)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn() -> Conn {
        Conn::new(ConnId { index: 0, generation: 0 }, 1, true, 0)
    }

    #[test]
    fn replies_leave_in_the_order_of_their_commands() {
        let mut c = conn();
        let (first, second) = (c.next_seq(), c.next_seq().wrapping_add(1));
        c.park(false);
        c.park(false);
        let mut out = OutBuf { bytes: b"kept+local\r\n".to_vec(), bigs: Vec::new() };
        c.park_ready(&mut out, 4);
        assert_eq!(out.bytes, b"kept");
        c.deliver(second, b":2\r\n", Vec::new());
        assert!(c.out.is_empty());
        c.deliver(first, b":1\r\n", Vec::new());
        assert_eq!(c.out.bytes, b":1\r\n:2\r\n+local\r\n");
        assert!(!c.is_parked());
    }

    #[test]
    fn output_waits_for_the_pipeline_it_belongs_to_and_no_longer() {
        let mut c = conn();
        let first = c.next_seq();
        c.out.bytes.extend_from_slice(b"+local\r\n");
        assert!(!c.holds_output());
        c.park(false);
        c.park(false);
        assert!(c.holds_output());
        c.deliver(first, b":1\r\n", Vec::new());
        assert!(c.holds_output());
        // a command that comes later is of the next pipeline
        c.park(false);
        c.deliver(first.wrapping_add(1), b":2\r\n", Vec::new());
        assert!(c.is_parked() && !c.holds_output());
        assert!(c.holds_output());
        c.stalled = true;
        assert!(!c.holds_output(), "a command that may wait for ever holds nothing back");
        c.stalled = false;
        c.out.bytes.resize(limits::HELD_OUTPUT_BYTES_MAX, b' ');
        assert!(!c.holds_output());
        c.deliver(first.wrapping_add(2), b":3\r\n", Vec::new());
        assert!(!c.is_parked() && !c.holds_output());
    }

    #[test]
    fn a_muted_reply_is_dropped_and_order_kept() {
        let mut c = conn();
        let seq = c.next_seq();
        c.park(true);
        c.park(false);
        c.deliver(seq.wrapping_add(1), b"+b\r\n", Vec::new());
        c.deliver(seq, b"+a\r\n", Vec::new());
        assert_eq!(c.out.bytes, b"+b\r\n");
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut c = conn();
        c.next_seq = u32::MAX;
        c.park(false);
        c.park(false);
        c.deliver(0, b"+b\r\n", Vec::new());
        c.deliver(u32::MAX, b"+a\r\n", Vec::new());
        assert_eq!(c.out.bytes, b"+a\r\n+b\r\n");
    }

    #[test]
    fn large_strings_keep_their_place() {
        let mut c = conn();
        let big = BigPart::from(BigString::new(vec![b'x'; 3]));
        let seq = c.next_seq();
        c.park(false);
        let mut out = OutBuf { bytes: b"$3\r\n\r\n".to_vec(), bigs: vec![(4, big.clone())] };
        c.park_ready(&mut out, 0);
        c.deliver(seq, b"+a\r\n", Vec::new());
        assert_eq!(c.out.bigs, vec![(8, big)]);
    }
}
