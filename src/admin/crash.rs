//! What the log says when the process dies of a fault: puts the facts together at the start and has `runtime::crash`
//! write them. Never called while nothing is wrong.

use crate::admin::log;
use crate::base::config::Config;
use crate::base::version::REDIS_VERSION;
use crate::commands::debug::Fault;
use crate::runtime::crash::{self, Setup};
use std::fmt::Write as _;

/// Has faults and panics reported from now on. `cores` is how many there are, `driver` the name of what they run on.
pub fn install(config: &Config, cores: usize, driver: &str, run_id: &str) {
    apply(config);
    let mut facts = String::new();
    let mut fact = |name: &str, value: &dyn std::fmt::Display| {
        // text grows
        let _ = writeln!(facts, "{name}:{value}");
    };
    fact("pinion_version", &env!("CARGO_PKG_VERSION"));
    fact("redis_version", &REDIS_VERSION);
    fact("os", &std::fs::read_to_string("/proc/version").unwrap_or_default().trim_end());
    fact("arch", &std::env::consts::ARCH);
    fact("process_id", &std::process::id());
    fact("run_id", &run_id);
    fact("tcp_port", &config.port);
    fact("shards", &cores);
    fact("io_driver", &driver);
    fact("maxmemory_at_start", &config.maxmemory);
    fact("appendonly_at_start", &if config.appendonly { "yes" } else { "no" });
    crash::install(Setup { descriptor: log::descriptor(), head: log::head_of_crash, facts });
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        crash::say(&format!("Pinion {}", panic.to_string().replace('\n', " ")));
        std::process::abort();
    }));
}

/// Takes over changed settings (CONFIG SET crash-log-enabled).
pub fn apply(config: &Config) {
    crash::enable(config.crash_log_enabled);
}

/// Ends the process as DEBUG is asked to.
pub fn end_by(fault: Fault) -> ! {
    match fault {
        Fault::Segfault => crash::segfault(),
        Fault::Panic => panic!("called by DEBUG PANIC"),
        Fault::Assert => panic!("assertion failed: 1 == 2, called by DEBUG ASSERT"),
        Fault::Memory => match std::alloc::Layout::array::<u8>(isize::MAX as usize) {
            Ok(all) => std::alloc::handle_alloc_error(all),
            Err(_) => std::process::abort(),
        },
    }
}
