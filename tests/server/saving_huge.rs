//! What becomes of a huge value in the middle of a snapshot: the file has it as it was at the cut, and clients see what
//! they asked for.

use crate::common::{Client, Value, each_setup, wait_until};
use crate::saving::{bgsave_begun_with, fill_huge, redis_on, start, wait_for_save};

const MEMBERS: usize = 60_000;
const KEYS: [&str; 3] = ["huge:set", "huge:zset", "small"];

/// What tells the values of a database from others.
fn shown(client: &mut Client) -> (Value, Value) {
    (client.run("DBSIZE"), client.run(&format!("DEBUG DIGEST-VALUE {}", KEYS.join(" "))))
}

#[test]
fn a_huge_value_that_moves_goes_or_expires_is_saved_as_it_was() {
    // what is sent right behind BGSAVE, and what is there when it has been done
    let cases = [
        ("RENAME huge:set moved", "EXISTS huge:set moved huge:zset", 2),
        ("RENAME huge:set huge:zset", "SCARD huge:zset", MEMBERS as i64),
        ("COPY huge:set copied", "SCARD copied", MEMBERS as i64),
        ("COPY huge:set huge:zset REPLACE", "SCARD huge:zset", MEMBERS as i64),
        ("DEL huge:set huge:zset", "EXISTS huge:set huge:zset", 0),
        ("SWAPDB 0 1", "DBSIZE", 0),
        ("FLUSHDB", "DBSIZE", 0),
        ("PEXPIRE huge:set 1", "EXISTS huge:set", 0),
    ];
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        for (line, look, found) in cases {
            client.ok("FLUSHALL");
            fill_huge(&mut client, MEMBERS);
            client.ok("SET small 1");
            let before = shown(&mut client);
            let reply = bgsave_begun_with(&mut client, line);
            assert!(!reply.is_error(), "{line}: {reply:?}");
            wait_until(line, || client.run(look) == Value::Int(found));
            client.run("APPEND small 2");
            wait_for_save(&mut client);
            let loaded = redis_on(&server.dir);
            assert_eq!(shown(&mut loaded.client()), before, "{line}");
        }
    });
}
