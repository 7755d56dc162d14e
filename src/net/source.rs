//! Where bytes that a connection received lie until its commands have run. Never parses them.

use crate::runtime::driver::RecvBuf;
use std::ops::Deref;

/// Received bytes that wait in a connection's own buffer. What is done with goes from the front at no cost, so that a
/// long input can be run in many turns.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Bytes at the front that are done with.
    done: usize,
}

impl Input {
    /// Adds bytes behind the others.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        if self.done > self.len() {
            self.pack();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops bytes from the front.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn skip(&mut self, bytes: usize) {
        assert!(bytes <= self.len(), "only what is there is done with");
        self.done += bytes;
    }

    /// Drops all bytes.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.done = 0;
    }

    /// Takes the bytes from `at` on away, and gives back the room for them.
    pub fn split_off(&mut self, at: usize) -> Vec<u8> {
        self.pack();
        let end = self.bytes.split_off(at);
        self.bytes.shrink_to_fit();
        end
    }

    /// Makes room for so many bytes more.
    pub fn reserve_exact(&mut self, bytes: usize) {
        self.pack();
        self.bytes.reserve_exact(bytes);
    }

    /// Bytes of memory behind it.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn pack(&mut self) {
        self.bytes.drain(..std::mem::take(&mut self.done));
    }
}

impl From<&[u8]> for Input {
    fn from(bytes: &[u8]) -> Self {
        Input { bytes: bytes.to_vec(), done: 0 }
    }
}

impl Deref for Input {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.done..]
    }
}

/// Where received bytes are.
#[derive(Debug)]
pub enum Source {
    /// In a buffer of the driver's pool.
    Received(RecvBuf),
    /// In the connection's own buffer.
    Kept(Input),
}

impl Deref for Source {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Source::Received(buffer) => buffer,
            Source::Kept(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order() {
        let mut input = Input::from(&b"ab"[..]);
        let mut text = b"ab".to_vec();
        for n in 0..1000usize {
            let more = vec![n as u8; n % 7];
            input.extend_from_slice(&more);
            text.extend_from_slice(&more);
            let done = (n % 5).min(text.len());
            input.skip(done);
            text.drain(..done);
            assert_eq!(*input, *text, "after {n}");
            if n % 100 == 99 {
                input.reserve_exact(10);
                let half = text.len() / 2;
                assert_eq!(input.split_off(half), text.split_off(half));
            }
        }
        assert!(input.capacity() < 10_000, "room in front is used again");
        input.clear();
        assert!(input.is_empty());
    }
}
