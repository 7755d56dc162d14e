//! HELP in the frame that clients of Redis know.

use super::*;
use crate::base::bytes::OutBuf;
use crate::commands::spec::{Group, Plan};
use crate::commands::table::FAMILIES;
use crate::resp::reply::Proto;

fn help(container: &CommandSpec) -> Vec<String> {
    let mut out = OutBuf::default();
    reply(container, &mut Reply { out: &mut out, proto: Proto::Resp2 });
    let text = String::from_utf8(out.bytes).unwrap();
    let mut lines = text.split("\r\n").map(str::to_owned);
    let header = lines.next().unwrap();
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(header, format!("*{}", lines.len()));
    assert!(lines.iter().all(|line| line.starts_with('+')));
    lines.iter().map(|line| line[1..].to_owned()).collect()
}

#[test]
fn a_frame_around_usage_and_summary() {
    const SUBS: &[CommandSpec] = &[
        CommandSpec::new("x|help", 2, Group::Server, "1.0.0", Plan::Session),
        CommandSpec::new("x|get", 3, Group::Server, "1.0.0", Plan::Session).docs("Gets.", "O(1)", "[count:int]"),
    ];
    static X: CommandSpec = CommandSpec::container("x", Group::Server, "1.0.0", "", SUBS);
    let lines = [
        "X <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Gets.",
        "HELP",
        "    Print this help.",
    ];
    assert_eq!(help(&X), lines);
}

#[test]
fn usage_of_every_form() {
    let check = |syntax, expected: &str| {
        let arguments = syntax::parse(syntax).unwrap();
        let shown: Vec<String> = arguments.iter().map(|argument| shown(argument, false)).collect();
        assert_eq!(shown.join(" "), expected);
    };
    check("mode=(YES|NO)", "(YES|NO)");
    check("timeout:int [mode=(WRITE|ALL)]", "<timeout> [WRITE|ALL]");
    check("pattern...", "<pattern> [<pattern> ...]");
    check("[event...]", "[<event> ...]");
    check("data={parameter value}...", "<parameter> <value> [<parameter> <value> ...]");
    check("[ID client-id:int...]", "[ID <client-id> [<client-id> ...]]");
    check("[PREFIX prefix...+]", "[PREFIX <prefix> ...]");
    check("[TYPE client-type=(A|B)] [NOW]", "[TYPE (A|B)] [NOW]");
    check("filter=(old|new=([ID id:int...]|[NOW]))", "(<old>|ID <id> [<id> ...]|NOW)");
    check(
        "a=(very-long-name-of-one|very-long-name-of-two)...",
        "(<very-long-name-of-one>|<very-long-name-of-two>) ...",
    );
    check("addr/ip:port/", "<ip:port>");
}

#[test]
fn no_line_is_too_long() {
    for container in FAMILIES.iter().copied().flatten().filter(|spec| !spec.subcommands.is_empty()) {
        let lines = help(container);
        assert!(lines.len() >= 5 && lines.iter().all(|line| line.len() <= 110), "{lines:#?}");
        assert!(lines[1..].iter().all(|line| line.starts_with(|c: char| c.is_ascii_uppercase() || c == ' ')));
    }
}
