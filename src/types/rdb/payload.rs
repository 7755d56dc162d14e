//! A DUMP payload of a large value, made in steps. Never looks back: what was taken is gone.

use super::Flavor;
use super::crc64::crc64;
use super::steps::{Steps, has_steps};
use super::write::{Writer, version};
use crate::types::value::{Value, View};

/// See the module.
#[derive(Debug)]
pub struct Payload {
    writer: Writer,
    steps: Steps,
    version: u16,
    checksum: u64,
}

impl Payload {
    /// Nothing is written yet; `None` of a value that is written at once.
    pub fn begin(value: &Value, flavor: Flavor) -> Option<Payload> {
        if !has_steps(value) {
            return None;
        }
        let mut writer = Writer { compress: true, flavor, ..Writer::default() };
        let kind = writer.kind(View::Boxed(value));
        writer.bytes.push(kind);
        Some(Payload { writer, steps: Steps::new(kind), version: version(View::Boxed(value), flavor), checksum: 0 })
    }

    /// Goes on with the same value, until about `bytes` more are there; true if that is all of it.
    ///
    /// # Panics
    /// If the value has changed: see [`Steps::step`].
    pub fn step(&mut self, value: &Value, bytes: usize) -> bool {
        let whole = self.steps.step(&mut self.writer, value, bytes);
        if whole {
            self.writer.bytes.extend_from_slice(&self.version.to_le_bytes());
        }
        self.checksum = crc64(self.checksum, &self.writer.bytes);
        if whole {
            self.writer.bytes.extend_from_slice(&self.checksum.to_le_bytes());
        }
        whole
    }

    /// What the last step wrote.
    pub fn written(&self) -> &[u8] {
        &self.writer.bytes
    }

    /// To be called once that was used, before the next step.
    pub fn forget_written(&mut self) {
        self.writer.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rdb::read::{self, Limits};
    use crate::types::rdb::steps::tests::large_values;
    use crate::types::rdb::write;

    #[test]
    fn the_parts_are_a_payload() {
        let limits = Limits { now_ms: 1, ..Limits::default() };
        for value in large_values(3000) {
            for bytes in [1, 3000, 1 << 30] {
                let mut payload = Payload::begin(&value, Flavor::Redis).expect("a large one");
                let mut whole = Vec::new();
                let mut is_whole = false;
                while !is_whole {
                    is_whole = payload.step(&value, bytes);
                    whole.extend_from_slice(payload.written());
                    payload.forget_written();
                }
                let once = write::payload(View::Boxed(&value), Flavor::Redis);
                let [Ok(read), Ok(expected)] = [&whole, &once].map(|bytes| read::payload(bytes, &limits)) else {
                    panic!("{} by {bytes}", value.type_name())
                };
                assert!(read == expected, "{} by {bytes}", value.type_name());
            }
        }
    }
}
