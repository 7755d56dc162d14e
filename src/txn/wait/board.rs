//! One word per waiting client, which all cores see: whether it still waits. Whoever changes it from "waits" to "is
//! served" has the client for itself; that is all that cores ever agree on without a message. Never blocks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of one chunk; chunks are made when they are needed.
const CHUNK: usize = 4096;
/// Most clients of the process that may wait at a time.
pub const WAITING_MAX: usize = 1 << 20;

type Words = Box<[AtomicU64]>;

/// See the module. A word is twice the serial number of the wait, plus one while the client waits.
#[derive(Debug)]
pub struct Board {
    chunks: Box<[OnceLock<Words>]>,
    next: AtomicU64,
}

/// The word of a client that waits.
fn waits(serial: u32) -> u64 {
    u64::from(serial) << 1 | 1
}

impl Default for Board {
    fn default() -> Self {
        let chunks = (0..WAITING_MAX / CHUNK).map(|_| OnceLock::new()).collect();
        Board { chunks, next: AtomicU64::new(0) }
    }
}

impl Board {
    fn word(&self, slot: u32) -> &AtomicU64 {
        let words = self.chunks[slot as usize / CHUNK].get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
        &words[slot as usize % CHUNK]
    }

    /// A place that no core has had; `None` if there are too many. It is the caller's to use again and again.
    pub fn new_slot(&self) -> Option<u32> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        if next < WAITING_MAX as u64 {
            return Some(next as u32);
        }
        self.next.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// A client begins to wait at a place that is the caller's and free; its serial number there.
    pub fn enter(&self, slot: u32) -> u32 {
        let word = self.word(slot);
        let serial = ((word.load(Ordering::Relaxed) >> 1) as u32).wrapping_add(1);
        word.store(waits(serial), Ordering::Release);
        serial
    }

    /// Whether that client still waits.
    pub fn is_waiting(&self, slot: u32, serial: u32) -> bool {
        self.word(slot).load(Ordering::Acquire) == waits(serial)
    }

    /// Takes the client; false if it was served, timed out or has gone.
    pub fn claim(&self, slot: u32, serial: u32) -> bool {
        let taken = waits(serial) - 1;
        self.word(slot).compare_exchange(waits(serial), taken, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_claimed_once() {
        let board = Board::default();
        let enter = |slot| (slot, board.enter(slot));
        let (a, b) = (enter(board.new_slot().unwrap()), enter(board.new_slot().unwrap()));
        assert_ne!(a.0, b.0);
        assert!(board.is_waiting(a.0, a.1) && board.claim(a.0, a.1));
        assert!(!board.claim(a.0, a.1) && !board.is_waiting(a.0, a.1));
        let again = enter(a.0);
        assert_eq!(again, (a.0, a.1 + 1));
        assert!(!board.claim(a.0, a.1) && board.claim(again.0, again.1) && board.claim(b.0, b.1));
    }

    #[test]
    fn of_many_claims_one_succeeds() {
        let board = Board::default();
        let slot = board.new_slot().unwrap();
        let serial = board.enter(slot);
        let won: usize = std::thread::scope(|scope| {
            let claims: Vec<_> = (0..4).map(|_| scope.spawn(|| usize::from(board.claim(slot, serial)))).collect();
            claims.into_iter().map(|claim| claim.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }
}
