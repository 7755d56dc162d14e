//! Which CPUs this process may use, and pinning a thread to one of them. Knows nothing of NUMA nodes: memory lands on
//! the node of the core that first touches it, and every core touches its own.

use core_affinity::CoreId;

/// The CPUs this thread may run on (taskset, cpusets), ascending. Ask before pinning anything: a pinned thread sees
/// its own CPU only. Empty only if the kernel does not tell.
pub fn available_cpus() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// How many threads can run at once: the available CPUs, or fewer where a cgroup's CPU quota says so. At least 1.
pub fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Pins the calling thread to `cpu`. `false` if the kernel refuses, for example when the CPU is not available.
pub fn pin_to(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_sees_its_own_cpu_only() {
        let cpus = available_cpus();
        assert!(!cpus.is_empty() && (1..=cpus.len()).contains(&parallelism()));
        for cpu in cpus {
            let seen = std::thread::spawn(move || pin_to(cpu).then(available_cpus)).join().unwrap();
            assert_eq!(seen, Some(vec![cpu]));
        }
        assert!(!std::thread::spawn(|| pin_to(1023)).join().unwrap());
    }
}
