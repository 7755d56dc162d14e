//! The sleep protocol of [`super`], explored: every interleaving of a core that sleeps and two that send, on a machine
//! whose stores wait in a buffer before others see them, as those of x86 do. No message may be left to a core that
//! sleeps unrung. Without the fences one is, which shows that the search finds what it looks for.

use std::collections::{HashSet, VecDeque};

const SENDERS: usize = 2;
/// Messages that each sends.
const MESSAGES: u8 = 2;
const SLEEPER: usize = SENDERS;
/// Word of the flag; those before it are what each sender has published.
const FLAG: usize = SENDERS;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Machine {
    words: [u8; SENDERS + 1],
    /// By thread: stores that others do not see yet.
    buffers: [VecDeque<(usize, u8)>; SENDERS + 1],
    step: [u8; SENDERS + 1],
    sent: [u8; SENDERS],
    taken: [u8; SENDERS],
    rung: bool,
}

impl Machine {
    fn new() -> Machine {
        Machine {
            words: [0; SENDERS + 1],
            buffers: Default::default(),
            step: [0; SENDERS + 1],
            sent: [0; SENDERS],
            taken: [0; SENDERS],
            rung: false,
        }
    }

    /// A thread sees its own stores first.
    fn load(&self, thread: usize, word: usize) -> u8 {
        let own = self.buffers[thread].iter().rev().find(|(at, _)| *at == word);
        own.map_or(self.words[word], |(_, value)| *value)
    }

    fn store(&mut self, thread: usize, word: usize, value: u8) {
        self.buffers[thread].push_back((word, value));
    }

    /// The next step of a sender: publish, fence, look at the flag, take it down and ring.
    fn send(&self, thread: usize, fences: bool) -> Option<Machine> {
        let mut next = self.clone();
        let is_drained = self.buffers[thread].is_empty();
        match self.step[thread] {
            0 if self.sent[thread] < MESSAGES => {
                next.sent[thread] += 1;
                next.store(thread, thread, next.sent[thread]);
                next.step[thread] = 1;
            }
            1 if is_drained || !fences => next.step[thread] = 2,
            2 => next.step[thread] = if self.load(thread, FLAG) == 1 { 3 } else { 0 },
            // a swap: nobody comes between, and the buffer is empty before it
            3 if is_drained => {
                next.rung |= self.words[FLAG] == 1;
                next.words[FLAG] = 0;
                next.step[thread] = 0;
            }
            _ => return None,
        }
        Some(next)
    }

    /// The next step of the sleeper: raise the flag, fence, look once more, sleep until rung, take what is there.
    fn sleep(&self, fences: bool) -> Option<Machine> {
        let mut next = self.clone();
        let arrived = (0..SENDERS).any(|sender| self.load(SLEEPER, sender) > self.taken[sender]);
        match self.step[SLEEPER] {
            0 => {
                next.store(SLEEPER, FLAG, 1);
                next.step[SLEEPER] = 1;
            }
            1 if self.buffers[SLEEPER].is_empty() || !fences => next.step[SLEEPER] = 2,
            2 => next.step[SLEEPER] = if arrived { 4 } else { 3 },
            3 if self.rung => {
                next.rung = false;
                next.step[SLEEPER] = 4;
            }
            4 => {
                next.store(SLEEPER, FLAG, 0);
                next.step[SLEEPER] = 5;
            }
            5 => {
                (0..SENDERS).for_each(|sender| next.taken[sender] = self.load(SLEEPER, sender));
                next.step[SLEEPER] = 0;
            }
            _ => return None,
        }
        Some(next)
    }

    fn successors(&self, fences: bool) -> Vec<Machine> {
        let mut all: Vec<Machine> = (0..SENDERS).filter_map(|sender| self.send(sender, fences)).collect();
        all.extend(self.sleep(fences));
        for thread in 0..=SENDERS {
            let mut next = self.clone();
            if let Some((word, value)) = next.buffers[thread].pop_front() {
                next.words[word] = value;
                all.push(next);
            }
        }
        all
    }

    /// Nothing can happen any more, and the sleeper has not taken everything.
    fn is_lost(&self, fences: bool) -> bool {
        self.successors(fences).is_empty() && self.taken != [MESSAGES; SENDERS]
    }
}

/// How many states there are, and whether a message is lost in one of them.
fn explore(fences: bool) -> (usize, bool) {
    let mut seen = HashSet::from([Machine::new()]);
    let mut open = vec![Machine::new()];
    let mut lost = false;
    while let Some(machine) = open.pop() {
        lost |= machine.is_lost(fences);
        for next in machine.successors(fences) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    (seen.len(), lost)
}

#[test]
fn no_message_is_left_to_a_core_that_sleeps() {
    let (states, lost) = explore(true);
    assert!(states > 1000 && !lost, "{states} states, lost: {lost}");
}

#[test]
fn without_fences_one_is() {
    assert!(explore(false).1);
}
