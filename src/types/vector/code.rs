//! How a vector is kept: as it is (`f32`), in bytes scaled to its largest component (`int8`), or as signs (`bin`); and
//! how far two of them are apart. Plain loops that the compiler turns into SIMD. Never knows elements or graphs.
//!
//! Vectors are kept at length 1, so the distance is `1 - cosine`: 0 for the same direction, 2 for the opposite one. The
//! length that a vector had is kept beside it by the caller. Quantization and rounding are those of Redis's vector
//! sets (Redis documentation, "Vector sets", memory optimization), so that answers agree with it digit by digit where
//! no order of additions is involved.

use super::pages::Pages;
use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};

/// Form of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quant {
    /// 32-bit floats.
    F32,
    /// One byte each, scaled so that the largest becomes 127.
    #[default]
    Q8,
    /// One bit each: whether it is positive.
    Bin,
}

impl Quant {
    /// As VINFO prints it.
    pub fn name(self) -> &'static str {
        match self {
            Quant::F32 => "f32",
            Quant::Q8 => "int8",
            Quant::Bin => "bin",
        }
    }

    /// Bytes of a vector of `dim` components.
    pub fn bytes(self, dim: usize) -> usize {
        match self {
            Quant::F32 => dim * 4,
            Quant::Q8 => dim,
            Quant::Bin => dim.div_ceil(64) * 8,
        }
    }
}

/// One vector in its form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Code<'a> {
    F32(&'a [f32]),
    /// And the component that is 127.
    Q8(&'a [i8], f32),
    /// Words of 64 signs, and the number of signs.
    Bin(&'a [u64], usize),
}

/// A vector on its own: a query, or one that is about to be kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Coded {
    F32(Vec<f32>),
    Q8(Vec<i8>, f32),
    Bin(Vec<u64>, usize),
}

impl Coded {
    /// Brings a vector of length 1 into the form.
    pub(super) fn of(unit: Vec<f32>, quant: Quant) -> Self {
        match quant {
            Quant::F32 => Coded::F32(unit),
            Quant::Q8 => {
                let range = unit.iter().fold(0.0f32, |most, x| if x.abs() > most { x.abs() } else { most });
                if range == 0.0 {
                    return Coded::Q8(vec![0; unit.len()], 0.0);
                }
                let scale = 127.0 / range;
                Coded::Q8(unit.iter().map(|x| (x * scale).round() as i8).collect(), range)
            }
            Quant::Bin => {
                let mut words = vec![0u64; unit.len().div_ceil(64)];
                for (i, x) in unit.iter().enumerate() {
                    words[i / 64] |= u64::from(*x > 0.0) << (i % 64);
                }
                Coded::Bin(words, unit.len())
            }
        }
    }

    /// From [`Code::to_bytes`]; `None` if their number is not that of `dim` components.
    pub(super) fn from_bytes(bytes: &[u8], quant: Quant, dim: usize, range: f32) -> Option<Self> {
        if bytes.len() != quant.bytes(dim) {
            return None;
        }
        Some(match quant {
            Quant::F32 => Coded::F32(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            Quant::Q8 => Coded::Q8(bytes.iter().map(|byte| *byte as i8).collect(), range),
            Quant::Bin => Coded::Bin(bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect(), dim),
        })
    }

    pub(super) fn view(&self) -> Code<'_> {
        match self {
            Coded::F32(x) => Code::F32(x),
            Coded::Q8(x, range) => Code::Q8(x, *range),
            Coded::Bin(x, dim) => Code::Bin(x, *dim),
        }
    }
}

impl Code<'_> {
    /// The components, at length 1 as far as the form kept them.
    pub(super) fn decode(self) -> Vec<f32> {
        match self {
            Code::F32(x) => x.to_vec(),
            Code::Q8(x, range) => x.iter().map(|x| f32::from(*x) * range / 127.0).collect(),
            Code::Bin(x, dim) => (0..dim).map(|i| if x[i / 64] >> (i % 64) & 1 == 1 { 1.0 } else { -1.0 }).collect(),
        }
    }

    /// The form's bytes, little-endian.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Code::F32(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Code::Q8(x, _) => x.iter().map(|x| *x as u8).collect(),
            Code::Bin(x, _) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    /// The component that a byte of 127 stands for; 0 in other forms.
    pub(super) fn range(self) -> f32 {
        match self {
            Code::Q8(_, range) => range,
            Code::F32(_) | Code::Bin(..) => 0.0,
        }
    }

    /// 0 to 2, for two vectors of the same form and dimension.
    #[inline]
    pub(super) fn distance(self, other: Code<'_>) -> f32 {
        match (self, other) {
            (Code::F32(a), Code::F32(b)) => 1.0 - dot_f32(a, b),
            (Code::Q8(_, range), Code::Q8(..)) | (Code::Q8(..), Code::Q8(_, range)) if range == 0.0 => 1.0,
            (Code::Q8(a, a_range), Code::Q8(b, b_range)) => {
                let scale = (a_range / 127.0) * (b_range / 127.0);
                (1.0 - dot_i8(a, b) as f32 * scale).clamp(0.0, 2.0)
            }
            (Code::Bin(a, dim), Code::Bin(b, _)) => {
                let opposite: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum();
                opposite as f32 * 2.0 / dim as f32
            }
            _ => unreachable!("a set's vectors have one form"),
        }
    }
}

/// Lanes that add up side by side.
const LANES: usize = 16;

#[inline]
fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0] + dot_short(a_rest, b_rest)
}

/// Fewer than [`LANES`] components, added in the order in which Redis adds them.
#[inline]
fn dot_short(a: &[f32], b: &[f32]) -> f32 {
    let four = |a: &[f32], b: &[f32]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let (mut even, mut odd) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        even += four(&a[..4], &b[..4]);
        odd += four(&a[4..], &b[4..]);
    }
    even = a_rest.iter().zip(b_rest).fold(even, |sum, (a, b)| sum + a * b);
    even + odd
}

/// Fits into 32 bits up to 130,000 components. A block of fixed length is what becomes multiply-and-add of 16-bit
/// lanes: 10 ns for 128 components, 24 ns without.
#[inline]
fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    const BLOCK: usize = 32;
    let (a, a_rest) = a.as_chunks::<BLOCK>();
    let (b, b_rest) = b.as_chunks::<BLOCK>();
    let mut total: i32 = a_rest.iter().zip(b_rest).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
    for (a, b) in a.iter().zip(b) {
        total += a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
    }
    total
}

/// Brings a vector to length 1 and answers the length it had; the zero vector stays as it is, with a length of 1.
pub(super) fn normalize(vector: &mut [f32]) -> f32 {
    let (fours, rest) = vector.as_chunks::<4>();
    let mut square = 0.0f32;
    for [a, b, c, d] in fours {
        square += a * a + b * b + c * c + d * d;
    }
    square = rest.iter().fold(square, |sum, x| sum + x * x);
    if square == 0.0 {
        return 1.0;
    }
    let length = square.sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    length
}

/// The vectors of a set, by slot.
#[derive(Debug, Clone)]
pub(super) enum Vectors {
    F32(Pages<f32>),
    /// Each followed by its range, in four bytes, so that one look fetches both.
    Q8(Pages<i8>),
    Bin(Pages<u64>, usize),
}

/// Bytes of a range behind its vector.
const RANGE_BYTES: usize = 4;

impl Vectors {
    pub(super) fn new(quant: Quant, dim: usize) -> Self {
        match quant {
            Quant::F32 => Vectors::F32(Pages::new(dim)),
            Quant::Q8 => Vectors::Q8(Pages::new(dim + RANGE_BYTES)),
            Quant::Bin => Vectors::Bin(Pages::new(dim.div_ceil(64)), dim),
        }
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> Code<'_> {
        let slot = slot as usize;
        match self {
            Vectors::F32(pages) => Code::F32(pages.row(slot)),
            Vectors::Q8(pages) => match pages.row(slot).split_last_chunk::<RANGE_BYTES>() {
                Some((x, range)) => Code::Q8(x, f32::from_le_bytes(range.map(|byte| byte as u8))),
                None => unreachable!("the row has room for a range"),
            },
            Vectors::Bin(pages, dim) => Code::Bin(pages.row(slot), *dim),
        }
    }

    /// Keeps a vector at `slot`: an old one, or the next new one.
    pub(super) fn set(&mut self, slot: u32, vector: Code<'_>) {
        let slot = slot as usize;
        match (self, vector) {
            (Vectors::F32(pages), Code::F32(x)) => put(pages, slot, x.iter().copied()),
            (Vectors::Q8(pages), Code::Q8(x, range)) => {
                put(pages, slot, x.iter().copied().chain(range.to_le_bytes().map(|byte| byte as i8)));
            }
            (Vectors::Bin(pages, _), Code::Bin(x, _)) => put(pages, slot, x.iter().copied()),
            _ => unreachable!("a set's vectors have one form"),
        }
    }

    pub(super) fn copy_step(&self, copy: &mut Vectors, progress: &mut Progress) -> bool {
        match (self, copy) {
            (Vectors::F32(pages), Vectors::F32(copy)) => pages.copy_step(copy, progress),
            (Vectors::Q8(pages), Vectors::Q8(copy)) => pages.copy_step(copy, progress),
            (Vectors::Bin(pages, _), Vectors::Bin(copy, _)) => pages.copy_step(copy, progress),
            _ => unreachable!("a set's vectors have one form"),
        }
    }

    pub(super) fn free_step(&mut self, rows: usize) -> bool {
        match self {
            Vectors::F32(pages) => pages.free_step(rows),
            Vectors::Q8(pages) => pages.free_step(rows),
            Vectors::Bin(pages, _) => pages.free_step(rows),
        }
    }

    pub(super) fn defrag(&mut self, mover: &mut Mover, place: &mut Place) -> bool {
        match self {
            Vectors::F32(pages) => mover.each(place, pages.pages_mut().iter_mut(), |mover, page| mover.vec(page)),
            Vectors::Q8(pages) => mover.each(place, pages.pages_mut().iter_mut(), |mover, page| mover.vec(page)),
            Vectors::Bin(pages, _) => mover.each(place, pages.pages_mut().iter_mut(), |mover, page| mover.vec(page)),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Vectors::F32(pages) => pages.heap_bytes(),
            Vectors::Q8(pages) => pages.heap_bytes(),
            Vectors::Bin(pages, _) => pages.heap_bytes(),
        }
    }
}

fn put<T>(pages: &mut Pages<T>, slot: usize, row: impl Iterator<Item = T>) {
    if slot == pages.len() {
        pages.push(row);
    } else {
        pages.row_mut(slot).iter_mut().zip(row).for_each(|(old, new)| *old = new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(mut vector: Vec<f32>) -> (Vec<f32>, f32) {
        let length = normalize(&mut vector);
        (vector, length)
    }

    #[test]
    fn lengths_and_directions() {
        let (x, length) = unit(vec![3.0, 4.0]);
        assert_eq!((x, length), (vec![0.6, 0.8], 5.0));
        assert_eq!(unit(vec![0.0, 0.0]), (vec![0.0, 0.0], 1.0));
    }

    #[test]
    fn every_form_tells_near_from_far() {
        for quant in [Quant::F32, Quant::Q8, Quant::Bin] {
            for dim in [1, 3, 8, 15, 16, 17, 64, 65, 300] {
                let x: Vec<f32> = (0..dim).map(|i| (i % 7) as f32 - 2.5).collect();
                let opposite: Vec<f32> = x.iter().map(|x| -x).collect();
                let coded = |x: &[f32]| Coded::of(unit(x.to_vec()).0, quant);
                let (a, b) = (coded(&x), coded(&opposite));
                assert!(a.view().distance(a.view()).abs() < 0.02, "{quant:?} {dim}");
                assert!((a.view().distance(b.view()) - 2.0).abs() < 0.02, "{quant:?} {dim}");
                assert_eq!(a.view().to_bytes().len(), quant.bytes(dim));
                let mut kept = Vectors::new(quant, dim);
                kept.set(0, a.view());
                kept.set(1, a.view());
                kept.set(0, b.view());
                assert_eq!((kept.get(0), kept.get(1)), (b.view(), a.view()));
            }
        }
    }

    #[test]
    fn bytes_scale_to_the_largest_component() {
        let coded = Coded::of(vec![0.5, -0.25, 0.0], Quant::Q8);
        assert_eq!(coded, Coded::Q8(vec![127, -64, 0], 0.5));
        assert_eq!(coded.view().decode()[0], 0.5);
        let zero = Coded::of(vec![0.0; 3], Quant::Q8);
        assert_eq!(zero.view().distance(coded.view()), 1.0);
        assert_eq!(Coded::of(vec![f32::NAN, f32::NAN], Quant::Q8), Coded::Q8(vec![0, 0], 0.0));
    }

    #[test]
    fn sums_agree_with_the_definition() {
        let a: Vec<f32> = (0..133).map(|i| (i as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..133).map(|i| (i as f32 * 0.3).cos()).collect();
        let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((f64::from(dot_f32(&a, &b)) - exact).abs() < 1e-4);
        let (x, y): (Vec<i8>, Vec<i8>) =
            (0..133u8).map(|i| (i.wrapping_mul(7) as i8, i.wrapping_mul(11) as i8)).unzip();
        let exact: i32 = x.iter().zip(&y).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
        assert_eq!(dot_i8(&x, &y), exact);
    }
}
