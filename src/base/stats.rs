//! Counting: latency histograms, rates per second, and a small random generator. Knows no commands.

/// Each power of two is cut into this many buckets, so a value is known to 1/32 of itself.
const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
/// Values of 2^40 ns (18 minutes) and more share the last bucket.
const BITS_MAX: u32 = 40;
const BUCKETS: usize = ((BITS_MAX - SUB_BITS + 1) as usize) << SUB_BITS;

/// A log-linear histogram of durations in nanoseconds (after Gil Tene's HdrHistogram), 9 KB.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: [u64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: [0; BUCKETS] }
    }
}

#[inline]
fn bucket(ns: u64) -> usize {
    if ns < SUB {
        return ns as usize;
    }
    let bits = 63 - ns.leading_zeros();
    let sub = (ns >> (bits - SUB_BITS)) & (SUB - 1);
    let index = (u64::from(bits - SUB_BITS + 1) << SUB_BITS) + sub;
    (index as usize).min(BUCKETS - 1)
}

/// Largest value of a bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB {
        return index;
    }
    let shift = (index >> SUB_BITS) - 1;
    (((index & (SUB - 1)) + SUB + 1) << shift) - 1
}

impl Histogram {
    /// Counts a duration, so many times.
    #[inline]
    pub fn record(&mut self, ns: u64, times: u64) {
        self.counts[bucket(ns)] += times;
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds another one's counts.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// The duration in nanoseconds that `percent` of all do not exceed, to 1/32 of itself; 0 if there is none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let total = self.total();
        let wanted = ((percent / 100.0 * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(index);
            }
        }
        0
    }

    /// Cumulative counts at powers of two of microseconds, as LATENCY HISTOGRAM prints them: those steps between the
    /// smallest and the largest duration where the count grew.
    pub fn powers_of_two_us(&self) -> Vec<(u64, u64)> {
        let total = self.total();
        let mut steps = Vec::new();
        let (mut us, mut seen, mut index) = (1u64, 0, 0);
        while seen < total {
            let before = seen;
            while index < BUCKETS && (upper(index) < us * 1024 || index == BUCKETS - 1) {
                seen += self.counts[index];
                index += 1;
            }
            if seen > before {
                steps.push((us, seen));
            }
            us *= 2;
        }
        steps
    }
}

/// Samples that a [`Rate`] averages.
const RATE_SAMPLES: usize = 16;

/// How fast a counter grows, averaged over the last samples (`instantaneous_ops_per_sec`).
#[derive(Debug, Clone, Default)]
pub struct Rate {
    samples: [u64; RATE_SAMPLES],
    next: usize,
    last: Option<(u64, u64)>,
}

impl Rate {
    /// Notes the counter's value at a time, microseconds.
    pub fn sample(&mut self, now_us: u64, count: u64) {
        if let Some((then_us, before)) = self.last {
            let micros = now_us.saturating_sub(then_us);
            if micros == 0 {
                return;
            }
            let grown = u128::from(count.saturating_sub(before));
            self.samples[self.next] = (grown * 1_000_000 / u128::from(micros)) as u64;
            self.next = (self.next + 1) % RATE_SAMPLES;
        }
        self.last = Some((now_us, count));
    }

    /// Per second.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / RATE_SAMPLES as u64
    }
}

/// xorshift64* (Vigna 2016): fast, not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From any seed.
    pub fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// An index of something with `len` parts, which is not 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_ordered_and_close() {
        let mut last = 0;
        for value in (0..100_000u64).chain([1 << 20, 1 << 30, (1 << 39) + 12345]) {
            let index = bucket(value);
            assert!(index >= last && upper(index) >= value, "{value}");
            assert!(upper(index) - value <= value / SUB, "{value} is told as {}", upper(index));
            last = index;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_of_a_known_spread() {
        let mut h = Histogram::default();
        (1..=1000u64).for_each(|us| h.record(us * 1000, 1));
        for (percent, us) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1000.0)] {
            let found = h.percentile(percent) as f64 / 1000.0;
            assert!((us..us * 1.04).contains(&found), "p{percent} = {found}");
        }
        assert_eq!(Histogram::default().percentile(99.0), 0);
    }

    #[test]
    fn powers_of_two_are_cumulative_and_end_at_the_total() {
        let mut h = Histogram::default();
        [500, 900, 3_000, 3_100, 70_000].iter().for_each(|ns| h.record(*ns, 1));
        assert_eq!(h.powers_of_two_us(), vec![(1, 2), (4, 4), (128, 5)]);
        h.record(u64::MAX, 1);
        assert_eq!(h.powers_of_two_us().last().map(|s| s.1), Some(6));
    }

    #[test]
    fn merging_adds() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        a.record(10, 1);
        b.record(10, 1);
        a.merge(&b);
        assert_eq!((a.total(), a.percentile(100.0)), (2, 10));
    }

    #[test]
    fn a_rate_is_per_second() {
        let mut r = Rate::default();
        (0..=16u64).for_each(|i| r.sample(i * 100_000, i * 50));
        assert_eq!(r.per_second(), 500);
    }

    #[test]
    fn random_numbers_stay_below() {
        let mut r = Random::new(7);
        assert!((0..1000).all(|_| r.below(10) < 10));
    }
}
