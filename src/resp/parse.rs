//! Incremental parser of RESP requests and inline commands. Holds no bytes: it points into the caller's buffer.
//!
//! The caller appends what it received to a buffer and calls [`Parser::parse`]; whole commands come back as spans in a
//! [`Batch`], and the caller drops the `consumed` bytes in front once it has run them. A command that is not whole yet
//! stays in the buffer; the parser remembers how far it got, relative to the command's start, so the buffer may move
//! and nothing is scanned twice. How the bytes were cut into reads never changes what is parsed.
//!
//! A large argument that is still on its way stops the parser ([`Stop::Big`]): the caller collects it with a
//! [`BigCollector`](crate::resp::big::BigCollector) in a buffer of its own, which then is the value.
//!
//! Rules and error texts are Redis's (7.0 to 8.0): the two bytes behind a length or a string are skipped, whatever they
//! are; a NUL hides the end of an inline line. Valkey 9 additionally refuses anything but CRLF there.

use crate::base::limits::{
    ARGS_MAX, BIG_ARG_BYTES_MIN, BULK_BYTES_MAX, BYTES_PER_TURN, INLINE_BYTES_MAX, UNAUTHENTICATED_ARGS_MAX,
    UNAUTHENTICATED_BULK_BYTES_MAX,
};
use crate::base::{text, words};

/// One argument: where it stands in the buffer that was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// What a connection may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest argument, bytes (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// Most arguments of a command.
    pub args_max: i64,
    /// Longest line: an inline command or a length, bytes.
    pub inline_bytes_max: usize,
    /// Nobody has logged in where somebody must: small commands only, and one per call, as it may be AUTH.
    pub unauthenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bulk_bytes_max: BULK_BYTES_MAX,
            args_max: ARGS_MAX,
            inline_bytes_max: INLINE_BYTES_MAX,
            unauthenticated: false,
        }
    }
}

/// Where a command's spans point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Into the buffer that was parsed.
    Buffer,
    /// Into [`Batch::scratch`]: an inline command with quotes.
    Scratch,
    /// Into the buffer, but for the argument of this index, which is in the caller's collector (its span is empty).
    Big(u32),
}

/// One command of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandSpan {
    /// Index of its first span, the command's name.
    pub first: u32,
    /// How many spans; at least 1.
    pub count: u32,
    /// Bytes of the buffer it took, ignored empty commands before it included: the caller may stop after any command
    /// and drop the sum so far. A collected argument is not counted.
    pub bytes: u32,
    /// Where the spans point.
    pub source: Source,
}

/// Commands parsed from one buffer. One per core, reused.
#[derive(Debug, Default)]
pub struct Batch {
    /// Arguments of all commands.
    pub spans: Vec<Span>,
    /// The commands, in order.
    pub commands: Vec<CommandSpan>,
    /// Unquoted words of inline commands.
    pub scratch: Vec<u8>,
}

/// Spans and scratch bytes a batch keeps allocated between uses.
const BATCH_KEPT_MAX: usize = 16 * 1024;
/// Spans that a parser keeps allocated between torn commands.
const PARTIAL_KEPT_MAX: usize = 16;

impl Batch {
    /// Empties it.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.commands.clear();
        self.scratch.clear();
        self.spans.shrink_to(BATCH_KEPT_MAX);
        self.scratch.shrink_to(BATCH_KEPT_MAX);
    }

    /// Adds a command of the spans from `first` on, which took the bytes `from..to`.
    #[inline]
    fn push(&mut self, first: usize, from: usize, to: usize, source: Source) {
        let count = (self.spans.len() - first) as u32;
        self.commands.push(CommandSpan { first: first as u32, count, bytes: (to - from) as u32, source });
    }

    /// What the spans of `command` point into, and those spans; `buffer` is the one that was parsed.
    #[inline]
    pub fn args<'a>(&'a self, command: &CommandSpan, buffer: &'a [u8]) -> (&'a [u8], &'a [Span]) {
        let bytes = if command.source == Source::Scratch { &self.scratch[..] } else { buffer };
        (bytes, &self.spans[command.first as usize..][..command.count as usize])
    }
}

/// Why the parser stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Enough commands are in the batch; call again.
    Full,
    /// The rest is no whole command.
    NeedMore {
        /// Bytes that the argument under way still lacks, its line end included; 0 if not known.
        hint: usize,
    },
    /// The next argument is large and not wholly here. The caller gives the bytes from `payload` on to a collector and
    /// cuts the buffer there; when the collector is complete it calls [`Parser::big_done`] and goes on parsing the
    /// buffer with what follows appended. At most one argument of a command, its first large one, comes this way. A
    /// caller that rather appends everything to the buffer may: the argument is then like any other.
    Big {
        /// Which argument.
        index: u32,
        /// Its length in bytes.
        len: usize,
        /// Where in the buffer its bytes start.
        payload: usize,
    },
    /// The stream cannot be understood from here on. To be answered after the batch has run; then the connection
    /// closes.
    Error(ProtocolError),
}

/// What breaks a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum ProtocolError {
    #[error("ERR Protocol error: invalid multibulk length")]
    MultibulkLength,
    #[error("ERR Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    #[error("ERR Protocol error: too big mbulk count string")]
    MultibulkLineTooBig,
    #[error("ERR Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedDollar(u8),
    #[error("ERR Protocol error: invalid bulk length")]
    BulkLength,
    #[error("ERR Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    #[error("ERR Protocol error: too big bulk count string")]
    BulkLineTooBig,
    #[error("ERR Protocol error: too big inline request")]
    InlineTooBig,
    #[error("ERR Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
}

impl ProtocolError {
    /// The reply's text, without the `-`.
    pub fn text(self) -> Vec<u8> {
        match self {
            // The byte goes back as it came, which need not be UTF-8.
            ProtocolError::ExpectedDollar(byte) => {
                [&b"ERR Protocol error: expected '$', got '"[..], &[byte], b"'"].concat()
            }
            other => other.to_string().into_bytes(),
        }
    }
}

/// How far a command has been parsed; offsets count from the start of the buffer while parsing, from the start of the
/// command in between.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    /// Where parsing goes on; 0 if no array header has been read.
    at: usize,
    /// Bytes from `at` on that hold no line end.
    searched: usize,
    /// Arguments still to come.
    missing: u32,
    /// Length of the argument that starts at `at`, once its header has been read.
    bulk: Option<usize>,
    /// Index of the collected argument.
    big: Option<u32>,
}

/// Result of going on with one command.
enum Step {
    /// All of it is there; without arguments it is to be ignored.
    Whole(Source),
    More {
        hint: usize,
    },
    Big {
        len: usize,
    },
    Error(ProtocolError),
}

/// State of one connection's input. Small while no command is under way.
#[derive(Debug, Default)]
pub struct Parser {
    progress: Progress,
    /// Arguments of the command under way.
    partial: Vec<Span>,
}

impl Parser {
    /// Parses whole commands from the front of `buffer`, which begins where the last call's `consumed` ended (and ends
    /// where [`Stop::Big`] said to cut, plus what came since). Appends at most `commands_max` (at least 1) commands to
    /// `batch`, which may hold those of other buffers; answers how many bytes of `buffer` are done with, and why it
    /// stopped. Looks at 4 GiB at most, and begins no command behind the first [`BYTES_PER_TURN`].
    pub fn parse(&mut self, buffer: &[u8], limits: &Limits, batch: &mut Batch, commands_max: usize) -> (usize, Stop) {
        let begun = batch.commands.len();
        let buffer = &buffer[..buffer.len().min(u32::MAX as usize)];
        let commands_max = if limits.unauthenticated { 1 } else { commands_max.max(1) };
        let mut start = 0;
        if self.progress.at > 0 {
            let step = arguments(&mut self.progress, buffer, limits, &mut self.partial);
            let Step::Whole(source) = step else {
                return (0, self.stop(step, 0));
            };
            start = self.progress.at;
            let first = batch.spans.len();
            batch.spans.extend_from_slice(&self.partial);
            batch.push(first, 0, start, source);
            self.partial.clear();
            self.partial.shrink_to(PARTIAL_KEPT_MAX);
            self.progress = Progress::default();
        }
        let mut counted = start;
        let mut searched = std::mem::take(&mut self.progress.searched);
        let short_max = if limits.unauthenticated { UNAUTHENTICATED_ARGS_MAX } else { limits.args_max };
        while batch.commands.len() - begun < commands_max && start < BYTES_PER_TURN {
            let first = batch.spans.len();
            let mut progress = Progress { at: start, searched, ..Progress::default() };
            searched = 0;
            // Nearly all commands are wholly here, with few and short arguments.
            if let Some((count @ 1.., width)) = short_header(&buffer[start..], b'*')
                && count as i64 <= short_max
            {
                progress.searched = 0;
                (progress.at, progress.missing) =
                    short_arguments(buffer, start + width, count as u32, &mut batch.spans);
                if progress.missing == 0 {
                    batch.push(first, counted, progress.at, Source::Buffer);
                    start = progress.at;
                    counted = start;
                    continue;
                }
            }
            let source = match command(&mut progress, buffer, limits, batch) {
                Step::Whole(source) => source,
                step => {
                    self.suspend(progress, start, batch.spans.drain(first..));
                    return (start, self.stop(step, start));
                }
            };
            start = progress.at;
            if batch.spans.len() > first {
                batch.push(first, counted, start, source);
                counted = start;
            }
        }
        (start, Stop::Full)
    }

    /// Keeps a command that is not whole, which starts at `start` of the buffer, for the next call.
    #[cold]
    fn suspend(&mut self, progress: Progress, start: usize, spans: impl Iterator<Item = Span>) {
        self.progress = Progress { at: progress.at - start, ..progress };
        self.partial.clear();
        self.partial.extend(spans.map(|span| Span { start: span.start - start as u32, ..span }));
    }

    /// Why a command that starts at `start` of the buffer is not whole.
    #[cold]
    fn stop(&mut self, step: Step, start: usize) -> Stop {
        match step {
            Step::Whole(_) => unreachable!("a whole command is no reason to stop"),
            Step::More { hint } => Stop::NeedMore { hint },
            Step::Big { len } => {
                let index = self.partial.len() as u32;
                self.progress.big = Some(index);
                Stop::Big { index, len, payload: start + self.progress.at }
            }
            Step::Error(error) => {
                // Nothing is known about what follows; parsed again, the same bytes give the same error.
                *self = Parser::default();
                Stop::Error(error)
            }
        }
    }

    /// The argument that [`Stop::Big`] announced has been collected, its line end included.
    ///
    /// # Panics
    /// If no argument was announced.
    pub fn big_done(&mut self) {
        let progress = &mut self.progress;
        assert!(progress.big.is_some() && progress.bulk.take().is_some(), "no large argument was announced");
        progress.missing -= 1;
        self.partial.push(Span { start: progress.at as u32, len: 0 });
    }
}

/// Goes on with the command that `progress` is in, of any kind, or begins one at `progress.at`.
#[inline(never)]
fn command(progress: &mut Progress, buffer: &[u8], limits: &Limits, batch: &mut Batch) -> Step {
    if progress.missing > 0 {
        return arguments(progress, buffer, limits, &mut batch.spans);
    }
    match buffer.get(progress.at) {
        None => Step::More { hint: 0 },
        Some(b'*') => array(progress, buffer, limits, &mut batch.spans),
        Some(_) => inline(progress, buffer, limits, batch),
    }
}

/// Parses the command that starts at `progress.at` with a `*`.
fn array(progress: &mut Progress, buffer: &[u8], limits: &Limits, spans: &mut Vec<Span>) -> Step {
    let (count, width) = match long_header(progress, buffer, limits, ProtocolError::MultibulkLineTooBig) {
        Header::Value(count, width) => (count, width),
        Header::Invalid => return Step::Error(ProtocolError::MultibulkLength),
        Header::More => return Step::More { hint: 0 },
        Header::TooBig(error) => return Step::Error(error),
    };
    if count > limits.args_max {
        return Step::Error(ProtocolError::MultibulkLength);
    }
    if limits.unauthenticated && count > UNAUTHENTICATED_ARGS_MAX {
        return Step::Error(ProtocolError::UnauthenticatedMultibulkLength);
    }
    progress.at += width;
    progress.missing = count.max(0) as u32;
    arguments(progress, buffer, limits, spans)
}

/// Parses the arguments still missing.
fn arguments(progress: &mut Progress, buffer: &[u8], limits: &Limits, spans: &mut Vec<Span>) -> Step {
    loop {
        if progress.bulk.is_none() {
            let (at, missing) = short_arguments(buffer, progress.at, progress.missing, spans);
            if at > progress.at {
                (progress.at, progress.missing, progress.searched) = (at, missing, 0);
            }
        }
        if progress.missing == 0 {
            return Step::Whole(progress.big.map_or(Source::Buffer, Source::Big));
        }
        if let Some(step) = argument(progress, buffer, limits, spans) {
            return step;
        }
    }
}

/// Parses up to `missing` arguments from `at` on, as long as they are wholly there and shorter than 100 bytes; answers
/// where the next one starts, and how many are still missing.
#[inline]
fn short_arguments(buffer: &[u8], mut at: usize, mut missing: u32, spans: &mut Vec<Span>) -> (usize, u32) {
    while missing > 0 {
        let rest = &buffer[at..];
        let Some((len, width)) = short_header(rest, b'$') else { break };
        let whole = width + len + 2;
        if rest.len() < whole {
            break;
        }
        spans.push(Span { start: (at + width) as u32, len: len as u32 });
        at += whole;
        missing -= 1;
    }
    (at, missing)
}

/// Parses one argument, whatever its length and however much of it is there; answers why it could not.
fn argument(progress: &mut Progress, buffer: &[u8], limits: &Limits, spans: &mut Vec<Span>) -> Option<Step> {
    let len = match progress.bulk {
        Some(len) => len,
        None => match bulk_header(progress, buffer, limits) {
            Ok(len) => len,
            Err(step) => return Some(step),
        },
    };
    let here = buffer.len() - progress.at;
    if here >= 2 && here - 2 >= len {
        if progress.big == Some(spans.len() as u32) {
            progress.big = None; // announced, but the caller went on appending to the buffer
        }
        spans.push(Span { start: progress.at as u32, len: len as u32 });
        progress.bulk = None;
        progress.at += len + 2;
        progress.missing -= 1;
        return None;
    }
    progress.bulk = Some(len);
    // A command's second large argument, and any that its first is still collected for, waits in the buffer.
    let awaited = progress.big == Some(spans.len() as u32);
    if len >= BIG_ARG_BYTES_MIN && (progress.big.is_none() || awaited) {
        return Some(Step::Big { len });
    }
    Some(Step::More { hint: len.saturating_add(2) - here })
}

/// Reads the header of a string.
fn bulk_header(progress: &mut Progress, buffer: &[u8], limits: &Limits) -> Result<usize, Step> {
    let start = progress.at;
    let header = long_header(progress, buffer, limits, ProtocolError::BulkLineTooBig);
    match header {
        Header::More => return Err(Step::More { hint: 0 }),
        Header::TooBig(error) => return Err(Step::Error(error)),
        _ if buffer[start] != b'$' => return Err(Step::Error(ProtocolError::ExpectedDollar(buffer[start]))),
        _ => {}
    }
    let bulk_bytes_max = limits.bulk_bytes_max as u64;
    match header {
        Header::Value(len @ 0.., width) if len as u64 <= bulk_bytes_max => {
            if limits.unauthenticated && len as usize > UNAUTHENTICATED_BULK_BYTES_MAX {
                return Err(Step::Error(ProtocolError::UnauthenticatedBulkLength));
            }
            progress.at += width;
            Ok(len as usize)
        }
        _ => Err(Step::Error(ProtocolError::BulkLength)),
    }
}

/// Number of a header of one or two digits behind `marker`, and the header's width: nearly all there are.
#[inline]
fn short_header(rest: &[u8], marker: u8) -> Option<(usize, usize)> {
    let [mark, first, second, third, _] = *rest.first_chunk::<5>()?;
    let first = first.wrapping_sub(b'0');
    if mark != marker || first > 9 {
        return None;
    }
    if second == b'\r' {
        return Some((usize::from(first), 4));
    }
    let second = second.wrapping_sub(b'0');
    // A number of two digits does not begin with a 0.
    (second <= 9 && third == b'\r' && first > 0).then(|| (usize::from(first * 10 + second), 5))
}

/// What a header line says.
enum Header {
    /// Its number, and its width with the line end.
    Value(i64, usize),
    Invalid,
    More,
    TooBig(ProtocolError),
}

/// Reads any header at `progress.at`, with `too_big` for a line that does not end.
#[cold]
fn long_header(progress: &mut Progress, buffer: &[u8], limits: &Limits, too_big: ProtocolError) -> Header {
    let rest = &buffer[progress.at..];
    let within = &rest[..rest.len().min(limits.inline_bytes_max + 1)];
    let Some(end) = within[progress.searched..].iter().position(|&b| b == b'\r') else {
        progress.searched = within.len();
        return if within.len() > limits.inline_bytes_max { Header::TooBig(too_big) } else { Header::More };
    };
    let end = progress.searched + end;
    if rest.len() < end + 2 {
        progress.searched = end;
        return Header::More;
    }
    progress.searched = 0;
    match text::parse_i64(&rest[1.min(end)..end]) {
        Some(number) => Header::Value(number, end + 2),
        None => Header::Invalid,
    }
}

/// Parses the inline command at `progress.at`.
#[cold]
fn inline(progress: &mut Progress, buffer: &[u8], limits: &Limits, batch: &mut Batch) -> Step {
    let rest = &buffer[progress.at..];
    let within = &rest[..rest.len().min(limits.inline_bytes_max + 1)];
    // A NUL hides what follows it, as the end of a C string does.
    let end = within[progress.searched..].iter().position(|&b| b == b'\n' || b == 0).map(|i| progress.searched + i);
    let Some(end) = end.filter(|&end| rest[end] == b'\n') else {
        progress.searched = end.unwrap_or(within.len());
        let too_big = within.len() > limits.inline_bytes_max;
        return if too_big { Step::Error(ProtocolError::InlineTooBig) } else { Step::More { hint: 0 } };
    };
    let line = &rest[..end];
    let start = progress.at;
    progress.at += end + 1;
    if line.iter().any(|&b| b == b'"' || b == b'\'') {
        let Some(words) = words::split(line) else {
            return Step::Error(ProtocolError::UnbalancedQuotes);
        };
        for word in words {
            batch.spans.push(Span { start: batch.scratch.len() as u32, len: word.len() as u32 });
            batch.scratch.extend_from_slice(&word);
        }
        return Step::Whole(Source::Scratch);
    }
    let mut at = 0;
    while at < line.len() {
        // Vertical tabs and form feeds are blanks before a word only, as in Redis.
        if matches!(line[at], b' ' | b'\t'..=b'\r') {
            at += 1;
            continue;
        }
        let len = line[at..].iter().take_while(|b| !matches!(b, b' ' | b'\t' | b'\r')).count();
        batch.spans.push(Span { start: (start + at) as u32, len: len as u32 });
        at += len;
    }
    Step::Whole(Source::Buffer)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
