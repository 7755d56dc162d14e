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

/// How much a thread in the background gives way: weight 110 beside a shard's 1024.
const BACKGROUND_NICE: libc::c_int = 10;

/// Has the calling thread keep out of the shards' way: it runs on any CPU of the process, for a thread that a shard
/// starts would share that shard's, and gives way to whoever has work. Where the kernel refuses, it stays as it is.
pub fn run_in_background() {
    // SAFETY: the set is a plain value of the size given, which the first call fills and the second one reads.
    unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        // the main thread is never pinned
        if libc::sched_getaffinity(libc::getpid(), size_of::<libc::cpu_set_t>(), &mut cpus) == 0 {
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &cpus);
        }
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        let nice = (libc::getpriority(libc::PRIO_PROCESS, thread) + BACKGROUND_NICE).min(19);
        libc::setpriority(libc::PRIO_PROCESS, thread, nice);
    }
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

    #[test]
    fn a_thread_in_the_background_leaves_the_cpu_of_the_one_that_started_it() {
        // SAFETY: no memory is involved.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, libc::syscall(libc::SYS_gettid) as libc::id_t) };
        let cpus = available_cpus();
        let (first, all) = (cpus[0], cpus.clone());
        let seen = std::thread::spawn(move || {
            assert!(pin_to(first));
            let background = move || {
                run_in_background();
                (available_cpus(), nice())
            };
            std::thread::spawn(background).join().unwrap()
        });
        let (cpus, lower) = seen.join().unwrap();
        assert_eq!(cpus, all);
        assert!(lower > nice() || lower == 19);
    }
}
