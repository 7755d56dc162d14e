//! Figures about the process and its machine, read from the kernel and the allocator. Knows nothing of commands.

use crate::admin::info::data::{CpuInfo, MemoryInfo};
use crate::base::stats::Random;
use crate::runtime::alloc;
use crate::runtime::usage::{self, CpuTime};
use std::fs;

/// What does not change while the process runs.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Process id.
    pub id: u32,
    /// 40 hexadecimal digits, different for each start.
    pub run_id: String,
    /// Path of the executable; empty if it cannot be told.
    pub executable: String,
    /// Kernel's name and release and the CPU's kind, as `uname -srm` prints them.
    pub os: String,
    /// `no` or `systemd`.
    pub supervised: String,
    /// Physical memory of the machine, bytes; 0 if it cannot be told.
    pub system_memory: u64,
}

impl Process {
    /// Looks the figures up; `seed` must differ from start to start.
    pub fn identify(seed: u64) -> Self {
        let path = std::env::current_exe().unwrap_or_default();
        Process {
            id: std::process::id(),
            run_id: hex_id(&mut Random::new(seed)),
            executable: path.display().to_string(),
            os: os(),
            supervised: if std::env::var_os("NOTIFY_SOCKET").is_some() { "systemd" } else { "no" }.to_owned(),
            system_memory: fs::read_to_string("/proc/meminfo")
                .ok()
                .and_then(|m| kilobytes(&m, "MemTotal:"))
                .unwrap_or(0),
        }
    }
}

/// 40 hexadecimal digits: a run id, a replication id.
pub fn hex_id(random: &mut Random) -> String {
    let mut id: String = (0..3).map(|_| format!("{:016x}", random.next_u64())).collect();
    id.truncate(40);
    id
}

fn os() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", read("ostype").trim(), read("osrelease").trim(), std::env::consts::ARCH)
}

/// Resident memory of the process, bytes; 0 if it cannot be told.
pub fn rss_bytes() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| kilobytes(&status, "VmRSS:")).unwrap_or(0)
}

/// A line `name  123 kB` of a file in /proc, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What memory was used at the start and at most; the rest is asked for when somebody wants to know.
#[derive(Debug, Clone, Default)]
pub struct MemoryWatch {
    startup: u64,
    peak: u64,
    peak_time_s: u64,
}

impl MemoryWatch {
    /// Call when the server is ready, before it holds data. `now_s` is Unix time.
    pub fn start(now_s: u64) -> Self {
        let used = alloc::used_bytes();
        MemoryWatch { startup: used, peak: used, peak_time_s: now_s }
    }

    /// Notes a new peak; call it a few times per second, and before the figures are shown. Returns the bytes in use.
    pub fn sample(&mut self, now_s: u64) -> u64 {
        let used = alloc::used_bytes();
        if used > self.peak {
            (self.peak, self.peak_time_s) = (used, now_s);
        }
        used
    }

    /// Forgets the peak (CONFIG RESETSTAT).
    pub fn reset_peak(&mut self, now_s: u64) {
        (self.peak, self.peak_time_s) = (alloc::used_bytes(), now_s);
    }

    /// Fills in what the process and the allocator know. Reads /proc: not for the hot path.
    pub fn fill(&mut self, now_s: u64, process: &Process, memory: &mut MemoryInfo) {
        memory.used = self.sample(now_s);
        memory.rss = rss_bytes();
        memory.peak = self.peak;
        memory.peak_time_s = self.peak_time_s;
        memory.startup = self.startup;
        memory.allocator_committed = alloc::committed_bytes().max(memory.used);
        memory.system = process.system_memory;
        memory.allocator = alloc::name();
    }
}

/// Processor time of the process; `shards` is what each shard's thread reports of itself.
pub fn cpu(shards: impl Iterator<Item = CpuTime>) -> CpuInfo {
    let add = |a: CpuTime, b: CpuTime| CpuTime { user_us: a.user_us + b.user_us, sys_us: a.sys_us + b.sys_us };
    CpuInfo { process: usage::process(), children: usage::children(), shards: shards.fold(CpuTime::default(), add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let process = Process::identify(7);
        assert_eq!(process.id, std::process::id());
        assert!(process.os.starts_with("Linux ") && process.os.ends_with(std::env::consts::ARCH), "{}", process.os);
        assert!(process.executable.starts_with('/'));
        assert!(process.run_id.len() == 40 && process.run_id.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(process.run_id, Process::identify(8).run_id);
        let rss = rss_bytes();
        assert!(rss > 1 << 20 && rss < process.system_memory, "{rss} of {}", process.system_memory);
    }

    #[test]
    fn sizes_in_proc() {
        let text = "Name:\tx\nVmRSS:\t    1688 kB\nMemTotal:       24684084 kB\nBad: kB\n";
        assert_eq!(kilobytes(text, "VmRSS:"), Some(1688 * 1024));
        assert_eq!(kilobytes(text, "MemTotal:"), Some(24_684_084 * 1024));
        assert_eq!(kilobytes(text, "Bad:"), None);
        assert_eq!(kilobytes(text, "None:"), None);
    }

    #[test]
    fn times_of_shards_add_up() {
        let shards = [CpuTime { user_us: 3, sys_us: 4 }, CpuTime { user_us: 10, sys_us: 1 }];
        assert_eq!(cpu(shards.into_iter()).shards, CpuTime { user_us: 13, sys_us: 5 });
    }

    #[test]
    fn memory_figures_agree_with_each_other() {
        let (process, mut memory) = (Process::identify(7), MemoryInfo::default());
        let mut watch = MemoryWatch::start(5);
        watch.fill(6, &process, &mut memory);
        assert!(memory.peak >= memory.used && memory.allocator_committed >= memory.used);
        assert!(memory.rss > 0 && memory.system == process.system_memory);
    }
}
