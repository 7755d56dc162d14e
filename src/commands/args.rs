//! The arguments of one command, pointing into whatever buffer they arrived in.

use crate::base::bytes::BigString;
use crate::resp::parse::Span;
use std::ops::Index;

/// Words one after the other, and where each is: what [`Args::new`] takes.
pub fn lay_out<W: AsRef<[u8]>>(words: &[W]) -> (Vec<u8>, Vec<Span>) {
    let mut buffer = Vec::with_capacity(words.iter().map(|word| word.as_ref().len()).sum());
    let mut spans = Vec::with_capacity(words.len());
    lay_out_in(words, &mut buffer, &mut spans);
    (buffer, spans)
}

/// As [`lay_out`], in place of what the two hold.
pub fn lay_out_in<W: AsRef<[u8]>>(words: &[W], buffer: &mut Vec<u8>, spans: &mut Vec<Span>) {
    buffer.clear();
    spans.clear();
    for word in words {
        let word = word.as_ref();
        spans.push(Span { start: buffer.len() as u32, len: word.len() as u32 });
        buffer.extend_from_slice(word);
    }
}

/// Borrowed arguments; `args[0]` is the command's name. A large argument may be owned, so that SET can keep it.
#[derive(Debug)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
    /// The one argument that arrived in a buffer of its own, and its index.
    big: Option<(usize, &'a mut BigString)>,
}

impl<'a> Args<'a> {
    /// Arguments at `spans` of `buffer`.
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        Args { buffer, spans, big: None }
    }

    /// As [`Args::new`], with argument `index` held by `big` instead.
    pub fn with_big(buffer: &'a [u8], spans: &'a [Span], index: usize, big: &'a mut BigString) -> Self {
        Args { buffer, spans, big: Some((index, big)) }
    }

    /// How many, the name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Never true for a command that was parsed.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`, if there are that many.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index < self.spans.len() { Some(&self[index]) } else { None }
    }

    /// The first eight bytes of argument `index` as a little-endian word, zero-padded, and the argument's length. Reads
    /// the buffer beyond a shorter argument where it can: a copy of unknown length would cost more.
    #[inline]
    pub fn word(&self, index: usize) -> (u64, usize) {
        let Span { start, len } = self.spans[index];
        let (start, len) = (start as usize, len as usize);
        match self.buffer.get(start..start + 8) {
            Some(eight) if self.big.is_none() => {
                let word = u64::from_le_bytes(eight.try_into().expect("the range has eight bytes"));
                (if len >= 8 { word } else { word & ((1 << (len * 8)) - 1) }, len)
            }
            _ => self.slow_word(index),
        }
    }

    #[cold]
    fn slow_word(&self, index: usize) -> (u64, usize) {
        let bytes = &self[index];
        (bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), bytes.len())
    }

    /// Takes argument `index` without a copy if it arrived in a buffer of its own; it reads as empty afterwards.
    pub fn take_big(&mut self, index: usize) -> Option<BigString> {
        match &mut self.big {
            Some((at, big)) if *at == index => Some(std::mem::take(*big)),
            _ => None,
        }
    }

    /// The arguments from `start` on, as a request of their own (COMMAND GETKEYS).
    pub fn tail(&mut self, start: usize) -> Args<'_> {
        let big = match &mut self.big {
            Some((at, big)) if *at >= start => Some((*at - start, &mut **big)),
            _ => None,
        };
        Args { buffer: self.buffer, spans: &self.spans[start..], big }
    }

    /// The argument that arrived in a buffer of its own, and its index.
    pub fn big(&self) -> Option<(usize, &BigString)> {
        self.big.as_ref().map(|(at, big)| (*at, &**big))
    }

    /// Index of the argument that [`Args::take_big`] gives away.
    pub fn big_index(&self) -> Option<usize> {
        self.big.as_ref().map(|(at, _)| *at)
    }

    /// Iterates over arguments from `start` on.
    pub fn from(&self, start: usize) -> impl Iterator<Item = &[u8]> {
        (start..self.len()).map(|i| &self[i])
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];
    fn index(&self, index: usize) -> &[u8] {
        if let Some((at, big)) = &self.big
            && *at == index
        {
            return big;
        }
        let Span { start, len } = self.spans[index];
        &self.buffer[start as usize..(start + len) as usize]
    }
}
