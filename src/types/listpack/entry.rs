//! One entry of a listpack: an encoding byte with the length or the number, the data, and the entry's own length again,
//! to be read from behind. Works on plain slices that hold whole entries; never sees a listpack's header.
//!
//! ```text
//! 0xxxxxxx                      number 0..=127
//! 10xxxxxx data                 up to 63 bytes
//! 110xxxxx xxxxxxxx             number of 13 bits, signed
//! 1110xxxx xxxxxxxx data        up to 4095 bytes
//! 11110000 4-byte-length data   up to 2^32 - 1 bytes
//! 11110001..11110100            numbers of 2, 3, 4 and 8 bytes, little-endian
//! 11111111                      not an entry: the end
//! ```
//! Behind it the length of all that in groups of seven bits, the highest first, of which all but the first have bit
//! seven set.

use crate::base::text;

/// Encoding bytes with the meaning drawn above.
const STR_6: u8 = 0x80;
const INT_13: u8 = 0xc0;
const STR_12: u8 = 0xe0;
const STR_32: u8 = 0xf0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;

/// What an entry holds. A byte string that is the canonical form of a 64-bit integer is held as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A number.
    Int(i64),
    /// Any other byte string.
    Str(&'a [u8]),
}

impl Item<'_> {
    /// Calls `f` with the byte string that was stored.
    #[inline]
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Item::Int(n) => f(itoa::Buffer::new().format(*n).as_bytes()),
            Item::Str(bytes) => f(bytes),
        }
    }

    /// The byte string that was stored.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// Bytes of the byte string that was stored.
    pub fn len(&self) -> usize {
        self.with_bytes(<[u8]>::len)
    }

    /// Whether the byte string that was stored is empty.
    pub fn is_empty(&self) -> bool {
        matches!(self, Item::Str([]))
    }

    /// Whether the byte string that was stored is `bytes`.
    pub fn is(&self, bytes: &[u8]) -> bool {
        match self {
            Item::Int(_) => self.with_bytes(|own| own == bytes),
            Item::Str(own) => *own == bytes,
        }
    }
}

/// The number that `bytes` is stored as, if it is the canonical form of one.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [] => None,
        [first, ..] if bytes.len() > 20 || !(first.is_ascii_digit() || *first == b'-') => None,
        _ => text::parse_i64(bytes),
    }
}

/// A byte string as an entry will hold it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    body: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Chooses the shortest form.
    #[inline]
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        match number(bytes) {
            Some(n) => Self::int(n),
            None => Self::string(bytes),
        }
    }

    /// A number's form.
    pub(crate) fn int(n: i64) -> Self {
        let mut head = [0; 9];
        let le = n.to_le_bytes();
        let mut long = |tag: u8, count: usize| {
            head[0] = tag;
            head[1..=count].copy_from_slice(&le[..count]);
            1 + count as u8
        };
        let head_len = match n {
            0..=127 => long(n as u8, 0),
            -4096..=4095 => {
                let bits = (n as u16) & 0x1fff;
                head[..2].copy_from_slice(&[INT_13 | (bits >> 8) as u8, bits as u8]);
                2
            }
            -0x8000..=0x7fff => long(INT_16, 2),
            -0x80_0000..=0x7f_ffff => long(INT_24, 3),
            -0x8000_0000..=0x7fff_ffff => long(INT_32, 4),
            _ => long(INT_64, 8),
        };
        Encoded { head, head_len, body: &[] }
    }

    fn string(bytes: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let len = bytes.len();
        let head_len = match len {
            0..=63 => {
                head[0] = STR_6 | len as u8;
                1
            }
            64..=4095 => {
                head[..2].copy_from_slice(&[STR_12 | (len >> 8) as u8, len as u8]);
                2
            }
            _ => {
                head[0] = STR_32;
                head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                5
            }
        };
        Encoded { head, head_len, body: bytes }
    }

    /// Bytes of the whole entry.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        whole(usize::from(self.head_len) + self.body.len())
    }

    /// Bytes of the entry without the length behind it.
    #[inline]
    pub(crate) fn own_size(&self) -> usize {
        usize::from(self.head_len) + self.body.len()
    }

    /// Writes the entry to `out`, which is [`Encoded::size`] bytes long.
    #[inline]
    pub(crate) fn write(&self, out: &mut [u8]) {
        let own = self.own_size();
        self.write_own(&mut out[..own]);
        write_length(&mut out[own..], own);
    }

    /// Writes the entry without the length behind it to `out`, which is [`Encoded::own_size`] bytes long.
    #[inline]
    pub(crate) fn write_own(&self, out: &mut [u8]) {
        let (head, body) = out.split_at_mut(usize::from(self.head_len));
        head.copy_from_slice(&self.head[..head.len()]);
        body.copy_from_slice(self.body);
    }
}

/// Bytes that the length of an entry of `own` bytes takes. The bounds are Redis's, one below what would fit.
#[inline]
fn length_bytes(own: usize) -> usize {
    match own {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

#[inline]
fn write_length(out: &mut [u8], own: usize) {
    if own <= 127 {
        out[0] = own as u8;
        return;
    }
    let count = length_bytes(own);
    for (i, byte) in out[..count].iter_mut().enumerate() {
        let group = (own >> (7 * (count - 1 - i))) as u8 & 127;
        *byte = if i == 0 { group } else { group | 128 };
    }
}

#[inline]
fn whole(own: usize) -> usize {
    own + length_bytes(own)
}

/// Bytes of the entry at `at` without the length behind it.
#[inline]
pub(crate) fn own_size(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        0..=0x7f => 1,
        tag @ 0x80..=0xbf => 1 + usize::from(tag & 63),
        0xc0..=0xdf => 2,
        tag @ 0xe0..=0xef => 2 + (usize::from(tag & 15) << 8 | usize::from(bytes[at + 1])),
        STR_32 => 5 + le(&bytes[at + 1..at + 5]) as usize,
        INT_16 => 3,
        INT_24 => 4,
        INT_32 => 5,
        _ => 9,
    }
}

/// Bytes of the entry at `at`: where it begins plus this is where the next begins.
#[inline]
pub(crate) fn size_at(bytes: &[u8], at: usize) -> usize {
    whole(own_size(bytes, at))
}

/// Where the entry begins that ends before `end`.
#[inline]
pub(crate) fn before(bytes: &[u8], end: usize) -> usize {
    let (mut own, mut count) = (0, 0);
    loop {
        let byte = bytes[end - 1 - count];
        own |= usize::from(byte & 127) << (7 * count);
        count += 1;
        if byte & 128 == 0 {
            return end - count - own;
        }
    }
}

/// What the entry at `at` holds, and where the next one begins.
#[inline]
pub(crate) fn read(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let tag = bytes[at];
    if tag & 0xc0 == STR_6 {
        let end = at + 1 + usize::from(tag & 63);
        return (Item::Str(&bytes[at + 1..end]), end + 1);
    }
    (item_at(bytes, at), at + size_at(bytes, at))
}

/// As [`read`], where entries have no length behind them.
#[inline]
pub(super) fn read_own(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let tag = bytes[at];
    if tag & 0xc0 == STR_6 {
        let end = at + 1 + usize::from(tag & 63);
        return (Item::Str(&bytes[at + 1..end]), end);
    }
    (item_at(bytes, at), at + own_size(bytes, at))
}

/// Appends an entry to `out`, with the length behind it; `own` is all before that.
pub(super) fn push_whole(out: &mut Vec<u8>, own: &[u8]) {
    out.extend_from_slice(own);
    let at = out.len();
    out.resize(at + length_bytes(own.len()), 0);
    write_length(&mut out[at..], own.len());
}

/// What the entry at `at` holds.
#[inline]
pub(crate) fn item_at(bytes: &[u8], at: usize) -> Item<'_> {
    match bytes[at] {
        tag @ 0..=0x7f => Item::Int(i64::from(tag)),
        tag @ 0x80..=0xbf => Item::Str(&bytes[at + 1..at + 1 + usize::from(tag & 63)]),
        tag @ 0xc0..=0xdf => {
            let bits = i64::from(tag & 31) << 8 | i64::from(bytes[at + 1]);
            Item::Int(bits << 51 >> 51)
        }
        tag @ 0xe0..=0xef => {
            let len = usize::from(tag & 15) << 8 | usize::from(bytes[at + 1]);
            Item::Str(&bytes[at + 2..at + 2 + len])
        }
        STR_32 => {
            let len = le(&bytes[at + 1..at + 5]) as usize;
            Item::Str(&bytes[at + 5..at + 5 + len])
        }
        INT_16 => Item::Int(signed(&bytes[at + 1..at + 3])),
        INT_24 => Item::Int(signed(&bytes[at + 1..at + 4])),
        INT_32 => Item::Int(signed(&bytes[at + 1..at + 5])),
        _ => Item::Int(signed(&bytes[at + 1..at + 9])),
    }
}

fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len() as u32;
    (le(bytes) << unused) as i64 >> unused
}

/// Bytes of the entry at `at` if it is whole, well-formed and ends before `bytes` does.
pub(crate) fn checked_size(bytes: &[u8], at: usize) -> Option<usize> {
    let head = match *bytes.get(at)? {
        0..=0xbf => 1,
        0xc0..=0xef => 2,
        STR_32 => 5,
        INT_16..=INT_64 => 1,
        _ => return None,
    };
    bytes.get(at..at.checked_add(head)?)?;
    let own = own_size(bytes, at);
    let end = at.checked_add(whole(own))?;
    let length = bytes.get(at + own..end)?;
    let mut expected = [0; 5];
    write_length(&mut expected, own);
    (length == &expected[..length.len()]).then_some(end - at)
}

/// A byte string to look for: the number it would be stored as is worked out once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needle<'a> {
    bytes: &'a [u8],
    number: Option<i64>,
}

impl<'a> Needle<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Needle { bytes, number: number(bytes) }
    }

    /// Whether `item` holds it.
    #[inline]
    pub(crate) fn is(&self, item: Item<'_>) -> bool {
        match item {
            Item::Int(n) => self.number == Some(n),
            Item::Str(bytes) => bytes == self.bytes,
        }
    }
}
