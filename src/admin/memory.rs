//! MEMORY STATS, DOCTOR and MALLOC-STATS from the figures INFO shows. Collects nothing, changes nothing.

use crate::admin::info::data::{KeyspaceInfo, MemoryInfo, percent, ratio};
use crate::resp::reply::Reply;

/// One line of MEMORY STATS.
enum Figure {
    Count(u64),
    Signed(i64),
    Ratio(f64),
    /// A database: bytes of its table beyond the data, and of its expiries.
    Database(u64),
}

/// `MEMORY STATS`: a map of figures, named as Redis 8.0 and Valkey 9.1 name them.
pub fn stats(memory: &MemoryInfo, keyspace: &[KeyspaceInfo], reply: &mut Reply<'_>) {
    use Figure::{Count, Database, Ratio, Signed};
    let keys: u64 = keyspace.iter().map(|db| db.keys).sum();
    let since_startup = memory.used.saturating_sub(memory.startup);
    let mut figures: Vec<(String, Figure)> = Vec::with_capacity(40 + keyspace.len());
    let mut put = |name: &str, figure: Figure| figures.push((name.to_owned(), figure));
    put("peak.allocated", Count(memory.peak));
    put("total.allocated", Count(memory.used));
    put("startup.allocated", Count(memory.startup));
    put("replication.backlog", Count(memory.replication_backlog));
    put("replica.fullsync.buffer", Count(memory.full_sync_buffer));
    put("replicas.repl.buffer", Count(memory.replication_buffers));
    put("clients.slaves", Count(memory.clients_replicas));
    put("clients.normal", Count(memory.clients_normal));
    put("cluster.links", Count(memory.cluster_links));
    put("aof.buffer", Count(memory.aof_buffer));
    put("lua.caches", Count(memory.scripts_eval));
    put("functions.caches", Count(memory.functions));
    put("script.VMs", Count(memory.vm_total()));
    for (db, info) in keyspace.iter().enumerate().filter(|(_, info)| info.keys > 0) {
        // The tables' overhead is known for all databases together; each has its part by number of keys.
        put(&format!("db.{db}"), Database((ratio(info.keys, keys) * memory.tables_overhead as f64) as u64));
    }
    put("overhead.db.hashtable.lut", Count(memory.tables_overhead));
    put("overhead.total", Count(memory.overhead()));
    put("keys.count", Count(keys));
    put("keys.bytes-per-key", Count(since_startup.checked_div(keys).unwrap_or(0)));
    put("dataset.bytes", Count(memory.dataset()));
    put("dataset.percentage", Ratio(memory.dataset_percent()));
    put("peak.percentage", Ratio(percent(memory.used, memory.peak)));
    put("allocator.allocated", Count(memory.used));
    put("allocator.active", Count(memory.allocator_committed));
    put("allocator.resident", Count(memory.allocator_committed));
    put("allocator-fragmentation.ratio", Ratio(memory.allocator_frag_ratio()));
    put("allocator-fragmentation.bytes", Signed(memory.allocator_committed as i64 - memory.used as i64));
    put("allocator-rss.ratio", Ratio(1.0));
    put("allocator-rss.bytes", Signed(0));
    put("rss-overhead.ratio", Ratio(memory.rss_overhead_ratio()));
    put("rss-overhead.bytes", Signed(memory.rss as i64 - memory.allocator_committed as i64));
    put("fragmentation", Ratio(memory.fragmentation_ratio()));
    put("fragmentation.bytes", Signed(memory.rss as i64 - memory.used as i64));
    write(&figures, reply);
}

fn write(figures: &[(String, Figure)], reply: &mut Reply<'_>) {
    reply.map(figures.len());
    for (name, figure) in figures {
        reply.bulk(name.as_bytes());
        match figure {
            Figure::Count(n) => reply.integer(*n as i64),
            Figure::Signed(n) => reply.integer(*n),
            Figure::Ratio(x) => reply.double(*x),
            Figure::Database(bytes) => {
                reply.map(2);
                reply.bulk(b"overhead.hashtable.main");
                reply.integer(*bytes as i64);
                // An expiry lies inside its entry; there is no second table.
                reply.bulk(b"overhead.hashtable.expires");
                reply.integer(0);
            }
        }
    }
}

/// Less than this in use says nothing about anything, bytes.
const DOCTOR_USED_MIN: u64 = 5 << 20;
/// Waste below this is no finding, bytes.
const DOCTOR_WASTE_MIN: u64 = 10 << 20;
/// Buffers above this for each client are a finding, bytes.
const DOCTOR_CLIENT_BYTES: u64 = 200 << 10;
/// Buffers above this for each replica are a finding, bytes.
const DOCTOR_REPLICA_BYTES: u64 = 10 << 20;
/// More cached scripts than this are a finding.
const DOCTOR_SCRIPTS: u64 = 1000;

/// `MEMORY DOCTOR`: what looks wrong, in sentences. `clients` and `replicas` are how many there are.
pub fn doctor(memory: &MemoryInfo, clients: u64, replicas: u64) -> String {
    if memory.used < DOCTOR_USED_MIN {
        return format!(
            "Too little memory is in use to judge it: {} bytes. Ask again when there is data.\n",
            memory.used
        );
    }
    let findings: Vec<String> =
        [peak(memory), fragmentation(memory), buffers(memory, clients, replicas), scripts(memory)]
            .into_iter()
            .flatten()
            .collect();
    if findings.is_empty() {
        return "No problem found: memory is where it should be.\n".to_owned();
    }
    format!("Found {}:\n\n{}", findings.len(), findings.join("\n"))
}

fn peak(memory: &MemoryInfo) -> Option<String> {
    (ratio(memory.peak, memory.used) > 1.5).then(|| {
        format!(
            " * Peak: at some time {} bytes were in use, {:.0}% more than now. The process may keep part of what it \
             got then, so that a high mem_fragmentation_ratio can be harmless. MEMORY PURGE gives free pages back.\n",
            memory.peak,
            percent(memory.peak - memory.used, memory.used)
        )
    })
}

fn fragmentation(memory: &MemoryInfo) -> Option<String> {
    let waste = memory.rss.saturating_sub(memory.used);
    (memory.fragmentation_ratio() > 1.4 && waste > DOCTOR_WASTE_MIN).then(|| {
        format!(
            " * Fragmentation: the process holds {:.2} times what is in use, {waste} bytes more. Deleted values left \
             gaps, or sizes changed much. MEMORY PURGE gives whole free pages back; new data fills the gaps.\n",
            memory.fragmentation_ratio()
        )
    })
}

fn buffers(memory: &MemoryInfo, clients: u64, replicas: u64) -> Option<String> {
    let each = |bytes: u64, count: u64| bytes.checked_div(count).unwrap_or(0);
    let (client, replica) = (each(memory.clients_normal, clients), each(memory.clients_replicas, replicas));
    if client > DOCTOR_CLIENT_BYTES {
        return Some(format!(
            " * Client buffers: {client} bytes for each client on average. Some client sends long pipelines or does \
             not read its replies; CLIENT LIST shows which (qbuf, omem).\n"
        ));
    }
    (replica > DOCTOR_REPLICA_BYTES).then(|| {
        format!(
            " * Replica buffers: {replica} bytes for each replica on average. A replica does not keep up; look at its \
             link and its load.\n"
        )
    })
}

fn scripts(memory: &MemoryInfo) -> Option<String> {
    (memory.scripts_count > DOCTOR_SCRIPTS).then(|| {
        format!(
            " * Scripts: {} are cached. Scripts whose text differs only in values should take these as arguments.\n",
            memory.scripts_count
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::OutBuf;
    use crate::resp::reply::Proto;

    fn told(proto: Proto) -> String {
        let memory = MemoryInfo {
            used: 3000,
            startup: 1000,
            peak: 4000,
            tables_overhead: 300,
            rss: 6000,
            allocator_committed: 4500,
            ..MemoryInfo::default()
        };
        let keyspace = [KeyspaceInfo { keys: 8, ..KeyspaceInfo::default() }, KeyspaceInfo::default()];
        let mut out = OutBuf::default();
        stats(&memory, &keyspace, &mut Reply::new(&mut out, proto));
        String::from_utf8_lossy(&out.bytes).into_owned()
    }

    #[test]
    fn stats_is_a_map_of_figures() {
        let text = told(Proto::Resp3);
        assert!(
            text.starts_with("%32\r\n$14\r\npeak.allocated\r\n:4000\r\n$15\r\ntotal.allocated\r\n:3000\r\n"),
            "{text}"
        );
        assert!(text.contains("$4\r\ndb.0\r\n%2\r\n$23\r\noverhead.hashtable.main\r\n:300\r\n"));
        assert!(!text.contains("db.1"));
        assert!(text.contains("keys.count\r\n:8\r\n$18\r\nkeys.bytes-per-key\r\n:250\r\n"));
        assert!(text.contains("dataset.bytes\r\n:1700\r\n$18\r\ndataset.percentage\r\n,85\r\n"));
        assert!(text.ends_with("fragmentation\r\n,2\r\n$19\r\nfragmentation.bytes\r\n:3000\r\n"));
        assert!(told(Proto::Resp2).starts_with("*64\r\n$14\r\npeak.allocated\r\n"));
    }

    #[test]
    fn doctor_finds_what_is_wrong() {
        let well = MemoryInfo { used: 100 << 20, peak: 110 << 20, rss: 120 << 20, ..MemoryInfo::default() };
        assert!(doctor(&MemoryInfo::default(), 0, 0).starts_with("Too little memory"));
        assert!(doctor(&well, 1, 0).starts_with("No problem"));
        for (word, memory) in [
            ("Peak", MemoryInfo { peak: 300 << 20, ..well.clone() }),
            ("Fragmentation", MemoryInfo { rss: 200 << 20, ..well.clone() }),
            ("Client buffers", MemoryInfo { clients_normal: 10 << 20, ..well.clone() }),
            ("Replica buffers", MemoryInfo { clients_replicas: 50 << 20, ..well.clone() }),
            ("Scripts", MemoryInfo { scripts_count: 2000, ..well.clone() }),
        ] {
            let text = doctor(&memory, 2, 1);
            assert!(text.starts_with(&format!("Found 1:\n\n * {word}: ")), "{word}: {text}");
        }
    }
}
