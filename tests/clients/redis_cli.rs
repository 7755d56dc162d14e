//! redis-cli: its replies in both protocols and its special modes. Never touches a terminal.

use crate::common::{Server, Value};
use crate::program::{each_server, run, run_until};
use std::fmt::Write as _;
use std::process::Command;

/// redis-cli for this server, to be given more arguments.
fn command(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &server.port().to_string()]).args(args);
    command
}

/// What redis-cli prints for these arguments, the last line's end cut off.
fn printed(server: &Server, args: &[&str]) -> String {
    let text = run(&mut command(server, args), b"").clean();
    text.strip_suffix('\n').unwrap_or(&text).to_string()
}

/// Fills `count` keys `key:N` with `N`.
fn fill(server: &Server, count: usize) {
    let mut bytes = Vec::new();
    for n in 0..count {
        let (key, value) = (format!("key:{n}"), n.to_string());
        bytes.extend(crate::common::client::encode(&["SET", &key, &value]));
    }
    let replies = server.client().pipeline(&bytes, count);
    assert!(replies.iter().all(|r| *r == Value::ok()));
}

#[test]
fn prints_replies_of_both_protocols() {
    each_server(|_, server| {
        let cli = |line: &str| printed(server, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(cli("PING"), "PONG");
        assert_eq!(cli("SET greeting hello"), "OK");
        assert_eq!(cli("GET greeting"), "hello");
        assert_eq!(cli("--no-raw GET nothing"), "(nil)");
        assert_eq!(cli("--no-raw -3 GET nothing"), "(nil)");
        assert_eq!(cli("--no-raw INCR counter"), "(integer) 1");
        assert_eq!(cli("--no-raw MGET greeting nothing counter"), "1) \"hello\"\n2) (nil)\n3) \"1\"");
        assert_eq!(cli("-2 --no-raw HELLO").lines().nth(5).map(str::trim), Some("6) (integer) 2"), "protocol 2 lists");
        assert!(cli("-3 --no-raw HELLO").contains("3# \"proto\" => (integer) 3"), "protocol 3 maps");
        assert_eq!(cli("-n 5 SET greeting five"), "OK");
        assert_eq!(cli("-n 5 GET greeting"), "five");
        assert_eq!(cli("GET greeting"), "hello");
        assert_eq!(cli("INCR greeting"), "ERR value is not an integer or out of range\n");
        assert!(cli("-3 INFO server").contains("redis_version:"));
    });
}

#[test]
fn takes_commands_and_values_from_its_input() {
    each_server(|_, server| {
        let script = b"SET a 1\nINCR a\nSET b \"two\\x00\\r\\n\"\nSTRLEN b\nTYPE b\n";
        assert_eq!(run(&mut command(server, &[]), script).clean(), "OK\n2\nOK\n6\nstring\n");
        assert_eq!(run(&mut command(server, &["-x", "SET", "file"]), b"from\0input").clean(), "OK\n");
        assert_eq!(server.client().run("GET file"), Value::bulk(b"from\0input"));
    });
}

#[test]
fn pipe_loads_twenty_thousand_keys() {
    each_server(|_, server| {
        let mut bytes = Vec::new();
        for n in 0..20_000 {
            bytes.extend(crate::common::client::encode(&["SET", &format!("key:{n}"), &format!("value {n}")]));
        }
        let text = run(&mut command(server, &["--pipe"]), &bytes).clean();
        assert_eq!(text.lines().last(), Some("errors: 0, replies: 20000"), "{text}");
        let mut client = server.client();
        assert_eq!(client.run("DBSIZE"), Value::Int(20_000));
        assert_eq!(client.run("GET key:19999"), Value::bulk("value 19999"));
        // Errors are counted, and what stands around them is done.
        let mut inline = String::new();
        for n in 0..100 {
            writeln!(inline, "SET other:{n} {n}\r\nINCR key:{n}\r").expect("into a string");
        }
        let output = run(&mut command(server, &["--pipe"]), inline.as_bytes());
        assert_eq!(output.text.lines().last(), Some("errors: 100, replies: 200"), "{output:?}");
        assert_eq!(client.run("DBSIZE"), Value::Int(20_100));
    });
}

#[test]
fn scan_lists_every_key_once() {
    each_server(|_, server| {
        fill(server, 2000);
        server.client().ok("SET other 1");
        let sorted = |text: &str| {
            let mut keys: Vec<String> = text.lines().map(str::to_string).collect();
            keys.sort();
            keys
        };
        let mut expected: Vec<String> = (0..2000).map(|n| format!("key:{n}")).collect();
        expected.sort();
        assert_eq!(sorted(&printed(server, &["--scan", "--pattern", "key:*"])), expected);
        expected.push("other".into());
        assert_eq!(sorted(&printed(server, &["--scan"])), expected);
        assert_eq!(sorted(&printed(server, &["--scan", "--pattern", "key:199[0-4]"])).len(), 5);
    });
}

#[test]
fn bigkeys_and_memkeys_find_the_biggest() {
    each_server(|_, server| {
        fill(server, 500);
        assert_eq!(server.client().call(&["SET", "elephant", &"x".repeat(100_000)]), Value::ok());
        let big = printed(server, &["--bigkeys"]);
        assert!(big.contains("Sampled 501 keys in the keyspace!"), "{big}");
        assert!(big.contains("Biggest string found '\"elephant\"' has 100000 bytes"), "{big}");
        // 10 numbers of one digit, 90 of two, 400 of three.
        assert!(big.contains("501 strings with 101390 bytes (100.00% of keys"), "{big}");
        let memory = printed(server, &["--memkeys"]);
        assert!(memory.contains("Sampled 501 keys in the keyspace!"), "{memory}");
        let line = memory.lines().find(|l| l.starts_with("Biggest string found '\"elephant\"' has ")).expect(&memory);
        let bytes: usize = line.rsplit(' ').nth(1).expect(line).parse().expect(line);
        assert!((100_000..150_000).contains(&bytes), "{line}");
    });
}

#[test]
fn stat_shows_the_keys() {
    each_server(|_, server| {
        fill(server, 1234);
        // Its standard output is a file, and it would fill a buffer before it writes; stdbuf has it write lines.
        let mut stat = Command::new("stdbuf");
        stat.args(["-oL", "redis-cli", "-p", &server.port().to_string(), "-i", "0.1", "--stat"]);
        let rows = |text: &str| text.lines().skip(2).map(str::to_string).collect::<Vec<_>>();
        let name = format!("stat-{}", server.port());
        let text = run_until(&mut stat, &name, |text| text.ends_with('\n') && rows(text).len() >= 2);
        assert!(text.starts_with("------- data ------ --------------------- load"), "{text}");
        for row in rows(&text) {
            let fields: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(fields[0], "1234", "keys: {row}");
            assert!(fields[1].ends_with(['M', 'K']), "memory: {row}");
        }
    });
}

#[test]
fn latency_samples_for_a_while() {
    each_server(|_, server| {
        let text = printed(server, &["--latency", "-i", "0.3"]);
        let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().expect(&text)).collect();
        let [least, most, mean, samples] = numbers[..] else { panic!("{text}") };
        assert!(least <= mean && mean <= most && samples >= 1.0, "{text}");
    });
}

#[test]
fn hotkeys_finds_what_is_read_most() {
    each_server(|_, server| {
        let mut client = server.client();
        // before there are keys: of those that are there the last use would be read as a counter, as by Redis
        client.ok("CONFIG SET maxmemory-policy allkeys-lfu");
        fill(server, 300);
        let gets = crate::common::client::encode(&["GET", "key:77"]).repeat(3000);
        client.pipeline(&gets, 3000);
        let text = printed(server, &["--hotkeys"]);
        assert!(text.contains("Sampled 300 keys in the keyspace!"), "{text}");
        let first = text.lines().find(|line| line.starts_with("hot key found with counter:")).expect(&text);
        assert!(first.ends_with("keyname: \"key:77\""), "{text}");
    });
}

/// Modes that go on until they are stopped: each gets what it asks for.
#[test]
fn history_and_the_lru_test_print_their_lines() {
    each_server(|_, server| {
        server.client().ok("CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru");
        let port = server.port().to_string();
        for (name, args, told) in [
            ("history", &["--latency-history", "-i", "0.3"][..], " 3\n"),
            ("lru", &["--lru-test", "1000"], " Gets/sec | Hits: "),
        ] {
            let mut tool = Command::new("stdbuf");
            tool.args(["-oL", "redis-cli", "-p", &port]).args(args);
            let text = run_until(&mut tool, &format!("{name}-{port}"), |text| text.contains(told));
            assert!(!text.contains("ERR"), "{text}");
        }
    });
}
