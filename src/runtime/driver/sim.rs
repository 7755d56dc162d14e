//! The driver of a simulation: sockets that exist only in memory, one network for all cores, every delay, tear and
//! failure drawn from one seed. Never touches the kernel but for placeholder descriptors, and never waits.
//!
//! All cores of a simulation live in one thread, which ticks them in whatever order it likes. A tick moves some of what
//! is possible: bytes come in torn pieces, sends go out bit by bit, an accept may fail, a close may take its time. What
//! a tick leaves undone is done by a later one, so nothing is lost for good. [`SimNet`] is the clients' side.
//!
//! Log writes go to real files, each a while after it was ordered. When the power goes ([`SimDriver::lose_power`]) any
//! sectors of those under way may have reached the disk; nothing is synced for real, but what a sync would have made
//! durable is known ([`SimDriver::synced`]).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::base::bytes::OutBuf;
use crate::base::stats::Random;

use super::disk::{Order, zeros};
use super::pool::Pool;
use super::prepare::{Doorbells, StartError, resource};
use super::{Driver, Event, RecvBuf, SleepFlag, Statistics, Token, Wait};

/// Receive buffers of a simulated core: few and small, so that they run out and bytes are torn.
const BUFFERS: usize = 16;
const BUFFER_BYTES: usize = 4096;

/// How the network treats its streams, in percent of the chances it has.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// A stream with something to move does not in this tick.
    pub stall: u64,
    /// What moves is torn: a piece of it moves.
    pub tear: u64,
    /// An accept fails first.
    pub accept_fails: u64,
    /// A log write under way is not done in this tick.
    pub disk_stall: u64,
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

impl Weather {
    /// Everything arrives with the next tick, whole.
    pub const FAIR: Weather = Weather { stall: 0, tear: 0, accept_fails: 0, disk_stall: 0 };
}

/// A connection of a simulated client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(usize);

/// Which end of a stream was given up, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    Orderly,
    Reset,
}

#[derive(Debug)]
struct Stream {
    to_server: VecDeque<u8>,
    to_client: Vec<u8>,
    by_client: Ended,
    by_server: bool,
}

#[derive(Debug)]
struct Net {
    random: Random,
    weather: Weather,
    streams: Vec<Stream>,
    /// By the placeholder descriptor that the server holds.
    placed: BTreeMap<RawFd, StreamId>,
    /// Per core: clients that wait to be accepted.
    arrivals: Vec<VecDeque<(u32, StreamId)>>,
    rung: Vec<bool>,
    /// Per core: the next log write or sync fails.
    disk_fails: Vec<bool>,
}

impl Net {
    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.random.below(100) < percent
    }

    /// How much of `amount` moves now.
    fn portion(&mut self, amount: usize) -> usize {
        if amount == 0 || self.chance(self.weather.stall) {
            return 0;
        }
        if self.chance(self.weather.tear) { 1 + self.random.below(amount as u64) as usize } else { amount }
    }
}

/// The network of one simulation, from the clients' side. Clones are the same network.
#[derive(Debug, Clone)]
pub struct SimNet(Rc<RefCell<Net>>);

/// A network between clients and `cores` cores, each core's driver, and doorbells that nobody hears.
pub fn network(cores: usize, seed: u64, weather: Weather) -> Result<(SimNet, Vec<Driver>, Doorbells), StartError> {
    let net = Net {
        random: Random::new(seed),
        weather,
        streams: Vec::new(),
        placed: BTreeMap::new(),
        arrivals: (0..cores).map(|_| VecDeque::new()).collect(),
        rung: vec![false; cores],
        disk_fails: vec![false; cores],
    };
    let net = SimNet(Rc::new(RefCell::new(net)));
    let drivers = (0..cores).map(|core| Ok(Driver::Sim(Box::new(SimDriver::new(core, net.clone())?))));
    Ok((net.clone(), drivers.collect::<Result<_, StartError>>()?, Doorbells::new(cores)?))
}

impl SimNet {
    /// Connects a client to a listener of a core.
    pub fn connect(&self, core: usize, listener: u32) -> StreamId {
        let mut net = self.0.borrow_mut();
        let id = StreamId(net.streams.len());
        net.streams.push(Stream {
            to_server: VecDeque::new(),
            to_client: Vec::new(),
            by_client: Ended::No,
            by_server: false,
        });
        net.arrivals[core].push_back((listener, id));
        id
    }

    /// The client sends.
    pub fn send(&self, stream: StreamId, bytes: &[u8]) {
        self.0.borrow_mut().streams[stream.0].to_server.extend(bytes);
    }

    /// Takes what has reached the client.
    pub fn receive(&self, stream: StreamId) -> Vec<u8> {
        mem::take(&mut self.0.borrow_mut().streams[stream.0].to_client)
    }

    /// The client closes. An orderly close comes behind what it sent; a reset overtakes it.
    pub fn close(&self, stream: StreamId, reset: bool) {
        let stream = &mut self.0.borrow_mut().streams[stream.0];
        stream.by_client = if reset { Ended::Reset } else { Ended::Orderly };
        if reset {
            stream.to_server.clear();
        }
    }

    /// Whether the server has closed the stream; what it sent before may still wait in [`SimNet::receive`].
    pub fn is_closed_by_server(&self, stream: StreamId) -> bool {
        self.0.borrow().streams[stream.0].by_server
    }

    /// The next log write or sync of a core fails; of a write any sectors may be on the disk.
    pub fn fail_disk(&self, core: usize) {
        self.0.borrow_mut().disk_fails[core] = true;
    }

    /// Changes how streams are treated from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.0.borrow_mut().weather = weather;
    }
}

#[derive(Debug)]
struct Conn {
    socket: OwnedFd,
    stream: StreamId,
    paused: bool,
    ended: bool,
    sending: Option<Sending>,
}

#[derive(Debug)]
struct Sending {
    buffer: OutBuf,
    /// The buffer's bytes and spliced strings in one row.
    flat: Vec<u8>,
    sent: usize,
}

/// See the module's head.
#[derive(Debug)]
pub struct SimDriver {
    core: usize,
    net: SimNet,
    pool: Pool,
    free: Vec<u16>,
    /// By token.
    conns: Vec<Option<Conn>>,
    listeners: Vec<u32>,
    /// Closed by the server; `Closed` is yet to be told.
    closing: Vec<Token>,
    events: VecDeque<Event>,
    /// Log writes and syncs under way, in order.
    orders: VecDeque<Order>,
    /// What the files of the syncs under way held when those were ordered.
    syncing: VecDeque<Image>,
    /// By path: what a file held when its last sync was ordered that is done.
    synced: BTreeMap<PathBuf, Vec<u8>>,
    statistics: Statistics,
}

/// A file's path and content.
type Image = (PathBuf, Vec<u8>);

fn image(file: &File) -> Image {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    let bytes = fs::read(&path).unwrap_or_default();
    (path, bytes)
}

/// Writes any of the sectors.
fn tear(net: &mut Net, file: &File, buffer: &[u8], offset: u64) -> io::Result<()> {
    // another handle, for one that bypasses the page cache takes whole pages only
    let file = File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let share = net.random.below(101);
    for (index, sector) in buffer.chunks(SECTOR_BYTES).enumerate() {
        if net.chance(share) {
            file.write_all_at(sector, offset + (index * SECTOR_BYTES) as u64)?;
        }
    }
    Ok(())
}

impl SimDriver {
    fn new(core: usize, net: SimNet) -> Result<SimDriver, StartError> {
        let pool = Pool::new(BUFFERS, BUFFER_BYTES).map_err(resource("receive buffers"))?;
        let free = (0..pool.count()).rev().map(|index| index as u16).collect();
        Ok(SimDriver {
            core,
            net,
            pool,
            free,
            conns: Vec::new(),
            listeners: vec![0],
            closing: Vec::new(),
            events: VecDeque::new(),
            orders: VecDeque::new(),
            syncing: VecDeque::new(),
            synced: BTreeMap::new(),
            statistics: Statistics::default(),
        })
    }

    /// Whether the next tick has something to do here, as far as sockets and doorbells go.
    pub fn has_work(&self) -> bool {
        let net = self.net.0.borrow();
        let on_stream = |conn: &Conn| {
            let stream = &net.streams[conn.stream.0];
            let readable = !stream.to_server.is_empty() || stream.by_client != Ended::No;
            conn.sending.is_some() || (readable && !conn.paused && !conn.ended)
        };
        !self.events.is_empty()
            || !self.closing.is_empty()
            || !self.orders.is_empty()
            || net.rung[self.core]
            || net.arrivals[self.core].iter().any(|(listener, _)| self.listeners.contains(listener))
            || self.conns.iter().flatten().any(on_stream)
    }

    /// The socket is ignored: clients come by [`SimNet::connect`].
    pub(super) fn listen(&mut self, listener: u32, _socket: OwnedFd) {
        if !self.listeners.contains(&listener) {
            self.listeners.push(listener);
        }
    }

    pub(super) fn stop_listening(&mut self, listener: u32) {
        self.listeners.retain(|l| *l != listener);
    }

    pub(super) fn register(&mut self, conn: Token, socket: OwnedFd) {
        let index = conn.0 as usize;
        if self.conns.len() <= index {
            self.conns.resize_with(index + 1, || None);
        }
        assert!(self.conns[index].is_none() && !self.closing.contains(&conn), "connection {index} is in use");
        let stream = self.net.0.borrow_mut().placed.remove(&socket.as_raw_fd()).expect("a socket of this network");
        self.conns[index] = Some(Conn { socket, stream, paused: false, ended: false, sending: None });
    }

    fn live(&mut self, conn: Token) -> &mut Conn {
        self.conns[conn.0 as usize].as_mut().expect("the connection is open")
    }

    pub(super) fn pause_receive(&mut self, conn: Token) {
        self.live(conn).paused = true;
    }

    pub(super) fn resume_receive(&mut self, conn: Token) {
        self.live(conn).paused = false;
    }

    pub(super) fn send(&mut self, conn: Token, buffer: OutBuf, _hurry: bool) {
        assert!(!buffer.is_empty(), "nothing to send");
        let mut flat = Vec::with_capacity(buffer.len());
        let mut from = 0;
        for (at, big) in &buffer.bigs {
            flat.extend_from_slice(&buffer.bytes[from..*at]);
            flat.extend_from_slice(big);
            from = *at;
        }
        flat.extend_from_slice(&buffer.bytes[from..]);
        let state = self.live(conn);
        assert!(state.sending.is_none(), "a send is under way");
        state.sending = Some(Sending { buffer, flat, sent: 0 });
    }

    pub(super) fn close(&mut self, conn: Token) {
        let state = self.conns[conn.0 as usize].take().expect("the connection is open");
        self.net.0.borrow_mut().streams[state.stream.0].by_server = true;
        for event in mem::take(&mut self.events) {
            match event {
                Event::Received { conn: of, buffer } if of == conn => self.recycle(buffer),
                Event::ReceiveEnded { conn: of, .. } if of == conn => {}
                other => self.events.push_back(other),
            }
        }
        if let Some(Sending { buffer, .. }) = state.sending {
            let result = Err(io::Error::from_raw_os_error(libc::ECANCELED));
            self.events.push_back(Event::Sent { conn, buffer, result });
        }
        self.closing.push(conn);
    }

    pub(super) fn ring(&mut self, core: usize) {
        self.net.0.borrow_mut().rung[core] = true;
    }

    /// Nobody really sleeps here, so nobody has to be told.
    pub(super) fn attach_sleep_flag(&mut self, _flag: SleepFlag) {}

    pub(super) fn set_gather(&mut self, _window: Duration) {}

    pub(super) fn statistics(&self) -> Statistics {
        self.statistics
    }

    pub(super) fn raw_fd(&self, conn: Token) -> Option<RawFd> {
        self.conns.get(conn.0 as usize)?.as_ref().map(|state| state.socket.as_raw_fd())
    }

    pub(super) fn recycle(&mut self, buffer: RecvBuf) {
        let index = self.pool.put(buffer);
        self.free.push(index);
    }

    pub(super) fn log(&mut self, order: Order) {
        if let Order::Sync(file) = &order {
            self.syncing.push_back(image(file));
        }
        self.orders.push_back(order);
    }

    /// Does the log writes that the seed says are done by now.
    fn move_orders(&mut self, net: &mut Net) {
        while !self.orders.is_empty() && !net.chance(net.weather.disk_stall) {
            let Some(order) = self.orders.pop_front() else { return };
            let fails = !matches!(order, Order::Fill { .. }) && mem::take(&mut net.disk_fails[self.core]);
            let error = || io::Error::from_raw_os_error(libc::EIO);
            self.events.push_back(match order {
                Order::Write { file, buffer, offset, .. } if fails => {
                    let _ = tear(net, &file, &buffer, offset);
                    Event::Logged { buffer, result: Err(error()) }
                }
                Order::Write { file, buffer, offset, .. } => {
                    let result = file.write_all_at(&buffer, offset);
                    Event::Logged { buffer, result }
                }
                Order::Fill { .. } => Event::from(order.carry_out(&mut zeros(0))),
                Order::Sync(_) => {
                    let image = self.syncing.pop_front();
                    self.synced.extend(image.filter(|_| !fails));
                    Event::LogSynced { result: if fails { Err(error()) } else { Ok(()) } }
                }
            });
        }
    }

    /// The end of this core: of the log writes under way any sectors are done, in no order. Fails where the disk does.
    pub fn lose_power(&mut self) -> io::Result<()> {
        let net = self.net.clone();
        let net = &mut *net.0.borrow_mut();
        for order in self.orders.drain(..) {
            match order {
                Order::Write { file, buffer, offset, .. } => tear(net, &file, &buffer, offset)?,
                Order::Fill { file, offset, bytes } => tear(net, &file, &zeros(bytes), offset)?,
                Order::Sync(_) => {}
            }
        }
        Ok(())
    }

    /// What a file is sure to hold after a loss of power: its content when its last sync was ordered that is done;
    /// `None` if it was never synced.
    pub fn synced(&self, path: &Path) -> Option<&[u8]> {
        self.synced.get(path).map(Vec::as_slice)
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Moves what the seed says may move now. Returns at once: time is the simulation's.
    pub(super) fn submit_and_reap(&mut self, _wait: Wait, _ready: &dyn Fn() -> bool) -> io::Result<()> {
        self.statistics.enters += 1;
        let net = self.net.clone();
        let net = &mut *net.0.borrow_mut();
        if mem::take(&mut net.rung[self.core]) {
            self.events.push_back(Event::Doorbell);
        }
        self.move_orders(net);
        self.accept(net)?;
        for index in 0..self.conns.len() {
            self.move_output(index, net);
            self.move_input(index, net);
        }
        let stall = net.weather.stall;
        for conn in mem::take(&mut self.closing) {
            if net.chance(stall) {
                self.closing.push(conn);
            } else {
                self.events.push_back(Event::Closed { conn });
            }
        }
        self.statistics.cqes += self.events.len() as u64;
        Ok(())
    }

    fn accept(&mut self, net: &mut Net) -> io::Result<()> {
        for (listener, stream) in mem::take(&mut net.arrivals[self.core]) {
            if !self.listeners.contains(&listener) || net.chance(net.weather.stall) {
                net.arrivals[self.core].push_back((listener, stream));
            } else if net.chance(net.weather.accept_fails) {
                let error = io::Error::from_raw_os_error(libc::EMFILE);
                self.events.push_back(Event::AcceptFailed { listener, error });
                net.arrivals[self.core].push_back((listener, stream));
            } else {
                let socket = OwnedFd::from(File::open("/dev/null")?);
                net.placed.insert(socket.as_raw_fd(), stream);
                self.events.push_back(Event::Accepted { listener, socket });
            }
        }
        Ok(())
    }

    fn move_output(&mut self, index: usize, net: &mut Net) {
        let Some(state) = self.conns[index].as_mut() else { return };
        let Some(sending) = state.sending.as_mut() else { return };
        let portion = net.portion(sending.flat.len() - sending.sent);
        let stream = &mut net.streams[state.stream.0];
        let broken = portion > 0 && stream.by_client != Ended::No;
        if !broken {
            stream.to_client.extend_from_slice(&sending.flat[sending.sent..sending.sent + portion]);
            sending.sent += portion;
        }
        if broken || sending.sent == sending.flat.len() {
            let buffer = state.sending.take().expect("just seen").buffer;
            let result = if broken { Err(io::Error::from_raw_os_error(libc::EPIPE)) } else { Ok(()) };
            self.events.push_back(Event::Sent { conn: Token(index as u32), buffer, result });
        }
    }

    fn move_input(&mut self, index: usize, net: &mut Net) {
        let Some(state) = self.conns[index].as_mut().filter(|state| !state.paused && !state.ended) else { return };
        let conn = Token(index as u32);
        let waiting = net.streams[state.stream.0].to_server.len();
        if waiting == 0 {
            let by_client = net.streams[state.stream.0].by_client;
            if by_client != Ended::No && !net.chance(net.weather.stall) {
                state.ended = true;
                let error = (by_client == Ended::Reset).then(|| io::Error::from_raw_os_error(libc::ECONNRESET));
                self.events.push_back(Event::ReceiveEnded { conn, error });
            }
            return;
        }
        let portion = net.portion(waiting).min(self.pool.part_bytes());
        if portion == 0 {
            return;
        }
        let Some(part) = self.free.pop() else {
            self.statistics.starved += 1;
            return;
        };
        let to_server = &mut net.streams[state.stream.0].to_server;
        let (at, mut filled) = (self.pool.part(part), 0);
        for byte in to_server.drain(..portion) {
            // SAFETY: the part is free and holds `part_bytes`, which `portion` does not exceed.
            unsafe { at.add(filled).write(byte) };
            filled += 1;
        }
        // SAFETY: the part came off the free list and its first `filled` bytes were just written.
        let buffer = unsafe { self.pool.take(part, filled) };
        self.events.push_back(Event::Received { conn, buffer });
    }
}

#[cfg(test)]
#[path = "sim_tests.rs"]
mod tests;
