//! The parser against a running redis-server: thousands of random streams, well-formed and broken, must hold the same
//! commands and end with the same protocol error, byte for byte. Starts no Pinion.

mod common;

use common::client::{Client, encode};
use common::{Launch, Random, Setup, Value};
use pinion::resp::parse::{Batch, Limits, Parser, Source, Stop};
use std::net::Shutdown;

/// Streams that are compared. Each is a connection of its own, as most end with the server closing it.
const STREAMS: usize = 3000;
/// Bytes that headers, lines and arguments are made of. No NUL: in a header it makes redis-server 7.0 wait for ever for
/// a line end that is there, where later servers and Pinion answer with an error.
const ALPHABET: &[u8] = b"0123459*$-+aex \"'\\\t\r\n\xff";

fn noise(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most + 1)).map(|_| *random.one(ALPHABET)).collect()
}

/// One piece of a stream: a command as clients send them, a line, or something that is nearly a command.
fn piece(random: &mut Random) -> Vec<u8> {
    let word = noise(random, 12);
    match random.below(12) {
        0..=4 => encode(&[&b"ECHO"[..], &word]),
        5 => encode(&[&b"ECHO"[..], &vec![b'v'; random.below(300)]]),
        6 => encode(&[&word]),
        7 => [b"ECHO ", &word[..], b"\r\n"].concat(),
        8 => [b"echo\t\"", &word[..], b"\"\n"].concat(),
        9 => random.one(&["*0\r\n", "*-1\r\n", "\r\n", "\n", "*-7\r\n", "PING\r\n"]).as_bytes().to_vec(),
        10 => {
            // A command with one byte changed, or cut.
            let mut wire = encode(&[&b"ECHO"[..], &word]);
            let at = random.below(wire.len());
            if random.chance(30) {
                wire.truncate(at);
            } else {
                wire[at] = *random.one(ALPHABET);
            }
            wire
        }
        _ => noise(random, 8),
    }
}

/// What Pinion's parser makes of a stream: its commands, and the reply to what cannot be understood.
fn parse(input: &[u8], random: &mut Random) -> (Vec<Vec<Vec<u8>>>, Option<Vec<u8>>) {
    let (mut parser, mut batch, limits) = (Parser::default(), Batch::default(), Limits::default());
    let (mut commands, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        end = (end + 1 + random.below(60)).min(input.len());
        batch.clear();
        let (consumed, stop) = parser.parse(&input[start..end], &limits, &mut batch, 1 + random.below(8));
        for command in &batch.commands {
            let (bytes, spans) = batch.args(command, &input[start..end]);
            assert!(!matches!(command.source, Source::Big(_)));
            commands.push(spans.iter().map(|s| bytes[s.start as usize..][..s.len as usize].to_vec()).collect());
        }
        start += consumed;
        match stop {
            Stop::Error(error) => return (commands, Some(error.text())),
            // A length that was made large by a changed byte: what follows belongs to the argument.
            Stop::NeedMore { .. } | Stop::Big { .. } if end == input.len() => return (commands, None),
            _ => {}
        }
    }
}

/// What redis-server answers to a command.
fn check_reply(command: &[Vec<u8>], reply: &Value, input: &[u8]) {
    let name = command[0].to_ascii_lowercase();
    let shown = String::from_utf8_lossy(input);
    match (name.as_slice(), command.len()) {
        (b"echo", 2) => assert_eq!(reply, &Value::bulk(&command[1]), "{shown:?}"),
        (b"ping", 1) => assert_eq!(reply, &Value::Simple(b"PONG".to_vec()), "{shown:?}"),
        _ => assert!(reply.is_error() && !is_protocol_error(reply), "{command:?} got {reply:?} in {shown:?}"),
    }
}

fn is_protocol_error(reply: &Value) -> bool {
    reply.is_error() && reply.bytes().starts_with(b"ERR Protocol error")
}

/// A reply is one line: the server writes blanks for line breaks.
fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }).collect()
}

#[test]
fn random_streams_are_understood_as_redis_understands_them() {
    let server = Launch::new(&Setup::oracle()).start();
    let mut random = Random(20_251_121);
    let (mut errors, mut whole) = (0, 0);
    for _ in 0..STREAMS {
        let input: Vec<u8> = (0..1 + random.below(8)).flat_map(|_| piece(&mut random)).collect();
        let (commands, error) = parse(&input, &mut random);
        let mut client: Client = server.client();
        client.send_raw(&input);
        client.stream.shutdown(Shutdown::Write).expect("a half-closed connection");
        let replies = client.recv_until_closed();
        let (replies, last) = match (&error, replies.split_last()) {
            (Some(_), Some((last, replies))) => (replies, Some(last)),
            _ => (&replies[..], None),
        };
        let shown = String::from_utf8_lossy(&input);
        assert_eq!(replies.len(), commands.len(), "{shown:?}: {commands:?} got {replies:?} {last:?}");
        commands.iter().zip(replies).for_each(|(command, reply)| check_reply(command, reply, &input));
        if let Some(error) = error {
            assert_eq!(last.map(|l| l.bytes().to_vec()), Some(one_line(&error)), "{shown:?}");
            errors += 1;
        } else {
            whole += 1;
        }
    }
    assert!(errors > STREAMS / 5 && whole > STREAMS / 5, "{errors} with and {whole} without an error");
}
