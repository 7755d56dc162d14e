//! Layouts that Redis wrote before listpacks: ziplists and zipmaps. Only read, never trusted.
//!
//! ```text
//! ziplist  bytes, 4 | offset of the last entry, 4 | entries, 2 | entry ... | 0xff        little-endian
//! entry    length of the one before: 1 byte, or 0xfe and 4 | encoding, length | data
//! zipmap   entries, 1 | (length, name, length, spare, value, spare bytes) ... | 0xff     length: 1, or 0xfe and 4
//! ```

use super::read::Bad;
use crate::types::listpack::Listpack;

const END: u8 = 0xff;
const LONG: u8 = 0xfe;
const ZIPLIST_HEADER_BYTES: usize = 10;

const ZIPLIST: Bad = Bad::Corrupt("ziplist");
const ZIPMAP: Bad = Bad::Corrupt("zipmap");

/// The next `count` bytes from `at` on, which moves behind them.
fn take<'a>(bytes: &'a [u8], at: &mut usize, count: usize) -> Option<&'a [u8]> {
    let end = at.checked_add(count)?;
    let taken = bytes.get(*at..end)?;
    *at = end;
    Some(taken)
}

fn take_int(bytes: &[u8], at: &mut usize, count: usize) -> Option<i64> {
    let taken = take(bytes, at, count)?;
    let unsigned = taken.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let shift = 64 - 8 * count as u32;
    Some((unsigned << shift) as i64 >> shift)
}

/// Visits the entries of a ziplist.
pub(super) fn ziplist(bytes: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), Bad> {
    let told = bytes.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize);
    if told != Some(bytes.len()) || bytes.len() <= ZIPLIST_HEADER_BYTES || bytes.last() != Some(&END) {
        return Err(ZIPLIST);
    }
    let count = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (entries, mut at, mut seen) = (&bytes[..bytes.len() - 1], ZIPLIST_HEADER_BYTES, 0);
    let mut before = 0;
    while at < entries.len() {
        let start = at;
        if ziplist_entry(entries, &mut at, &mut visit).ok_or(ZIPLIST)? != before {
            return Err(ZIPLIST);
        }
        before = at - start;
        seen += 1;
    }
    if count == usize::from(u16::MAX) || count == seen { Ok(()) } else { Err(ZIPLIST) }
}

/// Shows one entry; returns the length it tells of the one before.
fn ziplist_entry(bytes: &[u8], at: &mut usize, visit: &mut impl FnMut(&[u8])) -> Option<usize> {
    let before = match take(bytes, at, 1)?[0] {
        LONG => take_int(bytes, at, 4)? as u32 as usize,
        END => return None,
        short => usize::from(short),
    };
    let first = take(bytes, at, 1)?[0];
    let len = match first >> 6 {
        0 => Some(usize::from(first & 0x3f)),
        1 => Some(usize::from(first & 0x3f) << 8 | usize::from(take(bytes, at, 1)?[0])),
        2 => Some(u32::from_be_bytes(*take(bytes, at, 4)?.first_chunk()?) as usize),
        _ => None,
    };
    if let Some(len) = len {
        visit(take(bytes, at, len)?);
        return Some(before);
    }
    let n = match first {
        0xc0 => take_int(bytes, at, 2)?,
        0xd0 => take_int(bytes, at, 4)?,
        0xe0 => take_int(bytes, at, 8)?,
        0xf0 => take_int(bytes, at, 3)?,
        0xfe => take_int(bytes, at, 1)?,
        0xf1..=0xfd => i64::from(first & 0x0f) - 1,
        _ => return None,
    };
    visit(itoa::Buffer::new().format(n).as_bytes());
    Some(before)
}

/// The entries of a ziplist as a listpack.
pub(super) fn listpack(bytes: &[u8]) -> Result<Listpack, Bad> {
    // What is in the listpack takes at most a few bytes more than in the ziplist.
    let mut pack = Listpack::with_capacity(bytes.len());
    let mut fits = true;
    ziplist(bytes, |entry| {
        fits &= pack.has_room(entry.len() + 16);
        if fits {
            pack.push_back(entry);
        }
    })?;
    if fits { Ok(pack) } else { Err(ZIPLIST) }
}

/// Visits the pairs of a zipmap.
pub(super) fn zipmap(bytes: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Bad>) -> Result<(), Bad> {
    let mut at = 1;
    loop {
        match bytes.get(at) {
            None => return Err(ZIPMAP),
            Some(&END) if at + 1 == bytes.len() => return Ok(()),
            Some(_) => {}
        }
        let (name, value) = zipmap_pair(bytes, &mut at).ok_or(ZIPMAP)?;
        visit(name, value)?;
    }
}

fn zipmap_pair<'a>(bytes: &'a [u8], at: &mut usize) -> Option<(&'a [u8], &'a [u8])> {
    let len = zipmap_length(bytes, at)?;
    let name = take(bytes, at, len)?;
    let len = zipmap_length(bytes, at)?;
    let spare = usize::from(take(bytes, at, 1)?[0]);
    let value = take(bytes, at, len)?;
    take(bytes, at, spare)?;
    Some((name, value))
}

fn zipmap_length(bytes: &[u8], at: &mut usize) -> Option<usize> {
    match take(bytes, at, 1)?[0] {
        END => None,
        LONG => take_int(bytes, at, 4).map(|n| n as u32 as usize),
        short => Some(usize::from(short)),
    }
}
