//! Random calls of every command of the table: in the form that the row's syntax gives, then spoilt, or words without
//! any form. Which arguments a command understands is read off its row, so a new command needs no line here.
//! Never runs a command.
#![allow(dead_code)] // each test file uses a part

use crate::common::Random;
use pinion::commands::spec::{BeginSearch, CommandSpec, CommandTable, Group, flag};
use pinion::commands::syntax::{Argument, Kind, parse};
use std::collections::BTreeSet;

/// A call's words, the name first.
pub(crate) type Call = Vec<Vec<u8>>;

/// Keys that [`SETTING`] makes, of every type and encoding, then one that is never there at the start.
pub(crate) const KEYS: [&str; 16] = [
    "a",
    "counter",
    "b",
    "c",
    "{t}b",
    "d",
    "{t}c",
    "e",
    "key:3",
    "key:1",
    "key:2",
    "key:10",
    "{u}1",
    "12345",
    "foo{bar}{zap}",
    "x{t}",
];

/// What stands in the keyspace before random calls.
pub(crate) const SETTING: [&str; 18] = [
    "SET a hello",
    "SET counter 10",
    "RPUSH b 1 2 3 a b c",
    "SADD c 1 2 3",
    "SADD {t}b a b c member",
    "HSET d a 1 b 2 field text",
    "HSET {t}c a 1.5 b x c -1",
    "ZADD e 1 a 2 b 3 c",
    "ZADD key:3 0 a 0 b 0 c 0 member",
    "XADD key:1 1-1 a 1",
    "XADD key:1 2-0 b 2",
    "XGROUP CREATE key:1 g 0",
    "XREADGROUP GROUP g c1 COUNT 1 STREAMS key:1 >",
    "PFADD key:2 a b c",
    "GEOADD key:10 13.361389 38.115556 a 15.087269 37.502669 b",
    "RPUSH {u}1 5 4 3",
    "SETEX 12345 1000000 12345",
    "SETRANGE foo{bar}{zap} 300 x",
];

const MEMBERS: [&str; 14] = [
    "a",
    "b",
    "c",
    "1",
    "2",
    "3",
    "member",
    "field",
    "10",
    "hello",
    "",
    "c1",
    "g",
    "long member of a set that is not packed: ....................................",
];
const SMALL: [&str; 12] = ["0", "1", "2", "3", "4", "5", "-1", "-2", "-3", "10", "7", "100"];
/// Numbers at the edges of what is read as one. None between -2^63 and -10: a negative count asks for that many
/// members, with repeats.
const EDGES: [&str; 44] = [
    "0",
    "-0",
    "+1",
    "01",
    " 1",
    "1 ",
    "",
    "-",
    "+",
    "*",
    "$",
    ">",
    "(",
    "[",
    "(1",
    "[a",
    "-inf",
    "+inf",
    "inf",
    "nan",
    "-nan",
    "NaN",
    "1e400",
    "-1e400",
    "1e-400",
    "1.5",
    "1e3",
    "0x10",
    "0x1p4",
    "1,5",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "1.7976931348623157e308",
    "5e-324",
];
const IDS: [&str; 20] = [
    "0",
    "0-0",
    "0-1",
    "1-1",
    "2-0",
    "2",
    "3-*",
    "*",
    "$",
    ">",
    "+",
    "-",
    "(1-1",
    "(",
    "1-",
    "-1",
    "1-1-1",
    "18446744073709551615-18446744073709551615",
    "18446744073709551615",
    "18446744073709551616-0",
];
const BOUNDS: [&str; 16] =
    ["-", "+", "[a", "[b", "(a", "(c", "[", "(", "(1", "1", "2", "-inf", "+inf", "(inf", "0", "(-1"];

/// One command's row with its words.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// The row.
    pub(crate) spec: &'static CommandSpec,
    arguments: Vec<Argument>,
    /// Option words anywhere in its syntax.
    pub(crate) tokens: Vec<String>,
}

impl Form {
    fn new(spec: &'static CommandSpec) -> Form {
        let arguments = parse(spec.syntax).unwrap_or_else(|| panic!("{}: {}", spec.name, spec.syntax));
        let mut tokens = BTreeSet::new();
        arguments.iter().for_each(|argument| collect_tokens(argument, &mut tokens));
        for key in spec.key_specs {
            if let BeginSearch::Keyword { word, .. } = key.begin {
                tokens.insert(word.to_string());
            }
        }
        Form { spec, arguments, tokens: tokens.into_iter().filter(|token| !token.is_empty()).collect() }
    }

    /// Leaves out the options whose words are not among `known`.
    pub(crate) fn keep_words(&mut self, known: &BTreeSet<String>) {
        keep(&mut self.arguments, known);
        self.tokens.retain(|token| known.contains(token));
    }

    /// One random call.
    pub(crate) fn draw(&self, random: &mut Random) -> Call {
        let mut call: Call = self.spec.name.split('|').map(|word| word.as_bytes().to_vec()).collect();
        let head = call.len();
        if random.chance(15) {
            let most = if random.chance(80) { 6 } else { 20 };
            (0..random.below(most)).for_each(|_| call.push(self.any(random)));
            return call;
        }
        self.arguments.iter().for_each(|argument| self.draw_argument(argument, random, &mut call));
        while random.chance(25) {
            self.spoil(head, random, &mut call);
        }
        call
    }

    /// Whether it may wait, unless it is called in a transaction.
    pub(crate) fn waits(&self) -> bool {
        self.spec.has(flag::BLOCKING) || self.spec.name.starts_with("wait")
    }

    /// One word too many or too few, another in the place of one, two of them swapped.
    fn spoil(&self, head: usize, random: &mut Random, call: &mut Call) {
        let count = call.len() - head;
        let at = head + random.below(count.max(1));
        match random.below(6) {
            0 if count > 0 => drop(call.remove(at)),
            1 | 2 if count > 0 => call[at] = self.any(random),
            3 if count > 1 => call.swap(at, head),
            4 if count > 0 => call.insert(at, call[at].clone()),
            _ => call.insert(if count > 0 { at } else { head }, self.any(random)),
        }
    }

    /// A word of any kind.
    fn any(&self, random: &mut Random) -> Vec<u8> {
        match random.below(10) {
            0 | 1 => key(random),
            2 | 3 if !self.tokens.is_empty() => {
                let token = random.one(&self.tokens);
                in_some_case(random, token)
            }
            4 => random.one(&SMALL).as_bytes().to_vec(),
            5 => random.one(&MEMBERS).as_bytes().to_vec(),
            6 => random.one(&IDS).as_bytes().to_vec(),
            7 => odd_bytes(random),
            _ => random.one(&EDGES).as_bytes().to_vec(),
        }
    }

    fn draw_argument(&self, argument: &Argument, random: &mut Random, call: &mut Call) {
        if argument.optional && random.chance(60) {
            return;
        }
        let times = if argument.multiple { 1 + random.below(3) } else { 1 };
        for time in 0..times {
            if let Some(token) = argument.token.as_deref().filter(|_| time == 0 || argument.multiple_token) {
                call.push(in_some_case(random, token));
            }
            match &argument.kind {
                Kind::PureToken => {}
                Kind::OneOf(choices) => {
                    let choice = random.one(choices);
                    self.draw_argument(choice, random, call);
                }
                Kind::Block(parts) => parts.iter().for_each(|part| self.draw_argument(part, random, call)),
                _ if random.chance(8) => call.push(self.any(random)),
                kind => call.push(self.draw_word(kind, &argument.name, random)),
            }
        }
    }

    fn draw_word(&self, kind: &Kind, name: &str, random: &mut Random) -> Vec<u8> {
        let name_has = |part: &str| name.contains(part);
        let words: &[&str] = match kind {
            Kind::Key(_) => return key(random),
            Kind::Integer | Kind::Double | Kind::UnixTime if random.chance(30) => &EDGES,
            Kind::Double if self.spec.group == Group::Geo => &["13.4", "38.1", "15", "37.5", "200", "1000"],
            Kind::Integer if name_has("numkeys") => &["1", "2", "3"],
            Kind::Integer | Kind::Double => &SMALL,
            Kind::UnixTime => &["1", "4102444800", "4102444800000", "0", "-1"],
            Kind::Pattern => &["*", "a*", "?", "[a-c]", "[", "\\", "key:*", "", "*->a", "#"],
            _ if self.spec.group == Group::Stream && name_has("group") => &["g", "g", "g", "h"],
            _ if self.spec.group == Group::Stream && name_has("consumer") => &["c1", "c1", "c2"],
            _ if name_has("id") || self.spec.group == Group::Stream && (name_has("start") || name_has("end")) => &IDS,
            _ if self.spec.group == Group::SortedSet && (name_has("min") || name_has("max")) => &BOUNDS,
            _ if self.spec.group == Group::SortedSet && (name_has("start") || name_has("stop")) => &BOUNDS,
            _ if name_has("encoding") => &["u8", "i8", "u63", "i64", "u64", "u1", "x", "i65", "u0"],
            _ if random.chance(20) => return odd_bytes(random),
            _ => &MEMBERS,
        };
        random.one(words).as_bytes().to_vec()
    }
}

fn collect_tokens(argument: &Argument, tokens: &mut BTreeSet<String>) {
    tokens.extend(argument.token.clone());
    if let Kind::OneOf(inner) | Kind::Block(inner) = &argument.kind {
        inner.iter().for_each(|argument| collect_tokens(argument, tokens));
    }
}

fn keep(arguments: &mut Vec<Argument>, known: &BTreeSet<String>) {
    arguments.retain_mut(|argument| {
        if let Kind::OneOf(inner) | Kind::Block(inner) = &mut argument.kind {
            keep(inner, known);
            if inner.is_empty() {
                return false;
            }
        }
        argument.token.as_ref().is_none_or(|token| token.is_empty() || known.contains(token))
    });
}

fn key(random: &mut Random) -> Vec<u8> {
    random.one(&KEYS).as_bytes().to_vec()
}

fn in_some_case(random: &mut Random, word: &str) -> Vec<u8> {
    if random.chance(70) { word.as_bytes().to_vec() } else { word.to_ascii_lowercase().into_bytes() }
}

/// Words that are no text, or text that means something to someone: the protocol, C, a shell of formats.
fn odd_bytes(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => Vec::new(),
        1 => vec![0],
        2 => b"a\0b".to_vec(),
        3 => vec![0xff; 1 + random.below(40)],
        4 => b"\r\n".to_vec(),
        5 => b"*3\r\n$-1\r\n".to_vec(),
        6 => b"%s%n%d {} {0}".to_vec(),
        7 => vec![b'9'; 1 + random.below(400)],
        8 => vec![b'x'; 60 + random.below(200)],
        9 => vec![b'y'; 5000],
        10 => (0..random.below(30)).map(|_| random.next() as u8).collect(),
        _ => "\u{fc}\u{20ac}".as_bytes().to_vec(),
    }
}

/// The commands and subcommands of the table that are wanted.
pub(crate) fn forms(table: &CommandTable, wanted: impl Fn(&CommandSpec) -> bool) -> Vec<Form> {
    table.iter().filter(|(_, spec)| wanted(spec)).map(|(_, spec)| Form::new(spec)).collect()
}

/// The words of a line that has no quotes.
pub(crate) fn words(line: &str) -> Call {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}
