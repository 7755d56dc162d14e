//! Two servers side by side: runs a case on both and finds the first reply that differs. Never judges by itself.

use crate::case::{Case, Command, shown};
use crate::common::client::encode;
use crate::common::{Client, Launch, Server, Setup, Value};
use crate::compare::{Oracle, difference};
use crate::peers::stored_once;
use std::time::Duration;

/// How long a reply may take before it counts as missing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The first difference of a case.
#[derive(Debug, Clone)]
pub(crate) struct Mismatch {
    /// Where in the history.
    pub(crate) at: usize,
    /// Which command.
    pub(crate) command: Command,
    /// The reply of the server that is compared with.
    pub(crate) theirs: Value,
    /// The reply of the server under test.
    pub(crate) ours: Value,
    /// Why they do not count as equal.
    pub(crate) why: String,
}

impl Mismatch {
    /// Two mismatches of one kind are probably one bug: same command, same sort of replies.
    pub(crate) fn kind(&self) -> String {
        let name = String::from_utf8_lossy(&self.command[0]).to_uppercase();
        let sort = |v: &Value| match v {
            Value::Error(text) => String::from_utf8_lossy(&text[..text.len().min(25)]).into_owned(),
            other => format!("{:?}", std::mem::discriminant(other)),
        };
        format!("{name} {} {}", sort(&self.theirs), sort(&self.ours)).to_lowercase()
    }
}

/// Both servers; each is started again if it has ended.
#[derive(Debug)]
pub(crate) struct Pair {
    theirs: (Launch, Server),
    ours: (Launch, Server),
    oracle: Oracle,
    /// The setup of the server under test.
    pub(crate) name: String,
}

impl Pair {
    /// Starts both.
    pub(crate) fn start(theirs: &Setup, ours: &Setup) -> Pair {
        let begin = |setup: &Setup| {
            let launch = Launch::new(setup);
            let server = launch.start();
            (launch, server)
        };
        let oracle = Oracle::of(theirs);
        Pair { theirs: begin(theirs), ours: begin(ours), oracle, name: ours.name() }
    }

    /// Runs the case on both, from empty databases.
    pub(crate) fn run(&mut self, case: &Case) -> Option<Mismatch> {
        let mut theirs = Side::open(&mut self.theirs, case);
        let mut ours = Side::open(&mut self.ours, case);
        let mut at = 0;
        let mut queued: Vec<Command> = Vec::new();
        while at < case.commands.len() {
            let batch = batch_at(case, at);
            let (a, b) = (theirs.send(batch), ours.send(batch));
            let (a, b) = (theirs.replies(batch, a), ours.replies(batch, b));
            for ((command, theirs), ours) in batch.iter().zip(a).zip(b) {
                let apart = went_apart(command, &queued, &theirs, &ours);
                if let Some(why) = differ(self.oracle, command, &mut queued, &theirs, &ours) {
                    return Some(Mismatch { at, command: command.clone(), theirs, ours, why });
                }
                if apart {
                    return None;
                }
                at += 1;
            }
        }
        None
    }
}

/// As `difference`, but looks into the reply of an EXEC: each element is compared as a reply to its command.
fn differ(
    oracle: Oracle,
    command: &Command,
    queued: &mut Vec<Command>,
    theirs: &Value,
    ours: &Value,
) -> Option<String> {
    let is = |name: &[u8]| command[0].eq_ignore_ascii_case(name);
    // A MULTI inside another one is an error that changes nothing.
    if (is(b"MULTI") && !theirs.is_error()) || is(b"DISCARD") {
        queued.clear();
    }
    if *theirs == Value::Simple(b"QUEUED".to_vec()) {
        queued.push(command.clone());
    }
    let (Value::Array(a), Value::Array(b)) = (theirs, ours) else { return difference(oracle, command, theirs, ours) };
    if !is(b"EXEC") || a.len() != b.len() || a.len() != queued.len() {
        return difference(oracle, command, theirs, ours);
    }
    let replies = a.iter().zip(b).zip(queued.drain(..));
    // A step of SCAN ends where each server's own table has it end.
    replies
        .filter(|(_, command)| !is_scan(command))
        .find_map(|((a, b), command)| Some(format!("{}: {}", shown(&command), difference(oracle, &command, a, b)?)))
}

/// Whether what follows says nothing, see [`stored_once`]; in an EXEC of the commands queued so too.
fn went_apart(command: &Command, queued: &[Command], theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Array(a), Value::Array(b)) if command[0].eq_ignore_ascii_case(b"EXEC") => {
            queued.iter().zip(a.iter().zip(b)).any(|(command, (theirs, ours))| stored_once(command, theirs, ours))
        }
        _ => stored_once(command, theirs, ours),
    }
}

/// The commands to send together, from `at` on: a SCAN is alone, because it is a loop.
fn batch_at(case: &Case, at: usize) -> &[Command] {
    let rest = &case.commands[at..];
    let most = case.batch.min(rest.len());
    match rest[..most].iter().position(is_scan) {
        Some(0) => &rest[..1],
        Some(scan) => &rest[..scan],
        None => &rest[..most],
    }
}

fn is_scan(command: &Command) -> bool {
    command[0].eq_ignore_ascii_case(b"SCAN") && command.len() > 1
}

/// One server's connection during one case.
struct Side {
    client: Client,
    closed: bool,
}

impl Side {
    fn open((launch, server): &mut (Launch, Server), case: &Case) -> Side {
        let client = match Client::try_connect(&server.address) {
            Ok(client) => client,
            Err(_) => {
                *server = launch.start();
                server.client()
            }
        };
        let mut side = Side { client, closed: false };
        side.client.stream.set_read_timeout(Some(SILENCE_MAX)).expect("a timeout");
        let mut first = vec![vec![b"FLUSHALL".to_vec()]];
        if case.resp3 {
            first.push(vec![b"HELLO".to_vec(), b"3".to_vec()]);
        }
        for command in first {
            side.call(&command);
        }
        side
    }

    /// Sends the batch; a SCAN is sent by [`Side::replies`].
    fn send(&mut self, batch: &[Command]) -> bool {
        if is_scan(&batch[0]) {
            return true;
        }
        let bytes: Vec<u8> = batch.iter().flat_map(|command| encode(command)).collect();
        std::io::Write::write_all(&mut self.client.stream, &bytes).is_ok()
    }

    fn replies(&mut self, batch: &[Command], sent: bool) -> Vec<Value> {
        if is_scan(&batch[0]) {
            return vec![self.scan(&batch[0])];
        }
        self.closed |= !sent;
        batch.iter().map(|_| self.recv()).collect()
    }

    /// A reply, or what stands for one when the connection is gone.
    fn recv(&mut self) -> Value {
        if self.closed {
            return Value::Error(b"(the connection was closed before)".to_vec());
        }
        let lost = |why: String| Value::Error(why.into_bytes());
        let reply = match self.client.try_recv() {
            Ok(Some(value)) => return value,
            Ok(None) => lost("(the connection was closed)".into()),
            Err(e) => lost(format!("(no reply: {e})")),
        };
        self.closed = true;
        reply
    }

    fn call(&mut self, command: &Command) -> Value {
        let sent = std::io::Write::write_all(&mut self.client.stream, &encode(command)).is_ok();
        self.closed |= !sent;
        self.recv()
    }

    /// Follows the cursor to its end: the keys in order, or the error.
    fn scan(&mut self, command: &Command) -> Value {
        let mut command = command.clone();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for _ in 0..100_000 {
            let reply = self.call(&command);
            let Value::Array(parts) = &reply else { return reply };
            let [Value::Bulk(cursor), Value::Array(found)] = parts.as_slice() else { return reply };
            keys.extend(found.iter().map(|key| key.bytes().to_vec()));
            if cursor == b"0" {
                keys.sort();
                keys.dedup();
                return Value::Array(keys.into_iter().map(Value::Bulk).collect());
            }
            command[1].clone_from(cursor);
        }
        Value::Error(b"(the cursor never came back to 0)".to_vec())
    }
}
