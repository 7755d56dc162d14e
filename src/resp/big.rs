//! Collects one large argument that arrives in pieces straight into the buffer that becomes the value. Sans I/O.

/// See the module.
#[derive(Debug)]
pub struct BigCollector {
    bytes: Vec<u8>,
    /// Bytes of the argument.
    len: usize,
    /// Bytes of the line end behind it still to come.
    line_end: u8,
}

impl BigCollector {
    /// For an argument of `len` bytes, its whole room reserved at once (pages that nothing was written to cost
    /// nothing). `None` if there is no memory for it.
    pub fn new(len: usize) -> Option<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).ok()?;
        Some(BigCollector { bytes, len, line_end: 2 })
    }

    /// Takes what belongs to the argument and its line end from the front of `received`; answers how many bytes that
    /// was. The two bytes of the line end are skipped, whatever they are, as in Redis.
    pub fn feed(&mut self, received: &[u8]) -> usize {
        let payload = (self.len - self.bytes.len()).min(received.len());
        self.bytes.extend_from_slice(&received[..payload]);
        let line_end = usize::from(self.line_end).min(received.len() - payload);
        self.line_end -= line_end as u8;
        payload + line_end
    }

    /// Bytes still to come, the line end included; 0 when complete.
    pub fn missing(&self) -> usize {
        self.len - self.bytes.len() + usize::from(self.line_end)
    }

    /// Bytes of memory reserved.
    pub fn reserved(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes collected so far.
    pub fn collected(&self) -> usize {
        self.bytes.len()
    }

    /// The argument.
    ///
    /// # Panics
    /// If it is not complete.
    pub fn finish(self) -> Vec<u8> {
        assert!(self.missing() == 0, "the argument is not complete");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::BigCollector;

    #[test]
    fn collects_in_pieces() {
        for piece in 1..14 {
            let mut big = BigCollector::new(10).unwrap();
            let mut rest = &b"0123456789\r\n*1\r\n"[..];
            while big.missing() > 0 {
                let taken = big.feed(&rest[..piece.min(rest.len())]);
                assert!(taken > 0);
                rest = &rest[taken..];
            }
            assert_eq!(big.feed(rest), 0);
            assert_eq!(rest, b"*1\r\n");
            let bytes = big.finish();
            assert_eq!((bytes.capacity(), &bytes[..]), (10, &b"0123456789"[..]));
        }
    }

    #[test]
    fn refuses_what_no_memory_holds() {
        assert!(BigCollector::new(usize::MAX).is_none());
    }
}
