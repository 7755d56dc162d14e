//! How a core waits when it has nothing to do: spin, gather or sleep. Never waits itself.
//!
//! Going to sleep and being woken costs more than answering a small command, so a core that is woken for every
//! request spends most of its time on waking. Two remedies, for two kinds of load:
//! - few clients in a tight loop: the next request comes within microseconds; look for it without sleeping (spin);
//! - many clients: requests come from all sides; sleep a moment whatever comes, then take all of them (gather).
//!
//! Work that is there already never waits for either. Which one pays is judged from the last milliseconds: how many
//! connections sent, how many receives there were, and how long the waits lasted.

use std::mem;
use std::time::{Duration, Instant};

/// What is counted at a time.
const SPAN: Duration = Duration::from_millis(1);
/// Fewer active connections than this do not gather: most of them would be waiting for us.
const GATHER_CONNECTIONS_MIN: u32 = 12;
/// Gathering does not pay if fewer receives are expected even in the longest time allowed.
const GATHER_RECEIVES_MIN: u128 = 4;
/// The share of the active connections that is waited for: as large a part of a client's round is the longest that
/// gathering adds to it. A quarter takes 10 % less processor time than waiting for three, at 50 and at 200 clients.
const GATHER_SHARE: u128 = 4;
/// Gathering for less time than this costs more than it saves, unless the caller allows less.
const GATHER_MIN: Duration = Duration::from_micros(20);
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
    window_max: Duration,
    since: Instant,
    /// Names the current span in [`Pace::note_receive`]; wraps.
    span: u16,
    receives: u32,
    senders: u32,
    /// Of the last span: distinct connections that sent, and how long to gather; zero: that does not pay.
    active: u32,
    window: Duration,
    /// Moving average of how long waits lasted, in 1/8 microseconds.
    gap: u32,
}

impl Pace {
    pub(super) fn new(now: Instant, window_max: Duration) -> Pace {
        let window = Duration::ZERO;
        Pace { window_max, since: now, span: 0, receives: 0, senders: 0, active: 0, window, gap: 0 }
    }

    /// How long gathering lasts at most; zero never gathers.
    pub(super) fn set_window(&mut self, window_max: Duration) {
        self.window_max = window_max;
        self.window = Duration::ZERO;
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
            self.turn_span(elapsed);
            self.since = now;
        }
        if !self.window.is_zero() {
            return Plan::Gather(self.active, self.window);
        }
        if !spin.is_zero() && u128::from(self.gap / 8) <= SPIN_GAP_FACTOR * spin.as_micros() {
            return Plan::Spin(spin);
        }
        Plan::Sleep
    }

    /// Judges the span that ended after `elapsed` and begins the next.
    fn turn_span(&mut self, elapsed: Duration) {
        let receives = u128::from(mem::take(&mut self.receives));
        self.active = mem::take(&mut self.senders);
        self.span = self.span.wrapping_add(1);
        let pays = self.active >= GATHER_CONNECTIONS_MIN
            && receives * self.window_max.as_nanos() >= GATHER_RECEIVES_MIN * elapsed.as_nanos();
        self.window = if pays {
            let nanos = u128::from(self.active) * elapsed.as_nanos() / (GATHER_SHARE * receives);
            Duration::from_nanos(nanos as u64).max(GATHER_MIN).min(self.window_max)
        } else {
            Duration::ZERO
        };
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
        let mut pace = Pace::new(now, 100 * US);
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
    fn many_busy_clients_are_gathered_until_a_quarter_has_come() {
        for spin in [20 * US, Duration::ZERO] {
            assert_eq!(after(40, 8 * US, spin), Plan::Gather(40, 80 * US));
            assert_eq!(after(16, 2 * US, spin), Plan::Gather(16, 20 * US));
            assert_eq!(after(50, 20 * US, spin), Plan::Gather(50, 100 * US));
        }
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
