//! When two replies count as equal. Exactly, but for the listed commands, each with its reason.

use crate::common::{Setup, Value};
use crate::peers;

/// The server that replies are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oracle {
    /// Debian's redis-server.
    Redis70,
    /// redis-server of the folder with newer servers.
    Redis80,
    /// valkey-server of the folder with newer servers.
    Valkey91,
}

impl Oracle {
    /// Which one a setup starts.
    pub(crate) fn of(setup: &Setup) -> Oracle {
        let ends = |name: &str| setup.program.last().is_some_and(|word| word.ends_with(name));
        match () {
            () if ends("valkey-server") => Oracle::Valkey91,
            () if setup.program.len() > 1 => Oracle::Redis80,
            () => Oracle::Redis70,
        }
    }
}

/// How the replies of one command are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// Equal after sorting the elements.
    Sorted,
    /// As `Sorted`, with numbers as in `Numbers`.
    SortedNumbers,
    /// Both null, or both a string.
    SameKind,
    /// Both errors with the same text, or both no errors.
    BothAnswer,
    /// Integers that differ by this much at most; negative ones (-1, -2) exactly.
    Within(i64),
    /// Equal but for how numbers are written: Redis 7.2 began to write the shortest text of a double.
    Numbers,
    /// Maps that agree in all fields but those named here.
    MapBut(&'static [&'static str]),
}

/// Command (with its subcommand where that matters), how, and why.
const RULES: &[(&str, How, &str)] = &[
    ("KEYS", How::Sorted, "the order of keys follows a hash that differs from server to server"),
    ("RANDOMKEY", How::SameKind, "random"),
    ("TIME", How::BothAnswer, "the two servers are asked one after the other"),
    ("LOLWUT", How::BothAnswer, "art, with the server's version"),
    ("INFO", How::BothAnswer, "counters and versions"),
    ("TTL", How::Within(3), "the clock runs between the two servers"),
    ("PTTL", How::Within(3000), "the clock runs between the two servers"),
    ("EXPIRETIME", How::Within(3), "relative expiry starts from each server's own clock"),
    ("PEXPIRETIME", How::Within(3000), "relative expiry starts from each server's own clock"),
    ("HTTL", How::Within(3), "the clock runs between the two servers"),
    ("HPTTL", How::Within(3000), "the clock runs between the two servers"),
    ("HEXPIRETIME", How::Within(3), "relative expiry starts from each server's own clock"),
    ("HPEXPIRETIME", How::Within(3000), "relative expiry starts from each server's own clock"),
    ("HGETALL", How::Sorted, "the order of a hash table's fields follows each server's hash"),
    ("HKEYS", How::Sorted, "the order of a hash table's fields follows each server's hash"),
    ("HVALS", How::Sorted, "the order of a hash table's fields follows each server's hash"),
    ("HSCAN", How::BothAnswer, "so does the order in which a scan goes through them"),
    ("SMEMBERS", How::Sorted, "the order of a set's members follows each server's hash"),
    ("SINTER", How::Sorted, "the order of a set's members follows each server's hash"),
    ("SUNION", How::Sorted, "the order of a set's members follows each server's hash"),
    ("SDIFF", How::Sorted, "the order of a set's members follows each server's hash"),
    ("SSCAN", How::BothAnswer, "so does the order in which a scan goes through them"),
    ("SRANDMEMBER", How::BothAnswer, "random"),
    ("HRANDFIELD", How::SameKind, "random"),
    ("ZADD", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("VEMB", How::Numbers, "where two shortest forms of a number are equally near, Redis writes one and we the other"),
    ("ZINCRBY", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZSCORE", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZMSCORE", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZRANGE", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZREVRANGE", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZRANGEBYSCORE", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZREVRANGEBYSCORE", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZPOPMIN", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZPOPMAX", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZMPOP", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZUNION", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZINTER", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZDIFF", How::Numbers, "Redis 7.2 writes scores in their shortest form"),
    ("ZSCAN", How::BothAnswer, "the order of members follows each server's hash"),
    ("ZRANDMEMBER", How::SameKind, "random"),
    ("VSIM", How::SortedNumbers, "of elements that are equally near either may come first; Redis adds digits at times"),
    ("VLINKS", How::BothAnswer, "graphs are drawn by dice"),
    ("VRANDMEMBER", How::BothAnswer, "random"),
    ("VINFO", How::BothAnswer, "graphs are drawn by dice"),
    ("OBJECT IDLETIME", How::SameKind, "Redis shares small integers, and with them the time of their last use"),
    ("OBJECT REFCOUNT", How::SameKind, "Redis shares small integers; Pinion shares no object"),
    ("OBJECT HELP", How::BothAnswer, "help is our own text"),
    ("MEMORY USAGE", How::SameKind, "the layout of memory is what differs"),
    ("MEMORY HELP", How::BothAnswer, "help is our own text"),
    ("MEMORY DOCTOR", How::BothAnswer, "advice is our own text"),
    ("MEMORY PURGE", How::BothAnswer, "says whether the allocator can"),
    ("CLIENT ID", How::SameKind, "counts connections since the start"),
    ("CLIENT INFO", How::SameKind, "addresses, ages and ids"),
    ("CLIENT LIST", How::BothAnswer, "addresses, ages and ids"),
    ("CLIENT HELP", How::BothAnswer, "help is our own text"),
    ("CONFIG HELP", How::BothAnswer, "help is our own text"),
    ("CONFIG GET", How::Sorted, "the order of settings is that of a hash in Redis"),
    ("COMMAND ", How::BothAnswer, "the sets of commands differ"), // without a subcommand
    ("COMMAND INFO", How::BothAnswer, "compared with the documented tables elsewhere"),
    ("COMMAND DOCS", How::BothAnswer, "documentation is our own text"),
    ("COMMAND HELP", How::BothAnswer, "help is our own text"),
    ("COMMAND COUNT", How::BothAnswer, "the sets of commands differ"),
    ("COMMAND LIST", How::BothAnswer, "the sets of commands differ"),
    ("SLOWLOG HELP", How::BothAnswer, "help is our own text"),
    ("SLOWLOG LEN", How::SameKind, "whether a command was slow depends on the machine"),
    ("SLOWLOG GET", How::BothAnswer, "whether a command was slow depends on the machine"),
    ("COMMANDLOG LEN", How::SameKind, "whether a command was slow depends on the machine"),
    ("COMMANDLOG GET", How::BothAnswer, "whether a command was slow depends on the machine"),
    ("LATENCY HELP", How::BothAnswer, "help is our own text"),
    ("LATENCY DOCTOR", How::BothAnswer, "advice is our own text"),
    ("MEMORY STATS", How::BothAnswer, "the layout of memory is what differs"),
    ("MEMORY MALLOC-STATS", How::BothAnswer, "the allocator's own text"),
    ("PUBSUB HELP", How::BothAnswer, "help is our own text"),
    ("XGROUP HELP", How::BothAnswer, "help is our own text"),
    ("XINFO HELP", How::BothAnswer, "help is our own text"),
    ("CLIENT TRACKINGINFO", How::BothAnswer, "flags of a connection come in an order of their own"),
    ("XPENDING", How::BothAnswer, "idle times follow the clock"),
    ("XINFO STREAM", How::MapBut(&["groups"]), "with FULL they have times of the clock"),
    ("XINFO CONSUMERS", How::BothAnswer, "idle times follow the clock"),
    ("DUMP", How::SameKind, "each server packs its own way; that the other reads it is tested elsewhere"),
    ("LASTSAVE", How::SameKind, "the start of each server"),
    ("LATENCY LATEST", How::BothAnswer, "whether a command was slow depends on the machine"),
    ("LATENCY RESET", How::SameKind, "whether a command was slow depends on the machine"),
    ("LATENCY HISTORY", How::BothAnswer, "whether a command was slow depends on the machine"),
    ("LATENCY HISTOGRAM", How::BothAnswer, "durations"),
    ("HELLO", How::MapBut(&["id", "version", "server", "modules"]), "who answers is what differs"),
];

/// Exceptions: the command, what the other server answers, what we may answer, and why. Replies are written as in a
/// failure's report; a `*` at the end stands for anything.
pub(crate) type Exceptions = &'static [(&'static str, &'static str, &'static str, &'static str)];

/// Replies that may differ from those of Redis 7.0, because newer servers answer so too, or for a limit of ours.
const NEWER: Exceptions = &[
    ("TTL", ":922*", ":279*", "Pinion's expiry times end in the year 10889"),
    ("PTTL", ":922*", ":279*", "Pinion's expiry times end in the year 10889"),
    ("EXPIRETIME", ":922*", ":281474976711", "Pinion's expiry times end in the year 10889"),
    ("PEXPIRETIME", ":922*", ":281474976710655", "Pinion's expiry times end in the year 10889"),
    ("BITCOUNT", ":0", "-ERR *", "Redis 8 and Valkey 9 look at the arguments before the key"),
    ("BITCOUNT", "-ERR *", "-ERR *", "Valkey 9 looks at the unit first"),
    ("BITCOUNT", "-ERR syntax error", ":*", "Valkey 9 takes a start without an end"),
    ("BITCOUNT", "-WRONGTYPE *", "-ERR *", "Redis 8 and Valkey 9 look at the arguments before the key"),
    ("BITPOS", "-WRONGTYPE *", "-ERR *", "Redis 8 and Valkey 9 look at the arguments before the key"),
    ("BITPOS", ":*", "-ERR *", "Redis 8 and Valkey 9 look at the arguments before the key"),
    ("SCAN", "-ERR syntax error", "-ERR invalid cursor", "Redis 8 looks at the cursor first"),
    ("SCAN", "*", "-ERR invalid cursor", "Redis 8 takes no negative cursor"),
    ("HSCAN", "*", "-ERR invalid cursor", "Redis 8 takes no negative cursor"),
    ("SSCAN", "*", "-ERR invalid cursor", "Redis 8 takes no negative cursor"),
    ("ZSCAN", "*", "-ERR invalid cursor", "Redis 8 takes no negative cursor"),
    ("SCAN", "[]", "-ERR unknown type name *", "Valkey 9 knows which types there are"),
    ("SCAN", "-ERR syntax error", "-ERR unknown type name *", "Valkey 9 knows which types there are"),
    ("CLIENT LIST", "-ERR Invalid client ID", "-ERR *", "Valkey 9 says what is wrong with an id"),
    ("CLIENT LIST", "-ERR syntax error", "*", "Valkey 9 takes several filters"),
    ("CLIENT LIST", "-ERR Unknown client type *", "-ERR Unknown client type *", "what is no text is shown as such"),
    ("CLIENT KILL", "-ERR Unknown client type *", "-ERR Unknown client type *", "so it does here"),
    ("XREAD", "*", "-ERR timeout is out of range", "Redis 8 refuses a time that wraps around"),
    ("XREADGROUP", "*", "-ERR timeout is out of range", "so it does here"),
    ("LATENCY GRAPH", "-ERR No samples *", "-ERR No samples *", "Redis prints the name up to a zero byte"),
    ("SCAN", "-ERR invalid cursor", "*", "Redis 8 takes a cursor with a blank in front"),
    ("HSCAN", "-ERR invalid cursor", "*", "so it does here"),
    ("SSCAN", "-ERR invalid cursor", "*", "so it does here"),
    ("ZSCAN", "-ERR invalid cursor", "*", "so it does here"),
    ("CLIENT LIST", "*", "-ERR client-id should be greater than 0", "Valkey 9 refuses the id 0"),
    ("CLIENT LIST", "-ERR syntax error", "-ERR Unknown client type *", "Valkey 9 reads filters one after the other"),
    ("CLIENT KILL", "-ERR syntax error", "-ERR *", "Valkey 9 has more filters"),
    ("CLIENT KILL", "-ERR *", "-ERR syntax error", "Valkey 9 reads filters one after the other"),
    ("GETEX", "(null*", "-ERR *", "Valkey 9 looks at the expiry before the key"),
    ("LOLWUT", "*", "-ERR *", "Valkey 9 draws other art, with other arguments"),
    ("XREAD", "-ERR Unbalanced XREAD *", "-ERR Unbalanced \\'xread\\' *", "Redis 8 names the command as it is"),
    ("XREADGROUP", "-ERR Unbalanced XREAD *", "-ERR Unbalanced \\'xreadgroup\\' *", "Redis 8 names the command"),
    ("XREAD", "-ERR Invalid stream ID *", "*", "Redis 8 takes `+` for the last entry"),
    ("XREADGROUP", "-ERR Invalid stream ID *", "-ERR The + ID *", "Redis 8 explains `+`"),
    ("OBJECT ENCODING", "\"hashtable\"", "\"listpack\"", "Redis 7.2 keeps small sets as listpacks"),
    ("OBJECT ENCODING", "\"quicklist\"", "\"listpack\"", "Redis 7.2 keeps small lists as listpacks"),
    (
        "SORT",
        "-ERR One or more scores *",
        "*",
        "Redis 7.0 takes a number out of range of an earlier command for its own",
    ),
    ("SORT_RO", "-ERR One or more scores *", "*", "so it does here"),
    ("LPOS", "*", "-ERR value is out of range, value must between *", "Redis 7.2 refuses the smallest rank"),
    ("LREM", "*", "-ERR value is out of range, value must between *", "Redis 8 refuses the smallest count"),
    ("ZSCAN", "-ERR syntax error", "*", "Valkey 8.1 takes NOSCORES"),
    ("GEOSEARCH", "-ERR exactly one of BYRADIUS and BYBOX *", "-ERR exactly one of *", "Valkey 9 knows polygons"),
    ("GEOSEARCHSTORE", "-ERR exactly one of BYRADIUS and BYBOX *", "-ERR exactly one of *", "so it does here"),
    ("HELLO", "-ERR Syntax error *", "-ERR Syntax error *", "Redis prints the option up to a zero byte"),
    ("HELLO", "-WRONGPASS *", "-ERR Client names cannot *", "Redis 8 looks at the name before the password"),
];

/// Settings whose value may differ.
const SETTINGS: &[&str] = &[];

/// Says why the replies differ; `None` if they count as equal.
pub(crate) fn difference(oracle: Oracle, args: &[Vec<u8>], theirs: &Value, ours: &Value) -> Option<String> {
    let excused = || match oracle {
        Oracle::Redis70 => listed(NEWER, args, theirs, ours),
        Oracle::Redis80 => listed(peers::REDIS, args, theirs, ours),
        Oracle::Valkey91 => listed(peers::VALKEY, args, theirs, ours),
    };
    // Redis 7.0 lets a timeout beyond 2^63 wrap around
    let wraps = |value: &Value| value.is_error() && value.text().ends_with("ERR timeout is negative");
    let newer = |value: &Value| value.is_error() && value.text().ends_with("ERR timeout is out of range");
    let wrapped = oracle == Oracle::Redis70 && wraps(theirs) && newer(ours);
    if theirs == ours || wrapped || excused() {
        return None;
    }
    if theirs.is_error() || ours.is_error() {
        return Some("an error on one side, or another error".into());
    }
    let rule = rule(args);
    let equal = match rule {
        None => false,
        Some(How::Sorted) => sorted(args, theirs) == sorted(args, ours),
        Some(How::SortedNumbers) => sorted_numbers(theirs) == sorted_numbers(ours),
        Some(How::SameKind) => std::mem::discriminant(theirs) == std::mem::discriminant(ours),
        Some(How::BothAnswer) => true,
        Some(How::Numbers) => numbers(theirs) == numbers(ours),
        Some(How::Within(most)) => within(most, theirs, ours),
        Some(How::MapBut(fields)) => without(theirs, fields) == without(ours, fields),
    };
    if equal { None } else { Some(rule.map_or("not equal".into(), |rule| format!("not equal by the rule {rule:?}"))) }
}

/// The reply with every number in one form.
pub(crate) fn numbers(value: &Value) -> String {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<f64>().ok());
    // a zero has its sign in a reply, but not in a listpack
    let number = |bytes: &[u8]| number(bytes).map(|number| number + 0.0);
    match value {
        Value::Bulk(bytes) | Value::Double(bytes) if number(bytes).is_some() => format!("{:?}", number(bytes)),
        Value::Array(items) => format!("[{}]", items.iter().map(numbers).collect::<Vec<_>>().join(" ")),
        other => format!("{other:?}"),
    }
}

/// Integers, or lists of them, that are close.
fn within(most: i64, theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Int(a), Value::Int(b)) => {
            // Ours ends in the year 10889: 48 bits of milliseconds.
            let far = 270_000_000_000 * most / 3;
            a == b || *a >= 0 && *b >= 0 && ((a - b).abs() <= most || (*a > far && *b > far))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| within(most, a, b)),
        _ => false,
    }
}

/// The command's name, and the name with the first argument: a subcommand, if there are such.
fn names(args: &[Vec<u8>]) -> [String; 2] {
    let name = String::from_utf8_lossy(&args[0]).to_uppercase();
    let both = format!("{name} {}", String::from_utf8_lossy(args.get(1).map_or(b"", |a| a)).to_uppercase());
    [name, both]
}

fn rule(args: &[Vec<u8>]) -> Option<How> {
    let names = names(args);
    RULES.iter().find(|(command, ..)| names.iter().any(|n| n == command)).map(|(_, how, _)| *how)
}

fn listed(exceptions: Exceptions, args: &[Vec<u8>], theirs: &Value, ours: &Value) -> bool {
    let names = names(args);
    let matches = |pattern: &str, value: &Value| {
        let text = format!("{value:?}");
        pattern.strip_suffix('*').map_or(text == pattern, |prefix| text.starts_with(prefix))
    };
    let known = |(command, a, b, _): &&(&str, &str, &str, &str)| {
        names.iter().any(|n| n == command) && matches(a, theirs) && matches(b, ours)
    };
    exceptions.iter().find(known).is_some()
}

/// The elements in an order of their own; of CONFIG GET, the pairs without the values that may differ.
fn sorted(args: &[Vec<u8>], value: &Value) -> Vec<String> {
    let is_config = args[0].eq_ignore_ascii_case(b"CONFIG");
    let mut elements: Vec<String> = match value {
        Value::Map(pairs) => pairs.iter().map(|(k, v)| setting(k, v)).collect(),
        Value::Array(items) if is_config => items.chunks(2).map(|pair| setting(&pair[0], &pair[1])).collect(),
        Value::Array(items) | Value::Set(items) => items.iter().map(|v| format!("{v:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    elements.sort();
    elements
}

/// The elements, numbers in one form, in an order of their own.
fn sorted_numbers(value: &Value) -> Vec<String> {
    let mut elements: Vec<String> = match value {
        Value::Map(pairs) => pairs.iter().map(|(k, v)| format!("{} {}", numbers(k), numbers(v))).collect(),
        Value::Array(items) => items.iter().map(numbers).collect(),
        other => vec![numbers(other)],
    };
    elements.sort();
    elements
}

fn setting(name: &Value, value: &Value) -> String {
    if SETTINGS.contains(&name.text().as_str()) { format!("{name:?}") } else { format!("{name:?}={value:?}") }
}

/// Name and value pairs of a map or of an array in RESP2, without the fields named.
fn without(value: &Value, fields: &[&str]) -> Option<Vec<(Value, Value)>> {
    let pairs: Vec<(Value, Value)> = match value {
        Value::Map(pairs) => pairs.clone(),
        Value::Array(items) => items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        _ => return None,
    };
    Some(pairs.into_iter().filter(|(name, _)| !fields.contains(&name.text().as_str())).collect())
}
