//! Vector sets, both ways, as Redis 8's module of that name writes them: a value of a module is a sequence of numbers
//! and strings, each behind its kind, up to an end mark.
//!
//! ```text
//! dim, elements, quantization | M << 8, flags (1: projection, 2: attributes)
//! [input dimension, matrix: f32 row by row]
//! per element: name, [attributes, empty for none], vector, count of parameters, parameters:
//!   number, level | version << 24
//!   per layer from 0: links, most links, numbers of the linked elements,
//!                     farthest link's index | its distance's bits << 32 (not in version 0)
//!   bits of the vector's length | bits of its range << 32
//! ```

use super::module_part;
use super::read::{Bad, Reader, Result};
use super::write::Writer;
use crate::base::hash;
use crate::base::limits::{VECTOR_DIM_MAX, VECTOR_LINKS};
use crate::types::vector::{Layer, Quant, Shape, Stored, VectorSet};
use std::borrow::Cow;

/// The number of the module type `vectorset`, version 0.
pub(super) const TYPE_ID: u64 = 0xbde7_2da2_bb1e_b400;

const HAS_PROJECTION: u64 = 1;
const HAS_ATTRIBUTES: u64 = 2;
/// Version of an element's parameters.
const VERSION: u64 = 1;
/// What Redis took before there was `M`.
const LINKS_DEFAULT: usize = 16;
/// Parameters of an element that is on no layer.
const PARAMETERS_MIN: usize = 3;

fn quant_number(quant: Quant) -> u64 {
    match quant {
        Quant::F32 => 0,
        Quant::Q8 => 1,
        Quant::Bin => 2,
    }
}

fn quant(number: u64) -> Option<Quant> {
    [Quant::F32, Quant::Q8, Quant::Bin].into_iter().find(|quant| quant_number(*quant) == number)
}

/// Two floats as one number.
fn pair(low: u32, high: f32) -> u64 {
    u64::from(high.to_bits()) << 32 | u64::from(low)
}

impl Writer {
    fn unsigned(&mut self, n: u64) {
        self.length(module_part::UNSIGNED);
        self.length(n);
    }

    fn module_string(&mut self, bytes: &[u8]) {
        self.length(module_part::STRING);
        self.string(bytes);
    }

    /// The body of a vector set.
    pub(super) fn vectors(&mut self, set: &VectorSet) {
        self.vectors_head(set);
        set.stored(0).for_each(|(_, element)| self.vector(set, &element));
        self.vectors_end();
    }

    /// The body up to the first element.
    pub(super) fn vectors_head(&mut self, set: &VectorSet) {
        let shape = set.shape();
        let attributed = set.attributed() > 0;
        self.length(TYPE_ID);
        self.unsigned(shape.dim as u64);
        self.unsigned(set.len() as u64);
        self.unsigned(quant_number(shape.quant) | (shape.links as u64) << 8);
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        self.unsigned(flag(shape.input.is_some(), HAS_PROJECTION) | flag(attributed, HAS_ATTRIBUTES));
        if let Some((input, matrix)) = shape.input.zip(set.matrix()) {
            self.unsigned(input as u64);
            let bytes: Vec<u8> = matrix.flat_map(f32::to_le_bytes).collect();
            // random numbers: they would not get shorter
            self.length(module_part::STRING);
            self.length(bytes.len() as u64);
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// An element.
    pub(super) fn vector(&mut self, set: &VectorSet, element: &Stored<'_>) {
        self.module_string(element.name);
        if set.attributed() > 0 {
            self.module_string(element.attributes.unwrap_or_default());
        }
        self.module_string(&element.bytes);
        self.parameters(element);
    }

    /// What follows the last element.
    pub(super) fn vectors_end(&mut self) {
        self.length(module_part::END);
    }

    fn parameters(&mut self, element: &Stored<'_>) {
        let of_layers: usize = element.layers.iter().map(|layer| 3 + layer.links.len()).sum();
        self.unsigned((PARAMETERS_MIN + of_layers) as u64);
        self.unsigned(element.uid);
        self.unsigned((element.layers.len() - 1) as u64 | VERSION << 24);
        for layer in &element.layers {
            self.unsigned(layer.links.len() as u64);
            self.unsigned(layer.links_max as u64);
            layer.links.iter().for_each(|link| self.unsigned(*link));
            self.unsigned(pair(layer.farthest.0 as u32, layer.farthest.1));
        }
        self.unsigned(pair(element.length.to_bits(), element.range));
    }
}

const CORRUPT: Bad = Bad::Corrupt("vector set");

/// An element whose strings may still be in the payload.
struct Element<'a> {
    name: Cow<'a, [u8]>,
    attributes: Option<Cow<'a, [u8]>>,
    bytes: Vec<u8>,
    parameters: Parameters,
}

struct Parameters {
    uid: u64,
    layers: Vec<Layer>,
    length: f32,
    range: f32,
}

impl<'a> Reader<'a> {
    fn unsigned(&mut self) -> Result<u64> {
        if self.length()? == module_part::UNSIGNED { self.length() } else { Err(CORRUPT) }
    }

    fn module_string(&mut self) -> Result<Cow<'a, [u8]>> {
        if self.length()? == module_part::STRING { self.string() } else { Err(CORRUPT) }
    }

    /// The body of a vector set, behind its number.
    pub(super) fn vectors(&mut self) -> Result<VectorSet> {
        let dim = usize::try_from(self.unsigned()?).ok().filter(|dim| (1..=VECTOR_DIM_MAX).contains(dim));
        let dim = dim.ok_or(CORRUPT)?;
        let count = self.unsigned()?;
        let config = self.unsigned()?;
        let links = match (config >> 8) as u16 {
            0 => LINKS_DEFAULT,
            links => usize::from(links).min(*VECTOR_LINKS.end() as usize),
        };
        let quant = quant(config & 0xff).filter(|_| links > 1).ok_or(CORRUPT)?;
        let flags = self.unsigned()?;
        let mut shape = Shape { dim, quant, links, input: None };
        let mut matrix = None;
        if flags & HAS_PROJECTION != 0 {
            let input = usize::try_from(self.unsigned()?).ok().filter(|input| (1..=VECTOR_DIM_MAX).contains(input));
            let (input, blob) = (input.ok_or(CORRUPT)?, self.module_string()?);
            if blob.len() != input * dim * size_of::<f32>() {
                return Err(CORRUPT);
            }
            shape.input = Some(input);
            matrix = Some(blob.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.element(flags & HAS_ATTRIBUTES != 0)?);
        }
        if self.length()? != module_part::END {
            return Err(CORRUPT);
        }
        if elements.is_empty() {
            return Err(Bad::Empty("vector set"));
        }
        let seed = hash::hash(&elements[0].name);
        let elements = elements.iter_mut().map(|Element { name, attributes, bytes, parameters }| Stored {
            name,
            attributes: attributes.as_deref(),
            bytes: std::mem::take(bytes),
            length: parameters.length,
            range: parameters.range,
            uid: parameters.uid,
            layers: std::mem::take(&mut parameters.layers),
        });
        VectorSet::restore(shape, matrix, elements.collect(), seed).map_err(Bad::Corrupt)
    }

    fn element(&mut self, attributed: bool) -> Result<Element<'a>> {
        let name = self.module_string()?;
        let attributes = if attributed { Some(self.module_string()?) } else { None };
        let attributes = attributes.filter(|text| !text.is_empty());
        let bytes = self.module_string()?.into_owned();
        Ok(Element { name, attributes, bytes, parameters: self.parameters()? })
    }

    fn parameters(&mut self) -> Result<Parameters> {
        let left = std::cell::Cell::new(self.unsigned()?);
        let mut next = || {
            left.set(left.get().checked_sub(1).ok_or(CORRUPT)?);
            self.unsigned()
        };
        let uid = next()?;
        let kind = next()?;
        let (level, version) = (kind & 0xff, kind >> 24 & 0xff);
        if version > VERSION {
            return Err(CORRUPT);
        }
        let mut layers = Vec::new();
        for _ in 0..=level {
            let count = next()?;
            let links_max = next()?;
            let mut links = Vec::new();
            for _ in 0..count {
                links.push(next()?);
            }
            if version > 0 {
                next()?; // the farthest link, which is worked out anew
            }
            layers.push(Layer { links, links_max: links_max as usize, farthest: (0, 0.0) });
        }
        let floats = next()?;
        let (length, range) = (f32::from_bits(floats as u32), f32::from_bits((floats >> 32) as u32));
        // What a later version adds.
        while left.get() > 0 {
            left.set(left.get() - 1);
            self.unsigned()?;
        }
        Ok(Parameters { uid, layers, length, range })
    }
}
