//! A set of byte strings. Never knows its key, and never draws its own random numbers.
//!
//! ```text
//! Ints     an intset            only canonical integers, not too many
//! Pack     a listpack           few and short members
//! Table    see [`Fields`]
//! ```
//! What `OBJECT ENCODING` answers follows Redis's settings ([`SetLimits`]) and its order of events, and only ever goes
//! from intset over listpack to hashtable. How a set is kept follows what is small and fast: a few more integers than
//! the setting allows are still best sorted side by side (8 bytes at most, in place of 9 and the digits), and one long
//! member does not make ten short ones a table.

use crate::types::copying::Progress;
use crate::types::defrag::Mover;
use crate::types::fields::{self, Fields};
use crate::types::intset::Intset;
use crate::types::listpack::entry::number;
use crate::types::listpack::{self, Item, Listpack};

/// Members of a set of integers that are always kept as an intset, and that are at most, whatever the settings say: an
/// insertion moves half of them.
const INTS_LEN: (usize, usize) = (1024, 64 * 1024);
/// Most members of a listpack that is called one, and its bytes: a lookup walks over them.
const PACK_MAX: (usize, usize) = (1024, 64 * 1024);
/// The same of one that is called a hashtable.
const LARGE_PACK_MAX: (usize, usize) = (128, 8 * 1024);
/// Members that are looked up together.
pub const BATCH: usize = 16;

/// `set-max-intset-entries`, `set-max-listpack-entries` and `set-max-listpack-value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLimits {
    /// Most members of a set that is called an intset.
    pub ints: usize,
    /// Most members of a set that is called a listpack.
    pub pack: usize,
    /// Longest member of one, bytes.
    pub pack_value_bytes: usize,
}

/// What `OBJECT ENCODING` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// `intset`
    Intset,
    /// `listpack`
    Listpack,
    /// `hashtable`
    Hashtable,
}

#[derive(Debug, Clone)]
enum Kept {
    Ints(Intset),
    Pack(Listpack),
    Table(Fields),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Set {
    kept: Kept,
    encoding: Encoding,
}

impl Set {
    /// Its members' table, if it is large.
    #[inline]
    pub(super) fn table(&self) -> Option<&Fields> {
        match &self.kept {
            Kept::Table(fields) => Some(fields),
            _ => None,
        }
    }
}

impl Set {
    /// What [`Set::copy_step`] fills; `None` of a small set.
    pub(super) fn begin_copy(&self) -> Option<Set> {
        self.table().map(|_| Set { kept: Kept::Table(Fields::new()), encoding: self.encoding })
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Set, progress: &mut Progress) -> bool {
        match (&self.kept, &mut copy.kept) {
            (Kept::Table(fields), Kept::Table(copy)) => fields.copy_step(copy, progress),
            _ => true,
        }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

/// The same members.
impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|member| other.contains(member))
    }
}

impl Eq for Set {}

impl Set {
    /// An empty intset.
    pub fn new() -> Self {
        Set { kept: Kept::Ints(Intset::new()), encoding: Encoding::Intset }
    }

    /// An empty set that `member` and about `count` members in all are to be added to.
    pub fn for_members(member: &[u8], count: usize, limits: &SetLimits) -> Self {
        let mut set = Self::new();
        if number(member).is_none() || count > limits.ints {
            set.kept = Kept::Pack(Listpack::new());
            set.encoding = if count <= limits.pack { Encoding::Listpack } else { Encoding::Hashtable };
        }
        set.expect(count, limits);
        set
    }

    /// From a listpack that holds no member twice (checked); anything else is refused.
    pub fn from_listpack(pack: Listpack, limits: &SetLimits) -> Option<Self> {
        let mut fields = Fields::new();
        let unique = pack.iter().all(|item| item.with_bytes(|bytes| fields.add(bytes)));
        let fits = fields.len() <= limits.pack && pack.iter().all(|item| item.len() <= limits.pack_value_bytes);
        let encoding = if fits { Encoding::Listpack } else { Encoding::Hashtable };
        let small = fields.len() <= LARGE_PACK_MAX.0 && pack.bytes() <= LARGE_PACK_MAX.1;
        let kept = if small { Kept::Pack(pack) } else { Kept::Table(fields) };
        unique.then_some(Set { kept, encoding })
    }

    /// From an intset.
    pub fn from_intset(ints: Intset, limits: &SetLimits) -> Self {
        let encoding = if ints.len() <= limits.ints { Encoding::Intset } else { Encoding::Hashtable };
        let mut set = Set { kept: Kept::Ints(ints), encoding };
        set.fit(limits);
        set
    }

    /// As Redis does where it is told beforehand that `count` members come.
    pub fn expect(&mut self, count: usize, limits: &SetLimits) {
        let many = match self.encoding {
            Encoding::Intset => count > limits.ints,
            Encoding::Listpack => count > limits.pack,
            Encoding::Hashtable => false,
        };
        if many {
            self.encoding = Encoding::Hashtable;
        }
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Members.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.kept {
            Kept::Ints(ints) => ints.len(),
            Kept::Pack(pack) => pack.len(),
            Kept::Table(fields) => fields.len(),
        }
    }

    /// No members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        if let Kept::Table(fields) = &mut self.kept
            && self.encoding == Encoding::Hashtable
        {
            return fields.add(member);
        }
        self.add_to_small(member, limits)
    }

    fn add_to_small(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        let number = number(member);
        let before = self.len();
        let added = match (&mut self.kept, number) {
            (Kept::Ints(ints), Some(n)) => ints.insert(n),
            (Kept::Ints(_), None) => {
                self.unpack_ints(member.len(), limits);
                return self.add_to_small(member, limits);
            }
            (Kept::Pack(pack), _) if pack.find(member, None, 0).is_some() => false,
            (Kept::Pack(pack), _) if pack.bytes() + member.len() > PACK_MAX.1 => {
                self.make_table();
                self.insert_into_table(member)
            }
            (Kept::Pack(pack), _) => {
                pack.push_back(member);
                true
            }
            (Kept::Table(fields), _) => fields.add(member),
        };
        if added {
            let fits = match self.encoding {
                Encoding::Intset => number.is_some() && before < limits.ints,
                Encoding::Listpack => before < limits.pack && member.len() <= limits.pack_value_bytes,
                Encoding::Hashtable => true,
            };
            if !fits {
                self.encoding = Encoding::Hashtable;
            }
            self.fit(limits);
        }
        added
    }

    fn insert_into_table(&mut self, member: &[u8]) -> bool {
        match &mut self.kept {
            Kept::Table(fields) => fields.add(member),
            _ => false,
        }
    }

    /// Makes room for a member of `bytes` bytes that is no integer.
    fn unpack_ints(&mut self, bytes: usize, limits: &SetLimits) {
        let Kept::Ints(ints) = &self.kept else { return };
        let digits = |n: Option<i64>| n.map_or(0, |n| itoa::Buffer::new().format(n).len());
        let longest = digits(ints.get(0)).max(digits(ints.len().checked_sub(1).and_then(|last| ints.get(last))));
        if self.encoding == Encoding::Intset {
            let fits = ints.len() < limits.pack && bytes.max(longest) <= limits.pack_value_bytes;
            self.encoding = if fits { Encoding::Listpack } else { Encoding::Hashtable };
        }
        let most = if self.encoding == Encoding::Listpack { PACK_MAX } else { LARGE_PACK_MAX };
        if ints.len() >= most.0 {
            return self.make_table();
        }
        let mut pack = Listpack::with_capacity(ints.len() * (longest.min(9) + 2) + bytes + 8);
        ints.iter().for_each(|n| pack.push_back_int(n));
        self.kept = Kept::Pack(pack);
    }

    /// Leaves a form that has become too large.
    fn fit(&mut self, limits: &SetLimits) {
        let too_large = match &self.kept {
            Kept::Ints(ints) => ints.len() > limits.ints.clamp(INTS_LEN.0, INTS_LEN.1),
            Kept::Pack(pack) => {
                let most = if self.encoding == Encoding::Listpack { PACK_MAX } else { LARGE_PACK_MAX };
                pack.len() > most.0 || pack.bytes() > most.1
            }
            Kept::Table(_) => false,
        };
        if too_large {
            self.make_table();
        }
    }

    fn make_table(&mut self) {
        let mut fields = Fields::new();
        self.iter().for_each(|member| {
            member.with_bytes(|bytes| fields.add(bytes));
        });
        self.kept = Kept::Table(fields);
    }

    /// Removes a member; false if it was not there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.kept {
            Kept::Ints(ints) => number(member).is_some_and(|n| ints.remove(n)),
            Kept::Pack(pack) => match pack.find(member, None, 0) {
                Some(at) => {
                    pack.remove(at);
                    true
                }
                None => false,
            },
            Kept::Table(fields) => fields.remove(member),
        }
    }

    /// Whether it is a member.
    #[inline]
    pub fn contains(&self, member: Item<'_>) -> bool {
        match (&self.kept, member) {
            (Kept::Ints(ints), Item::Int(n)) => ints.contains(n),
            (Kept::Ints(ints), Item::Str(bytes)) => number(bytes).is_some_and(|n| ints.contains(n)),
            (Kept::Pack(pack), _) => member.with_bytes(|bytes| pack.find(bytes, None, 0).is_some()),
            (Kept::Table(fields), _) => member.with_bytes(|bytes| fields.contains(bytes)),
        }
    }

    /// As [`Set::contains`], of at most [`BATCH`] members at once: clears the bits of those in `wanted` that are not
    /// members. The memory of a large set is fetched for all of them together.
    pub fn retain_contained(&self, members: &[Item<'_>], wanted: u32) -> u32 {
        assert!(members.len() <= BATCH, "a bit for each");
        let mut found = wanted;
        let Kept::Table(fields) = &self.kept else {
            for (index, member) in members.iter().enumerate() {
                if wanted >> index & 1 == 1 && !self.contains(*member) {
                    found &= !(1 << index);
                }
            }
            return found;
        };
        let mut digits = [(); BATCH].map(|()| itoa::Buffer::new());
        let mut names: [&[u8]; BATCH] = [b""; BATCH];
        for ((name, member), digits) in names.iter_mut().zip(members).zip(&mut digits) {
            *name = match member {
                Item::Int(n) => digits.format(*n).as_bytes(),
                Item::Str(bytes) => bytes,
            };
        }
        fields.contains_each(&names[..members.len()], |index, contained| {
            if !contained {
                found &= !(1 << index);
            }
        });
        found
    }

    /// Shows the members that `other` has, too, until `visit` answers false. False, and nothing shown, if that has to
    /// be found out one by one: see [`Set::retain_contained`].
    pub fn common<'a>(&'a self, other: &Set, visit: &mut dyn FnMut(Item<'a>) -> bool) -> bool {
        match (&self.kept, &other.kept) {
            (Kept::Table(own), Kept::Table(other)) => own.common(other, |field| visit(Item::Str(field.name))),
            _ => false,
        }
    }

    /// A member drawn at random, each with the same chance. `random` gives 64 random bits.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Item<'_>> {
        let mut below = |len: usize| ((u128::from(random()) * len as u128) >> 64) as usize;
        match &self.kept {
            Kept::Ints(ints) => ints.get(below(ints.len())).map(Item::Int),
            Kept::Pack(pack) => pack.seek(below(pack.len()) as i64).map(|at| pack.get(at)),
            Kept::Table(fields) => fields.random(random).map(|field| Item::Str(field.name)),
        }
    }

    /// See [`Fields::prefetch_draws`].
    pub fn prefetch_draws(&self, next: impl FnMut() -> u64, later: impl FnMut() -> u64) {
        if let Kept::Table(fields) = &self.kept {
            fields.prefetch_draws(next, later);
        }
    }

    /// Members, in no order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.kept {
            Kept::Ints(ints) => Iterators::Ints(ints, 0),
            Kept::Pack(pack) => Iterators::Pack(pack.iter()),
            Kept::Table(fields) => Iterators::Table(fields.iter()),
        })
    }

    /// One step of SSCAN, see [`Fields::scan`]; a small set is shown whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>)) -> u64 {
        if let Kept::Table(fields) = &self.kept {
            return fields.scan(cursor, count, |field| visit(Item::Str(field.name)));
        }
        self.iter().for_each(visit);
        0
    }

    /// Its bytes as an intset, if it is kept and called so.
    pub fn as_intset(&self) -> Option<&[u8]> {
        match &self.kept {
            Kept::Ints(ints) if self.encoding == Encoding::Intset => Some(ints.as_bytes()),
            _ => None,
        }
    }

    /// As a listpack, if it is kept and called so.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.kept {
            Kept::Pack(pack) if self.encoding == Encoding::Listpack => Some(pack),
            _ => None,
        }
    }

    /// Frees about `budget` members of a set that nobody can reach any more; true when the rest may be dropped.
    pub fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.kept {
            Kept::Table(fields) => fields.free_step(budget),
            _ => true,
        }
    }

    /// Moves blocks out of pages that hold little else; true when a round has ended.
    pub(super) fn defrag(&mut self, mover: &mut Mover) -> bool {
        match &mut self.kept {
            Kept::Ints(ints) => ints.defrag(mover),
            Kept::Pack(pack) => pack.defrag(mover),
            Kept::Table(fields) => return fields.defrag(mover),
        }
        true
    }

    /// Heap bytes behind it.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        match &self.kept {
            Kept::Ints(ints) => ints.heap_bytes(),
            Kept::Pack(pack) => pack.heap_bytes(),
            Kept::Table(fields) => fields.heap_bytes(),
        }
    }
}

impl Encoding {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Intset => "intset",
            Encoding::Listpack => "listpack",
            Encoding::Hashtable => "hashtable",
        }
    }
}

/// Iterator of [`Set::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a>(Iterators<'a>);

#[derive(Debug, Clone)]
enum Iterators<'a> {
    Ints(&'a Intset, usize),
    Pack(listpack::Iter<'a>),
    Table(fields::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            Iterators::Ints(ints, index) => {
                *index += 1;
                ints.get(*index - 1).map(Item::Int)
            }
            Iterators::Pack(items) => items.next(),
            Iterators::Table(fields) => fields.next().map(|field| Item::Str(field.name)),
        }
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
