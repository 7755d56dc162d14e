//! COMMAND's replies, byte for byte, over a small table; `tests/command_table.rs` compares the real one.

use super::*;
use crate::base::bytes::OutBuf;
use crate::commands::args::lay_out;
use crate::commands::connection;
use crate::commands::context::Context;
use crate::commands::server;
use crate::commands::spec::{Group, Plan, flag::*};
use crate::resp::reply::Proto;

fn set_flags(args: &Args<'_>) -> KeyFlags {
    if args.len() > 3 { key::RW | key::ACCESS } else { key::OW | key::UPDATE }
}

fn never(_: &mut Context<'_>, _: &mut Args<'_>, _: &mut Reply<'_>) {
    panic!("COMMAND runs no command");
}

static STRINGS: &[CommandSpec] =
    &[
        CommandSpec::new("get", 2, Group::String, "1.0.0", Plan::OneShard(never))
            .flags(READONLY | FAST)
            .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
            .docs("Returns a string.", "O(1)", "key#0"),
        CommandSpec::new("set", -3, Group::String, "1.0.0", Plan::OneShard(never))
            .flags(WRITE | DENYOOM)
            .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::VARIABLE_FLAGS, 1).notes("It depends")])
            .key_flags(set_flags)
            .docs("Sets a string.", "O(1)", "key#0 value [condition=(NX|IFEQ comparison-value)] [PXAT when:unix/time/]")
            .history(&[("2.6.12", "NX.")])
            .tips(&["a_tip"])
            .deprecated("9.9.9", "nothing"),
        CommandSpec::new("mset", -3, Group::String, "1.0.1", Plan::Session).flags(WRITE).key_specs(&[KeySpec::range(
            key::OW | key::UPDATE,
            1,
            -1,
            2,
        )]),
        CommandSpec::new("msetex", -4, Group::String, "9.1.0", Plan::Session)
            .flags(WRITE)
            .key_specs(&[KeySpec::counted(key::OW | key::UPDATE, 1, 2)]),
        CommandSpec::new("eval", -3, Group::Scripting, "2.6.0", Plan::Session)
            .flags(NO_MANDATORY_KEYS)
            .key_specs(&[KeySpec::counted(key::RW | key::ACCESS, 2, 1)]),
    ];

fn table() -> CommandTable {
    CommandTable::of(&[STRINGS, connection::COMMANDS, server::COMMANDS])
}

fn ask_proto(line: &str, proto: Proto) -> String {
    let table = table();
    let (buffer, spans) = lay_out(&line.split(' ').collect::<Vec<_>>());
    let mut args = Args::new(&buffer, &spans);
    let Resolved::Command(id) = table.resolve(&args) else { panic!("{line}") };
    assert!(table.get(id).accepts(args.len()), "{line}");
    let mut out = OutBuf::default();
    command(&table, id, &mut args, &mut Reply { out: &mut out, proto });
    String::from_utf8(out.bytes).unwrap().replace("\r\n", " ")
}

fn ask(line: &str) -> String {
    ask_proto(line, Proto::Resp2)
}

#[test]
fn info_in_both_protocols() {
    let get = "$3 get :2 {2 +readonly +fast :1 :1 :1 {3 +@read +@string +@fast {0 {1 <3 $5 flags {2 +RO +access \
        $12 begin_search <2 $4 type $5 index $4 spec <1 $5 index :1 \
        $9 find_keys <2 $4 type $5 range $4 spec <3 $7 lastkey :0 $7 keystep :1 $5 limit :0 {0 ";
    let resp2 = get.replace('{', "*").replace("<1", "*2").replace("<2", "*4").replace("<3", "*6");
    let resp3 = get.replace('{', "~").replace('<', "%");
    assert_eq!(ask("command info GET nosuch"), format!("*2 *10 {resp2}$-1 "));
    assert_eq!(ask_proto("command info get nosuch", Proto::Resp3), format!("*2 *10 {resp3}_ "));
}

#[test]
fn subcommands_are_found_under_their_full_name() {
    assert!(ask("command info config|get").starts_with("*1 *10 $10 config|get :-3 *4 +admin "));
    assert_eq!(ask("command info config|nosuch nosuch|get get|x"), "*3 $-1 $-1 $-1 ");
    assert!(ask("command info config").contains("*5 *10 $10 config|get "));
}

#[test]
fn all_commands() {
    let count = table().commands().count();
    assert_eq!(ask("command count"), format!(":{count} "));
    assert!(ask("command").starts_with(&format!("*{count} *10 $3 get ")));
    assert_eq!(ask("command"), ask("command info"));
}

#[test]
fn docs() {
    assert_eq!(ask_proto("command docs nosuch", Proto::Resp3), "%0 ");
    assert_eq!(
        ask("command docs nosuch get"),
        "*2 $3 get *10 $7 summary $17 Returns a string. $5 since $5 1.0.0 $5 group $6 string $10 complexity $4 O(1) \
         $9 arguments *1 *8 $4 name $3 key $4 type $3 key $12 display_text $3 key $14 key_spec_index :0 "
    );
    assert_eq!(
        ask_proto("command docs set", Proto::Resp3),
        "%1 $3 set %9 $7 summary $14 Sets a string. $5 since $5 1.0.0 $5 group $6 string $10 complexity $4 O(1) \
         $9 doc_flags ~1 +deprecated $16 deprecated_since $5 9.9.9 $11 replaced_by $7 nothing \
         $7 history ~1 *2 $6 2.6.12 $3 NX. $9 arguments *4 \
         %4 $4 name $3 key $4 type $3 key $12 display_text $3 key $14 key_spec_index :0 \
         %3 $4 name $5 value $4 type $6 string $12 display_text $5 value \
         %4 $4 name $9 condition $4 type $5 oneof $5 flags ~1 +optional $9 arguments *2 \
         %4 $4 name $2 nx $4 type $10 pure-token $12 display_text $2 nx $5 token $2 NX \
         %4 $4 name $16 comparison-value $4 type $6 string $12 display_text $16 comparison-value $5 token $4 IFEQ \
         %5 $4 name $4 when $4 type $9 unix-time $12 display_text $4 time $5 token $4 PXAT $5 flags ~1 +optional "
    );
    let slowlog = ask_proto("command docs slowlog", Proto::Resp3);
    assert!(slowlog.contains("$11 subcommands %4 $11 slowlog|get %6 "), "{slowlog}");
    assert!(ask_proto("command docs debug", Proto::Resp3).contains("doc_flags ~1 +syscmd "));
    assert!(ask("command docs").starts_with(&format!("*{} ", 2 * table().commands().count())));
}

#[test]
fn keys_of_a_request() {
    assert_eq!(ask("command getkeys GET a"), "*1 $1 a ");
    assert_eq!(ask("command getkeys mset a 1 b"), "*2 $1 a $1 b ");
    assert_eq!(ask("command getkeys msetex 2 a 1 b 2 ex 9"), "*2 $1 a $1 b ");
    assert_eq!(ask("command getkeysandflags set get b"), "*1 *2 $3 get *2 +OW +update ");
    assert_eq!(ask_proto("command getkeysandflags set a b get", Proto::Resp3), "*1 *2 $1 a ~2 +RW +access ");
    assert_eq!(ask("command getkeys memory usage a"), "*1 $1 a ");
    assert_eq!(ask("command getkeys eval x 0"), "*0 ");
    assert_eq!(ask("command getkeys eval x 5 y"), "*0 ");
}

#[test]
fn keys_of_what_is_no_request() {
    for (request, error) in [
        ("nosuch x", "Invalid command specified"),
        ("config zork x", "Invalid command specified"),
        ("ping", "The command has no key arguments"),
        ("config", "The command has no key arguments"),
        ("config get a", "The command has no key arguments"),
        ("get", "Invalid number of arguments specified for command"),
        ("get a b", "Invalid number of arguments specified for command"),
        ("memory usage", "Invalid number of arguments specified for command"),
        ("msetex 0 a 1", "Invalid arguments specified for command"),
        ("msetex 3 a 1 b 2", "Invalid arguments specified for command"),
        ("msetex x a 1", "Invalid arguments specified for command"),
    ] {
        assert_eq!(ask(&format!("command getkeys {request}")), format!("-ERR {error} "), "{request}");
        assert_eq!(ask(&format!("command getkeysandflags {request}")), format!("-ERR {error} "), "{request}");
    }
}

#[test]
fn names() {
    assert_eq!(ask("command list filterby pattern MSET*"), "*2 $4 mset $6 msetex ");
    assert_eq!(
        ask("command list FILTERBY Pattern slowlog|?e*"),
        "*4 $11 slowlog|get $12 slowlog|help $11 slowlog|len $13 slowlog|reset "
    );
    assert_eq!(ask("command list filterby aclcat Scripting"), "*1 $4 eval ");
    assert_eq!(ask("command list filterby aclcat nosuch"), "*0 ");
    assert_eq!(ask("command list filterby module x"), "*0 ");
    assert!(ask("command list").starts_with(&format!("*{} $3 get ", table().len())));
    for bad in ["x", "filterby", "filterby pattern", "filterby zork x", "filterby pattern x y"] {
        assert_eq!(ask(&format!("command list {bad}")), "-ERR syntax error ", "{bad}");
    }
}

#[test]
fn help() {
    let help = ask("command help");
    assert!(
        help.starts_with("*15 +COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are: +COUNT "),
        "{help}"
    );
}
