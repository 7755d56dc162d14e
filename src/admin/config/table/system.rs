//! Settings of the process, its log, what it measures, and Pinion's own.

use super::{NO_LUA, Setting};
use super::{count, int, long, one_of, port, text, yes_no};
use crate::admin::config::special;
use crate::admin::config::value::Kind;
use crate::base::config::{IoDriver, LogLevel, LogTimestamp, OomScoreAdj, PipelineOrder};
use crate::base::limits::{MESH_DEPTH_MAX, SHARDS_MAX, SPIN_US_MAX};

const NO_SYSLOG: &str = "the log goes to standard output or to logfile; journald and container runtimes collect it";
const NO_TITLE: &str = "the process keeps its own command line";
const BY_PIN_CORES: &str = "pin-cores gives each shard its own CPU; restrict all of them with taskset or cgroups";

pub(super) const ROWS: &[Setting] = &[
    yes_no("daemonize", "no").refused("Pinion stays in the foreground: let systemd or a container run it").at_start(),
    one_of("supervised", &["upstart", "systemd", "auto", "no"], "no")
        .refused_but(&["auto"], "Pinion does not notify a supervisor: use Type=exec in its systemd unit")
        .at_start(),
    text("pidfile", "").fill(|c, v| c.pidfile = v.string()).at_start(),
    one_of("loglevel", LogLevel::NAMES, "notice").fill(|c, v| c.loglevel = v.one(LogLevel::named)),
    text("logfile", "").fill(|c, v| c.logfile = v.string()).at_start(),
    one_of("log-format", &["legacy", "logfmt", "json"], "legacy").refused("log lines are plain text"),
    one_of("log-timestamp-format", LogTimestamp::NAMES, "legacy")
        .fill(|c, v| c.log_timestamp_format = v.one(LogTimestamp::named)),
    yes_no("syslog-enabled", "no").refused(NO_SYSLOG).at_start(),
    one_of(
        "syslog-facility",
        &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
        "local0",
    )
    .no_effect(NO_SYSLOG)
    .at_start(),
    text("syslog-ident", "pinion").no_effect(NO_SYSLOG).at_start(),
    yes_no("hide-user-data-from-log", "yes")
        .fill(|c, v| c.hide_user_data_from_log = v.yes())
        .no_effect("keys and values are never logged"),
    yes_no("always-show-logo", "no").no_effect("there is no logo").at_start(),
    Setting::new("shutdown-on-sigint", Kind::Several(special::SHUTDOWN_OPTIONS), "default")
        .fill(|c, v| c.shutdown_on_sigint = v.shutdown_on()),
    Setting::new("shutdown-on-sigterm", Kind::Several(special::SHUTDOWN_OPTIONS), "default")
        .fill(|c, v| c.shutdown_on_sigterm = v.shutdown_on()),
    count("shutdown-timeout", "10").fill(|c, v| c.shutdown_timeout_s = v.int()).no_effect(super::NO_REPLICATION),
    yes_no("set-proc-title", "yes").no_effect(NO_TITLE).at_start(),
    Setting::new("proc-title-template", Kind::Text(special::title_template), "{title} {listen-addr} {server-mode}")
        .no_effect(NO_TITLE),
    one_of("oom-score-adj", OomScoreAdj::NAMES, "no").fill(|c, v| c.oom_score_adj = v.one(OomScoreAdj::named)),
    Setting::new("oom-score-adj-values", Kind::OomScores, "0 200 800")
        .fill(|c, v| c.oom_score_adj_values = v.numbers()),
    yes_no("disable-thp", "yes").no_effect("no fork copies memory, so huge pages do no harm").at_start(),
    text("ignore-warnings", "").no_effect("the fault it silences comes with fork, which Pinion does without"),
    text("server_cpulist", "").also_named(&["server-cpulist"]).no_effect(BY_PIN_CORES).at_start(),
    text("bio_cpulist", "").also_named(&["bio-cpulist"]).no_effect(BY_PIN_CORES).at_start(),
    yes_no("crash-log-enabled", "yes").fill(|c, v| c.crash_log_enabled = v.yes()),
    yes_no("crash-memcheck-enabled", "yes").no_effect("a crash report does not test the memory"),
    yes_no("use-exit-on-panic", "no").no_effect("a panic leaves a core file").hidden(),
    count("watchdog-period", "0").no_effect("LATENCY and SLOWLOG say what took long").hidden(),
    yes_no("enable-debug-assert", "no").no_effect("assertions are always on").at_start().hidden(),
    text("debug-context", "").no_effect("crash reports carry no note of the operator's").hidden(),
    long("busy-reply-threshold", "5000").also_named(&["lua-time-limit"]).no_effect(NO_LUA),
    yes_no("lua-enable-deprecated-api", "no").no_effect(NO_LUA).at_start().hidden(),
    yes_no("lua-enable-insecure-api", "no").no_effect(NO_LUA).at_start().hidden(),
    int("slowlog-log-slower-than", -1, i64::MAX, "10000")
        .also_named(&["commandlog-execution-slower-than"])
        .fill(|c, v| c.slowlog_log_slower_than = v.int()),
    long("slowlog-max-len", "128")
        .also_named(&["commandlog-slow-execution-max-len"])
        .fill(|c, v| c.slowlog_max_len = v.int()),
    int("commandlog-request-larger-than", -1, i64::MAX, "1048576")
        .fill(|c, v| c.commandlog_request_larger_than = v.int()),
    long("commandlog-large-request-max-len", "128").fill(|c, v| c.commandlog_large_request_max_len = v.int()),
    int("commandlog-reply-larger-than", -1, i64::MAX, "1048576").fill(|c, v| c.commandlog_reply_larger_than = v.int()),
    long("commandlog-large-reply-max-len", "128").fill(|c, v| c.commandlog_large_reply_max_len = v.int()),
    yes_no("latency-tracking", "yes").fill(|c, v| c.latency_tracking = v.yes()),
    Setting::new("latency-tracking-info-percentiles", Kind::Percentiles, "50 99 99.9")
        .fill(|c, v| c.latency_tracking_info_percentiles = v.percentiles()),
    long("latency-monitor-threshold", "0").fill(|c, v| c.latency_monitor_threshold_ms = v.int()),
    text("availability-zone", "").fill(|c, v| c.availability_zone = v.string()),
    yes_no("extended-redis-compatibility", "no")
        .fill(|c, v| c.extended_redis_compatibility = v.yes())
        .no_effect("Pinion always answers as Redis does"),
    // ---- Pinion's own ----
    int("shards", 0, SHARDS_MAX as i64, "0").fill(|c, v| c.shards = v.int()).at_start(),
    one_of("io-driver", IoDriver::NAMES, "auto").fill(|c, v| c.io_driver = v.one(IoDriver::named)).at_start(),
    Setting::new("spin-us", Kind::IntOrAuto { min: 0, max: SPIN_US_MAX }, "auto")
        .fill(|c, v| c.spin_us = v.int_or_auto())
        .at_start(),
    port("shard-port-base", "0").fill(|c, v| c.shard_port_base = v.int()).at_start(),
    yes_no("pin-cores", "yes").fill(|c, v| c.pin_cores = v.yes()).at_start(),
    int("mesh-depth", 16, MESH_DEPTH_MAX as i64, "1024").fill(|c, v| c.mesh_depth = v.int()).at_start(),
    one_of("pipeline-order", PipelineOrder::NAMES, "shard").fill(|c, v| c.pipeline_order = v.one(PipelineOrder::named)),
];
