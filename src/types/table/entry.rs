//! The bytes of one entry inside a page. Never knows where the entry is indexed.
//!
//! ```text
//! header 2 | key length 2, if extended | value length 2, if extended | expiry 6, if any | key | value
//! header: bits 0-1 kind | 2 expires | 3 dead | 4-9 key length | 10-15 value length
//! ```
//! Unaligned, little-endian. A length of 63 means that it stands in the extension. Key length 62: the key is out of
//! line, and 12 bytes (address, length) stand for it. Value by kind: an integer in 1, 2, 4 or 8 bytes; bytes; bytes
//! that an edit in place made; a [`Value`] itself, which needs no alignment. A dead entry keeps its lengths: a page can
//! be walked.
//! The expiry is in milliseconds, 48 bits: later than the year 10889 saturates.

use super::{EntryView, INLINE_BYTES_MAX};
use crate::base::thin::Thin;
use crate::types::defrag::Mover;
use crate::types::value::{NewValue, Value, View};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

const INT: u16 = 0;
const STR: u16 = 1;
const RAW: u16 = 2;
const BOXED: u16 = 3;
const KIND_MASK: u16 = 3;
const EXPIRES: u16 = 1 << 2;
const DEAD: u16 = 1 << 3;
const KEY_SHIFT: u32 = 4;
const VALUE_SHIFT: u32 = 10;
const KEY_OUTSIDE: u16 = 62;
const EXTENDED: u16 = 63;
const EXPIRY_BYTES: usize = 6;
const OUTSIDE_BYTES: usize = 12;
/// Bytes of a boxed value in its entry.
const VALUE_BYTES: usize = size_of::<Value>();
/// Keys longer than this stand out of line.
const KEY_INLINE_MAX: usize = 512;
/// The latest expiry that can be stored, Unix milliseconds: later ones become this.
pub const EXPIRE_MS_MAX: u64 = (1 << 48) - 1;
/// Longest entry.
pub(super) const ENTRY_BYTES_MAX: usize = 2 + 4 + EXPIRY_BYTES + INLINE_BYTES_MAX;

/// An entry in a page, decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    at: *mut u8,
    header: u16,
    key_at: u16,
    key_len: u16,
    value_len: u16,
}

/// SAFETY of all: `at + offset` must be inside the entry.
#[inline(always)]
unsafe fn read_u16(at: *const u8, offset: usize) -> u16 {
    // SAFETY: the caller's.
    unsafe { u16::from_le_bytes(at.add(offset).cast::<[u8; 2]>().read()) }
}

#[inline(always)]
unsafe fn read_u64(at: *const u8, offset: usize) -> u64 {
    // SAFETY: the caller's.
    unsafe { u64::from_le_bytes(at.add(offset).cast::<[u8; 8]>().read()) }
}

impl Entry {
    /// Decodes the entry that begins at `at`.
    ///
    /// # Safety
    /// `at` is where [`Draft::write`] wrote an entry, in a page that outlives the result.
    #[inline(always)]
    pub(super) unsafe fn at(at: *mut u8) -> Entry {
        // SAFETY: the header and then the extensions that it announces were written there.
        unsafe {
            let header = read_u16(at, 0);
            let mut offset = 2;
            let key_len = match header >> KEY_SHIFT & EXTENDED {
                EXTENDED => {
                    offset += 2;
                    read_u16(at, 2)
                }
                KEY_OUTSIDE => OUTSIDE_BYTES as u16,
                len => len,
            };
            let value_len = match header >> VALUE_SHIFT {
                EXTENDED => {
                    offset += 2;
                    read_u16(at, offset - 2)
                }
                len => len,
            };
            offset += if header & EXPIRES != 0 { EXPIRY_BYTES } else { 0 };
            Entry { at, header, key_at: offset as u16, key_len, value_len }
        }
    }

    /// Bytes it takes in the page.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        usize::from(self.key_at) + usize::from(self.key_len) + usize::from(self.value_len)
    }

    /// Where it begins.
    pub(super) fn address(&self) -> *const u8 {
        self.at
    }

    /// Whether it was removed or replaced.
    pub(super) fn is_dead(&self) -> bool {
        self.header & DEAD != 0
    }

    /// Marks it as removed.
    ///
    /// # Safety
    /// The page is not read or written through a reference meanwhile.
    pub(super) unsafe fn kill(&mut self) {
        self.header |= DEAD;
        // SAFETY: the entry begins with its header; exclusive by the caller's promise.
        unsafe { self.at.cast::<[u8; 2]>().write(self.header.to_le_bytes()) };
    }

    #[inline(always)]
    pub(super) fn key_is_outside(&self) -> bool {
        self.header >> KEY_SHIFT & EXTENDED == KEY_OUTSIDE
    }

    /// The key.
    ///
    /// # Safety
    /// The page, and the entry in it, stay as they are for `'a`.
    #[inline(always)]
    pub(super) unsafe fn key<'a>(&self) -> &'a [u8] {
        // SAFETY: `key_len` bytes were written at `key_at`: the key, or the address and length of a leaked box.
        unsafe {
            let key = self.at.add(usize::from(self.key_at));
            if self.key_is_outside() {
                return &*outside_key(key);
            }
            std::slice::from_raw_parts(key, usize::from(self.key_len))
        }
    }

    /// The value's bytes as stored.
    ///
    /// # Safety
    /// As [`Entry::key`].
    #[inline(always)]
    unsafe fn value_bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: `value_len` bytes were written after the key.
        unsafe { std::slice::from_raw_parts(self.value_at(), usize::from(self.value_len)) }
    }

    /// Where the value begins.
    #[inline(always)]
    fn value_at(&self) -> *mut u8 {
        self.at.wrapping_add(usize::from(self.key_at) + usize::from(self.key_len))
    }

    /// The value.
    ///
    /// # Safety
    /// As [`Entry::key`]; a boxed value is not changed for `'a`.
    #[inline(always)]
    pub(super) unsafe fn value<'a>(&self) -> View<'a> {
        // SAFETY: the kind says what was written.
        unsafe {
            match self.header & KIND_MASK {
                INT => View::Int(decode_int(self.value_bytes())),
                BOXED => View::Boxed(&*self.value_at().cast::<Value>()),
                kind => View::Str { bytes: self.value_bytes(), raw: kind == RAW },
            }
        }
    }

    /// Where its boxed value is, if it holds one: good until the entry moves.
    #[inline]
    pub(super) fn boxed(&self) -> Option<*mut Value> {
        (self.header & KIND_MASK == BOXED).then(|| self.value_at().cast::<Value>())
    }

    /// Takes its boxed value out, if it holds one.
    ///
    /// # Safety
    /// The entry is as [`Draft::write`] left it; it is overwritten or killed next, and its value not used again.
    pub(super) unsafe fn take_boxed(&self) -> Option<Box<Value>> {
        // SAFETY: of kind BOXED a value is written, which belongs to the entry; the caller's.
        self.boxed().map(|boxed| Box::new(unsafe { boxed.read() }))
    }

    /// The box of an out-of-line key, if it has one.
    ///
    /// # Safety
    /// The entry is as [`Draft::write`] left it.
    pub(super) unsafe fn boxed_key(&self) -> Option<*mut [u8]> {
        // SAFETY: for KEY_OUTSIDE an address and a length are written.
        self.key_is_outside().then(|| unsafe { outside_key(self.at.add(usize::from(self.key_at))) })
    }

    /// Moves the box of an out-of-line key if that is worth it.
    ///
    /// # Safety
    /// The entry is live, and no reference into its page or to its key exists.
    pub(super) unsafe fn defrag_key(&self, mover: &mut Mover) {
        // SAFETY: the entry owns the box, and gets the address of the one that takes its place; lengths stay.
        unsafe {
            let Some(key) = self.boxed_key() else { return };
            if mover.is_worth(key.cast(), key.len()) {
                let new = Box::<[u8]>::from(&*key);
                drop(Box::from_raw(key));
                let address = Box::into_raw(new).cast::<u8>().expose_provenance() as u64;
                self.at.add(usize::from(self.key_at)).cast::<[u8; 8]>().write(address.to_le_bytes());
            }
        }
    }

    /// The expiry, Unix milliseconds.
    ///
    /// # Safety
    /// The entry is as [`Draft::write`] left it.
    #[inline(always)]
    pub(super) unsafe fn expire_ms(&self) -> Option<u64> {
        if self.header & EXPIRES == 0 {
            return None;
        }
        // SAFETY: an expiry stands in the 6 bytes before the key; the 2 bytes before it are header or extension.
        Some(unsafe { read_u64(self.at, usize::from(self.key_at) - 8) } >> 16)
    }

    /// All of it.
    ///
    /// # Safety
    /// As [`Entry::value`].
    #[inline(always)]
    pub(super) unsafe fn view<'a>(&self, access: u16) -> EntryView<'a> {
        // SAFETY: the caller's.
        unsafe { EntryView { key: self.key(), value: self.value(), expire_ms: self.expire_ms(), access } }
    }

    /// A draft of this entry with another expiry and, if there is one, another value, to write it elsewhere.
    ///
    /// # Safety
    /// As [`Entry::key`].
    pub(super) unsafe fn draft_with<'a>(&self, value: Option<Stored<'a>>, expire_ms: Option<u64>) -> Draft<'a> {
        // SAFETY: the caller's; key and value are taken as they are stored.
        unsafe {
            let key = std::slice::from_raw_parts(self.at.add(usize::from(self.key_at)), usize::from(self.key_len));
            let bytes = Bytes::There(self.value_at(), self.value_len, PhantomData);
            let own = || Stored { kind: self.header & KIND_MASK, bytes };
            Draft { key, key_outside: self.key_is_outside(), expire_ms, value: value.unwrap_or_else(own) }
        }
    }

    /// Changes the expiry of an entry that has one.
    ///
    /// # Safety
    /// The page is not read or written through a reference meanwhile.
    pub(super) unsafe fn set_expiry(&mut self, at_ms: u64) {
        assert!(self.header & EXPIRES != 0);
        // SAFETY: the expiry stands in the 6 bytes before the key.
        unsafe { write_expiry(self.at.add(usize::from(self.key_at) - EXPIRY_BYTES), at_ms) };
    }

    /// Writes value and expiry over those of this entry if that leaves its length as it is.
    ///
    /// # Safety
    /// The page is not read or written through a reference meanwhile.
    #[inline(always)]
    pub(super) unsafe fn overwrite(&mut self, value: &Stored<'_>, expire_ms: Option<u64>) -> bool {
        let (bytes, len) = value.bytes.place();
        let had_expiry = self.header & EXPIRES != 0;
        if len != usize::from(self.value_len) || expire_ms.is_some() != had_expiry {
            return false;
        }
        self.header = self.header & !KIND_MASK | value.kind;
        // SAFETY: header, expiry and value lie inside the entry and keep their lengths; `bytes` is no part of a page.
        unsafe {
            self.at.cast::<[u8; 2]>().write(self.header.to_le_bytes());
            if let Some(at) = expire_ms {
                write_expiry(self.at.add(usize::from(self.key_at) - EXPIRY_BYTES), at);
            }
            ptr::copy_nonoverlapping(bytes, self.value_at(), len);
        }
        true
    }
}

unsafe fn write_expiry(to: *mut u8, at_ms: u64) {
    let bytes = at_ms.min(EXPIRE_MS_MAX).to_le_bytes();
    // SAFETY: the caller has 6 bytes there.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, EXPIRY_BYTES) };
}

fn decode_int(bytes: &[u8]) -> i64 {
    match *bytes {
        [a] => i64::from(a.cast_signed()),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("an integer is stored in 1, 2, 4 or 8 bytes"),
    }
}

unsafe fn outside_key(field: *const u8) -> *mut [u8] {
    // SAFETY: the caller points to OUTSIDE_BYTES bytes.
    unsafe {
        let address = read_u64(field, 0) as usize;
        let len = u32::from_le_bytes(field.add(8).cast::<[u8; 4]>().read()) as usize;
        ptr::slice_from_raw_parts_mut(ptr::with_exposed_provenance_mut(address), len)
    }
}

/// A value as an entry stores it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    kind: u16,
    bytes: Bytes<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Short([u8; 8], u8),
    /// In another entry.
    There(*const u8, u16, PhantomData<&'a [u8]>),
    /// A boxed value, all of whose bytes need not be initialized.
    Boxed(MaybeUninit<[u8; VALUE_BYTES]>),
}

impl Bytes<'_> {
    /// Where they begin, and their number.
    #[inline(always)]
    fn place(&self) -> (*const u8, usize) {
        match self {
            Bytes::Borrowed(bytes) => (bytes.as_ptr(), bytes.len()),
            Bytes::Short(bytes, len) => (bytes.as_ptr(), usize::from(*len)),
            Bytes::There(at, len, _) => (*at, usize::from(*len)),
            Bytes::Boxed(value) => (value.as_ptr().cast(), VALUE_BYTES),
        }
    }
}

impl<'a> Stored<'a> {
    /// What is stored for `value` beside a key of `key_len` bytes. What is boxed moves into it: it must be
    /// written exactly once. The second result is the heap bytes behind it.
    #[inline(always)]
    pub(super) fn new(value: NewValue<'a>, key_len: usize) -> (Stored<'a>, usize) {
        match value {
            NewValue::Int(n) => (Stored::int(n), 0),
            NewValue::Str { bytes, raw } if bytes.len() + key_bytes(key_len) <= INLINE_BYTES_MAX => {
                (Stored { kind: if raw { RAW } else { STR }, bytes: Bytes::Borrowed(bytes) }, 0)
            }
            NewValue::Str { bytes, .. } => Stored::boxed(Value::Str(Thin::new(Arc::new(bytes.to_vec())))),
            NewValue::Boxed(value) => Stored::boxed(*value),
        }
    }

    fn int(n: i64) -> Self {
        let len = if i64::from(n as i8) == n {
            1
        } else if i64::from(n as i16) == n {
            2
        } else if i64::from(n as i32) == n {
            4
        } else {
            8
        };
        Stored { kind: INT, bytes: Bytes::Short(n.to_le_bytes(), len) }
    }

    #[cold]
    fn boxed(value: Value) -> (Self, usize) {
        let heap = value.heap_bytes();
        let mut bytes = MaybeUninit::<[u8; VALUE_BYTES]>::zeroed();
        // SAFETY: the array has the size of a value, which needs no alignment.
        unsafe { bytes.as_mut_ptr().cast::<Value>().write(value) };
        (Stored { kind: BOXED, bytes: Bytes::Boxed(bytes) }, heap)
    }
}

/// Bytes that a key of `len` bytes takes in its entry.
fn key_bytes(len: usize) -> usize {
    if len > KEY_INLINE_MAX { OUTSIDE_BYTES } else { len }
}

/// An entry that is to be written.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// The key, or the bytes that stand for one that is out of line.
    pub(super) key: &'a [u8],
    pub(super) key_outside: bool,
    pub(super) expire_ms: Option<u64>,
    pub(super) value: Stored<'a>,
}

/// What stands in an entry for a key that is out of line; the box is leaked into it.
pub(super) fn key_outside(key: &[u8]) -> Option<[u8; OUTSIDE_BYTES]> {
    if key.len() <= KEY_INLINE_MAX {
        return None;
    }
    let len = u32::try_from(key.len()).expect("keys are shorter than 4 GB");
    let address = Box::into_raw(Box::<[u8]>::from(key)).cast::<u8>().expose_provenance() as u64;
    let mut field = [0; OUTSIDE_BYTES];
    field[..8].copy_from_slice(&address.to_le_bytes());
    field[8..].copy_from_slice(&len.to_le_bytes());
    Some(field)
}

impl Draft<'_> {
    /// Bytes it will take.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let (key, value) = (self.key.len(), self.value.bytes.place().1);
        let extended = usize::from(self.key_extended()) + usize::from(value >= usize::from(EXTENDED));
        let expiry = if self.expire_ms.is_some() { EXPIRY_BYTES } else { 0 };
        2 + 2 * extended + expiry + key + value
    }

    #[inline]
    fn key_extended(&self) -> bool {
        !self.key_outside && self.key.len() >= usize::from(KEY_OUTSIDE)
    }

    /// Writes the entry.
    ///
    /// # Safety
    /// `to` has room for [`Draft::bytes`] bytes that nothing else refers to.
    #[inline]
    pub(super) unsafe fn write(&self, to: *mut u8) {
        let (value, value_len) = self.value.bytes.place();
        let mut header = self.value.kind;
        let mut offset = 2;
        // SAFETY: the offsets add up to `bytes()`.
        unsafe {
            if self.key_outside {
                header |= KEY_OUTSIDE << KEY_SHIFT;
            } else if self.key_extended() {
                header |= EXTENDED << KEY_SHIFT;
                to.add(offset).cast::<[u8; 2]>().write((self.key.len() as u16).to_le_bytes());
                offset += 2;
            } else {
                header |= (self.key.len() as u16) << KEY_SHIFT;
            }
            if value_len >= usize::from(EXTENDED) {
                header |= EXTENDED << VALUE_SHIFT;
                to.add(offset).cast::<[u8; 2]>().write((value_len as u16).to_le_bytes());
                offset += 2;
            } else {
                header |= (value_len as u16) << VALUE_SHIFT;
            }
            if let Some(at) = self.expire_ms {
                header |= EXPIRES;
                write_expiry(to.add(offset), at);
                offset += EXPIRY_BYTES;
            }
            to.cast::<[u8; 2]>().write(header.to_le_bytes());
            ptr::copy_nonoverlapping(self.key.as_ptr(), to.add(offset), self.key.len());
            ptr::copy_nonoverlapping(value, to.add(offset + self.key.len()), value_len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(key: &[u8], value: NewValue<'_>, expire_ms: Option<u64>, check: impl Fn(View<'_>)) {
        let mut page = vec![0xEEu8; ENTRY_BYTES_MAX];
        let outside = key_outside(key);
        let (value, _) = Stored::new(value, key.len());
        let field = outside.as_ref().map_or(key, |f| &f[..]);
        let draft = Draft { key: field, key_outside: outside.is_some(), expire_ms, value };
        let bytes = draft.bytes();
        assert!(bytes <= ENTRY_BYTES_MAX);
        // SAFETY: the vector is long enough, and lives until the end.
        unsafe {
            draft.write(page.as_mut_ptr());
            let mut entry = Entry::at(page.as_mut_ptr());
            assert_eq!(entry.bytes(), bytes);
            assert_eq!(entry.key(), key);
            assert_eq!(entry.expire_ms(), expire_ms.map(|at| at.min(EXPIRE_MS_MAX)));
            check(entry.value());
            let copy = entry.draft_with(None, expire_ms);
            assert_eq!(copy.bytes(), bytes);
            let boxed = (entry.take_boxed(), entry.boxed_key().map(|b| Box::from_raw(b)));
            drop(boxed);
            entry.kill();
            let dead = Entry::at(page.as_mut_ptr());
            assert!(dead.is_dead() && !copy.key.is_empty() | key.is_empty());
            assert_eq!(dead.bytes(), bytes);
        }
        assert!(page[bytes..].iter().all(|&b| b == 0xEE));
    }

    #[test]
    fn every_length_and_kind_reads_back() {
        for key_len in [0, 1, 16, 61, 62, 63, 64, 300, 512, 513, 5000] {
            let key = vec![b'k'; key_len];
            for expire in [None, Some(0), Some(1_700_000_000_000), Some(u64::MAX)] {
                for len in [0usize, 1, 61, 62, 63, 64, 255, 256, 512, 1000, 1023, 1024, 1025, 70_000] {
                    let bytes = vec![b'v'; len];
                    for raw in [false, true] {
                        round_trip(&key, NewValue::Str { bytes: &bytes, raw }, expire, |view| match view {
                            View::Str { bytes: b, raw: r } => assert!(b == bytes && r == raw),
                            View::Boxed(Value::Str(b)) => assert!(***b == bytes && len + key_bytes(key_len) > 1024),
                            _ => panic!("a string"),
                        });
                    }
                }
                for n in [0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32768, -32769, 1 << 31, i64::MAX, i64::MIN] {
                    round_trip(&key, NewValue::Int(n), expire, |view| assert!(matches!(view, View::Int(m) if m == n)));
                }
            }
        }
    }

    #[test]
    fn overwrites_only_what_fits() {
        let mut page = vec![0u8; 64];
        let draft = Draft { key: b"k", key_outside: false, expire_ms: Some(5), value: Stored::int(7) };
        // SAFETY: the vector is long enough.
        unsafe {
            draft.write(page.as_mut_ptr());
            let mut entry = Entry::at(page.as_mut_ptr());
            assert!(!entry.overwrite(&Stored::int(300), Some(5)));
            assert!(!entry.overwrite(&Stored::int(8), None));
            let text = Stored::new(NewValue::Str { bytes: b"x", raw: true }, 1).0;
            assert!(entry.overwrite(&text, Some(9)));
            let entry = Entry::at(page.as_mut_ptr());
            assert!(matches!(entry.value(), View::Str { bytes: b"x", raw: true }));
            assert_eq!((entry.key(), entry.expire_ms()), (&b"k"[..], Some(9)));
        }
    }
}
