//! Error texts that quote the client.

use super::*;
use crate::base::bytes::OutBuf;
use crate::commands::args::lay_out;
use crate::resp::reply::Proto;

fn error(words: &[&[u8]], write: fn(&Args<'_>, &mut Reply<'_>)) -> String {
    let (buffer, spans) = lay_out(words);
    let mut out = OutBuf::default();
    write(&Args::new(&buffer, &spans), &mut Reply { out: &mut out, proto: Proto::Resp2 });
    String::from_utf8(out.bytes).unwrap()
}

#[test]
fn an_unknown_command_is_quoted_with_its_arguments_up_to_128_bytes() {
    let forty = [b'a'; 40];
    let long = [b'x'; 400];
    let check = |words: &[&[u8]], text: &str| assert_eq!(error(words, unknown_command), format!("-ERR {text}\r\n"));
    check(&[b"nosuch"], "unknown command 'nosuch', with args beginning with: ");
    check(&[b"foo", b"a", b"b c"], "unknown command 'foo', with args beginning with: 'a' 'b c' ");
    check(&[b"fo\0o", b"a\0b", b"c\r\nd"], "unknown command 'fo', with args beginning with: 'a' 'c  d' ");
    let a = "a".repeat(40);
    check(
        &[b"nosuch", &forty, &forty, &forty, &forty],
        &format!("unknown command 'nosuch', with args beginning with: '{a}' '{a}' '{a}' "),
    );
    let x = "x".repeat(128);
    check(&[&long, &long, b"b"], &format!("unknown command '{x}', with args beginning with: '{x}' "));
}

#[test]
fn an_unknown_subcommand_points_to_help() {
    let words: &[&[u8]] = &[b"config", b"zork"];
    assert_eq!(error(words, unknown_subcommand), "-ERR unknown subcommand 'zork'. Try CONFIG HELP.\r\n");
    assert_eq!(
        error(words, subcommand_syntax),
        "-ERR unknown subcommand or wrong number of arguments for 'zork'. Try CONFIG HELP.\r\n"
    );
    let arity = error(&[b"x"], |_, reply| wrong_arity("config|get", reply));
    assert_eq!(arity, "-ERR wrong number of arguments for 'config|get' command\r\n");
}
