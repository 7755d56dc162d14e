//! Settings whose values are more than one word or have rules of their own. Texts of errors are Redis's.

use std::path::Path;

use crate::base::config::{ClientClass, OutputLimit, SavePoint};
use crate::base::text::{parse_i64, parse_memory};

use super::value::{Value, one_of};

/// `shutdown-on-sigint` and `-sigterm`; the first means none of the others.
pub const SHUTDOWN_OPTIONS: &[&str] = &["default", "save", "nosave", "now", "force"];

/// Client classes with their names in CONFIG GET and in a file.
pub const CLASSES: [(ClientClass, &str, &str); 3] = [
    (ClientClass::Normal, "normal", "normal"),
    (ClientClass::Replica, "slave", "replica"),
    (ClientClass::Pubsub, "pubsub", "pubsub"),
];

/// Most addresses in `bind`.
const ADDRESSES_MAX: usize = 16;
/// Most save points and percentiles; Redis sets no bound.
const LIST_MAX: usize = 64;
/// Letters of `notify-keyspace-events` that `A` stands for, in the order they are shown.
const EVENTS_ALL: &[u8] = b"g$lshzxetd";

pub(super) fn several(words: &[&[u8]], names: &'static [&'static str]) -> Result<Value, String> {
    let mut named = Vec::new();
    if words.is_empty() {
        one_of(b"", names)?;
    }
    for word in words {
        named.push(one_of(word, names)?);
    }
    if named.contains(&"save") && named.contains(&"nosave") {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    let mut kept: Vec<String> =
        names.iter().skip(1).filter(|name| named.contains(name)).map(|name| (*name).to_string()).collect();
    if kept.is_empty() {
        kept.push(names[0].to_string());
    }
    Ok(Value::Words(kept))
}

pub(super) fn addresses(words: &[&[u8]]) -> Result<Value, String> {
    if words.len() > ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".into());
    }
    let words: Vec<&[u8]> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    utf8(&words)
}

fn utf8(words: &[&[u8]]) -> Result<Value, String> {
    words
        .iter()
        .map(|word| String::from_utf8(word.to_vec()))
        .collect::<Result<_, _>>()
        .map(Value::Words)
        .map_err(|_| "argument must be valid UTF-8".into())
}

pub(super) fn save_points(words: &[&[u8]]) -> Result<Value, String> {
    let wrong = || "Invalid save parameters".to_string();
    if matches!(words, [] | [[]]) {
        return Ok(Value::SavePoints(Vec::new()));
    }
    if !words.len().is_multiple_of(2) || words.len() > 2 * LIST_MAX {
        return Err(wrong());
    }
    let number = |word: &[u8], min: i64| parse_i64(word).filter(|n| *n >= min).map(|n| n as u64).ok_or_else(wrong);
    words
        .chunks_exact(2)
        .map(|pair| Ok(SavePoint { seconds: number(pair[0], 1)?, changes: number(pair[1], 0)? }))
        .collect::<Result<_, _>>()
        .map(Value::SavePoints)
}

pub(super) fn output_limits(words: &[&[u8]], old: &Value) -> Result<Value, String> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut limits = old.limits();
    for group in words.chunks_exact(4) {
        let class = CLASSES
            .iter()
            .find(|(_, shown, filed)| [shown, filed].iter().any(|name| name.as_bytes().eq_ignore_ascii_case(group[0])))
            .ok_or("Invalid client class specified in buffer limit configuration.")?
            .0;
        let (hard, soft, seconds) = (parse_memory(group[1]), parse_memory(group[2]), parse_i64(group[3]));
        let (Some(hard), Some(soft), Some(seconds @ 0..)) = (hard, soft, seconds) else {
            return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
        };
        limits[class] = OutputLimit { hard, soft, soft_seconds: seconds as u64 };
    }
    Ok(Value::Limits(limits))
}

pub(super) fn percentiles(words: &[&[u8]]) -> Result<Value, String> {
    let wrong = "Invalid latency-tracking-info-percentiles parameters";
    if matches!(words, [[]]) {
        return Ok(Value::Percentiles(Vec::new()));
    }
    if words.len() > LIST_MAX {
        return Err(wrong.into());
    }
    let mut list = Vec::new();
    for word in words {
        let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
        let number = number.filter(|number| !number.is_nan()).ok_or(wrong)?;
        if !(0.0..=100.0).contains(&number) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
        }
        list.push(number);
    }
    Ok(Value::Percentiles(list))
}

/// Up to six decimals, without zeros at the end.
pub(super) fn percentile_text(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

pub(super) fn oom_scores(words: &[&[u8]]) -> Result<Value, String> {
    if words.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let valid = |word: &&[u8]| parse_i64(word).is_some_and(|n| (-2000..=2000).contains(&n));
    if !words.iter().all(valid) {
        return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into());
    }
    utf8(words)
}

/// `replicaof`: kept as its two words, none for a primary.
pub(super) fn primary(words: &[&[u8]]) -> Result<Value, String> {
    match words {
        [] | [[]] => Ok(Value::Words(Vec::new())),
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => Ok(Value::Words(Vec::new())),
        [_, port] if !parse_i64(port).is_some_and(|port| (0..=65535).contains(&port)) => {
            Err("Invalid master port".into())
        }
        [_, _] => utf8(words),
        _ => Err("wrong number of arguments".into()),
    }
}

pub(super) fn events(word: &[u8]) -> Result<Value, String> {
    let known = |letter: &u8| EVENTS_ALL.contains(letter) || b"AKEmn".contains(letter);
    if !word.iter().all(known) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into());
    }
    let has = |letter: &u8| word.contains(letter);
    let all = has(&b'A') || EVENTS_ALL.iter().all(has);
    // n is no part of A: Redis heeds it beside A but does not show it, and so forgets it when it rewrites its file
    let classes: &[u8] = if all { b"An" } else { b"g$lshzxetdn" };
    let shown =
        classes.iter().chain(b"KEm").copied().filter(|letter| (all && *letter == b'A') || word.contains(letter));
    Ok(Value::Bytes(shown.collect()))
}

pub(super) fn folder(word: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(word).map_err(|_| "argument must be valid UTF-8")?;
    let path = Path::new(text).canonicalize().map_err(|error| os_error(&error))?;
    if !path.is_dir() {
        return Err("Not a directory".into());
    }
    match path.to_str() {
        Some(path) => Ok(Value::Bytes(path.into())),
        None => Err("argument must be valid UTF-8".into()),
    }
}

/// The system's text, without Rust's "(os error 2)".
pub(super) fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

// ---- checks of texts ----

pub(super) fn any_text(_: &str) -> Result<(), &'static str> {
    Ok(())
}

pub(super) fn snapshot_name(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("dbfilename can't be empty"),
        _ if text.contains('/') => Err("dbfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

pub(super) fn aof_name(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("appendfilename can't be empty"),
        _ if text.contains('/') => Err("appendfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

pub(super) fn aof_folder(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("appenddirname can't be empty"),
        _ if text.contains('/') => Err("appenddirname can't be a path, just a dirname"),
        _ => Ok(()),
    }
}

pub(super) fn host_name(text: &str) -> Result<(), &'static str> {
    if text.len() >= 256 {
        return Err("Hostnames must be less than 256 characters");
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if text.bytes().all(fits) {
        return Ok(());
    }
    Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
}

/// Letters, digits, `-._/:` and a backquote, or beyond ASCII: what the cluster's node file can hold.
fn fits_node_file(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/:`".contains(&byte) || !byte.is_ascii())
}

pub(super) fn node_name(text: &str) -> Result<(), &'static str> {
    if fits_node_file(text) { Ok(()) } else { Err("Announced human node name contained invalid character") }
}

pub(super) fn node_address(text: &str) -> Result<(), &'static str> {
    if !fits_node_file(text) {
        return Err("cluster-announce-ip contains invalid character");
    }
    // An IPv6 address is shorter.
    if text.len() > 45 { Err("cluster-announce-ip is too long") } else { Ok(()) }
}

pub(super) fn ipv4(text: &str) -> Result<(), &'static str> {
    let valid = text.is_empty() || text.parse::<std::net::Ipv4Addr>().is_ok();
    if valid { Ok(()) } else { Err("Invalid IPv4 address") }
}

pub(super) fn ipv6(text: &str) -> Result<(), &'static str> {
    let valid = text.is_empty() || text.parse::<std::net::Ipv6Addr>().is_ok();
    if valid { Ok(()) } else { Err("Invalid IPv6 address") }
}

/// `{name}` must be one that Redis knows.
pub(super) fn title_template(text: &str) -> Result<(), &'static str> {
    const KNOWN: [&str; 7] = ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let wrong = "template format is invalid or contains unknown variables";
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or(wrong)?;
        if !KNOWN.contains(&&rest[open + 1..open + close]) {
            return Err(wrong);
        }
        rest = &rest[open + close + 1..];
    }
    if text.is_empty() { Err(wrong) } else { Ok(()) }
}
