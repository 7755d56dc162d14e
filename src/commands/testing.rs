//! The one door of the command tests: a command line in, its reply as readable text out, on a shard of its own with
//! a clock that stands still. Never opens a socket, never knows other shards but as [`Foreign`] copies.
//!
//! A reply reads `+OK`, `-ERR text`, `:6`, `"bytes\r\n\x00"`, `$-1` and `*-1` (RESP2 nulls), `_` (RESP3 null), `#t`,
//! `,1.5`, `[...]` (array), `%[key value ...]` (map), `~[...]` (set), `>[...]` (push), with one space between elements.

use crate::base::bytes::{BigString, OutBuf};
use crate::base::limits::BULK_BYTES_MAX;
use crate::base::words;
use crate::commands::args::{Args, lay_out};
use crate::commands::context::{CommandFn, Context, Foreign};
use crate::commands::errors;
use crate::commands::spec::{CommandSpec, Plan};
use crate::commands::table::{CommandTable, Resolved};
use crate::resp::reply::{Proto, Reply};
use crate::shard::keyspace::Shard;

/// A shard that owns every slot, and what a connection would add to a command.
#[derive(Debug)]
pub(crate) struct TestShard {
    /// The shard; its clock stands at 2023-11-14 22:13:20 until a test moves `now_ms`.
    pub(crate) shard: Shard,
    /// The selected database.
    pub(crate) db: usize,
    /// The dialect of the replies.
    pub(crate) proto: Proto,
    /// proto-max-bulk-len.
    pub(crate) bulk_bytes_max: usize,
    /// The commands, under their own names.
    pub(crate) commands: CommandTable,
    /// What TwoPhase commands find fetched from other shards.
    pub(crate) foreign: Vec<Foreign>,
}

impl TestShard {
    /// An empty shard of 16 databases that answers in RESP2.
    pub(crate) fn new() -> Self {
        let mut shard = Shard::new(16, 0..16384, 1);
        shard.now_ms = 1_700_000_000_000;
        TestShard {
            shard,
            db: 0,
            proto: Proto::Resp2,
            bulk_bytes_max: BULK_BYTES_MAX,
            commands: CommandTable::new(),
            foreign: Vec::new(),
        }
    }

    /// As [`TestShard::new`], answering in RESP3.
    pub(crate) fn resp3() -> Self {
        TestShard { proto: Proto::Resp3, ..Self::new() }
    }

    /// Runs one command line (words quoted as in redis-cli) and returns the reply as text.
    #[track_caller]
    pub(crate) fn run(&mut self, line: &str) -> String {
        let Some(words) = words::split(line.as_bytes()) else { panic!("unbalanced quotes: {line}") };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.run_words(&words)
    }

    /// Runs one command given as its arguments.
    #[track_caller]
    pub(crate) fn run_words(&mut self, words: &[&[u8]]) -> String {
        render(&self.reply_to(words))
    }

    /// As [`TestShard::run_words`] for a command that exists, with `big` in place of argument `index`, as if that had
    /// arrived in a buffer of its own.
    #[track_caller]
    pub(crate) fn run_with_big(&mut self, words: &[&[u8]], index: usize, big: &mut BigString) -> String {
        let Some(id) = self.commands.lookup(words[0]) else { panic!("no such command") };
        let function = one_shard(self.commands.get(id));
        let mut out = OutBuf::default();
        let (buffer, spans) = lay_out(words);
        self.call_with(function, &mut Args::with_big(&buffer, &spans, index, big), &mut out);
        render(&out.flat())
    }

    /// Runs one command line with the journal on: what stands there for it, `None` for its own words, each key that
    /// was due as a DEL ahead.
    #[track_caller]
    pub(crate) fn journal(&mut self, line: &str) -> Option<Vec<String>> {
        self.shard.events.journaled = true;
        self.run(line);
        let text = |effect: Vec<Vec<u8>>| String::from_utf8_lossy(&effect.join(&b' ')).into_owned();
        let due = std::mem::take(&mut self.shard.events.due).into_iter();
        let due: Vec<String> = due.map(|(_, key)| text(vec![b"DEL".to_vec(), key])).collect();
        let effects = self.shard.events.effects.take();
        self.shard.events.journaled = false;
        match effects {
            None if due.is_empty() => None,
            effects => Some(due.into_iter().chain(effects.unwrap_or_default().into_iter().map(text)).collect()),
        }
    }

    /// The bytes of the reply to one command given as its arguments: checks what a dispatcher would, then runs it.
    #[track_caller]
    pub(crate) fn reply_to(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut out = OutBuf::default();
        let (buffer, spans) = lay_out(words);
        let args = Args::new(&buffer, &spans);
        let mut reply = Reply::new(&mut out, self.proto);
        match self.commands.resolve(&args) {
            Resolved::Command(id) => {
                let spec = self.commands.get(id);
                if spec.accepts(words.len()) {
                    self.call(one_shard(spec), words, &mut out);
                } else {
                    errors::wrong_arity(spec.name, &mut reply);
                }
            }
            Resolved::UnknownCommand => errors::unknown_command(&args, &mut reply),
            Resolved::UnknownSubcommand(_) => errors::unknown_subcommand(&args, &mut reply),
        }
        out.flat()
    }

    /// Calls a command's function, whatever its arity (a `check` of [`Plan::CheckedScatter`], too few arguments).
    #[track_caller]
    pub(crate) fn call(&mut self, function: CommandFn, words: &[&[u8]], out: &mut OutBuf) {
        let (buffer, spans) = lay_out(words);
        self.call_with(function, &mut Args::new(&buffer, &spans), out);
    }

    fn call_with(&mut self, function: CommandFn, args: &mut Args<'_>, out: &mut OutBuf) {
        let mut ctx = Context {
            shard: &mut self.shard,
            db: self.db,
            no_touch: false,
            hint: None,
            bulk_bytes_max: self.bulk_bytes_max,
            foreign: &mut self.foreign,
        };
        function(&mut ctx, args, &mut Reply::new(out, self.proto));
    }
}

/// Runs `line` and compares the reply. An expectation that ends in `...` is only the reply's beginning.
#[track_caller]
pub(crate) fn check(shard: &mut TestShard, line: &str, expected: &str) {
    let reply = shard.run(line);
    match expected.strip_suffix("...") {
        Some(begin) => assert!(reply.starts_with(begin), "reply to {line} is {reply}"),
        None => assert_eq!(reply, expected, "reply to {line}"),
    }
}

/// Runs a script of lines `COMMAND => REPLY` in order, the reply on a line of its own where both are long; empty lines
/// and those starting with `#` are skipped.
#[track_caller]
pub(crate) fn check_script(shard: &mut TestShard, script: &str) {
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let reply_below = lines.next_if(|next| next.starts_with("=> "));
        let (command, expected) = match reply_below {
            Some(below) => (line, &below[3..]),
            None => line.rsplit_once(" => ").unwrap_or_else(|| panic!("no ' => ' in: {line}")),
        };
        check(shard, command, expected);
    }
}

/// The function that runs the command when all its keys are here.
#[track_caller]
fn one_shard(spec: &CommandSpec) -> CommandFn {
    match spec.plan {
        Plan::OneShard(run)
        | Plan::Scatter(run, _)
        | Plan::CheckedScatter { run, .. }
        | Plan::TwoPhase { run, .. }
        | Plan::Relay { run, .. }
        | Plan::AllShards(run, _)
        | Plan::ByCursor(run) => run,
        Plan::Session => panic!("{} has no function here", spec.name),
    }
}

/// One reply as text; panics on what is no complete reply.
#[track_caller]
pub(crate) fn render(reply: &[u8]) -> String {
    let mut rest = reply;
    let text = render_next(&mut rest);
    assert!(rest.is_empty(), "more than one reply: {}", reply.escape_ascii());
    text
}

#[track_caller]
fn render_next(rest: &mut &[u8]) -> String {
    let line = take_line(rest);
    let Some((kind, body)) = line.split_at_checked(1) else { panic!("an empty line in a reply") };
    let count = || body.parse::<usize>().unwrap_or_else(|_| panic!("a bad length in a reply: {line}"));
    match kind {
        "$" | "=" if body != "-1" => {
            let (payload, after) = rest.split_at(count());
            *rest = after.strip_prefix(b"\r\n").unwrap_or_else(|| panic!("a bulk does not end: {line}"));
            let mark = if kind == "=" { "=" } else { "" };
            format!("{mark}\"{}\"", payload.escape_ascii())
        }
        "*" | "~" | ">" | "%" if body != "-1" => {
            let elements = count() * if kind == "%" { 2 } else { 1 };
            let texts: Vec<String> = (0..elements).map(|_| render_next(rest)).collect();
            format!("{}[{}]", if kind == "*" { "" } else { kind }, texts.join(" "))
        }
        _ => line,
    }
}

#[track_caller]
fn take_line(rest: &mut &[u8]) -> String {
    let Some(len) = rest.windows(2).position(|pair| pair == b"\r\n") else {
        panic!("a line does not end: {}", rest.escape_ascii())
    };
    let line = String::from_utf8_lossy(&rest[..len]).into_owned();
    *rest = &rest[len + 2..];
    line
}
