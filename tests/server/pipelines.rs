//! Long pipelines over several shards, and values of every size: replies in order, effects in order, bytes intact.

use crate::common::client::encode;
use crate::common::{Launch, Random, Value, each_setup, wait_until};

#[test]
fn ten_thousand_commands_answer_in_order() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let count = 10_000;
        let mut bytes = Vec::new();
        for i in 0..count {
            bytes.extend(encode(&["SET", &format!("key:{i}"), &format!("value {i}")]));
        }
        assert!(client.pipeline(&bytes, count).iter().all(|reply| *reply == Value::ok()));
        bytes.clear();
        for i in 0..count {
            bytes.extend(encode(&["GET", &format!("key:{i}")]));
        }
        for (i, reply) in client.pipeline(&bytes, count).iter().enumerate() {
            assert_eq!(*reply, Value::bulk(format!("value {i}")));
        }
        assert_eq!(client.run("DBSIZE"), Value::Int(count as i64));
    });
}

/// One client's long pipeline of slow commands does not keep another waiting until its end.
#[test]
fn a_slow_pipeline_lets_others_have_their_turn() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut slow, mut other) = (server.client(), server.client());
        slow.run("SETRANGE {k}large 8000000 x");
        let pipeline: Vec<u8> =
            (0..300).flat_map(|_| [encode(&["BITCOUNT", "{k}large"]), encode(&["INCR", "{k}done"])].concat()).collect();
        // a machine that is busy may have the other client look only when all have run
        wait_until("the other client to be served in the midst of them", || {
            other.ok("SET {k}done 0");
            slow.send_raw(&pipeline);
            let done = loop {
                let done = other.run("GET {k}done").text();
                if done != "0" {
                    break done;
                }
            };
            (0..600).for_each(|_| drop(slow.recv()));
            assert_eq!(other.run("GET {k}done").text(), "300");
            done != "300"
        });
    });
}

/// A tick makes only so many bytes of replies; the commands of other connections then wait for the next one, those with
/// a large argument and those that are torn too.
#[test]
fn many_large_replies_at_once() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut clients: Vec<_> = (0..24).map(|_| server.client()).collect();
        let value = "v".repeat(9_000);
        let large = "l".repeat(200_000);
        clients[0].ok(&format!("SET value {value}"));
        for round in 0..5 {
            for (number, client) in clients.iter_mut().enumerate() {
                let mut bytes = Vec::new();
                for n in 0..40 {
                    bytes.extend(encode(&["APPEND", &format!("own{number}"), &format!("{n},")]));
                    bytes.extend(encode(&["GET", "value"]));
                }
                if number % 3 == 0 {
                    bytes.extend(encode(&["SET", &format!("large{number}"), &large]));
                }
                // the last command comes in two pieces
                bytes.extend(encode(&["STRLEN", &format!("own{number}")]));
                let end = bytes.split_off(bytes.len() - 7);
                client.send_raw(&bytes);
                client.send_raw(&end);
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let mut len = round * 110;
                for n in 0..40 {
                    len += format!("{n},").len();
                    assert_eq!(client.recv(), Value::Int(len as i64));
                    assert_eq!(client.recv(), Value::bulk(&value));
                }
                if number % 3 == 0 {
                    assert_eq!(client.recv(), Value::ok());
                }
                assert_eq!(client.recv(), Value::Int(len as i64));
            }
        }
    });
}

/// Short ones of one name are timed together: their numbers and those of errors are exact all the same, wherever a
/// pipeline changes from one name to another, and SLOWLOG sees each where it asks for short ones.
#[test]
fn commands_of_a_pipeline_are_counted_each() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        client.ok("CONFIG RESETSTAT");
        let (mut bytes, mut count) = (Vec::new(), 0);
        let mut random = Random(11);
        let (mut gets, mut incrs, mut failed) = (0, 0, 0);
        for _ in 0..400 {
            for _ in 0..random.below(20) {
                let line = if random.chance(60) {
                    gets += 1;
                    vec!["GET".to_string(), format!("n{}", random.below(50))]
                } else if random.chance(90) {
                    incrs += 1;
                    vec!["INCR".to_string(), format!("n{}", random.below(50))]
                } else {
                    (incrs, failed) = (incrs + 1, failed + 1);
                    vec!["INCR".to_string(), format!("text{}", random.below(2))]
                };
                bytes.extend(encode(&line));
                count += 1;
            }
            bytes.extend(encode(&["SETRANGE", &format!("text{}", random.below(2)), "0", "word"]));
            count += 1;
        }
        client.ok("SET text0 a");
        client.ok("SET text1 b");
        let replies = client.pipeline(&bytes, count);
        assert_eq!(replies.iter().filter(|reply| matches!(reply, Value::Error(_))).count(), failed);
        let info = client.run("INFO commandstats").text();
        let histogram = format!("{:?}", client.run("LATENCY HISTOGRAM get"));
        assert!(histogram.contains(&format!("{:?}", Value::Int(gets as i64))), "{gets}: {histogram}");
        let counted = |name: &str, calls: usize, failed: usize| {
            let line = info.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).expect("counted");
            assert!(line.contains(&format!("calls={calls},")), "{calls}: {line}");
            assert!(line.ends_with(&format!("rejected_calls=0,failed_calls={failed}")), "{failed}: {line}");
        };
        counted("get", gets, 0);
        counted("incr", incrs, failed);
        counted("setrange", 400, 0);
        client.ok("CONFIG SET slowlog-log-slower-than 0");
        client.ok("SLOWLOG RESET");
        let gets: Vec<u8> = (0..40).flat_map(|n| encode(&["GET", &format!("n{n}")])).collect();
        client.pipeline(&gets, 40);
        let log = format!("{:?}", client.run("SLOWLOG GET -1"));
        assert!((0..40).all(|n| log.contains(&format!("{:?}", Value::bulk(format!("n{n}"))))), "{log}");
    });
}

/// One connection's commands on one key take effect in order, whatever stands between them and however it is sent.
#[test]
fn effects_on_a_key_are_in_order() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let mut random = Random(7);
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        let mut model = vec![Vec::<u8>::new(); 40];
        for i in 0..20_000 {
            let key = random.below(model.len());
            let name = format!("k{key}");
            match random.below(4) {
                0 => {
                    bytes.extend(encode(&["GET", &name]));
                    let held = &model[key];
                    expected.push(if held.is_empty() { Value::NullBulk } else { Value::bulk(held) });
                }
                1 => {
                    bytes.extend(encode(&["GETDEL", &name]));
                    let held = std::mem::take(&mut model[key]);
                    expected.push(if held.is_empty() { Value::NullBulk } else { Value::Bulk(held) });
                }
                _ => {
                    let piece = format!("{i},");
                    bytes.extend(encode(&["APPEND", &name, &piece]));
                    model[key].extend(piece.as_bytes());
                    expected.push(Value::Int(model[key].len() as i64));
                }
            }
        }
        let replies = client.pipeline(&bytes, expected.len());
        for (i, (reply, want)) in replies.iter().zip(&expected).enumerate() {
            assert_eq!(reply, want, "command {i}");
        }
    });
}

#[test]
fn commands_over_many_keys_keep_their_place() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let keys: Vec<String> = (0..50).map(|i| format!("key:{i}")).collect();
        let mut bytes = Vec::new();
        let rounds = 200;
        for round in 0..rounds {
            let mut mset = vec!["MSET".to_string()];
            keys.iter().for_each(|key| mset.extend([key.clone(), format!("{key}={round}")]));
            bytes.extend(encode(&mset));
            bytes.extend(encode(&["PING"]));
            bytes.extend(encode(&[&["MGET".to_string()], keys.as_slice()].concat()));
            bytes.extend(encode(&["RENAME", "key:7", "key:8"]));
            bytes.extend(encode(&["MGET", "key:7", "key:8", "key:9"]));
            bytes.extend(encode(&[&["DEL".to_string()], keys.as_slice()].concat()));
            bytes.extend(encode(&["DBSIZE"]));
        }
        let replies = client.pipeline(&bytes, rounds * 7);
        for (round, replies) in replies.chunks(7).enumerate() {
            let held = |key: &String| Value::bulk(format!("{key}={round}"));
            assert_eq!(replies[0], Value::ok());
            assert_eq!(replies[1], Value::Simple(b"PONG".to_vec()));
            assert_eq!(replies[2], Value::Array(keys.iter().map(held).collect()), "round {round}");
            assert_eq!(replies[3], Value::ok());
            assert_eq!(replies[4], Value::Array(vec![Value::NullBulk, held(&keys[7]), held(&keys[9])]));
            assert_eq!(replies[5], Value::Int(49));
            assert_eq!(replies[6], Value::Int(0));
        }
    });
}

#[test]
fn many_clients_lose_no_increment() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        std::thread::scope(|scope| {
            for number in 0..20 {
                let mut client = server.client();
                scope.spawn(move || {
                    let mut bytes = Vec::new();
                    for _ in 0..500 {
                        bytes.extend(encode(&["INCR", "shared"]));
                        bytes.extend(encode(&["INCR", &format!("own:{number}")]));
                    }
                    let replies = client.pipeline(&bytes, 1000);
                    let own: Vec<i64> = replies.iter().skip(1).step_by(2).map(Value::int).collect();
                    assert_eq!(own, (1..=500).collect::<Vec<i64>>());
                    let shared: Vec<i64> = replies.iter().step_by(2).map(Value::int).collect();
                    assert!(shared.is_sorted(), "a counter that went back");
                });
            }
        });
        assert_eq!(server.client().run("GET shared"), Value::bulk("10000"));
    });
}

/// Bytes that differ everywhere, so that a shifted or lost block shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut random = Random(length as u64);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn assert_same(got: &Value, want: &[u8]) {
    let Value::Bulk(got) = got else { panic!("not a bulk: {got:?}") };
    assert_eq!(got.len(), want.len());
    if let Some(at) = (0..want.len()).find(|&i| got[i] != want[i]) {
        panic!("byte {at} of {} differs", want.len());
    }
}

#[test]
fn values_of_every_size_arrive_intact() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let sizes =
            [0, 1, 44, 45, 511, 512, 4095, 4096, 16_383, 16_384, 16_385, 32_767, 32_768, 65_535, 65_536, 65_537];
        for size in sizes.into_iter().chain([100_000, 262_144, 1 << 20, (1 << 20) + 1, 5_000_000]) {
            let value = pattern(size);
            assert_eq!(client.call(&["SET".as_bytes(), b"k", &value]), Value::ok(), "{size}");
            assert_eq!(client.run("STRLEN k"), Value::Int(size as i64));
            assert_same(&client.run("GET k"), &value);
            let two = client.run("MGET k k");
            two.items().iter().for_each(|item| assert_same(item, &value));
            assert_same(&client.call(&["GETSET".as_bytes(), b"k", b"new"]), &value);
            assert_same(&client.call(&["ECHO".as_bytes(), &value]), &value);
        }
    });
}

#[test]
fn big_values_keep_their_place_in_a_pipeline() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let mut random = Random(3);
        let values: Vec<Vec<u8>> = (0..200).map(|_| pattern(random.below(300_000) >> random.below(16))).collect();
        let mut bytes = Vec::new();
        for (i, value) in values.iter().enumerate() {
            bytes.extend(encode(&["SET".as_bytes(), format!("k{i}").as_bytes(), value]));
            bytes.extend(encode(&["INCR", "between"]));
            bytes.extend(encode(&["GET", &format!("k{i}")]));
            bytes.extend(encode(&["GET", &format!("k{}", i / 2)]));
        }
        let replies = client.pipeline(&bytes, values.len() * 4);
        for (i, replies) in replies.chunks(4).enumerate() {
            assert_eq!(replies[0], Value::ok());
            assert_eq!(replies[1], Value::Int(i as i64 + 1));
            assert_same(&replies[2], &values[i]);
            assert_same(&replies[3], &values[i / 2]);
        }
    });
}

/// A reply that is being sent keeps the old value while the key changes.
#[test]
fn a_value_may_change_while_it_is_sent() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut reader = server.client();
        let mut writer = server.client();
        let old = pattern(8 << 20);
        assert_eq!(writer.call(&["SET".as_bytes(), b"k", &old]), Value::ok());
        reader.send(&["GET", "k"]);
        // Its first byte is here, and all of it does not fit the socket's buffers: it is under way.
        reader.wait_readable();
        writer.run("SETRANGE k 0 changed");
        writer.run("APPEND k changed");
        writer.run("DEL k");
        assert_same(&reader.recv(), &old);
    });
}

#[test]
fn sixty_four_megabytes() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let value = pattern(64 << 20);
        assert_eq!(client.call(&["SET".as_bytes(), b"k", &value]), Value::ok());
        assert_same(&client.run("GETRANGE k 1000000 1000099"), &value[1_000_000..1_000_100]);
        assert_same(&client.run("GET k"), &value);
        assert_eq!(client.run("APPEND k x"), Value::Int((64 << 20) + 1));
        assert_eq!(client.run("COPY k {other}k"), Value::Int(1));
        assert_eq!(client.run("STRLEN {other}k"), Value::Int((64 << 20) + 1));
        assert_eq!(client.run("UNLINK k {other}k"), Value::Int(2));
        assert_eq!(client.run("DBSIZE"), Value::Int(0));
    });
}

#[test]
fn nothing_grows_past_512_megabytes() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        client.ok("SET k short");
        let too_long = Value::Error(b"ERR string exceeds maximum allowed size (proto-max-bulk-len)".to_vec());
        assert_eq!(client.run("SETRANGE k 536870912 x"), too_long);
        assert_eq!(client.run("SETRANGE k 536870911 xx"), too_long);
        assert_eq!(client.run("SETRANGE k 9223372036854775807 x"), too_long);
        let not_offset = Value::Error(b"ERR bit offset is not an integer or out of range".to_vec());
        assert_eq!(client.run("SETBIT k 4294967296 1"), not_offset);
        assert_eq!(client.run("BITFIELD k SET u8 4294967296 1"), not_offset);
        assert_eq!(client.run("GET k"), Value::bulk("short"));
        assert_eq!(client.run("SETRANGE k 536870912"), client.run("SETRANGE k 1"));
    });
}

/// What other shards owe to a pipeline is waited for, so that all of it leaves at once.
#[test]
fn a_pipeline_over_shards_is_answered_in_one_write() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let writes = |client: &mut crate::common::client::Client| -> u64 {
            let info = client.run("INFO stats").text();
            let line = info.lines().find_map(|line| line.strip_prefix("total_writes_processed:"));
            line.expect("a counter of writes").trim().parse().expect("a number")
        };
        let bytes: Vec<u8> = (0..40).flat_map(|i| encode(&["INCR", &format!("key:{i}")])).collect();
        let before = writes(&mut client);
        assert_eq!(client.pipeline(&bytes, 40), vec![Value::Int(1); 40]);
        let own = 1; // the reply to the first INFO
        assert_eq!(writes(&mut client) - before - own, 1);
    });
}
