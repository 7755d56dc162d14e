//! The family's rows of the command table.

use super::counters::{hincrby, hincrbyfloat};
use super::expire::{
    hexpire, hexpireat, hexpiretime, hgetex, hpersist, hpexpire, hpexpireat, hpexpiretime, hpttl, httl,
};
use super::get::{hexists, hget, hgetall, hkeys, hlen, hmget, hstrlen, hvals};
use super::random::hrandfield;
use super::remove::{hdel, hgetdel};
use super::scan::hscan;
use super::set::{hmset, hset, hsetex, hsetnx};
use crate::commands::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Group, KeySpec, Plan, key};

const PER_FIELD: &str = "O(N) with N the number of fields named";
const PER_SIZE: &str = "O(N) with N the number of fields of the hash";

/// The hash commands.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("hdel", -3, Group::Hash, "2.0.0", Plan::OneShard(hdel))
        .flags(WRITE | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs("Removes fields; a hash without fields goes, too.", PER_FIELD, "key#0 field...")
        .history(&[("2.4.0", "Several fields.")]),
    CommandSpec::new("hexists", 3, Group::Hash, "2.0.0", Plan::OneShard(hexists))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Tells whether a field is there.", "O(1)", "key#0 field"),
    CommandSpec::new("hexpire", -6, Group::Hash, "7.4.0", Plan::OneShard(hexpire))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Has fields expire after so many seconds.",
            PER_FIELD,
            "key#0 seconds:int [condition=(NX|XX|GT|LT)] FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hexpireat", -6, Group::Hash, "7.4.0", Plan::OneShard(hexpireat))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Has fields expire at a Unix time in seconds.",
            PER_FIELD,
            "key#0 unix-time-seconds:int [condition=(NX|XX|GT|LT)] FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hexpiretime", -5, Group::Hash, "7.4.0", Plan::OneShard(hexpiretime))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns when fields expire, as Unix times in seconds.",
            PER_FIELD,
            "key#0 FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hget", 3, Group::Hash, "2.0.0", Plan::OneShard(hget))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the value of a field.", "O(1)", "key#0 field"),
    CommandSpec::new("hgetall", 2, Group::Hash, "2.0.0", Plan::OneShard(hgetall))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"])
        .docs("Returns all fields with their values.", PER_SIZE, "key#0"),
    CommandSpec::new("hgetdel", -5, Group::Hash, "8.0.0", Plan::OneShard(hgetdel))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .docs(
            "Returns the values of fields and removes them.",
            PER_FIELD,
            "key#0 FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hgetex", -5, Group::Hash, "8.0.0", Plan::OneShard(hgetex))
        .flags(WRITE | FAST)
        .key_specs(&[
            KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1).notes("RW and update, as it may change expiries")
        ])
        .docs(
            "Returns the values of fields and may set or remove their expiry.",
            PER_FIELD,
            "key#0 [expiration=(EX seconds:int|PX milliseconds:int|EXAT unix-time-seconds:unix|PXAT \
                unix-time-milliseconds:unix|PERSIST)] FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hincrby", 4, Group::Hash, "2.0.0", Plan::OneShard(hincrby))
        .flags(WRITE | DENYOOM | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Adds a number to an integer field; a missing one counts as 0.", "O(1)", "key#0 field increment:int"),
    CommandSpec::new("hincrbyfloat", 4, Group::Hash, "2.6.0", Plan::OneShard(hincrbyfloat))
        .flags(WRITE | DENYOOM | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Adds a decimal number to a field; a missing one counts as 0.", "O(1)", "key#0 field increment:double"),
    CommandSpec::new("hkeys", 2, Group::Hash, "2.0.0", Plan::OneShard(hkeys))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"])
        .docs("Returns the names of all fields.", PER_SIZE, "key#0"),
    CommandSpec::new("hlen", 2, Group::Hash, "2.0.0", Plan::OneShard(hlen))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns the number of fields.", "O(1)", "key#0"),
    CommandSpec::new("hmget", -3, Group::Hash, "2.0.0", Plan::OneShard(hmget))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the values of several fields.", PER_FIELD, "key#0 field..."),
    CommandSpec::new("hmset", -4, Group::Hash, "2.0.0", Plan::OneShard(hmset))
        .flags(WRITE | DENYOOM | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs("Sets several fields.", PER_FIELD, "key#0 data={field value}...")
        .deprecated("4.0.0", "HSET with several pairs"),
    CommandSpec::new("hpersist", -5, Group::Hash, "7.4.0", Plan::OneShard(hpersist))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs("Removes the expiry of fields.", PER_FIELD, "key#0 FIELDS fields={numfields:int field...}"),
    CommandSpec::new("hpexpire", -6, Group::Hash, "7.4.0", Plan::OneShard(hpexpire))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Has fields expire after so many milliseconds.",
            PER_FIELD,
            "key#0 milliseconds:int [condition=(NX|XX|GT|LT)] FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hpexpireat", -6, Group::Hash, "7.4.0", Plan::OneShard(hpexpireat))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Has fields expire at a Unix time in milliseconds.",
            PER_FIELD,
            "key#0 unix-time-milliseconds:int [condition=(NX|XX|GT|LT)] FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hpexpiretime", -5, Group::Hash, "7.4.0", Plan::OneShard(hpexpiretime))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns when fields expire, as Unix times in milliseconds.",
            PER_FIELD,
            "key#0 FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hpttl", -5, Group::Hash, "7.4.0", Plan::OneShard(hpttl))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns how many milliseconds fields have left.",
            PER_FIELD,
            "key#0 FIELDS fields={numfields:int field...}",
        ),
    CommandSpec::new("hrandfield", -2, Group::Hash, "6.2.0", Plan::OneShard(hrandfield))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Returns fields drawn at random.",
            "O(N) with N the number of fields returned",
            "key#0 [options={count:int [WITHVALUES]}]",
        ),
    CommandSpec::new("hscan", -3, Group::Hash, "2.8.0", Plan::OneShard(hscan))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Goes through a hash in steps.",
            "O(1) for a step, O(N) for all of them, with N the number of fields",
            "key#0 cursor:int [MATCH pattern:pattern] [COUNT count:int] [NOVALUES]",
        )
        .history(&[("7.4.0", "NOVALUES.")]),
    CommandSpec::new("hset", -4, Group::Hash, "2.0.0", Plan::OneShard(hset))
        .flags(WRITE | DENYOOM | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs("Sets fields, making the hash if there is none.", PER_FIELD, "key#0 data={field value}...")
        .history(&[("4.0.0", "Several pairs.")]),
    CommandSpec::new("hsetex", -6, Group::Hash, "8.0.0", Plan::OneShard(hsetex))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Sets fields on conditions and with an expiry, if asked.",
            PER_FIELD,
            "key#0 [key-condition=(NX|XX)] [fields-condition=(FNX|FXX)] [expiration=(EX seconds:int|PX \
                milliseconds:int|EXAT unix-time-seconds:unix|PXAT unix-time-milliseconds:unix|KEEPTTL)] FIELDS \
                fields={numfields:int data={field value}...}",
        ),
    CommandSpec::new("hsetnx", 4, Group::Hash, "2.0.0", Plan::OneShard(hsetnx))
        .flags(WRITE | DENYOOM | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs("Sets a field if it is not there.", "O(1)", "key#0 field value"),
    CommandSpec::new("hstrlen", 3, Group::Hash, "3.2.0", Plan::OneShard(hstrlen))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns the length of a field's value.", "O(1)", "key#0 field"),
    CommandSpec::new("httl", -5, Group::Hash, "7.4.0", Plan::OneShard(httl))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns how many seconds fields have left.", PER_FIELD, "key#0 FIELDS fields={numfields:int field...}"),
    CommandSpec::new("hvals", 2, Group::Hash, "2.0.0", Plan::OneShard(hvals))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"])
        .docs("Returns the values of all fields.", PER_SIZE, "key#0"),
];
