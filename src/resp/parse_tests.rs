//! The parser against a naive one that sees the whole input at once, however the input is cut.

use super::*;
use crate::resp::big::BigCollector;
use proptest::prelude::*;

type Command = Vec<Vec<u8>>;

/// Everything a connection got out of its input: commands, then why it ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    commands: Vec<Command>,
    error: Option<String>,
    /// Bytes left over.
    rest: usize,
}

fn small_limits() -> Limits {
    Limits { bulk_bytes_max: 100_000, args_max: 50, inline_bytes_max: 60, unauthenticated: false }
}

/// The caller's part, as a connection does it.
#[derive(Default)]
struct Connection {
    parser: Parser,
    batch: Batch,
    buffer: Vec<u8>,
    big: Option<BigCollector>,
    done: Option<Vec<u8>>,
    commands: Vec<Command>,
    error: Option<String>,
}

impl Connection {
    fn receive(&mut self, mut bytes: &[u8], limits: &Limits, commands_max: usize) {
        if let Some(big) = &mut self.big {
            let taken = big.feed(bytes);
            bytes = &bytes[taken..];
            if big.missing() > 0 {
                assert!(bytes.is_empty());
                return;
            }
            self.done = self.big.take().map(BigCollector::finish);
            self.parser.big_done();
        }
        self.buffer.extend_from_slice(bytes);
        while self.error.is_none() {
            self.batch.clear();
            let (consumed, stop) = self.parser.parse(&self.buffer, limits, &mut self.batch, commands_max);
            self.take_commands(consumed);
            match stop {
                Stop::Full => assert!(!self.batch.commands.is_empty()),
                Stop::NeedMore { hint } => {
                    assert!(hint == 0 || hint > 0 && consumed < self.buffer.len());
                    self.buffer.drain(..consumed);
                    return;
                }
                Stop::Error(error) => {
                    self.error = Some(String::from_utf8_lossy(&error.text()).into_owned());
                    self.batch.clear();
                    let again = self.parser.parse(&self.buffer[consumed..], limits, &mut self.batch, commands_max);
                    assert_eq!(again, (0, Stop::Error(error)), "an error stays");
                }
                Stop::Big { len, payload, .. } => {
                    let mut big = BigCollector::new(len).unwrap();
                    assert_eq!(big.feed(&self.buffer[payload..]), self.buffer.len() - payload);
                    assert!(big.missing() > 0);
                    self.buffer.truncate(payload);
                    self.buffer.drain(..consumed);
                    self.big = Some(big);
                    return;
                }
            }
            self.buffer.drain(..consumed);
        }
    }

    fn take_commands(&mut self, consumed: usize) {
        let counted: usize = self.batch.commands.iter().map(|c| c.bytes as usize).sum();
        assert!(counted <= consumed);
        for (i, command) in self.batch.commands.iter().enumerate() {
            let (bytes, spans) = self.batch.args(command, &self.buffer);
            assert!(!spans.is_empty());
            let mut args: Command =
                spans.iter().map(|s| bytes[s.start as usize..][..s.len as usize].to_vec()).collect();
            if let Source::Big(index) = command.source {
                assert_eq!((i, args[index as usize].len()), (0, 0));
                args[index as usize] = self.done.take().unwrap();
            }
            self.commands.push(args);
        }
    }

    fn outcome(self) -> Outcome {
        let rest = self.buffer.len() + self.big.map_or(0, |big| big.collected());
        Outcome { commands: self.commands, rest: if self.error.is_some() { 0 } else { rest }, error: self.error }
    }
}

/// Feeds `input` cut after each of `cuts` (taken in order, round and round).
fn cut(input: &[u8], cuts: &[usize], limits: &Limits, commands_max: usize) -> Outcome {
    let mut connection = Connection::default();
    let (mut rest, mut turn) = (input, 0);
    while !rest.is_empty() && connection.error.is_none() {
        let (piece, tail) = rest.split_at(cuts[turn % cuts.len()].clamp(1, rest.len()));
        connection.receive(piece, limits, commands_max);
        rest = tail;
        turn += 1;
    }
    connection.outcome()
}

/// The reference: straight from the rules, one byte string at a time, with no state and no regard for speed.
fn naive(input: &[u8], limits: &Limits) -> Outcome {
    let mut outcome = Outcome { commands: Vec::new(), error: None, rest: 0 };
    let mut rest = input;
    loop {
        match naive_command(rest, limits) {
            Ok(Some((command, width))) => {
                rest = &rest[width..];
                if !command.is_empty() {
                    outcome.commands.push(command);
                }
            }
            Ok(None) => {
                // What is left of a command that a collector works on counts as its bytes do; compare only "some".
                outcome.rest = rest.len();
                return outcome;
            }
            Err(error) => {
                outcome.error = Some(format!("ERR Protocol error: {error}"));
                return outcome;
            }
        }
    }
}

fn naive_number(line: &[u8]) -> Option<i64> {
    let n: i64 = std::str::from_utf8(line).ok()?.parse().ok()?;
    (n.to_string().as_bytes() == line).then_some(n)
}

fn naive_line<'a>(input: &'a [u8], limits: &Limits, too_big: &str) -> Result<Option<&'a [u8]>, String> {
    match input.iter().position(|&b| b == b'\r') {
        Some(end) if end <= limits.inline_bytes_max => Ok((end + 1 < input.len()).then(|| &input[..end])),
        _ if input.len() > limits.inline_bytes_max => Err(too_big.to_string()),
        _ => Ok(None),
    }
}

fn naive_command(input: &[u8], limits: &Limits) -> Result<Option<(Command, usize)>, String> {
    if input.first() != Some(&b'*') {
        return naive_inline(input, limits);
    }
    let Some(line) = naive_line(input, limits, "too big mbulk count string")? else { return Ok(None) };
    let count = naive_number(&line[1..]).filter(|&n| n <= limits.args_max).ok_or("invalid multibulk length")?;
    if limits.unauthenticated && count > 10 {
        return Err("unauthenticated multibulk length".into());
    }
    let mut at = line.len() + 2;
    let mut command = Vec::new();
    for _ in 0..count {
        let Some(line) = naive_line(&input[at..], limits, "too big bulk count string")? else { return Ok(None) };
        match input[at] {
            b'$' => {}
            other => return Err(format!("expected '$', got '{}'", String::from_utf8_lossy(&[other]))),
        }
        let len = naive_number(&line[1..]).filter(|&n| n >= 0).ok_or("invalid bulk length")? as usize;
        if len > limits.bulk_bytes_max {
            return Err("invalid bulk length".into());
        }
        if limits.unauthenticated && len > 16384 {
            return Err("unauthenticated bulk length".into());
        }
        at += line.len() + 2;
        if input.len() < at + len + 2 {
            return Ok(None);
        }
        command.push(input[at..at + len].to_vec());
        at += len + 2;
    }
    Ok(Some((command, at)))
}

fn naive_inline(input: &[u8], limits: &Limits) -> Result<Option<(Command, usize)>, String> {
    match input.iter().position(|&b| b == b'\n' || b == 0) {
        Some(end) if end <= limits.inline_bytes_max && input[end] == b'\n' => {
            let words = words::split(&input[..end]).ok_or("unbalanced quotes in request")?;
            Ok(Some((words, end + 1)))
        }
        _ if input.len() > limits.inline_bytes_max => Err("too big inline request".into()),
        _ => Ok(None),
    }
}

/// Cuts everywhere, in pieces of every small size, and at once: always what the naive parser says.
fn check(input: &[u8], limits: &Limits) -> Outcome {
    let want = naive(input, limits);
    let agree = |got: Outcome, how: &str| {
        assert_eq!(got.commands, want.commands, "{how}");
        assert_eq!(got.error, want.error, "{how}");
        assert_eq!(got.rest == 0, want.rest == 0, "{how}");
    };
    for commands_max in [1, 3, 1000] {
        agree(cut(input, &[usize::MAX], limits, commands_max), "at once");
    }
    let step = input.len() / 300 + 1;
    for at in (1..input.len()).step_by(step) {
        agree(cut(input, &[at, usize::MAX], limits, 1000), "in two");
    }
    for size in [1, 2, 3, 5, 7, 16, 33] {
        if input.len() / size < 20_000 {
            agree(cut(input, &[size], limits, 1000), "in pieces");
        }
    }
    want
}

fn commands(input: &[u8]) -> Vec<String> {
    let outcome = check(input, &Limits::default());
    assert_eq!(outcome.error, None);
    outcome.commands.iter().map(|c| String::from_utf8_lossy(&c.join(&b'|')).into_owned()).collect()
}

fn error(input: &[u8]) -> String {
    error_within(input, &Limits::default())
}

fn error_within(input: &[u8], limits: &Limits) -> String {
    let text = check(input, limits).error.expect("an error");
    text.strip_prefix("ERR Protocol error: ").expect("the prefix").to_string()
}

#[test]
fn arrays() {
    assert_eq!(commands(b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n"), ["PING", "GET|"]);
    assert_eq!(commands(b"*0\r\n*-1\r\n*-10\r\n*1\r\n$4\r\nPING\r\n*0\r\n"), ["PING"]);
    assert_eq!(commands(b"*1\r\n$10\r\n0123456789\r\n"), ["0123456789"]);
    assert_eq!(commands(b"*1\rX$4\rYPINGxy*1\r\n$4\r\nPING\r\n"), ["PING", "PING"], "line ends are skipped unseen");
    let many = format!("*12\r\n{}", "$3\r\nDEL\r\n".repeat(12));
    assert_eq!(commands(many.as_bytes()), [["DEL"; 12].join("|")]);
    let long = format!("*2\r\n$3\r\nGET\r\n$20000\r\n{}\r\n", "k".repeat(20000));
    assert_eq!(commands(long.as_bytes()), [format!("GET|{}", "k".repeat(20000))]);
}

#[test]
fn inline_commands() {
    assert_eq!(commands(b"PING\r\nPING x\n\r\n\n  \t \r\nECHO a\r\r\n"), ["PING", "PING|x", "ECHO|a"]);
    assert_eq!(commands(b"ECHO \"a\\x41\\n\\t b\"\r\n"), ["ECHO|aA\n\t b"]);
    assert_eq!(commands(b"ECHO 'a\\'b \\n'\n\"\"\n"), ["ECHO|a'b \\n", ""]);
    assert_eq!(
        commands(b"PI\rNG\r\n\rPING\r\nECHO\x0bx\x0cy\n\x0bECHO x\n"),
        ["PI|NG", "PING", "ECHO\x0bx\x0cy", "ECHO|x"]
    );
    assert_eq!(commands(b"ECHO a\\x41\\n\r\n$4\r\nPING\r\n"), ["ECHO|a\\x41\\n", "$4", "PING"]);
    assert_eq!(commands(b"GET \"a b\"\n*1\r\n$4\r\nPING\r\nGET 'c'\n"), ["GET|a b", "PING", "GET|c"]);
    let none: [&str; 0] = [];
    assert_eq!(commands(b"PI\0NG\r\n*1\r\n$4\r\nPING\r\n"), none, "a NUL hides the end of the line");
}

#[test]
fn errors_are_those_of_redis() {
    for bad in ["*abc", "*", "*+1", "*01", "* 1", "*2147483648", "*9223372036854775808", "*1048577", "*1x"] {
        assert_eq!(error(format!("{bad}\r\n").as_bytes()), "invalid multibulk length", "{bad}");
    }
    assert_eq!(error(b"*1\r\nxPING\r\n"), "expected '$', got 'x'");
    assert_eq!(error(b"*1\r\n'4\r\n"), "expected '$', got '''");
    assert_eq!(error(b"*1\r\n\0abc\r\n"), "expected '$', got '\0'");
    assert_eq!(ProtocolError::ExpectedDollar(0xff).text(), b"ERR Protocol error: expected '$', got '\xff'");
    for bad in ["$abc", "$-1", "$", "$04", "$536870913", "$9223372036854775808", "$1x"] {
        assert_eq!(error(format!("*1\r\n{bad}\r\n").as_bytes()), "invalid bulk length", "{bad}");
    }
    for bad in ["ECHO \"abc\r\n", "ECHO \"abc\"d\r\n", "ECHO 'abc\r\n", "ECHO \"abc\\\r\n\"\r\n"] {
        assert_eq!(error(bad.as_bytes()), "unbalanced quotes in request", "{bad}");
    }
    let outcome = check(b"PING\r\n*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n", &Limits::default());
    assert_eq!(outcome.commands.len(), 2, "what came before runs first");
}

#[test]
fn lines_have_a_longest() {
    let limits = small_limits();
    let long = |head: &str, len: usize| format!("{head}{}", "1".repeat(len)).into_bytes();
    assert_eq!(error_within(&long("", 61), &limits), "too big inline request");
    assert_eq!(error_within(&long("*", 60), &limits), "too big mbulk count string");
    assert_eq!(error_within(&long("*1\r\n$", 60), &limits), "too big bulk count string");
    for head in ["", "*", "*1\r\n$"] {
        assert_eq!(check(&long(head, 59), &limits).error, None, "may still end");
    }
    let full = [&[b'a'; 60][..], b"\n"].concat();
    assert_eq!(check(&full, &limits).commands, [[vec![b'a'; 60]]]);
    let real = vec![b'a'; INLINE_BYTES_MAX + 1];
    assert_eq!(cut(&real[1..], &[4096], &Limits::default(), 1).error, None);
    assert!(cut(&real, &[4096], &Limits::default(), 1).error.is_some());
}

#[test]
fn the_unauthenticated_may_send_little() {
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    assert_eq!(error_within(b"*11\r\n", &limits), "unauthenticated multibulk length");
    assert_eq!(error_within(b"*1\r\n$16385\r\n", &limits), "unauthenticated bulk length");
    assert_eq!(error_within(b"*1\r\n$536870913\r\n", &limits), "invalid bulk length");
    assert_eq!(check(b"*1\r\n$16384\r\n", &limits).error, None);
    let ten = format!("*10\r\n{}", "$1\r\na\r\n".repeat(10));
    assert_eq!(check(ten.as_bytes(), &limits).commands[0].len(), 10);
    // AUTH may be the first of a pipeline: what follows is judged after it has run.
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let input = format!("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n*12\r\n{}", "$3\r\nDEL\r\n".repeat(12));
    let (consumed, stop) = parser.parse(input.as_bytes(), &limits, &mut batch, 100);
    assert_eq!((batch.commands.len(), stop), (1, Stop::Full));
    batch.clear();
    let (_, stop) = parser.parse(&input.as_bytes()[consumed..], &Limits::default(), &mut batch, 100);
    assert_eq!((batch.commands[0].count, stop), (12, Stop::NeedMore { hint: 0 }));
}

#[test]
fn large_arguments_are_collected_apart() {
    let big = |len: usize, fill: char| format!("${len}\r\n{}\r\n", fill.to_string().repeat(len));
    let limit = BIG_ARG_BYTES_MIN;
    let input = format!(
        "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n{}*4\r\n$4\r\nMSET\r\n$1\r\nk\r\n{}{}\
         PING\r\n*2\r\n{}$1\r\nx\r\n",
        big(limit, 'a'),
        big(limit + 7, 'b'),
        big(2 * limit, 'c'),
        big(limit, 'd')
    );
    let outcome = check(input.as_bytes(), &Limits::default());
    let sizes: Vec<Vec<usize>> = outcome.commands.iter().map(|c| c.iter().map(Vec::len).collect()).collect();
    let want: [&[usize]; 5] = [&[4], &[3, 1, limit], &[4, 1, limit + 7, 2 * limit], &[4], &[limit, 1]];
    assert_eq!(sizes, want);
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let head = b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc";
    let (consumed, stop) = parser.parse(head, &Limits::default(), &mut batch, 100);
    assert_eq!((consumed, batch.commands.len()), (6, 1));
    assert_eq!(stop, Stop::Big { index: 2, len: 100_000, payload: head.len() - 3 });
    let rest = &head[6..head.len() - 3];
    assert_eq!(
        parser.parse(rest, &Limits::default(), &mut batch, 100).1,
        Stop::Big { index: 2, len: 100_000, payload: rest.len() }
    );
    parser.big_done();
    batch.clear();
    assert_eq!(parser.parse(rest, &Limits::default(), &mut batch, 100), (rest.len(), Stop::NeedMore { hint: 0 }));
    assert_eq!(batch.commands[0].source, Source::Big(2));
}

#[test]
fn a_caller_may_keep_large_arguments_in_the_buffer() {
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let input = [b"*2\r\n$4\r\nECHO\r\n$50000\r\n", &[b'x'; 50_000][..], b"\r\n"].concat();
    assert!(matches!(parser.parse(&input[..1000], &Limits::default(), &mut batch, 9).1, Stop::Big { .. }));
    assert_eq!(parser.parse(&input, &Limits::default(), &mut batch, 9), (input.len(), Stop::NeedMore { hint: 0 }));
    assert_eq!((batch.commands[0].source, batch.spans[1].len), (Source::Buffer, 50_000));
}

#[test]
fn a_batch_takes_commands_of_several_buffers() {
    let (mut one, mut two, mut batch) = (Parser::default(), Parser::default(), Batch::default());
    let limits = Limits::default();
    let first = b"*1\r\n$4\r\nPING\r\nECHO \"a b\"\n";
    let torn = b"ECHO 'c'\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$40000\r\nvvv";
    assert_eq!(one.parse(first, &limits, &mut batch, 2), (first.len(), Stop::Full));
    let (consumed, stop) = two.parse(torn, &limits, &mut batch, 9);
    let Stop::Big { index: 2, payload, .. } = stop else { panic!("{stop:?}") };
    two.big_done();
    let rest = &torn[consumed..payload];
    assert_eq!(two.parse(rest, &limits, &mut batch, 1), (rest.len(), Stop::Full));
    let words = |index: usize, buffer: &[u8]| {
        let (bytes, spans) = batch.args(&batch.commands[index], buffer);
        let words: Vec<_> = spans.iter().map(|s| &bytes[s.start as usize..][..s.len as usize]).collect();
        String::from_utf8(words.join(&b'|')).unwrap()
    };
    assert_eq!([words(0, first), words(1, first)], ["PING", "ECHO|a b"]);
    assert_eq!([words(2, torn), words(3, rest)], ["ECHO|c", "SET|k|"]);
    assert_eq!((batch.commands.len(), batch.commands[3].source), (4, Source::Big(2)));
}

#[test]
fn hints_say_how_much_is_missing() {
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let hint =
        |parser: &mut Parser, batch: &mut Batch, input: &[u8]| parser.parse(input, &Limits::default(), batch, 9).1;
    let input = b"*2\r\n$4\r\nECHO\r\n$100\r\nabc";
    assert_eq!(hint(&mut parser, &mut batch, &input[..12]), Stop::NeedMore { hint: 2 });
    assert_eq!(hint(&mut parser, &mut batch, input), Stop::NeedMore { hint: 99 });
}

/// Input as clients, and then as vandals, send it.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let arg = prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..12),
        2 => proptest::collection::vec(any::<u8>(), 90..120),
        1 => (BIG_ARG_BYTES_MIN - 3..BIG_ARG_BYTES_MIN + 3).prop_map(|len| vec![b'v'; len]),
    ];
    let array = proptest::collection::vec(arg, 0..8).prop_map(|args| {
        let mut wire = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            wire.extend_from_slice(&arg);
            wire.extend_from_slice(b"\r\n");
        }
        wire
    });
    let inline = "[ a\"'\\\\x4\t\r]{0,12}\r?\n".prop_map(String::into_bytes);
    let noise = "[*$0-9a\r\n\\-\u{0}]{0,8}".prop_map(String::into_bytes);
    prop_oneof![8 => array, 3 => inline, 1 => noise, 1 => proptest::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_any_input_parses_alike(
        pieces in proptest::collection::vec(piece(), 0..12),
        cuts in proptest::collection::vec(1usize..60, 1..20),
        coarse in proptest::collection::vec(1usize..40_000, 1..4),
        unauthenticated: bool,
        commands_max in 1usize..20,
    ) {
        let input = pieces.concat();
        let limits = Limits { unauthenticated, ..small_limits() };
        let want = naive(&input, &limits);
        for cuts in [&cuts, &coarse, &vec![usize::MAX]] {
            let got = cut(&input, cuts, &limits, commands_max);
            prop_assert_eq!(&got.commands, &want.commands);
            prop_assert_eq!(&got.error, &want.error);
            prop_assert_eq!(got.rest == 0, want.rest == 0);
        }
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_hoard(
        input in proptest::collection::vec(any::<u8>(), 0..400),
        cuts in proptest::collection::vec(1usize..50, 1..8),
    ) {
        let limits = small_limits();
        let got = cut(&input, &cuts, &limits, 4);
        let want = naive(&input, &limits);
        prop_assert_eq!(got.commands, want.commands);
        prop_assert_eq!(got.error, want.error);
    }
}

#[test]
fn a_torn_command_of_many_arguments_takes_linear_time() {
    // A million arguments, a hundred bytes at a time: rescanning or moving spans at every call would take minutes.
    let mut connection = Connection::default();
    let input = format!("*1000000\r\n{}", "$1\r\na\r\n".repeat(1_000_000));
    let limits = Limits::default();
    let (mut at, mut parsed) = (0, 0);
    while at < input.len() {
        at = (at + 1000).min(input.len());
        let buffer = &input.as_bytes()[..at];
        let (consumed, _) = connection.parser.parse(buffer, &limits, &mut connection.batch, 1);
        parsed += connection.batch.commands.len();
        assert!(consumed == 0 || consumed == input.len());
    }
    assert_eq!((parsed, connection.batch.spans.len()), (1, 1_000_000));
    assert!(connection.parser.partial.capacity() <= PARTIAL_KEPT_MAX);
}

#[test]
fn a_turn_has_an_end() {
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let command = format!("*2\r\n$4\r\nECHO\r\n$5000\r\n{}\r\n", "x".repeat(5000));
    let (input, per_turn) = (command.repeat(40), BYTES_PER_TURN.div_ceil(command.len()));
    assert_eq!(
        parser.parse(input.as_bytes(), &Limits::default(), &mut batch, 100),
        (per_turn * command.len(), Stop::Full)
    );
    let rest = &input.as_bytes()[per_turn * command.len()..];
    parser.parse(rest, &Limits::default(), &mut batch, 100);
    assert_eq!(batch.commands.len(), 2 * per_turn);
}

#[test]
fn a_batch_gives_back_what_a_huge_command_took() {
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let limits = Limits { args_max: 1_000_000, inline_bytes_max: 1_000_000, ..small_limits() };
    let huge = [b"*200000\r\n".to_vec(), b"$1\r\na\r\n".repeat(200_000)].concat();
    assert_eq!(parser.parse(&huge, &limits, &mut batch, 64).0, huge.len());
    assert_eq!(batch.commands[0].count, 200_000);
    batch.clear();
    assert!(batch.spans.capacity() <= BATCH_KEPT_MAX, "{} spans are kept", batch.spans.capacity());
    // the same for the unquoted words of an inline command
    let inline = [b"\"".to_vec(), b"x".repeat(300_000), b"\"\r\n".to_vec()].concat();
    assert_eq!(parser.parse(&inline, &limits, &mut batch, 64).0, inline.len());
    assert_eq!(batch.scratch.len(), 300_000);
    batch.clear();
    assert!(batch.scratch.capacity() <= BATCH_KEPT_MAX, "{} bytes are kept", batch.scratch.capacity());
    // and for a parser that was in the middle of a huge command
    assert_eq!(parser.parse(&huge[..huge.len() - 1], &limits, &mut batch, 64).0, 0);
    assert!(parser.partial.len() >= 199_999);
    assert_eq!(parser.parse(&huge, &limits, &mut batch, 64).0, huge.len());
    assert_eq!(batch.commands.len(), 1);
    assert!(parser.partial.capacity() <= PARTIAL_KEPT_MAX, "{} spans are kept", parser.partial.capacity());
}
