//! A small hash with expiries: a listpack of triples, soonest expiry first. Never looks at whether a field is due.

use super::Pair;
use crate::types::listpack::{At, Item, Listpack};

/// What stands for no expiry in a triple.
const NEVER: i64 = 0;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Timed {
    pub(super) pack: Listpack,
    /// Called a hashtable.
    pub(super) large: bool,
    /// See [`super::Hash::take_note`].
    pub(super) noted_ms: u64,
}

impl Timed {
    /// The same fields without expiries.
    pub(super) fn of_pairs(pairs: &Listpack, large: bool) -> Self {
        let mut pack = Listpack::with_capacity(pairs.bytes() + pairs.len());
        let mut items = pairs.iter();
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            push(&mut pack, name);
            push(&mut pack, value);
            pack.push_back_int(NEVER);
        }
        pack.shrink_to_fit();
        Timed { pack, large, noted_ms: u64::MAX }
    }

    /// Fields.
    pub(super) fn len(&self) -> usize {
        self.pack.len() / 3
    }

    /// Where the field's name stands.
    pub(super) fn find(&self, name: &[u8]) -> Option<At> {
        self.pack.find(name, None, 2)
    }

    /// The field whose name stands at `at`.
    pub(super) fn triple(&self, at: At) -> Pair<'_> {
        let value = self.pack.next(at);
        let expiry = value.and_then(|at| self.pack.next(at));
        match (value, expiry) {
            (Some(value), Some(expiry)) => triple(self.pack.get(at), self.pack.get(value), self.pack.get(expiry)),
            _ => unreachable!("a name is followed by its value and expiry"),
        }
    }

    /// All fields.
    pub(super) fn iter(&self) -> Triples<'_> {
        Triples(self.pack.iter())
    }

    /// When the first field expires.
    pub(super) fn soonest_ms(&self) -> u64 {
        self.pack.first().and_then(|at| self.triple(at).expire_ms).unwrap_or(u64::MAX)
    }

    /// Replaces a value and leaves the expiry.
    pub(super) fn replace_value(&mut self, at: At, value: &[u8]) {
        if let Some(place) = self.pack.next(at) {
            self.pack.replace(place, value);
        }
    }

    /// Adds a field that is not there, behind all that expire no later.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8], expire_ms: Option<u64>) {
        let Some(expire_ms) = expire_ms else {
            self.pack.push_back(name);
            self.pack.push_back(value);
            return self.pack.push_back_int(NEVER);
        };
        let mut place = self.pack.first();
        while let Some(at) = place {
            if self.triple(at).expire_ms.is_none_or(|other| other > expire_ms) {
                break;
            }
            place = self.after(at);
        }
        let Some(at) = place else {
            self.pack.push_back(name);
            self.pack.push_back(value);
            return self.pack.push_back_int(expire_ms as i64);
        };
        let mut digits = itoa::Buffer::new();
        self.pack.insert_before(at, digits.format(expire_ms).as_bytes());
        self.pack.insert_before(at, value);
        self.pack.insert_before(at, name);
    }

    /// Removes the field whose name stands at `at`.
    pub(super) fn remove(&mut self, at: At) {
        self.pack.remove_range(at, 3);
    }

    /// Removes up to `budget` fields that expire at `now_ms` or before, and tells their names.
    pub(super) fn sweep(&mut self, now_ms: u64, budget: usize, mut expired: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        for pair in self.iter().take(budget) {
            if pair.expire_ms.is_none_or(|at| at > now_ms) {
                break;
            }
            pair.name.with_bytes(&mut expired);
            count += 1;
        }
        if count > 0
            && let Some(first) = self.pack.first()
        {
            self.pack.remove_range(first, 3 * count);
        }
        count
    }

    /// Where the next name stands.
    fn after(&self, at: At) -> Option<At> {
        (0..3).try_fold(at, |at, _| self.pack.next(at))
    }
}

fn push(pack: &mut Listpack, item: Item<'_>) {
    match item {
        Item::Int(n) => pack.push_back_int(n),
        Item::Str(bytes) => pack.push_back(bytes),
    }
}

fn triple<'a>(name: Item<'a>, value: Item<'a>, expiry: Item<'a>) -> Pair<'a> {
    let expire_ms = match expiry {
        Item::Int(NEVER) | Item::Str(_) => None,
        Item::Int(at) => Some(at.cast_unsigned()),
    };
    Pair { name, value, expire_ms }
}

/// Iterator of [`Timed::iter`].
#[derive(Debug, Clone)]
pub(super) struct Triples<'a>(crate::types::listpack::Iter<'a>);

impl<'a> Iterator for Triples<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        Some(triple(self.0.next()?, self.0.next()?, self.0.next()?))
    }
}
