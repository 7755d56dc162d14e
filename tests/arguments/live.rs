//! Random calls on a running server: each gets its one reply, the connection stays in step, the server stays there.

use crate::common::server::OnPanic;
use crate::common::{Client, Launch, Random, Setup, Value};
use crate::draw::{Call, SETTING, forms, words};
use crate::shown;
use pinion::commands::spec::{CommandSpec, CommandTable};
use std::time::{Duration, Instant};

/// What the server may hold more in the end, beside what strings of a megabyte per key come to.
const GROWTH_BYTES_MAX: u64 = 192 << 20;
/// Calls between two times that everything begins anew.
const CALLS_PER_LIFE: usize = 300;

/// Commands that are not called, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("shutdown", "ends the server"),
    ("debug", "ends it, or holds it up"),
    ("quit", "ends the connection"),
    ("monitor", "the stream is no longer replies only"),
    ("client|reply", "the stream is no longer one reply each"),
    ("client|kill", "may end the connection"),
    ("client|pause", "holds everything up"),
    ("subscribe", "has no reply of its own"),
    ("psubscribe", "has no reply of its own"),
    ("ssubscribe", "has no reply of its own"),
    ("unsubscribe", "has no reply of its own"),
    ("punsubscribe", "has no reply of its own"),
    ("sunsubscribe", "has no reply of its own"),
    ("config|set", "may change what the test relies on; its values are tested with the settings"),
    ("config|rewrite", "writes files"),
    ("save", "writes files"),
    ("bgsave", "writes files"),
    ("bgrewriteaof", "writes files"),
    ("migrate", "connects to other servers"),
];

fn is_called(spec: &CommandSpec) -> bool {
    let excused = LEFT_OUT.iter().any(|(name, _)| *name == spec.name);
    !excused && (spec.subcommands.is_empty() || spec.name == "command")
}

/// Gets replies, past what is pushed, until that of `mark`; answers how many came before it.
fn replies_until(client: &mut Client, mark: &[u8]) -> usize {
    let mut count = 0;
    loop {
        match client.recv() {
            Value::Push(_) => {}
            Value::Bulk(bytes) if bytes == mark => return count,
            _ => count += 1,
        }
    }
}

/// Calls of every command that does not end or disturb the stream, until the time is over; answers how many.
pub(crate) fn try_all(setup: &Setup, seed: u64, time: Duration) -> usize {
    let end = Instant::now() + time;
    let forms = forms(&CommandTable::new(), is_called);
    let mut server = Launch::new(setup).args("--proto-max-bulk-len 1mb").start();
    let used = |client: &mut Client| client.info_number("memory", "used_memory");
    let at_start = used(&mut server.client());
    let mut calls = 0;
    for life in 0.. {
        if life > 0 && Instant::now() > end {
            break;
        }
        let mut random = Random(seed + (life << 8));
        let mut client = server.client3();
        client.ok("FLUSHALL");
        SETTING.iter().for_each(|line| drop(client.run(line)));
        let mut last: Vec<Call> = Vec::new();
        for number in 0..CALLS_PER_LIFE {
            let form = &forms[random.below(forms.len())];
            let call = form.draw(&mut random);
            // what may wait is called in a transaction, where it does not
            let waits = form.waits();
            let mark = format!("mark {seed} {life} {number}").into_bytes();
            let echo = vec![b"ECHO".to_vec(), mark.clone()];
            let around = |word: &str| if waits { vec![words(word)] } else { Vec::new() };
            let sent = [around("DISCARD"), around("MULTI"), vec![call.clone()], around("EXEC"), vec![words("HELLO 3")]];
            let sent: Vec<Call> = sent.concat();
            last = [last.split_off(last.len().saturating_sub(6)), vec![call]].concat();
            let _said = OnPanic(last.iter().map(|call| shown(call)).collect::<Vec<_>>().join("\n    "));
            sent.iter().for_each(|call| client.send(call));
            // in MULTI the mark itself is queued
            client.send(&words("DISCARD"));
            client.send(&echo);
            assert_eq!(replies_until(&mut client, &mark), sent.len() + 1, "replies");
            calls += 1;
        }
    }
    server.assert_alive();
    let mut client = server.client();
    client.ok("FLUSHALL");
    let grown = used(&mut client).saturating_sub(at_start);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");
    calls
}
