//! The arguments that random commands are made of: few enough to collide, odd enough to find edges.

use crate::common::Random;
use std::time::{SystemTime, UNIX_EPOCH};

/// Every key a case uses, for reading the final state back.
pub(crate) fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = ["a", "b", "c", "d", "e", "key:1", "key:2", "key:3", "key:10", "counter"]
        .iter()
        .chain(&["{t}a", "{t}b", "{t}c", "x{t}", "{u}1", "{u}2", "{}e", "{", "foo{bar}{zap}", "12345"])
        .map(|k| k.as_bytes().to_vec())
        .collect();
    keys.push(Vec::new());
    keys.push(b"bin\x00\xff\r\n$5".to_vec());
    keys.push(b"long-".repeat(60));
    keys
}

/// Draws arguments by the name of their pool.
#[derive(Debug)]
pub(crate) struct Pools {
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
    /// Unix time at the start of the case, seconds: absolute times are relative to it.
    now_s: i64,
}

const INTEGERS: [&str; 24] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "5",
    "7",
    "10",
    "-10",
    "100",
    "255",
    "-128",
    "4096",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "-9223372036854775807",
    "1000000000000",
    "42",
    "-42",
];

const NOT_INTEGERS: [&str; 14] = [
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "99999999999999999999",
    "1.5",
    "01",
    "+1",
    " 1",
    "1 ",
    "-0",
    "",
    "abc",
    "0x10",
    "1e3",
];

const FLOATS: [&str; 30] = [
    "0",
    "1",
    "-1",
    "0.1",
    "0.2",
    "-0.3",
    "1.5",
    "3.14159265358979",
    "1e3",
    "1e-3",
    "-1e10",
    "5.0e3",
    "1e17",
    "1e18",
    "123456789.123456789",
    "0.000001",
    "1e-10",
    "100.00",
    "10.50",
    "1e20",
    "-1e-7",
    "17179869184.5",
    "99999999999999999",
    "+2.5",
    "0x1p4",
    "2.",
    ".5",
    "1e300",
    "-0",
    "-0.0",
];

const NOT_FLOATS: [&str; 14] =
    ["inf", "-inf", "+inf", "nan", "NaN", "Infinity", "1e400", "-1e400", "abc", "", " 1.5", "1.5 ", "1,5", "1e"];

const STREAM_IDS: [&str; 17] = [
    "0",
    "0-0",
    "0-1",
    "5-*",
    "30-*",
    "18446744073709551615",
    "18446744073709551615-18446744073709551615",
    "18446744073709551616",
    "-1",
    "1-",
    "-",
    "+",
    "01-02",
    " 7",
    "1-2-3",
    "abc",
    "",
];

const JUNK: [&str; 30] = [
    "",
    "junk",
    "NX",
    "XX",
    "GET",
    "EX",
    "PX",
    "KEEPTTL",
    "0",
    "-1",
    "1",
    "1.5",
    "9223372036854775808",
    "abc",
    "*",
    "BYTE",
    "BIT",
    "GT",
    "LT",
    "DB",
    "REPLACE",
    "COUNT",
    "MATCH",
    "TYPE",
    "WITHMATCHLEN",
    "LEN",
    "IDX",
    "ASYNC",
    "with space",
    "\n",
];

impl Pools {
    /// Pools whose absolute times start now.
    pub(crate) fn new() -> Pools {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
        Pools { keys: keys(), values: values(), now_s }
    }

    /// One argument of pool `name`.
    pub(crate) fn draw(&self, name: &str, random: &mut Random) -> Vec<u8> {
        match name {
            // Half of the draws go to a few keys, so that commands meet each other's values.
            "key" if random.chance(50) => random.one(&self.keys[..6]).clone(),
            "key" => random.one(&self.keys).clone(),
            "value" if random.chance(35) => integer(random),
            "value" if random.chance(15) => word(random, &FLOATS),
            "value" => random.one(&self.values).clone(),
            "int" if random.chance(88) => integer(random),
            "int" => word(random, &NOT_INTEGERS),
            "float" if random.chance(88) => word(random, &FLOATS),
            "float" => word(random, &NOT_FLOATS),
            "junk" => word(random, &JUNK),
            "numkeys" => word(random, &["0", "1", "2", "3", "-1", "abc", "9223372036854775807"]),
            "index" => self.index(random),
            "offset" => mostly(random, 200, &["-1", "536870912", "9223372036854775807", "abc", "-0", "5000"]),
            "bitoffset" => mostly(random, 400, &["-1", "4294967296", "9223372036854775807", "abc", "30000", "1.5"]),
            "bit" => mostly(random, 2, &["2", "-1", "abc", "01", ""]),
            "count" => mostly(random, 50, &["0", "-1", "abc", "9223372036854775807", "1000"]),
            "db" => mostly(random, 4, &["15", "16", "-1", "abc", "9223372036854775808"]),
            "ttl" => self.relative(random, 1),
            "pttl" => self.relative(random, 1000),
            "at" => self.absolute(random, 1),
            "sid" if random.chance(85) => format!("{}-{}", random.below(40), random.below(4)).into_bytes(),
            "sid" if random.chance(60) => (1000 + random.below(40)).to_string().into_bytes(),
            "sid" => word(random, &STREAM_IDS),
            "sbound" if random.chance(30) => word(random, &["-", "+", "-", "+", "(-", "(+", "("]),
            "sbound" if random.chance(20) => [b"(".to_vec(), self.draw("sid", random)].concat(),
            "sbound" => self.draw("sid", random),
            "limit" => mostly(random, 12, &["-1", "abc", "9223372036854775807", "1-1", "100"]),
            "pat" => self.absolute(random, 1000),
            "zscore" if random.chance(70) => (random.below(12) as i64 - 4).to_string().into_bytes(),
            "zscore" if random.chance(20) => word(random, &["inf", "-inf", "+inf", "0", "-0", "1e-5"]),
            "zscore" => self.draw("float", random),
            "zbound" if random.chance(25) => [b"(".to_vec(), self.draw("zscore", random)].concat(),
            "zbound" if random.chance(20) => word(random, &["-inf", "+inf", "(inf", "", "(", "abc", "1e400"]),
            "zbound" => self.draw("zscore", random),
            "lexbound" if random.chance(25) => word(random, &["-", "+", "-", "+", "a", "", "--"]),
            "lexbound" => [random.one(&["[", "("]).as_bytes(), &self.draw("zmember", random)].concat(),
            "longitude" if random.chance(95) => {
                format!("{:.3}", random.below(360_000) as f64 / 1e3 - 180.0).into_bytes()
            }
            "latitude" if random.chance(95) => format!("{:.3}", random.below(170_000) as f64 / 1e3 - 85.0).into_bytes(),
            "longitude" | "latitude" => word(random, &["180", "-180", "181", "85.05112878", "-86", "abc", "0"]),
            "radius" => mostly(random, 9000, &["0", "-1", "abc", "20000", "0.5", "1e9"]),
            "component" if random.chance(95) => format!("{:.3}", random.below(2000) as f64 / 1e3 - 1.0).into_bytes(),
            "component" => word(random, &["0", "nan", "abc", "1e400", "1e-5"]),
            other => self.draw_word(other, random),
        }
    }

    /// Pools that are lists of words.
    fn draw_word(&self, name: &str, random: &mut Random) -> Vec<u8> {
        let words: &[&str] = match name {
            "pattern" => &[
                "*", "a*", "?", "key:?", "key:*", "[a-c]", "[^a]", "{t}*", "*t*", "", "\\*", "a\\", "[", "[a", "**b",
                "k*1*", "[c-a]", "\\{*", "*\r\n*", "nothing",
            ],
            "type" => &["string", "STRING", "list", "hash", "set", "zset", "stream", "nothing"],
            "bftype" => &[
                "u1", "i1", "u5", "i5", "u8", "i8", "u16", "i16", "u31", "i32", "u63", "i64", "u33", "i63", "u64",
                "i65", "u0", "x8", "u", "8", "u-1", "U8",
            ],
            "bfoff" => &[
                "0",
                "1",
                "3",
                "7",
                "8",
                "13",
                "64",
                "100",
                "#0",
                "#1",
                "#2",
                "#7",
                "#30",
                "-1",
                "#-1",
                "abc",
                "#",
                "4294967296",
                "9223372036854775807",
                "#9223372036854775807",
            ],
            "sortkey" => &["numbers", "{t}numbers", "words"],
            "sortpattern" => &["key:*", "*", "key:*->a", "{t}*", "c->*", "*->field", "nothing:*"],
            "channel" => &["a", "b", "news", "news.1", "", "{t}a", "__keyspace@0__:a", "__keyevent@0__:set"],
            "chpattern" => &["*", "n*", "news.?", "__key*", "__keyspace@0__:?", "__keyevent@*__:*", "a", "[ab]", ""],
            "chprefix" => &["a", "key:", "", "k", "b", "{t}"],
            "group" => &["g", "g", "g", "h", "", "with space"],
            "consumer" => &["ann", "bob", "c", "", "ann bob"],
            "zmember" => &["a", "b", "c", "d", "1", "2", "10", "-5", "", "a\u{1}", "longer member"],
            "element" => &["a", "b", "c", "1", "", "with space"],
            "json" => &[
                r#"{"a":1,"b":true,"s":"x"}"#,
                r#"{"a":2, "s":"y"}"#,
                r#"{"a":5,"b":false,"s":"z","l":[1,"x"]}"#,
                r#"{"a":null,"b":1}"#,
                "junk",
            ],
            "filter" => &[
                ".a > 1",
                ".a == 1 and .b",
                "not .b",
                ".s in [\"x\", 'y']",
                "'x' == .s",
                ".a +",
                "((",
                ".missing",
                ".a * 2 >= 4 || .b",
                "1 in .l",
                ".a # 1",
                "-1 + .a ** 2 > 2",
                "",
            ],
            "unit" => &["m", "km", "km", "KM", "ft", "mi", "mi", "xx"],
            "field" => &["a", "b", "1", "field", "", "temperature"],
            "name" => &["me", "you", "", "with space", "new\nline", "naïve", "a-b_c.d"],
            "proto" => &["2", "3", "3", "2", "1", "4", "abc", "-1", ""],
            "onoff" => &["on", "off", "ON", "OFF", "maybe"],
            "setting" => &[
                "maxmemory-policy",
                "hz",
                "timeout",
                "databases",
                "slowlog-max-len",
                "no-such-setting",
                "proto-max-bulk-len",
                "list-*",
                "tcp-keepalive",
                "maxclients",
                "set-max-intset-entries",
                "appendonly",
                "",
            ],
            "unknown" => {
                &["NOSUCH", "get1", "", "GET\r\n", "\u{e9}t\u{e9}", "a-command-with-a-very-long-name-that-ends-never"]
            }
            "event" => &["command", "fork", "nothing"],
            "clientid" => &["0", "-1", "abc", "999999999", ""],
            "clientaddr" => &["127.0.0.1:1", "nobody", "[::1]:1"],
            other => panic!("no pool is called {other:?}"),
        };
        word(random, words)
    }

    fn index(&self, random: &mut Random) -> Vec<u8> {
        match random.below(10) {
            0..8 => (random.below(40) as i64 - 20).to_string().into_bytes(),
            8 => integer(random),
            _ => word(random, &NOT_INTEGERS),
        }
    }

    /// Relative expiry in units of 1/`unit` s: far enough away that it does not pass during a case, or not valid.
    fn relative(&self, random: &mut Random, unit: i64) -> Vec<u8> {
        match random.below(10) {
            // Never the same time twice: whether NX, GT or LT holds would depend on the millisecond.
            0..7 => ((100 + random.below(10_000_000) as i64) * unit).to_string().into_bytes(),
            7 => word(random, &["0", "-1", "-100000", "-9223372036854775808"]),
            8 => word(random, &["9223372036854775807", "9223372036854776", "200000000000"]),
            _ => word(random, &NOT_INTEGERS),
        }
    }

    /// Absolute expiry in units of 1/`unit` s.
    fn absolute(&self, random: &mut Random, unit: i64) -> Vec<u8> {
        match random.below(10) {
            0..7 => ((self.now_s + 500 + random.below(10_000_000) as i64) * unit).to_string().into_bytes(),
            7 => word(random, &["0", "1", "-1", "1000000000"]),
            8 => word(random, &["9223372036854775807", "9223372036854776000", "-9223372036854775808"]),
            _ => word(random, &NOT_INTEGERS),
        }
    }
}

fn word(random: &mut Random, words: &[&str]) -> Vec<u8> {
    words[random.below(words.len())].as_bytes().to_vec()
}

fn integer(random: &mut Random) -> Vec<u8> {
    word(random, &INTEGERS)
}

/// A number below `bound`, or now and then one of `odd`.
fn mostly(random: &mut Random, bound: usize, odd: &[&str]) -> Vec<u8> {
    if random.chance(85) { random.below(bound).to_string().into_bytes() } else { word(random, odd) }
}

/// Values around every size at which an encoding or a way of copying changes.
fn values() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = ["", "x", "hello", "Hello World", "ohmytext", "mynewtext", "foobar", "OK", "-ERR"]
        .iter()
        .chain(&["12345678901234567890", "0123456789", "foo\r\nbar", "gr\u{fc}n", "*1\r\n$4\r\nPING\r\n"])
        .map(|v| v.as_bytes().to_vec())
        .collect();
    values.extend(NOT_INTEGERS.iter().chain(&NOT_FLOATS).map(|v| v.as_bytes().to_vec()));
    values.push(vec![0]);
    values.push(vec![0xff; 3]);
    values.push((0..=255).collect());
    for length in [7, 8, 12, 15, 16, 23, 31, 43, 44, 45, 63, 64, 65, 127, 128, 250, 1000, 4096] {
        values.push((0..length).map(|i| b'a' + (i % 23) as u8).collect());
    }
    values.push(b"0123456789abcdef".repeat(1024));
    values.push(b"fedcba9876543210".repeat(2048));
    values.push(b"big value ".repeat(4001));
    values
}
