//! How a core waits when it has nothing to do: spin, gather or sleep. Never waits itself.
//!
//! Going to sleep and being woken costs more than answering a small command, so a core that is woken for every
//! request spends most of its time on waking. Two remedies, for two kinds of load:
//! - few clients in a tight loop: the next request comes within microseconds; look for it without sleeping (spin);
//! - many clients: requests come from all sides; sleep a moment whatever comes, then take all of them (gather).
//!
//! Work that is there already never waits for either. Which one pays is judged from the last milliseconds: how many
//! connections sent, how many receives there were, and how long the waits lasted.

use std::time::{Duration, Instant};

/// What is counted at a time.
const SPAN: Duration = Duration::from_millis(1);
/// Fewer active connections than this do not gather: most of them would be waiting for us.
const GATHER_CONNECTIONS_MIN: u32 = 12;
/// Gathering pays if so many receives are expected meanwhile.
const GATHER_RECEIVES_MIN: u32 = 2;
/// Spinning is tried when waits last up to this many times as long as it may: they include falling asleep and waking,
/// here and at a client that waits for us, which spinning saves.
const SPIN_GAP_FACTOR: u128 = 4;
/// The longest wait that counts; longer ones say the same: spinning is in vain.
const GAP_US_MAX: u32 = 4096;

/// How to wait next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Look for so long, then sleep.
    Spin(Duration),
    /// Sleep until so many completions came or the time is over, whatever comes first.
    Gather(u32, Duration),
    /// Sleep until something comes.
    Sleep,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    since: Instant,
    /// Names the current span in [`Pace::note_receive`]; wraps.
    span: u16,
    receives: u32,
    senders: u32,
    /// Of the last span: distinct connections that sent, and receives expected in one window.
    active: u32,
    expected: u32,
    /// Moving average of how long waits lasted, in 1/8 microseconds.
    gap: u32,
}

impl Pace {
    pub(super) fn new(now: Instant, window: Duration) -> Pace {
        Pace { window, since: now, span: 0, receives: 0, senders: 0, active: 0, expected: 0, gap: 0 }
    }

    /// How long gathering lasts at most; zero never gathers.
    pub(super) fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Counts a receive of a connection, which remembers in `seen` in which span it was counted last.
    #[inline]
    pub(super) fn note_receive(&mut self, seen: &mut u16) {
        self.receives += 1;
        if *seen != self.span {
            *seen = self.span;
            self.senders += 1;
        }
    }

    /// Decides how to wait now, where the caller allows to spin for `spin`.
    pub(super) fn plan(&mut self, now: Instant, spin: Duration) -> Plan {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= SPAN {
            self.active = self.senders;
            let expected = u128::from(self.receives) * self.window.as_nanos() / elapsed.as_nanos();
            self.expected = expected as u32;
            (self.receives, self.senders) = (0, 0);
            self.since = now;
            self.span = self.span.wrapping_add(1);
        }
        if self.active >= GATHER_CONNECTIONS_MIN && self.expected >= GATHER_RECEIVES_MIN {
            return Plan::Gather(self.active, self.window);
        }
        if !spin.is_zero() && u128::from(self.gap / 8) <= SPIN_GAP_FACTOR * spin.as_micros() {
            return Plan::Spin(spin);
        }
        Plan::Sleep
    }

    /// Learns from a wait that spun or slept until something came, or nothing did.
    pub(super) fn waited(&mut self, lasted: Duration) {
        let us = u32::try_from(lasted.as_micros()).unwrap_or(GAP_US_MAX).min(GAP_US_MAX);
        self.gap = self.gap - self.gap / 8 + us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    /// Lets `connections` send round robin, one every `every`, for some milliseconds.
    fn after(connections: usize, every: Duration, spin: Duration) -> Plan {
        let mut now = Instant::now();
        let mut pace = Pace::new(now, 30 * US);
        let mut seen = vec![u16::MAX; connections];
        let mut plan = Plan::Sleep;
        for n in 0..10_000 {
            now += every;
            pace.note_receive(&mut seen[n % connections]);
            plan = pace.plan(now, spin);
            pace.waited(every);
        }
        plan
    }

    #[test]
    fn many_busy_clients_are_gathered() {
        assert_eq!(after(50, 10 * US, 20 * US), Plan::Gather(50, 30 * US));
        assert_eq!(after(50, 10 * US, Duration::ZERO), Plan::Gather(50, 30 * US));
    }

    #[test]
    fn few_busy_clients_are_spun_for() {
        assert_eq!(after(1, 15 * US, 20 * US), Plan::Spin(20 * US));
        assert_eq!(after(5, 10 * US, 20 * US), Plan::Spin(20 * US));
        assert_eq!(after(5, 10 * US, Duration::ZERO), Plan::Sleep);
    }

    #[test]
    fn rare_requests_are_slept_for() {
        assert_eq!(after(1, 1000 * US, 20 * US), Plan::Sleep);
        assert_eq!(after(100, 200 * US, 20 * US), Plan::Sleep);
    }
}
