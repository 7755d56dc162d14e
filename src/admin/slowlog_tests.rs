//! SLOWLOG and COMMANDLOG, reply by reply.

use super::*;
use crate::admin::testing::ask;

fn record(amount: u64, args: &[&str]) -> Record {
    Record::new(
        1_700_000_000,
        amount,
        args.iter().map(|arg| arg.as_bytes()),
        args.len(),
        "127.0.0.1:5".into(),
        b"me".to_vec(),
    )
}

fn logs() -> CommandLogs {
    let mut logs = CommandLogs::default();
    for n in 0..12 {
        logs.push(LogKind::Slow, record(n, &["get", "k"]), 128);
    }
    logs.push(LogKind::LargeReply, record(2_000_000, &["get", "big"]), 128);
    logs
}

fn slowlog(logs: &mut CommandLogs, line: &str) -> String {
    ask(line, |table, id, args, reply| logs.slowlog(table, id, args, reply))
}

fn commandlog(logs: &mut CommandLogs, line: &str) -> String {
    ask(line, |table, id, args, reply| logs.commandlog(table, id, args, reply))
}

#[test]
fn get_returns_the_newest_first() {
    let mut logs = logs();
    let newest = "*6 :11 :1700000000 :11 *2 $3 get $1 k $11 127.0.0.1:5 $2 me";
    assert_eq!(slowlog(&mut logs, "slowlog get 1"), format!("*1 {newest}"));
    for (line, count) in
        [("slowlog get", 10), ("slowlog get -1", 12), ("slowlog get 0", 0), ("slowlog get 99999999999", 12)]
    {
        assert!(slowlog(&mut logs, line).starts_with(&format!("*{count}")), "{line}");
    }
    assert_eq!(slowlog(&mut logs, "slowlog len"), ":12");
    let reply = "*6 :0 :1700000000 :2000000 *2 $3 get $3 big $11 127.0.0.1:5 $2 me";
    assert_eq!(commandlog(&mut logs, "commandlog get -1 LARGE-reply"), format!("*1 {reply}"));
    assert_eq!(commandlog(&mut logs, "commandlog get 2 large-request"), "*0");
    assert_eq!(commandlog(&mut logs, "commandlog len slow"), ":12");
}

#[test]
fn reset_empties_one_log_and_numbers_go_on() {
    let mut logs = logs();
    assert_eq!(slowlog(&mut logs, "slowlog reset"), "+OK");
    assert_eq!(slowlog(&mut logs, "slowlog len"), ":0");
    assert_eq!(commandlog(&mut logs, "commandlog len large-reply"), ":1");
    logs.push(LogKind::Slow, record(1, &["ping"]), 128);
    assert!(slowlog(&mut logs, "slowlog get").starts_with("*1 *6 :12 "));
    assert_eq!(commandlog(&mut logs, "commandlog reset large-reply"), "+OK");
    assert_eq!(logs.len(LogKind::LargeReply), 0);
}

#[test]
fn bad_requests_are_told_so() {
    let mut logs = logs();
    let count = "-ERR count should be greater than or equal to -1";
    let kind = "-ERR type should be one of the following: slow, large-request, large-reply";
    for line in ["slowlog get -2", "slowlog get x", "slowlog get 1.5"] {
        assert_eq!(slowlog(&mut logs, line), count);
    }
    assert_eq!(
        slowlog(&mut logs, "slowlog get 1 2"),
        "-ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP."
    );
    for line in ["commandlog get x foo", "commandlog get -2 slow"] {
        assert_eq!(commandlog(&mut logs, line), count);
    }
    for line in ["commandlog get 1 foo", "commandlog len foo", "commandlog reset foo"] {
        assert_eq!(commandlog(&mut logs, line), kind);
    }
    assert!(slowlog(&mut logs, "slowlog help").contains("SLOWLOG <subcommand>"));
    assert!(commandlog(&mut logs, "commandlog help").contains("COMMANDLOG <subcommand>"));
}

#[test]
fn the_oldest_go_when_the_log_is_full() {
    let mut logs = logs();
    logs.push(LogKind::Slow, record(99, &["get", "k"]), 3);
    assert_eq!(logs.len(LogKind::Slow), 3);
    assert!(slowlog(&mut logs, "slowlog get").starts_with("*3 *6 :12 "));
    logs.push(LogKind::Slow, record(99, &["get", "k"]), 0);
    assert_eq!(logs.len(LogKind::Slow), 0);
}

#[test]
fn a_record_keeps_little_of_a_large_request() {
    let long = "x".repeat(200);
    let kept = record(1, &["set", "k", &long]).args;
    assert_eq!(kept[2], format!("{}... (72 more bytes)", "x".repeat(128)).as_bytes());
    let exact = "x".repeat(128);
    assert_eq!(record(1, &["set", &exact]).args[1], exact.as_bytes());

    let many: Vec<String> = (0..81).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let args = record(1, &many).args;
    assert_eq!(
        (args.len(), args[30].as_slice(), args[31].as_slice()),
        (32, &b"30"[..], &b"... (50 more arguments)"[..])
    );
    assert_eq!(record(1, &many[..32]).args.len(), 32);
}
