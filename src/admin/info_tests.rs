//! INFO against what Redis 8.0 and Valkey 9.1 print, and the few numbers it works out itself.

use super::data::*;
use super::*;

const REDIS: &str = include_str!("../../tests/data/info-fields-redis-8.0.json");
const VALKEY: &str = include_str!("../../tests/data/info-fields-valkey-9.1.json");

/// Fields of theirs that we do not print, and why.
const ABSENT: &[(&str, &[&str])] = &[
    ("we are not Valkey, and claim no version of it", &["valkey_version", "valkey_release_stage"]),
    ("Rust's atomics, not a choice of C's", &["atomicvar_api"]),
    ("that allocator's statistic; pages given back lazily are not told apart here", &["allocator_muzzy"]),
    ("the tables grow by splitting small segments; none is ever half moved", &["mem_overhead_db_hashtable_rehashing"]),
    (
        "each shard does its own I/O; nothing is handed to other threads",
        &[
            "io_threaded_freed_objects",
            "io_threaded_accept_processed",
            "io_threaded_poll_processed",
            "io_threaded_total_prefetch_batches",
            "io_threaded_total_prefetch_entries",
        ],
    ),
    ("reply buffers have no fixed part that is resized", &["reply_buffer_shrinks", "reply_buffer_expands"]),
    (
        "slot migration is not there yet",
        &[
            "mem_cluster_slot_import",
            "mem_cluster_slot_export",
            "total_net_cluster_slot_import_bytes",
            "total_net_cluster_slot_export_bytes",
            "slot_migration_fork_in_progress",
        ],
    ),
    ("hashes whose fields expire are not there yet", &["expired_keys_with_volatile_items_stale_perc"]),
    (
        "TLS is not there yet",
        &[
            "tls_server_cert_serial",
            "tls_server_cert_expires_in_seconds",
            "tls_client_cert_serial",
            "tls_client_cert_expires_in_seconds",
            "tls_ca_cert_serial",
            "tls_ca_cert_expires_in_seconds",
            "acl_access_denied_tls_cert",
        ],
    ),
    ("there is no thread that is the main one; `# Shards` has each one's time", &["used_active_time_main_thread"]),
    (
        "scripting engines are not there yet",
        &["engines_count", "engines_total_used_memory", "engines_total_memory_overhead", "engine_0"],
    ),
    ("there are no modules", &["module"]),
];

fn filled() -> InfoData {
    InfoData {
        server: ServerInfo {
            listeners: vec![
                ListenerInfo { name: "tcp".into(), binds: vec!["127.0.0.1".into(), "::1".into()], port: Some(6379) },
                ListenerInfo { name: "unix".into(), binds: vec!["/run/p.sock".into()], port: None },
            ],
            ..ServerInfo::default()
        },
        commands: vec![
            CommandStats { name: "get".into(), calls: 3, usec: 5, rejected: 1, failed: 0 },
            CommandStats { name: "config|get".into(), ..CommandStats::default() },
        ],
        errors: vec![ErrorStats { code: "WRONGTYPE".into(), count: 2 }],
        latencies: vec![LatencyStats { name: "get".into(), percentiles: vec![(50.0, 1.003), (99.9, 12.0)] }],
        keyspace: vec![
            KeyspaceInfo { keys: 5, expires: 2, avg_ttl_ms: 1000, subexpiry: 0 },
            KeyspaceInfo::default(),
            KeyspaceInfo { keys: 1, ..KeyspaceInfo::default() },
        ],
        shards: vec![ShardInfo { slots: (0, 16384), cpu: Some(3), keys: 6, ticks: (9, 70), ..ShardInfo::default() }],
        ..InfoData::default()
    }
}

fn all() -> Sections {
    Sections::parse([b"everything".as_slice()].into_iter())
}

fn ask(names: &[&str]) -> String {
    render(&filled(), Sections::parse(names.iter().map(|name| name.as_bytes())))
}

/// Section titles of a text, and its field names under each.
fn outline(text: &str) -> Vec<(String, Vec<String>)> {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(title) => sections.push((title.to_owned(), Vec::new())),
            None => {
                let (name, _) = line.split_once(':').expect("a field has a value");
                sections.last_mut().expect("a field is in a section").1.push(name.to_owned());
            }
        }
    }
    sections
}

/// Names that depend on what runs, in the form ours have in [`filled`].
fn general(name: &str) -> Option<&str> {
    let varying = ["cmdstat_", "errorstat_", "latency_percentiles_usec_"];
    if varying.iter().any(|prefix| name.starts_with(prefix)) { None } else { Some(name) }
}

fn compare(facts: &str) {
    let facts: serde_json::Value = serde_json::from_str(facts).expect("the facts are JSON");
    let ours = outline(&render(&filled(), all()));
    let absent: Vec<&str> = ABSENT.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for (title, names) in facts.as_object().expect("sections by title") {
        let names = names.as_array().expect("a list of names").iter().filter_map(|name| name.as_str());
        let expected: Vec<&str> = names.filter_map(general).filter(|name| !absent.contains(name)).collect();
        let Some((_, fields)) = ours.iter().find(|(ours, _)| ours == title) else {
            assert!(expected.is_empty(), "section {title} is missing, and {expected:?} with it");
            continue;
        };
        let found: Vec<&str> = fields.iter().map(String::as_str).filter(|name| expected.contains(name)).collect();
        assert_eq!(found, expected, "fields of {title}, in their order");
        let both: Vec<_> = fields.iter().filter(|name| absent.contains(&name.as_str())).collect();
        assert!(both.is_empty(), "printed and yet listed as absent: {both:?}");
    }
}

#[test]
fn has_every_field_of_redis_or_a_reason() {
    compare(REDIS);
}

#[test]
fn has_every_field_of_valkey_or_a_reason() {
    compare(VALKEY);
}

#[test]
fn asks_for_sections_in_any_case_and_order_once_each() {
    assert_eq!(ask(&["nosuch"]), "");
    assert_eq!(ask(&["cluster"]), "# Cluster\r\ncluster_enabled:0\r\n");
    let text = ask(&["CLUSTER", "modules", "cluster"]);
    assert_eq!(text, "# Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n");
}

#[test]
fn default_leaves_out_what_is_long() {
    let titles = |names: &[&str]| outline(&ask(names)).into_iter().map(|s| s.0).collect::<Vec<_>>();
    let default = titles(&[]);
    assert_eq!(default, titles(&["default"]));
    assert!(!default.iter().any(|t| t == "Commandstats" || t == "Latencystats"));
    assert_eq!(titles(&["all"]), titles(&["everything"]));
    assert_eq!(titles(&["all"]).len(), default.len() + 2);
    assert_eq!(titles(&["default", "commandstats"]).len(), default.len() + 1);
    assert!(Sections::parse([b"All".as_slice()].into_iter()).commands());
    assert!(!Sections::parse(std::iter::empty()).latencies());
}

#[test]
fn lines_of_variable_sections() {
    assert_eq!(
        ask(&["keyspace"]),
        "# Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=1000,subexpiry=0\r\ndb2:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n"
    );
    let commands = ask(&["commandstats"]);
    assert!(commands.contains("\r\ncmdstat_get:calls=3,usec=5,usec_per_call=1.67,rejected_calls=1,failed_calls=0\r\n"));
    assert!(commands.contains("cmdstat_config|get:calls=0,usec=0,usec_per_call=0.00,"));
    assert_eq!(ask(&["errorstats"]), "# Errorstats\r\nerrorstat_WRONGTYPE:count=2\r\n");
    assert_eq!(ask(&["latencystats"]), "# Latencystats\r\nlatency_percentiles_usec_get:p50=1.003,p99.9=12.000\r\n");
    let server = ask(&["server"]);
    assert!(server.contains("\r\nlistener0:name=tcp,bind=127.0.0.1,bind=::1,port=6379\r\n"));
    assert!(server.contains("\r\nlistener1:name=unix,bind=/run/p.sock\r\n"));
    let shards = ask(&["shards"]);
    assert!(shards.contains("\r\nshard0:slots=0-16383,cpu=3,keys=6,") && shards.contains(",ticks=9,tick_us_max=70,"));
}

#[test]
fn a_replica_tells_of_its_primary() {
    let replication = ReplicationInfo {
        primary: Some(PrimaryLink { host: "10.0.0.1".into(), port: 6379, up: true, ..PrimaryLink::default() }),
        replicas: vec![ReplicaInfo { ip: "10.0.0.3".into(), port: 6380, state: "online".into(), offset: 9, lag_s: 1 }],
        ..ReplicationInfo::default()
    };
    let info = InfoData { replication, ..InfoData::default() };
    let text = render(&info, Sections::parse([b"replication".as_slice()].into_iter()));
    assert!(text.starts_with("# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n"));
    assert!(text.contains("connected_slaves:1\r\nslave0:ip=10.0.0.3,port=6380,state=online,offset=9,lag=1\r\n"));
    assert!(text.contains("second_repl_offset:-1\r\n"));
}

#[test]
fn memory_adds_up() {
    let memory = MemoryInfo {
        used: 1000,
        startup: 200,
        tables_overhead: 100,
        clients_normal: 50,
        peak: 2000,
        rss: 3000,
        ..MemoryInfo::default()
    };
    assert_eq!((memory.overhead(), memory.dataset()), (350, 650));
    assert_eq!(memory.dataset_percent(), 81.25);
    assert_eq!(memory.peak_percent(), 50.0);
    assert_eq!(memory.fragmentation_ratio(), 3.0);
    assert_eq!(MemoryInfo::default().fragmentation_ratio(), 0.0);
}
