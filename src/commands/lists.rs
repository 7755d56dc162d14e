//! The list commands: what is common to them, and the family's table. Never looks at a value of another type but to
//! refuse it.
//!
//! An empty list is no value: whoever takes the last element removes the key ([`remove_empty`]).

pub(crate) mod edit;
pub(crate) mod moves;
pub(crate) mod push;
pub(crate) mod range;

use crate::commands::errors;
use crate::commands::spec::flag::{BLOCKING, DENYOOM, FAST, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Group, KeySpec, Plan, key};
use crate::types::list::List;
use crate::types::table::Current;
use crate::types::value::View;
use edit::{linsert, lrem, lset, ltrim};
use moves::{
    BLMOVE, BLMPOP, BLPOP, BRPOP, BRPOPLPUSH, blmove, blmove_relay, blmpop, blmpop_relay, blpop, blpop_relay, brpop,
    brpoplpush, brpoplpush_relay, lmove, lmove_relay, lmpop, lmpop_relay, rpoplpush, rpoplpush_relay,
};
use push::{lpop, lpush, lpushx, rpop, rpush, rpushx};
use range::{lindex, llen, lpos, lrange};

/// An error text, as it goes to the client (without the leading `-`).
pub(crate) type Refusal = &'static str;

/// The list, or the refusal of another type.
#[inline]
pub(crate) fn view_list(view: View<'_>) -> Result<&List, Refusal> {
    match view {
        View::Boxed(value) => value.as_list().ok_or(errors::WRONGTYPE),
        _ => Err(errors::WRONGTYPE),
    }
}

/// As [`view_list`], of a value that is about to be changed.
#[inline]
pub(crate) fn current_list(current: Current<'_>) -> Result<&mut List, Refusal> {
    match current {
        Current::Boxed(value) => value.as_list_mut().ok_or(errors::WRONGTYPE),
        Current::Inline(_) => Err(errors::WRONGTYPE),
    }
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("blmove", 6, Group::List, "6.2.0", Plan::Relay { run: blmove, relay: blmove_relay })
        .flags(WRITE | DENYOOM | BLOCKING)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::RW | key::INSERT, 2)])
        .docs(
            "Moves an element from one list to another, and waits for one if there is none.",
            "O(1)",
            "source#0 destination#1 wherefrom=(LEFT|RIGHT) whereto=(LEFT|RIGHT) timeout:double",
        )
        .blocking(&BLMOVE),
    CommandSpec::new("blmpop", -5, Group::List, "7.0.0", Plan::Relay { run: blmpop, relay: blmpop_relay })
        .flags(WRITE | BLOCKING)
        .key_specs(&[KeySpec::counted(key::RW | key::ACCESS | key::DELETE, 2, 1)])
        .docs(
            "Pops elements from the first list that has some, and waits for one if there is none.",
            "O(N+M) with N the keys and M the elements popped",
            "timeout:double numkeys:int key#0... where=(LEFT|RIGHT) [COUNT count:int]",
        )
        .blocking(&BLMPOP),
    CommandSpec::new("blpop", -3, Group::List, "2.0.0", Plan::Relay { run: blpop, relay: blpop_relay })
        .flags(WRITE | BLOCKING)
        .key_specs(&[KeySpec::range(key::RW | key::ACCESS | key::DELETE, 1, -2, 1)])
        .docs(
            "Pops the first element of the first list that has one, and waits for it if there is none.",
            "O(N) with N the number of keys",
            "key#0... timeout:double",
        )
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .blocking(&BLPOP),
    CommandSpec::new("brpop", -3, Group::List, "2.0.0", Plan::Relay { run: brpop, relay: blpop_relay })
        .flags(WRITE | BLOCKING)
        .key_specs(&[KeySpec::range(key::RW | key::ACCESS | key::DELETE, 1, -2, 1)])
        .docs(
            "Pops the last element of the first list that has one, and waits for it if there is none.",
            "O(N) with N the number of keys",
            "key#0... timeout:double",
        )
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .blocking(&BRPOP),
    CommandSpec::new("brpoplpush", 4, Group::List, "2.2.0", Plan::Relay { run: brpoplpush, relay: brpoplpush_relay })
        .flags(WRITE | DENYOOM | BLOCKING)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::RW | key::INSERT, 2)])
        .docs(
            "Moves the last element of a list to the front of another, and waits for one if there is none.",
            "O(1)",
            "source#0 destination#1 timeout:double",
        )
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .deprecated("6.2.0", "BLMOVE with the RIGHT and LEFT arguments")
        .blocking(&BRPOPLPUSH),
    CommandSpec::new("lindex", 3, Group::List, "1.0.0", Plan::OneShard(lindex))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns an element by its index.",
            "O(N) with N the elements to pass, O(1) at the ends",
            "key#0 index:int",
        ),
    CommandSpec::new("linsert", 5, Group::List, "2.2.0", Plan::OneShard(linsert))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs(
            "Adds an element before or after another.",
            "O(N) with N the elements before it",
            "key#0 where=(BEFORE|AFTER) pivot element",
        ),
    CommandSpec::new("llen", 2, Group::List, "1.0.0", Plan::OneShard(llen))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns how many elements a list has.", "O(1)", "key#0"),
    CommandSpec::new("lmove", 5, Group::List, "6.2.0", Plan::Relay { run: lmove, relay: lmove_relay })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::RW | key::INSERT, 2)])
        .docs(
            "Moves an element from one list to another.",
            "O(1)",
            "source#0 destination#1 wherefrom=(LEFT|RIGHT) whereto=(LEFT|RIGHT)",
        ),
    CommandSpec::new("lmpop", -4, Group::List, "7.0.0", Plan::Relay { run: lmpop, relay: lmpop_relay })
        .flags(WRITE)
        .key_specs(&[KeySpec::counted(key::RW | key::ACCESS | key::DELETE, 1, 1)])
        .docs(
            "Pops elements from the first list that has some.",
            "O(N+M) with N the keys and M the elements popped",
            "numkeys:int key#0... where=(LEFT|RIGHT) [COUNT count:int]",
        ),
    CommandSpec::new("lpop", -2, Group::List, "1.0.0", Plan::OneShard(lpop))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .docs("Pops the first elements of a list.", "O(N) with N the elements popped", "key#0 [count:int]")
        .history(&[("6.2.0", "Several at once.")]),
    CommandSpec::new("lpos", -3, Group::List, "6.0.6", Plan::OneShard(lpos))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns where an element is in a list.",
            "O(N) with N the elements of the list",
            "key#0 element [RANK rank:int] [COUNT num-matches:int] [MAXLEN len:int]",
        ),
    CommandSpec::new("lpush", -3, Group::List, "1.0.0", Plan::OneShard(lpush))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs(
            "Adds elements at the front of a list, making the key if there is none.",
            "O(N) with N the elements added",
            "key#0 element...",
        )
        .history(&[("2.4.0", "Several at once.")]),
    CommandSpec::new("lpushx", -3, Group::List, "2.2.0", Plan::OneShard(lpushx))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs(
            "Adds elements at the front of a list that is there.",
            "O(N) with N the elements added",
            "key#0 element...",
        )
        .history(&[("4.0.0", "Several at once.")]),
    CommandSpec::new("lrange", 4, Group::List, "1.0.0", Plan::OneShard(lrange))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns a range of elements, both ends included.",
            "O(S+N) with S the elements to pass and N those returned",
            "key#0 start:int stop:int",
        ),
    CommandSpec::new("lrem", 4, Group::List, "1.0.0", Plan::OneShard(lrem))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs(
            "Removes elements that equal a value.",
            "O(N) with N the elements of the list",
            "key#0 count:int element",
        ),
    CommandSpec::new("lset", 4, Group::List, "1.0.0", Plan::OneShard(lset))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Replaces an element by its index.",
            "O(N) with N the elements to pass, O(1) at the ends",
            "key#0 index:int element",
        ),
    CommandSpec::new("ltrim", 4, Group::List, "1.0.0", Plan::OneShard(ltrim))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs(
            "Keeps a range of elements, both ends included, and removes the others.",
            "O(N) with N the elements removed",
            "key#0 start:int stop:int",
        ),
    CommandSpec::new("rpop", -2, Group::List, "1.0.0", Plan::OneShard(rpop))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .docs("Pops the last elements of a list.", "O(N) with N the elements popped", "key#0 [count:int]")
        .history(&[("6.2.0", "Several at once.")]),
    CommandSpec::new("rpoplpush", 3, Group::List, "1.2.0", Plan::Relay { run: rpoplpush, relay: rpoplpush_relay })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::RW | key::INSERT, 2)])
        .docs("Moves the last element of a list to the front of another.", "O(1)", "source#0 destination#1")
        .deprecated("6.2.0", "LMOVE with the RIGHT and LEFT arguments"),
    CommandSpec::new("rpush", -3, Group::List, "1.0.0", Plan::OneShard(rpush))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs(
            "Adds elements at the end of a list, making the key if there is none.",
            "O(N) with N the elements added",
            "key#0 element...",
        )
        .history(&[("2.4.0", "Several at once.")]),
    CommandSpec::new("rpushx", -3, Group::List, "2.2.0", Plan::OneShard(rpushx))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs("Adds elements at the end of a list that is there.", "O(N) with N the elements added", "key#0 element...")
        .history(&[("4.0.0", "Several at once.")]),
];

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
