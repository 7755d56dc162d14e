//! The floor that Pinion is compared with: its runtime and its parser on one core, answering +OK to every command.
//! No keyspace, no command table, no session.
//!
//! ```text
//! cargo bench --bench null_server -- --port 7000 [--io-driver auto|uring|epoll] [--spin-us 20]
//! ```
//!
//! Its tick is that of `server/core.rs` without the parts that have nothing to do here: one submit, the events, the
//! parsing of what arrived, one send per connection. What Pinion's GET costs more than this is the price of looking
//! a command up, of the keyspace and of everything between; it is to stay within 1.5 times of it under a pipeline.
//! Runs until it is killed. A client that does not read its replies is closed.

use pinion::base::bytes::OutBuf;
use pinion::base::limits;
use pinion::resp::parse::{Batch, Limits, Parser, Stop};
use pinion::resp::reply::{Proto, Reply};
use pinion::runtime::driver::{Driver, DriverKind, Event, RecvBuf, Token, Wait, prepare};
use pinion::runtime::sockets;
use std::error::Error;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Output buffers kept for reuse.
const SPARES_MAX: usize = 64;

#[global_allocator]
static ALLOCATOR: pinion::runtime::alloc::Allocator = pinion::runtime::alloc::Allocator;

/// One client.
#[derive(Default)]
struct Conn {
    parser: Parser,
    /// Bytes of a command that has not arrived whole.
    input: Vec<u8>,
    out: OutBuf,
    sending: bool,
    touched: bool,
    closing: bool,
}

/// The core.
struct Null {
    driver: Driver,
    conns: Vec<Conn>,
    free: Vec<u32>,
    inbox: Vec<(u32, RecvBuf)>,
    touched: Vec<u32>,
    /// Output buffers kept for reuse.
    spares: Vec<OutBuf>,
    batch: Batch,
    limits: Limits,
}

/// Port, driver and longest spin, from the arguments.
fn options() -> Result<(u16, DriverKind, Duration), Box<dyn Error>> {
    let (mut port, mut kind, mut spin_us) = (0, DriverKind::Auto, 20);
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} lacks its value"))?;
        match (name.as_str(), value.as_str()) {
            ("--port", _) => port = value.parse()?,
            ("--io-driver", "auto") => kind = DriverKind::Auto,
            ("--io-driver", "uring") => kind = DriverKind::Uring,
            ("--io-driver", "epoll") => kind = DriverKind::Epoll,
            ("--spin-us", _) => spin_us = value.parse()?,
            _ => return Err(format!("{name} {value}: not an argument of this program").into()),
        }
    }
    Ok((port, kind, Duration::from_micros(spin_us)))
}

impl Null {
    fn accept(&mut self, socket: OwnedFd) {
        let _ = sockets::set_nodelay(socket.as_raw_fd());
        let index = self.free.pop().unwrap_or_else(|| {
            self.conns.push(Conn::default());
            self.conns.len() as u32 - 1
        });
        self.driver.register(Token(index), socket);
    }

    fn events(&mut self) {
        while let Some(event) = self.driver.next_event() {
            match event {
                Event::Received { conn, buffer } => self.inbox.push((conn.0, buffer)),
                Event::Sent { conn, buffer, result } => self.sent(conn, buffer, result.is_err()),
                Event::ReceiveEnded { conn, .. } => self.close(conn.0),
                Event::Closed { conn } => {
                    self.conns[conn.0 as usize] = Conn::default();
                    self.free.push(conn.0);
                }
                Event::Accepted { socket, .. } => self.accept(socket),
                Event::AcceptFailed { .. }
                | Event::Doorbell
                | Event::Logged { .. }
                | Event::LogFilled
                | Event::LogSynced { .. } => {}
            }
        }
    }

    /// Parses and answers what arrived, after all events of the tick, as the server does.
    fn run_inputs(&mut self) {
        let mut inbox = std::mem::take(&mut self.inbox);
        for (index, buffer) in inbox.drain(..) {
            self.answer(index, &buffer);
            self.driver.recycle(buffer);
        }
        self.inbox = inbox;
    }

    fn answer(&mut self, index: u32, received: &[u8]) {
        let conn = &mut self.conns[index as usize];
        if conn.closing {
            return;
        }
        let whole = conn.input.is_empty();
        if !whole {
            conn.input.extend_from_slice(received);
        }
        let mut at = 0;
        let stop = loop {
            let rest = if whole { &received[at..] } else { &conn.input[at..] };
            self.batch.clear();
            let (consumed, stop) = conn.parser.parse(rest, &self.limits, &mut self.batch, limits::COMMANDS_PER_TURN);
            at += consumed;
            if conn.out.bytes.capacity() == 0 {
                conn.out = self.spares.pop().unwrap_or_default();
                conn.out.bytes.reserve(limits::OUTPUT_BYTES_START);
            }
            let mut reply = Reply::new(&mut conn.out, Proto::Resp2);
            for _ in &self.batch.commands {
                reply.ok();
            }
            if stop != Stop::Full {
                break stop;
            }
        };
        if whole {
            conn.input.extend_from_slice(&received[at..]);
        } else {
            conn.input.drain(..at);
        }
        if !conn.touched {
            conn.touched = true;
            self.touched.push(index);
        }
        let too_much = conn.out.len() > limits::OUTPUT_PAUSE_BYTES || conn.input.len() > limits::BULK_BYTES_MAX;
        if too_much || matches!(stop, Stop::Error(_)) {
            self.close(index);
        }
    }

    fn send_outputs(&mut self) {
        for index in self.touched.drain(..) {
            let conn = &mut self.conns[index as usize];
            conn.touched = false;
            if !conn.closing && !conn.sending && !conn.out.is_empty() {
                conn.sending = true;
                self.driver.send(Token(index), std::mem::take(&mut conn.out));
            }
        }
    }

    fn sent(&mut self, token: Token, mut buffer: OutBuf, failed: bool) {
        let conn = &mut self.conns[token.0 as usize];
        conn.sending = false;
        if !conn.out.is_empty() && !conn.touched {
            conn.touched = true;
            self.touched.push(token.0);
        }
        buffer.clear();
        if self.spares.len() < SPARES_MAX && buffer.bytes.capacity() <= limits::SPARE_OUTPUT_BYTES_MAX {
            self.spares.push(buffer);
        }
        if failed {
            self.close(token.0);
        }
    }

    fn close(&mut self, index: u32) {
        if !std::mem::replace(&mut self.conns[index as usize].closing, true) {
            self.driver.close(Token(index));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (port, kind, spin) = options()?;
    if port == 0 {
        // `cargo bench` without arguments runs every bench in turn; a server would never let it end.
        println!("null_server: --port N starts it");
        return Ok(());
    }
    let (seeds, _bells, kind, _) = prepare(1, kind)?;
    let mut driver = seeds.into_iter().next().ok_or("no core")?.build()?;
    driver.listen(0, sockets::listen_tcp("127.0.0.1", port, 511)?);
    println!("null_server: {} on port {port}", kind.name());
    let (conns, free, inbox, touched, spares) = (vec![], vec![], vec![], vec![], vec![]);
    let (batch, limits) = (Batch::default(), Limits::default());
    let mut null = Null { driver, conns, free, inbox, touched, spares, batch, limits };
    let wait = Wait { timeout: Some(Duration::from_millis(100)), spin };
    loop {
        null.driver.submit_and_reap(wait, &|| false)?;
        null.events();
        null.run_inputs();
        null.send_outputs();
    }
}
