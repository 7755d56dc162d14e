//! The only place that asks the machine for the time: once per tick for everything that needs a date, and a cycle
//! counter for how long a command ran. A simulation gives its cores a time of its own instead ([`ManualTime`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time of one tick.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    mono_us: u64,
    unix_us: u64,
}

/// Where a clock takes the time from; asked once per tick.
#[derive(Debug, Clone)]
enum Source {
    /// The machine; monotonic time counts from here.
    Machine(Instant),
    Manual(ManualTime),
}

/// A time that stands still until somebody moves it. All clones are the same time.
#[derive(Debug, Clone)]
pub struct ManualTime(Arc<Moved>);

#[derive(Debug)]
struct Moved {
    mono_us: AtomicU64,
    unix_us: AtomicU64,
}

impl ManualTime {
    /// Starts at this Unix time, microseconds.
    pub fn new(unix_us: u64) -> Self {
        ManualTime(Arc::new(Moved { mono_us: AtomicU64::new(0), unix_us: AtomicU64::new(unix_us) }))
    }

    /// Time passes.
    pub fn advance(&self, us: u64) {
        self.0.mono_us.fetch_add(us, Ordering::Relaxed);
        self.0.unix_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Somebody sets the machine's date: it jumps by this much, and monotonic time does not.
    pub fn set_date(&self, by_us: i64) {
        let jumped = self.0.unix_us.load(Ordering::Relaxed).saturating_add_signed(by_us);
        self.0.unix_us.store(jumped, Ordering::Relaxed);
    }

    /// Microseconds that have passed since the start.
    pub fn mono_us(&self) -> u64 {
        self.0.mono_us.load(Ordering::Relaxed)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that shows the time now.
    pub fn new() -> Self {
        Self::of(Source::Machine(Instant::now()))
    }

    /// A clock of a simulation: shows what `time` was when it was last refreshed.
    pub fn manual(time: &ManualTime) -> Self {
        Self::of(Source::Manual(time.clone()))
    }

    /// What [`ticks`] shows when so many microseconds from now have passed. Never, in a simulation: there it must not
    /// matter how fast the machine is.
    pub fn deadline(&self, us: u64) -> u64 {
        match self.source {
            Source::Machine(_) => ticks().saturating_add(us_to_ticks(us)),
            Source::Manual(_) => u64::MAX,
        }
    }

    fn of(source: Source) -> Self {
        let mut clock = Clock { source, mono_us: 0, unix_us: 0 };
        clock.refresh();
        clock
    }

    /// Takes the time.
    pub fn refresh(&mut self) {
        (self.mono_us, self.unix_us) = match &self.source {
            Source::Machine(start) => (start.elapsed().as_micros() as u64, unix_us_now()),
            Source::Manual(time) => (time.mono_us(), time.0.unix_us.load(Ordering::Relaxed)),
        };
    }

    /// Microseconds since this clock was made; never goes back.
    pub fn mono_us(&self) -> u64 {
        self.mono_us
    }

    /// Unix time, microseconds.
    pub fn unix_us(&self) -> u64 {
        self.unix_us
    }

    /// Unix time, milliseconds.
    pub fn unix_ms(&self) -> u64 {
        self.unix_us / 1000
    }
}

fn unix_us_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Unix time, milliseconds, asked now and not per tick.
pub fn unix_ms_now() -> u64 {
    unix_us_now() / 1000
}

/// How to read durations: the processor's counter, or nanoseconds where it cannot be trusted.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Whether `rdtsc` is read.
    counter: bool,
    /// Nanoseconds per tick, times 2^32.
    ns_per_tick: u64,
    /// Ticks per microsecond, times 2^20.
    ticks_per_us: u64,
}

static SCALE: OnceLock<Scale> = OnceLock::new();

/// Measures the processor's counter once. A counter that stands still or changes its pace is not used.
fn scale() -> &'static Scale {
    SCALE.get_or_init(|| {
        let plain = Scale { counter: false, ns_per_tick: 1 << 32, ticks_per_us: 1000 << 20 };
        if !has_steady_counter() {
            return plain;
        }
        let (from, start) = (counter(), Instant::now());
        while start.elapsed() < Duration::from_millis(10) {
            std::hint::spin_loop();
        }
        let (ticks, ns) = (counter().wrapping_sub(from), start.elapsed().as_nanos() as u64);
        if ticks == 0 {
            return plain;
        }
        Scale {
            counter: true,
            ns_per_tick: ((u128::from(ns) << 32) / u128::from(ticks)) as u64,
            ticks_per_us: (((u128::from(ticks) * 1000) << 20) / u128::from(ns)) as u64,
        }
    })
}

#[cfg(target_arch = "x86_64")]
fn has_steady_counter() -> bool {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
    has("constant_tsc") && has("nonstop_tsc")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_steady_counter() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn counter() -> u64 {
    // SAFETY: rdtsc touches no memory and is part of every x86_64 processor.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn counter() -> u64 {
    0
}

/// A counter of time for durations; only differences mean something. See [`ticks_to_us`].
#[inline]
pub fn ticks() -> u64 {
    if cfg!(target_arch = "x86_64") && SCALE.get().is_none_or(|s| s.counter) {
        return counter();
    }
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds of a difference of [`ticks`].
#[inline]
pub fn ticks_to_ns(ticks: u64) -> u64 {
    ((u128::from(ticks) * u128::from(scale().ns_per_tick)) >> 32) as u64
}

/// Microseconds of a difference of [`ticks`].
pub fn ticks_to_us(ticks: u64) -> u64 {
    ticks_to_ns(ticks) / 1000
}

/// The difference of [`ticks`] that so many microseconds make.
pub fn us_to_ticks(micros: u64) -> u64 {
    u64::try_from((u128::from(micros) * u128::from(scale().ticks_per_us)) >> 20).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_measure_time() {
        let _ = ticks_to_us(0);
        let (before, start) = (ticks(), Instant::now());
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let measured = ticks_to_us(ticks() - before);
        let real = start.elapsed().as_micros() as u64;
        assert!(measured >= 19_000 && measured <= real + 1000, "{measured} of {real}");
    }

    #[test]
    fn microseconds_survive_the_way_through_ticks() {
        for micros in [0, 1, 10_000, 3_600_000_000] {
            let back = ticks_to_us(us_to_ticks(micros));
            assert!(back.abs_diff(micros) <= 1 + micros / 100_000, "{micros} came back as {back}");
        }
    }

    #[test]
    fn a_manual_time_moves_only_by_hand() {
        let time = ManualTime::new(1_000_000);
        let mut clock = Clock::manual(&time);
        time.advance(50);
        assert_eq!((clock.mono_us(), clock.unix_us()), (0, 1_000_000));
        clock.refresh();
        assert_eq!((clock.mono_us(), clock.unix_us()), (50, 1_000_050));
        time.set_date(-500);
        clock.refresh();
        assert_eq!((clock.mono_us(), clock.unix_us()), (50, 999_550));
    }

    #[test]
    fn deadlines_pass_but_in_a_simulation() {
        let clock = Clock::new();
        let now = ticks();
        assert!(clock.deadline(1000) > now && clock.deadline(0) >= now);
        assert!(clock.deadline(60_000_000) - now >= us_to_ticks(60_000_000));
        assert_eq!(Clock::manual(&ManualTime::new(0)).deadline(0), u64::MAX);
    }

    #[test]
    fn a_clock_stands_still_between_ticks() {
        let mut clock = Clock::new();
        let before = (clock.mono_us(), clock.unix_us());
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!((clock.mono_us(), clock.unix_us()), before);
        clock.refresh();
        assert!(clock.mono_us() >= before.0 + 2000 && clock.unix_ms() > 1_600_000_000_000);
    }
}
