//! LATENCY: what held the server up, when, and for how long; and how long commands take. Reads no clock and measures
//! nothing: whoever was held up records it, and histograms are handed in.

use crate::base::stats::Histogram;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::help;
use crate::commands::spec::{CommandId, CommandTable};
use crate::resp::reply::Reply;

/// Samples kept of each event (Redis: 160).
const SAMPLES_MAX: usize = 160;
/// Kinds of events; the server has fewer names than this.
const EVENTS_MAX: usize = 64;
/// Rows of LATENCY GRAPH, and marks from low to high within a row.
const GRAPH_ROWS: usize = 4;
const GRAPH_MARKS: [u8; 3] = *b"_o#";

/// The longest delay within one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    time_s: u64,
    ms: u64,
}

#[derive(Debug)]
struct Series {
    event: &'static str,
    /// A ring once it is full: `oldest` is where the next sample goes.
    samples: Vec<Sample>,
    oldest: usize,
    ms_max: u64,
}

impl Series {
    fn in_order(&self) -> impl Iterator<Item = &Sample> {
        let (new, old) = self.samples.split_at(self.oldest);
        old.iter().chain(new)
    }

    fn latest(&self) -> Option<Sample> {
        self.in_order().last().copied()
    }

    fn record(&mut self, sample: Sample) {
        self.ms_max = self.ms_max.max(sample.ms);
        let last = (self.oldest + self.samples.len()).checked_sub(1).map(|at| at % self.samples.len().max(1));
        if let Some(last) = last.and_then(|at| self.samples.get_mut(at))
            && last.time_s == sample.time_s
        {
            last.ms = last.ms.max(sample.ms);
        } else if self.samples.len() < SAMPLES_MAX {
            self.samples.push(sample);
        } else {
            self.samples[self.oldest] = sample;
            self.oldest = (self.oldest + 1) % SAMPLES_MAX;
        }
    }
}

/// The events that passed `latency-monitor-threshold`.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    series: Vec<Series>,
}

/// What LATENCY needs to know beside the events.
#[derive(Debug)]
pub struct LatencyFacts<'a> {
    /// Now, seconds since 1970.
    pub now_s: u64,
    /// `latency-monitor-threshold`; 0 is off.
    pub threshold_ms: u64,
    /// Commands that were called, by full name (`config|get`), with their latencies.
    pub histograms: &'a [(&'a str, &'a Histogram)],
}

impl LatencyMonitor {
    /// Notes that `event` (`command`, `expire-cycle` ...) took `ms` at a time, seconds since 1970. Whether that passes
    /// the threshold is the caller's to check.
    pub fn record(&mut self, event: &'static str, time_s: u64, ms: u64) {
        let known = self.series.iter().position(|series| series.event == event);
        let at = match known {
            Some(at) => at,
            None if self.series.len() < EVENTS_MAX => {
                self.series.push(Series { event, samples: Vec::new(), oldest: 0, ms_max: 0 });
                self.series.len() - 1
            }
            None => return,
        };
        self.series[at].record(Sample { time_s, ms });
    }

    /// Answers LATENCY; `args` are the whole request, which the table resolved to `id` and whose number the arity of
    /// that specification accepts.
    pub fn answer(
        &mut self,
        table: &CommandTable,
        id: CommandId,
        args: &Args<'_>,
        facts: &LatencyFacts<'_>,
        reply: &mut Reply<'_>,
    ) {
        match table.get(id).name {
            "latency|latest" => self.latest(reply),
            "latency|history" => self.history(&args[2], reply),
            "latency|graph" => self.graph(&args[2], facts.now_s, reply),
            "latency|doctor" => reply.verbatim("txt", self.report(facts).as_bytes()),
            "latency|reset" => reply.integer(self.reset(args) as i64),
            "latency|histogram" => histograms(facts.histograms, args, reply),
            "latency|help" => help::reply(table.get(table.parent(id).unwrap_or(id)), reply),
            _ => errors::unknown_subcommand(args, reply),
        }
    }

    fn find(&self, event: &[u8]) -> Option<&Series> {
        self.series.iter().find(|series| series.event.as_bytes() == event)
    }

    fn latest(&self, reply: &mut Reply<'_>) {
        let latest = self.series.iter().filter_map(|series| Some((series, series.latest()?)));
        reply.array(latest.clone().count());
        for (series, sample) in latest {
            reply.array(4);
            reply.bulk(series.event.as_bytes());
            reply.integer(sample.time_s as i64);
            reply.integer(sample.ms as i64);
            reply.integer(series.ms_max as i64);
        }
    }

    fn history(&self, event: &[u8], reply: &mut Reply<'_>) {
        let Some(series) = self.find(event) else { return reply.array(0) };
        reply.array(series.samples.len());
        for sample in series.in_order() {
            reply.array(2);
            reply.integer(sample.time_s as i64);
            reply.integer(sample.ms as i64);
        }
    }

    fn graph(&self, event: &[u8], now_s: u64, reply: &mut Reply<'_>) {
        match self.find(event) {
            Some(series) => reply.verbatim("txt", &drawing(series, now_s)),
            None => {
                let text = [b"ERR No samples available for event '", event, b"'"].concat();
                reply.error_bytes(&text);
            }
        }
    }

    /// Forgets the named events, or all; returns how many there were.
    fn reset(&mut self, args: &Args<'_>) -> usize {
        let before = self.series.len();
        let all = args.len() == 2;
        self.series.retain(|series| !all && !args.from(2).any(|event| event == series.event.as_bytes()));
        before - self.series.len()
    }

    /// LATENCY DOCTOR, for people.
    fn report(&self, facts: &LatencyFacts<'_>) -> String {
        if facts.threshold_ms == 0 {
            return "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n"
                .into();
        }
        if self.series.is_empty() {
            return format!("Nothing took {} ms or longer so far.\n", facts.threshold_ms);
        }
        let mut text = format!("What took {} ms or longer:\n\n", facts.threshold_ms);
        for (index, series) in self.series.iter().enumerate() {
            let count = series.samples.len() as f64;
            let mean = series.samples.iter().map(|sample| sample.ms as f64).sum::<f64>() / count;
            let deviation = series.samples.iter().map(|sample| (sample.ms as f64 - mean).abs()).sum::<f64>() / count;
            let first_s = series.in_order().next().map_or(facts.now_s, |sample| sample.time_s);
            let period = facts.now_s.saturating_sub(first_s) as f64 / count;
            text += &format!(
                "{}. {}: {count} spikes, {mean:.0} ms on average (mean deviation {deviation:.0} ms), one every \
                 {period:.2} s, the longest {} ms.\n",
                index + 1,
                series.event,
                series.ms_max
            );
        }
        text.push_str("\nWhat to look at:\n\n");
        text.push_str(if facts.threshold_ms < 10 {
            "- The threshold is low: some of these are no trouble.\n"
        } else {
            ""
        });
        text.push_str(
            "- SLOWLOG GET names the commands that took long; LATENCY HISTOGRAM shows how often.\n\
             - A command holds up the keys of its own shard only: big keys that share a shard with busy ones (INFO \
             shards) are worth splitting.\n\
             - With more shards than CPUs, or neighbours on the same CPUs, the kernel itself makes shards wait.\n",
        );
        text
    }
}

/// One column for each sample, oldest first; below it, how long ago it was, from top to bottom.
fn drawing(series: &Series, now_s: u64) -> Vec<u8> {
    let low = series.samples.iter().map(|sample| sample.ms).min().unwrap_or(0);
    let high = series.samples.iter().map(|sample| sample.ms).max().unwrap_or(0);
    let title = format!("{} - high {high} ms, low {low} ms (all time high {} ms)\n", series.event, series.ms_max);
    let levels = (GRAPH_ROWS * GRAPH_MARKS.len()) as u64;
    let level = |sample: &Sample| match high - low {
        0 => 0,
        range => ((sample.ms - low) * levels / range).min(levels - 1) as usize,
    };
    let heights: Vec<usize> = series.in_order().map(level).collect();
    let ages: Vec<String> = series.in_order().map(|sample| age(now_s.saturating_sub(sample.time_s))).collect();

    let mut text = title.into_bytes();
    text.extend([b'-'; 80]);
    text.push(b'\n');
    for row in (0..GRAPH_ROWS).rev() {
        text.extend(heights.iter().map(|height| match (height / GRAPH_MARKS.len()).cmp(&row) {
            std::cmp::Ordering::Less => b' ',
            std::cmp::Ordering::Equal => GRAPH_MARKS[height % GRAPH_MARKS.len()],
            std::cmp::Ordering::Greater => b'|',
        }));
        text.push(b'\n');
    }
    text.push(b'\n');
    for line in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        text.extend(ages.iter().map(|age| age.as_bytes().get(line).copied().unwrap_or(b' ')));
        text.push(b'\n');
    }
    text
}

/// Seconds in the largest unit that fits: `59s`, `3m`, `2h`, `1d`.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// LATENCY HISTOGRAM: all commands, or those named; a container's name stands for its subcommands.
fn histograms(all: &[(&str, &Histogram)], args: &Args<'_>, reply: &mut Reply<'_>) {
    let of = |name: &str, wanted: &[u8]| {
        let parent = name.split('|').next().unwrap_or_default();
        [name, parent].iter().any(|name| name.as_bytes().eq_ignore_ascii_case(wanted))
    };
    let mut shown: Vec<&(&str, &Histogram)> = match args.len() {
        2 => all.iter().collect(),
        _ => args.from(2).flat_map(|wanted| all.iter().filter(move |(name, _)| of(name, wanted))).collect(),
    };
    shown.retain(|(_, histogram)| histogram.total() > 0);
    reply.map(shown.len());
    for (name, histogram) in shown {
        let steps = histogram.powers_of_two_us();
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(histogram.total() as i64);
        reply.bulk(b"histogram_usec");
        reply.map(steps.len());
        for (us, count) in steps {
            reply.integer(us as i64);
            reply.integer(count as i64);
        }
    }
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
