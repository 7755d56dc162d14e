//! MONITOR: what runs here, shown to every connection that asked for it, on every core.

use crate::base::bytes::OutBuf;
use crate::base::words;
use crate::commands::args::Args;
use crate::net::connection::Conn;
use crate::net::redact::{self, REDACTED};
use crate::net::worker::Worker;
use crate::txn::message::{Message, Request};

impl Worker {
    /// Tells every connection in MONITOR what runs.
    pub(super) fn feed_monitors(&mut self, command: &str, conn: &Conn, args: &Args<'_>, out: &mut OutBuf) {
        let now_us = self.clock.unix_us();
        let addr = if conn.unix { format!("unix:{}", conn.addr.trim_end_matches(":0")) } else { conn.addr.to_string() };
        let mut line =
            format!("+{}.{:06} [{} {}]", now_us / 1_000_000, now_us % 1_000_000, conn.session.db, addr).into_bytes();
        let secrets = redact::secrets(command, args);
        for (i, arg) in args.from(0).enumerate() {
            line.push(b' ');
            words::quote(if secrets.contains(&i) { REDACTED } else { arg }, &mut line);
        }
        line.extend_from_slice(b"\r\n");
        if conn.session.monitor {
            out.bytes.extend_from_slice(&line);
        }
        self.monitor_line(&line);
        let own = self.router.core;
        for core in (0..self.router.cores).filter(|c| *c != own) {
            let request = Box::new(Request::MonitorLine(line.clone()));
            self.router.tell(core, Message::Ask { ticket: crate::txn::message::Ticket::Nobody, request });
        }
    }

    /// Sends a line to this core's monitors.
    pub fn monitor_line(&mut self, line: &[u8]) {
        for i in 0..self.monitors.len() {
            let id = self.monitors[i];
            if self.conn_mut(id).is_none() {
                continue;
            }
            let Some(mut conn) = self.take_conn(id.index) else { continue };
            conn.out.bytes.extend_from_slice(line);
            self.touch(&mut conn);
            self.put_conn(conn);
        }
    }
}
