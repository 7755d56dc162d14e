//! HyperLogLog in Redis's byte format: counting distinct elements in at most 12 KB. Works on the bytes of a string,
//! never owns one and never knows a key.
//!
//! ```text
//! 0      4          5        8               16
//! "HYLL" encoding   unused   cardinality     registers
//!        0 dense             little-endian;  dense: 16384 x 6 bits, the first in the low bits of the first byte
//!        1 sparse            top bit: stale  sparse: runs, together 16384 registers
//! ```
//! | run | bytes | registers |
//! |---|---|---|
//! | ZERO | `00nnnnnn` | n+1 zeros |
//! | XZERO | `01nnnnnn nnnnnnnn` | n+1 zeros |
//! | VAL | `1vvvvvnn` | n+1 times the value v+1 |
//!
//! Hash: MurmurHash64A (Appleby). Register: its low 14 bits; value: the place of the first one bit of the rest.
//! Estimator: Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6, as in Redis
//! since 4.0.
//!
//! Invariants: dense strings are [`DENSE_BYTES`] long ([`is_hll`] checks it); whether the runs of a sparse one add up
//! is found out where it matters ([`Corrupt`]), because clients may SET any bytes.

/// Registers, a power of two.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Length of a dense string.
pub const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;

const INDEX_BITS: u32 = 14;
/// Hash bits that make the value; a register is at most one more.
const VALUE_BITS: usize = 64 - INDEX_BITS as usize;
const HEADER_BYTES: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const ENCODING_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
/// In byte 15: the cardinality has to be computed anew.
const STALE: u8 = 0x80;
const HASH_SEED: u64 = 0xadc8_3b19;

const ZERO_LEN_MAX: usize = 64;
const VAL_LEN_MAX: usize = 4;
/// Largest value of a sparse register.
const VAL_MAX: u8 = 32;
/// Runs that are looked at for a merge after a change.
const MERGE_RUNS: usize = 5;

/// The runs of a sparse string do not add up to all registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

/// Largest value of each register over several strings: their union.
pub type Registers = [u8; REGISTERS];

/// A new, empty one: sparse.
pub fn empty() -> [u8; HEADER_BYTES + 2] {
    let mut bytes = [0; HEADER_BYTES + 2];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = SPARSE;
    bytes[HEADER_BYTES..].copy_from_slice(&Run::xzero(REGISTERS));
    bytes
}

/// Whether a string claims to be one.
pub fn is_hll(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES
        && bytes.starts_with(MAGIC)
        && match bytes[ENCODING_AT] {
            DENSE => bytes.len() == DENSE_BYTES,
            SPARSE => true,
            _ => false,
        }
}

/// Whether it is sparse. The caller has checked [`is_hll`], here and in all that follows.
pub fn is_sparse(bytes: &[u8]) -> bool {
    bytes[ENCODING_AT] == SPARSE
}

/// Which register an element concerns, and its value there: 1 to 51.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Index of the register.
    pub index: usize,
    /// Its least value.
    pub value: u8,
}

impl Observation {
    /// Of an element.
    pub fn of(element: &[u8]) -> Self {
        let hash = murmur64a(element, HASH_SEED);
        let rest = hash >> INDEX_BITS | 1 << VALUE_BITS;
        Observation { index: hash as usize % REGISTERS, value: rest.trailing_zeros() as u8 + 1 }
    }
}

/// The value of a register.
pub fn get(bytes: &[u8], index: usize) -> Result<u8, Corrupt> {
    let body = &bytes[HEADER_BYTES..];
    if !is_sparse(bytes) {
        return Ok(dense_get(body, index));
    }
    Ok(seek(body, index)?.run.value)
}

/// Raises a register to at least `value`; true if it was lower. A sparse string turns dense where it would become
/// longer than `sparse_bytes_max` or the value is too large for it. On an error nothing has changed.
pub fn raise(bytes: &mut Vec<u8>, to: Observation, sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    let Observation { index, value } = to;
    let changed = if is_sparse(bytes) {
        raise_sparse(bytes, index, value, sparse_bytes_max)?
    } else {
        raise_dense(&mut bytes[HEADER_BYTES..], index, value)
    };
    if changed {
        forget_count(bytes);
    }
    Ok(changed)
}

/// As [`raise`], of a dense string, which cannot fail and keeps its length.
pub fn raise_in_place(bytes: &mut [u8], to: Observation) -> bool {
    assert!(!is_sparse(bytes), "a sparse one may have to grow");
    let changed = raise_dense(&mut bytes[HEADER_BYTES..], to.index, to.value);
    if changed {
        forget_count(bytes);
    }
    changed
}

/// Marks the remembered cardinality as stale.
pub fn forget_count(bytes: &mut [u8]) {
    bytes[HEADER_BYTES - 1] |= STALE;
}

/// The remembered cardinality, unless it is stale.
pub fn remembered_count(bytes: &[u8]) -> Option<u64> {
    let fresh = bytes[HEADER_BYTES - 1] & STALE == 0;
    let field = bytes[CARDINALITY_AT..].first_chunk::<8>()?;
    fresh.then(|| u64::from_le_bytes(*field))
}

/// Remembers the cardinality.
pub fn remember_count(bytes: &mut [u8], count: u64) {
    bytes[CARDINALITY_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// The estimated cardinality.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let body = &bytes[HEADER_BYTES..];
    let mut histogram = [0; 64];
    if is_sparse(bytes) {
        let mut total = 0;
        for run in runs(body) {
            total += run.len;
            histogram[usize::from(run.value)] += run.len as u32;
        }
        if total != REGISTERS {
            return Err(Corrupt);
        }
    } else {
        for_each_dense(body, |_, value| histogram[usize::from(value)] += 1);
    }
    Ok(estimate(&histogram))
}

/// The estimated cardinality of a union.
pub fn count_registers(registers: &Registers) -> u64 {
    let mut histogram = [0; 64];
    registers.iter().for_each(|value| histogram[usize::from(*value)] += 1);
    estimate(&histogram)
}

/// Adds a string to a union.
pub fn merge(bytes: &[u8], into: &mut Registers) -> Result<(), Corrupt> {
    let body = &bytes[HEADER_BYTES..];
    if !is_sparse(bytes) {
        for_each_dense(body, |index, value| into[index] = into[index].max(value));
        return Ok(());
    }
    let mut index = 0;
    for run in runs(body) {
        if run.value > 0 {
            let slots = into.get_mut(index..index + run.len).ok_or(Corrupt)?;
            slots.iter_mut().for_each(|slot| *slot = run.value.max(*slot));
        }
        index += run.len;
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// The dense form, the remembered cardinality as it was.
pub fn dense_of(bytes: &[u8]) -> Result<Vec<u8>, Corrupt> {
    if !is_sparse(bytes) {
        return Ok(bytes.to_vec());
    }
    let mut registers = [0; REGISTERS];
    merge(bytes, &mut registers)?;
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER_BYTES].copy_from_slice(&bytes[..HEADER_BYTES]);
    dense[ENCODING_AT] = DENSE;
    let triples = dense[HEADER_BYTES..].as_chunks_mut::<3>().0;
    for (triple, four) in triples.iter_mut().zip(registers.as_chunks::<4>().0) {
        let word = four.iter().rev().fold(0, |word, value| word << 6 | u32::from(*value));
        triple.copy_from_slice(&word.to_le_bytes()[..3]);
    }
    Ok(dense)
}

/// The runs of a sparse string as PFDEBUG DECODE prints them.
pub fn describe_runs(bytes: &[u8]) -> String {
    let texts = runs(&bytes[HEADER_BYTES..]).map(|run| match (run.value, run.bytes) {
        (0, 1) => format!("z:{}", run.len),
        (0, _) => format!("Z:{}", run.len),
        (value, _) => format!("v:{value},{}", run.len),
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// One run of a sparse string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// Of each register.
    value: u8,
    /// Registers.
    len: usize,
    /// Length of its code.
    bytes: usize,
}

impl Run {
    /// The run that begins `body`. A second byte that is cut off reads as zero.
    fn read(body: &[u8]) -> Option<Run> {
        let first = *body.first()?;
        Some(match first >> 6 {
            0 => Run { value: 0, len: usize::from(first & 0x3f) + 1, bytes: 1 },
            1 => {
                let second = body.get(1).copied().unwrap_or(0);
                Run { value: 0, len: (usize::from(first & 0x3f) << 8 | usize::from(second)) + 1, bytes: 2 }
            }
            _ => Run { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, bytes: 1 },
        })
    }

    fn xzero(len: usize) -> [u8; 2] {
        let n = len - 1;
        [0x40 | (n >> 8) as u8, n as u8]
    }

    fn val(value: u8, len: usize) -> u8 {
        0x80 | (value - 1) << 2 | (len - 1) as u8
    }
}

fn runs(body: &[u8]) -> impl Iterator<Item = Run> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let run = Run::read(body.get(at..)?)?;
        at += run.bytes;
        Some(run)
    })
}

/// Where a register is in a sparse string.
struct Place {
    run: Run,
    /// Offset of the run.
    at: usize,
    /// Offset of the run before it; its own for the first.
    before: usize,
    /// First register of the run.
    first: usize,
}

fn seek(body: &[u8], index: usize) -> Result<Place, Corrupt> {
    let (mut at, mut before, mut first) = (0, 0, 0);
    while let Some(run) = body.get(at..).and_then(Run::read) {
        if index < first + run.len {
            return Ok(Place { run, at, before, first });
        }
        before = at;
        at += run.bytes;
        first += run.len;
    }
    Err(Corrupt)
}

fn raise_sparse(bytes: &mut Vec<u8>, index: usize, value: u8, bytes_max: usize) -> Result<bool, Corrupt> {
    if value > VAL_MAX {
        return raise_as_dense(bytes, index, value);
    }
    let Place { run, at, before, first } = seek(&bytes[HEADER_BYTES..], index)?;
    if run.value >= value {
        return Ok(false);
    }
    let at = HEADER_BYTES + at;
    if run.len == 1 && run.bytes == 1 {
        bytes[at] = Run::val(value, 1);
    } else {
        let code = split(run, index - first, value);
        let end = (at + run.bytes).min(bytes.len());
        let len = bytes.len() - (end - at) + code.len;
        if len > bytes.len() && len > bytes_max {
            return raise_as_dense(bytes, index, value);
        }
        bytes.splice(at..end, code.bytes[..code.len].iter().copied());
    }
    merge_runs(bytes, HEADER_BYTES + before);
    Ok(true)
}

fn raise_as_dense(bytes: &mut Vec<u8>, index: usize, value: u8) -> Result<bool, Corrupt> {
    *bytes = dense_of(bytes)?;
    Ok(raise_dense(&mut bytes[HEADER_BYTES..], index, value))
}

/// Codes of at most three runs.
#[derive(Default)]
struct Code {
    bytes: [u8; 5],
    len: usize,
}

impl Code {
    fn push(&mut self, value: u8, run_len: usize) {
        match (value, run_len) {
            (_, 0) => {}
            (0, 1..=ZERO_LEN_MAX) => self.put(&[(run_len - 1) as u8]),
            (0, _) => self.put(&Run::xzero(run_len)),
            _ => self.put(&[Run::val(value, run_len)]),
        }
    }

    fn put(&mut self, code: &[u8]) {
        self.bytes[self.len..self.len + code.len()].copy_from_slice(code);
        self.len += code.len();
    }
}

/// The run with `value` for its register number `index`.
fn split(run: Run, index: usize, value: u8) -> Code {
    let mut code = Code::default();
    code.push(run.value, index);
    code.push(value, 1);
    code.push(run.value, run.len - index - 1);
    code
}

/// Joins neighbouring VAL runs of one value, looking at a few runs from offset `at` on.
fn merge_runs(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGE_RUNS {
        let Some(run) = bytes.get(at..).and_then(Run::read) else { return };
        if run.value > 0
            && let Some(next) = bytes.get(at + 1..).and_then(Run::read)
            && next.value == run.value
            && run.len + next.len <= VAL_LEN_MAX
        {
            bytes[at] = Run::val(run.value, run.len + next.len);
            bytes.remove(at + 1);
            continue;
        }
        at += run.bytes;
    }
}

fn dense_get(body: &[u8], index: usize) -> u8 {
    let bit = index * 6;
    let low = u16::from(body[bit / 8]);
    let high = u16::from(body.get(bit / 8 + 1).copied().unwrap_or(0));
    ((high << 8 | low) >> (bit % 8)) as u8 & 0x3f
}

fn raise_dense(body: &mut [u8], index: usize, value: u8) -> bool {
    if dense_get(body, index) >= value {
        return false;
    }
    let (at, shift) = (index * 6 / 8, index * 6 % 8);
    let (mask, value) = (0x3f_u16 << shift, u16::from(value) << shift);
    body[at] = body[at] & !(mask as u8) | value as u8;
    if shift > 2 {
        body[at + 1] = body[at + 1] & !((mask >> 8) as u8) | (value >> 8) as u8;
    }
    true
}

fn for_each_dense(body: &[u8], mut visit: impl FnMut(usize, u8)) {
    for (four, triple) in body.as_chunks::<3>().0.iter().enumerate() {
        let word = u32::from(triple[0]) | u32::from(triple[1]) << 8 | u32::from(triple[2]) << 16;
        for i in 0..4 {
            visit(four * 4 + i, (word >> (6 * i)) as u8 & 0x3f);
        }
    }
}

/// The estimate from how many registers have each value.
fn estimate(histogram: &[u32; 64]) -> u64 {
    /// 1 / (2 ln 2).
    const ALPHA_INF: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let of = |value: usize| f64::from(histogram[value]);
    let mut z = m * tau((m - of(VALUE_BITS + 1)) / m);
    for value in (1..=VALUE_BITS).rev() {
        z = (z + of(value)) * 0.5;
    }
    z += m * sigma(of(0) / m);
    (ALPHA_INF * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let last = z;
        z += x * y;
        y += y;
        if z == last {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let last = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == last {
            return z / 3.0;
        }
    }
}

/// MurmurHash64A, reading little-endian on every machine.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let (words, tail) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    for word in words {
        let word = u64::from_le_bytes(*word).wrapping_mul(M);
        hash = (hash ^ (word ^ word >> R).wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let word = tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

#[cfg(test)]
#[path = "hll_tests.rs"]
mod tests;
