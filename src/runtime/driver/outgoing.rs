//! How far a send got: turns an `OutBuf` into what the kernel takes next. Never copies bytes.

use std::ptr;

use crate::base::bytes::OutBuf;

/// Most pieces of one `sendmsg` (UIO_MAXIOV).
const PIECES_MAX: usize = 1024;
/// Most bytes of one operation; below the kernel's limit of 2 GiB less a page.
pub(super) const OPERATION_BYTES_MAX: usize = 1 << 30;

/// The pieces of one `sendmsg` over a buffer with spliced strings, at a stable address while boxed.
#[derive(Debug)]
pub(super) struct Scatter {
    header: libc::msghdr,
    pieces: Vec<libc::iovec>,
    /// Index of the first spliced string not wholly sent.
    big: usize,
    /// Bytes of the buffer before that string's copied prefix: everything up to it was sent.
    before: usize,
}

impl Scatter {
    /// For a buffer of which nothing was sent.
    pub(super) fn new() -> Box<Scatter> {
        // SAFETY: msghdr is a plain C struct for which all zeroes mean "nothing there".
        let header = unsafe { std::mem::zeroed() };
        Box::new(Scatter { header, pieces: Vec::new(), big: 0, before: 0 })
    }

    /// Prepares the next operation after `sent` bytes of `buffer` and returns its header, valid until the next
    /// call and while `buffer` is not touched.
    pub(super) fn prepare(&mut self, buffer: &OutBuf, sent: usize) -> *const libc::msghdr {
        self.advance(buffer, sent);
        self.pieces.clear();
        let mut skip = sent - self.before;
        let mut budget = OPERATION_BYTES_MAX;
        let mut at = if self.big == 0 { 0 } else { buffer.bigs[self.big - 1].0 };
        let mut index = self.big;
        while self.pieces.len() + 2 <= PIECES_MAX && budget > 0 {
            let end = buffer.bigs.get(index).map_or(buffer.bytes.len(), |(offset, _)| *offset);
            self.add(&buffer.bytes[at..end], &mut skip, &mut budget);
            at = end;
            let Some((_, big)) = buffer.bigs.get(index) else { break };
            self.add(big, &mut skip, &mut budget);
            index += 1;
        }
        self.header.msg_iov = self.pieces.as_mut_ptr();
        self.header.msg_iovlen = self.pieces.len() as _;
        &raw const self.header
    }

    /// Moves the cursor over the strings that `sent` has passed.
    fn advance(&mut self, buffer: &OutBuf, sent: usize) {
        while let Some((offset, big)) = buffer.bigs.get(self.big) {
            let from = if self.big == 0 { 0 } else { buffer.bigs[self.big - 1].0 };
            let next = self.before + (offset - from) + big.len();
            if next > sent {
                break;
            }
            self.before = next;
            self.big += 1;
        }
    }

    fn add(&mut self, bytes: &[u8], skip: &mut usize, budget: &mut usize) {
        let skipped = bytes.len().min(*skip);
        *skip -= skipped;
        let bytes = &bytes[skipped..];
        let bytes = &bytes[..bytes.len().min(*budget)];
        if !bytes.is_empty() {
            *budget -= bytes.len();
            self.pieces.push(libc::iovec { iov_base: ptr::from_ref(bytes).cast_mut().cast(), iov_len: bytes.len() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn gathered(header: *const libc::msghdr) -> Vec<u8> {
        // SAFETY: the header was just prepared over a live buffer.
        unsafe {
            let header = &*header;
            let pieces = std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen);
            assert!(pieces.len() <= PIECES_MAX);
            pieces
                .iter()
                .flat_map(|p| std::slice::from_raw_parts(p.iov_base as *const u8, p.iov_len).to_vec())
                .collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_sequence_of_short_sends_sends_it_all(
            parts in prop::collection::vec((0usize..9, prop::option::of(0usize..9)), 0..1500),
            steps in prop::collection::vec(1usize..4000, 1..40),
        ) {
            let (mut buffer, mut flat, mut next) = (OutBuf::default(), Vec::new(), 0u8);
            for (small, big) in parts {
                let mut fresh = |n| (0..n).map(|_| { next = next.wrapping_add(1); next }).collect::<Vec<u8>>();
                let bytes = fresh(small);
                flat.extend_from_slice(&bytes);
                buffer.bytes.extend_from_slice(&bytes);
                if let Some(n) = big {
                    let bytes = fresh(n);
                    flat.extend_from_slice(&bytes);
                    buffer.bigs.push((buffer.bytes.len(), Arc::new(bytes).into()));
                }
            }
            let (mut scatter, mut sent, mut steps) = (Scatter::new(), 0, steps.into_iter().cycle());
            while sent < flat.len() {
                let out = gathered(scatter.prepare(&buffer, sent));
                prop_assert!(!out.is_empty());
                let taken = out.len().min(steps.next().unwrap());
                prop_assert_eq!(&out[..taken], &flat[sent..sent + taken]);
                sent += taken;
            }
        }
    }
}
