//! What a malformed frame gets, and that the connection then stays in step or is closed: as on redis-server, which
//! is asked at the same time. Never writes down a text that the other server could be asked for.

use crate::common::client::encode;
use crate::common::{Client, Launch, Server, Setup, Value, each_setup};
use std::io::Write;
use std::net::Shutdown;

/// Frames that are short enough to be sent byte by byte as well.
fn short_frames() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 61] = [
        b"PING\r\n",
        b"ping\n",
        b"\r\n",
        b"\n\n\nPING\n",
        b"   \r\nPING\r\n",
        b"  PING   hello  \r\n",
        b"PING \"a b\"\r\n",
        b"PING \"a\\x41\\n\\\"\"\r\n",
        b"PING 'it\\'s'\r\n",
        b"PING \"a\r\nPING\r\n",
        b"PING 'a\r\nPING\r\n",
        b"PING \"a\"b\r\nPING\r\n",
        b"PING 'a''b'\r\n",
        b"PING \"\"\r\n",
        b"PING\0\r\nPING\r\n",
        b"PING a\0b\r\n",
        b"\0\r\nPING\r\n",
        b"*0\r\nPING\r\n",
        b"*-1\r\nPING\r\n",
        b"*-10\r\nPING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"*01\r\n$4\r\nPING\r\n",
        b"*+1\r\n$4\r\nPING\r\n",
        b"* 1\r\n$4\r\nPING\r\n",
        b"*1 \r\n$4\r\nPING\r\n",
        b"*1\n$4\nPING\n",
        b"*\r\nPING\r\n",
        b"*abc\r\nPING\r\n",
        b"*1.0\r\nPING\r\n",
        b"*1048576\r\nPING\r\n",
        b"*2147483648\r\nPING\r\n",
        b"*9223372036854775808\r\nPING\r\n",
        b"*-9223372036854775809\r\nPING\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n+PING\r\n",
        b"*1\r\n\r\n$4\r\nPING\r\n",
        b"*1\r\n:4\r\nPING\r\n",
        b"*1\r\n$\r\n\r\n",
        b"*1\r\n$-1\r\nPING\r\n",
        b"*1\r\n$abc\r\nPING\r\n",
        b"*1\r\n$04\r\nPING\r\n",
        b"*1\r\n$+4\r\nPING\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$9223372036854775808\r\n",
        b"*1\r\n$0\r\n\r\nPING\r\n",
        b"*1\r\n$4\r\nPINGxxPING\r\n",
        b"*1\r\n$3\r\nPING\r\nPING\r\n",
        b"*1\r\n$5\r\nPING\r\n\r\nPING\r\n",
        b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\nPING\r\n",
        b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\nPING\r\n",
        b"*2\r\n$4\r\nECHO\r\n*1\r\n$1\r\na\r\nPING\r\n",
        b"$4\r\nPING\r\n",
        b"+PING\r\nPING\r\n",
        b"%1\r\n$4\r\nPING\r\n",
        b"-ERR\r\n:1\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\n\r\nPING\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\nPING\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n",
        b"*1\r\n$4\r\nPI",
        b"*1",
        b"PING",
    ];
    let mut frames: Vec<Vec<u8>> = texts.iter().map(|t| t.to_vec()).collect();
    // Good commands over several shards come first: their replies still precede the error.
    for bad in [b"*x\r\n".as_slice(), b"*1\r\n$x\r\n", b"*1\r\nx\r\n", b"\"\r\n"] {
        let mut frame = Vec::new();
        for key in ["a", "b", "c", "d", "e", "f", "g"] {
            frame.extend(encode(&["SET", key, "1"]));
            frame.extend(encode(&["INCR", key]));
        }
        frame.extend(bad);
        frame.extend(encode(&["SET", "a", "never"]));
        frames.push(frame);
    }
    frames
}

/// Frames around the longest lines there may be. Those too long have no end: whether Redis sees a line's end before it
/// finds the line too long depends on how much it happens to read at once.
fn long_frames() -> Vec<Vec<u8>> {
    let long = |prefix: &str, count: usize, rest: &str| {
        let mut frame = prefix.as_bytes().to_vec();
        frame.resize(frame.len() + count, b'1');
        frame.extend_from_slice(rest.as_bytes());
        frame
    };
    vec![
        long("PING ", 60_000, "\r\n"),
        long("PING ", 200_000, ""),
        long("*", 200_000, ""),
        long("*1\r\n$", 200_000, ""),
        long("*2\r\n$4\r\nECHO\r\n$", 200_000, ""),
        long("*2\r\n$4\r\nECHO\r\n$100000\r\n", 100_000, "\r\nPING\r\n"),
    ]
}

/// All that the server sends for the frame, until it closes: at the latest because we send no more.
fn answers(server: &Server, frame: &[u8], torn: bool) -> Vec<Value> {
    let mut client = server.client();
    if torn {
        for byte in frame.chunks(1) {
            if client.stream.write_all(byte).is_err() {
                break;
            }
        }
    } else {
        // A server that refuses the start may close before it has read the end.
        let _ = client.stream.write_all(frame);
    }
    let _ = client.stream.shutdown(Shutdown::Write);
    client.recv_until_closed()
}

fn compare(setup: &Setup, args: &str, frames: &[Vec<u8>], torn: bool) {
    let oracle = Launch::new(&Setup::oracle()).args(args).start();
    let mut server = Launch::new(setup).args(args).start();
    for frame in frames {
        let theirs = answers(&oracle, frame, torn);
        let ours = answers(&server, frame, torn);
        let start = &frame[..frame.len().min(60)];
        assert_eq!(
            ours,
            theirs,
            "left: ours, right: redis; frame {:?}, torn: {torn}",
            start.escape_ascii().to_string()
        );
    }
    if args.is_empty() {
        server.assert_alive();
    }
}

#[test]
fn frames_get_what_redis_gives() {
    each_setup(|setup| compare(setup, "", &short_frames(), false));
}

#[test]
fn torn_frames_get_what_redis_gives() {
    // what is answered before an HTTP header ends the connection depends on how the reads fell
    let frames: Vec<Vec<u8>> = short_frames().into_iter().filter(|f| !f.starts_with(b"GET /")).collect();
    each_setup(|setup| compare(setup, "", &frames, true));
}

#[test]
fn long_lines_get_what_redis_gives() {
    each_setup(|setup| compare(setup, "", &long_frames(), false));
}

#[test]
fn strangers_may_send_little() {
    let frames: [&[u8]; 8] = [
        b"*11\r\n$4\r\nPING\r\n",
        b"*10\r\n$4\r\nPING\r\n",
        b"*1\r\n$16385\r\n",
        b"*1\r\n$16384\r\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n",
        b"NOSUCH\r\nAUTH wrong\r\nAUTH secret\r\nPING\r\n",
        b"HELLO 3 AUTH default wrong\r\nPING\r\n",
        b"QUIT\r\nPING\r\n",
    ];
    let frames: Vec<Vec<u8>> = frames.iter().map(|f| f.to_vec()).collect();
    each_setup(|setup| compare(setup, "--requirepass secret", &frames, false));
}

#[test]
fn smaller_limits_are_kept() {
    let mut frames = vec![
        b"*1\r\n$1048577\r\n".to_vec(),
        b"*1\r\n$1048576\r\n".to_vec(),
        encode(&["SETRANGE", "k", "1048576", "x"]),
        encode(&["SETRANGE", "k", "1048575", "x"]),
        [encode(&["SETRANGE", "k", "1048575", "x"]), encode(&["APPEND", "k", "x"])].concat(),
    ];
    frames.push(encode(&["SET".as_bytes(), b"k", &vec![b'x'; 1 << 20]]));
    each_setup(|setup| compare(setup, "--proto-max-bulk-len 1mb", &frames, false));
}

/// Redis takes frames of up to two billion arguments; a million, which earlier releases took, bounds our memory.
#[test]
fn a_million_arguments_are_the_most() {
    for setup in Setup::all().iter().filter(|s| s.is_pinion) {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        client.send_raw(b"*1048577\r\n");
        assert_eq!(
            client.recv_until_closed(),
            [Value::Error(b"ERR Protocol error: invalid multibulk length".to_vec())]
        );
    }
}

#[test]
fn a_query_past_its_limit_ends_the_connection() {
    each_setup(|setup| {
        let mut server = Launch::new(setup).args("--client-query-buffer-limit 1mb").start();
        let mut client = server.client();
        let mut frame = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n".to_vec();
        frame.resize(40_000_000, b'x');
        let _ = client.stream.write_all(&frame);
        assert_eq!(client.recv_until_closed(), []);
        server.assert_alive();
        assert_eq!(server.client().run("EXISTS k"), Value::Int(0));
    });
}

#[test]
fn a_frame_may_be_torn_anywhere() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let frame = [encode(&["SET", "torn", "value\r\nwith $3 inside"]), encode(&["GET", "torn"])].concat();
        for cut in 1..frame.len() {
            client.send_raw(&frame[..cut]);
            // The pause makes it likely, not certain, that the server sees two pieces; both must work.
            std::thread::sleep(std::time::Duration::from_micros(300));
            client.send_raw(&frame[cut..]);
            assert_eq!(client.recv(), Value::ok(), "cut at {cut}");
            assert_eq!(client.recv(), Value::bulk("value\r\nwith $3 inside"), "cut at {cut}");
        }
    });
}

#[test]
fn random_bytes_do_no_harm() {
    each_setup(|setup| {
        let mut server = Launch::new(setup).start();
        let mut random = crate::common::Random(2);
        for _ in 0..300 {
            let mut client: Client = server.client();
            let length = random.below(3000);
            let pieces: [&[u8]; 12] =
                [b"*", b"$", b"\r\n", b"1", b"3", b"-", b"SET", b"GET", b" ", b"\"", b"\0", b"*3\r\n$3\r\nSET\r\n"];
            let mut bytes = Vec::new();
            while bytes.len() < length {
                match random.below(3) {
                    0 => bytes.push(random.next() as u8),
                    _ => bytes.extend_from_slice(pieces[random.below(pieces.len())]),
                }
            }
            let _ = client.stream.write_all(&bytes);
            let _ = client.stream.shutdown(Shutdown::Write);
            client.recv_until_closed();
        }
        server.assert_alive();
    });
}
