//! From arguments to running cores, and back to an exit code. A failed start is one clear line on standard error.

use crate::admin;
use crate::base::clock::{self, Clock};
use crate::base::config::{Config, IoDriver};
use crate::commands::table::CommandTable;
use crate::net::listener::OWN_PORT_FIRST;
use crate::net::listening::{self, Listening};
use crate::net::shared::{Shared, SharedParts};
use crate::net::worker::{Handlers, Worker};
use crate::persist::aof::folder::Folder;
use crate::persist::aof::manifest::Manifest;
use crate::runtime::driver::{Driver, DriverKind, DriverSeed, prepare};
use crate::runtime::mesh::{Endpoint, mesh};
use crate::runtime::{affinity, alloc, signals, sockets};
use crate::server::core::{Core, Hooks};
use crate::server::loading::{self, Found};
use crate::server::recovery;
use crate::server::registry;
use crate::shard::keyspace::Shard;
use crate::txn::feed::{Feeder, Intake, feed};
use crate::txn::hop::Terms;
use crate::txn::message::Message;
use crate::txn::router::{Router, slots_of};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most cores one process runs on.
pub const CORES_MAX: usize = 256;

/// Starts the server and returns its exit code when it has ended.
pub fn run(args: impl Iterator<Item = OsString>) -> i32 {
    match start(args) {
        Ok(code) => code,
        Err(line) => {
            eprintln!("{line}");
            1
        }
    }
}

/// A socket that listens, and its index for the driver.
type Listener = (u32, OwnedFd);

struct Plan {
    listeners: Vec<Listener>,
    /// Per core: its own port.
    own: Vec<Option<Listener>>,
}

fn start(args: impl Iterator<Item = OsString>) -> Result<i32, String> {
    let loaded = match admin::config::load(args) {
        Ok(loaded) => loaded,
        Err(answer) if answer.code == 0 => {
            println!("{answer}");
            return Ok(0);
        }
        Err(error) => return Err(error.to_string()),
    };
    let config = loaded.store.current.clone();
    admin::log::init(&config)?;
    loaded.notes.iter().for_each(|note| admin::log::warning(note));
    signals::block().map_err(|e| format!("cannot block signals: {e}"))?;
    if let Err(error) = alloc::start_keeper() {
        admin::log::warning(&format!(
            "no huge pages: cannot start the thread that takes and gives back memory: {error}"
        ));
    }
    let cpus = affinity::available_cpus();
    let parallel = affinity::parallelism();
    let cores = if config.shards == 0 { parallel.clamp(1, CORES_MAX) } else { config.shards };
    let spin = spin(&config, cores, parallel);
    let descriptors = u64::from(config.maxclients) + 64 + 8 * cores as u64;
    let got = signals::raise_open_files(descriptors);
    if got < descriptors {
        admin::log::warning(&format!(
            "open files are limited to {got}: at most {} of the {} configured clients can connect",
            got.saturating_sub(64),
            config.maxclients
        ));
    }
    let kind = match config.io_driver {
        IoDriver::Auto => DriverKind::Auto,
        IoDriver::Uring => DriverKind::Uring,
        IoDriver::Epoll => DriverKind::Epoll,
    };
    let (seeds, doorbells, chosen, reason) = prepare(cores, kind).map_err(|e| e.to_string())?;
    let persists = config.appendonly || !config.save.is_empty();
    let state = admin::state::AdminState::new(loaded.store, cores, random_seed());
    if let Err(error) = state.oom().apply(&config) {
        admin::log::warning(&error);
    }
    if persists {
        state.hold_folder(Path::new(&config.dir))?;
    }
    let found = loading::find(&config)?;
    let (plan, listening) = listen(&config, cores)?;
    let mut table = CommandTable::new();
    for (from, to) in &config.rename_command {
        table.rename(from.as_bytes(), to.as_bytes()).map_err(|e| format!("rename-command {from} {to}: {e}"))?;
    }
    let table = Arc::new(table);
    let handlers = Arc::new(registry::handlers(&table));
    let shared = Arc::new(Shared::new(SharedParts {
        cores,
        config: config.clone(),
        listening,
        table: table.clone(),
        doorbells,
        now_ms: clock::unix_ms_now(),
        run_id: format!("{}{}", random_hex(), &random_hex()[..8]),
        driver: chosen.name(),
        admin: Box::new(state),
    }));
    admin::crash::install(&config, cores, chosen.name(), &shared.run_id);
    admin::log::notice(&format!(
        "Pinion {} starts: {cores} shards, {} driver{}",
        env!("CARGO_PKG_VERSION"),
        chosen.name(),
        reason.map(|r| format!(" ({r})")).unwrap_or_default()
    ));
    let pin = config.pin_cores && cores <= cpus.len();
    let unpublished = if found == Found::OwnLog { None } else { begin_logs(&shared, &found)? };
    let (feeder, intakes) = feed(cores, config.databases, &shared.doorbells, &shared.loading);
    let is_fed = matches!(found, Found::Snapshot(_) | Found::RedisAof(_));
    let intakes = intakes.into_iter().map(|intake| is_fed.then_some(intake)).collect();
    if found != Found::Nothing {
        shared.loading.begin(clock::unix_ms_now());
    }
    let threads = spawn(plan, seeds, intakes, &shared, &handlers, spin, pin.then_some(cpus))?;
    admin::files::write_pid_file(&config);
    let loader = load(found, feeder, unpublished, &shared)?;
    let ended = wait_for_end(&shared);
    let mut broken = None;
    for thread in threads {
        if let Ok(Err(error)) = thread.join() {
            broken = Some(error);
        }
    }
    // one that still reads has nobody left to read for
    shared.loading.fail("the server ends".to_string());
    let loaded = loader.join();
    admin::files::remove_at_end(&config);
    if let Ok(Err(why)) = loaded {
        return Err(why);
    }
    admin::log::notice(&format!("{ended}: bye bye..."));
    match broken {
        Some(error) => Err(format!("a core's driver failed: {error}")),
        None => Ok(shared.exit_code.load(Ordering::Relaxed) as i32),
    }
}

/// Begins the first logs, if there are to be any; the manifest, if they are not to count before `found` is loaded.
fn begin_logs(shared: &Shared, found: &Found) -> Result<Option<Manifest>, String> {
    let config = shared.config();
    let opened = recovery::open(&config, shared.cores.len(), &shared.loading)?;
    let Some(manifest) = opened.manifest else { return Ok(None) };
    shared.begin_logs();
    shared.hand_over(opened.kept);
    if *found == Found::Nothing {
        recovery::publish(&Folder::of(&config), &manifest)?;
        return Ok(None);
    }
    shared.log_hurries.store(true, Ordering::Relaxed);
    Ok(Some(manifest))
}

/// Starts the thread that loads and then lets clients in. If it fails the server ends. What is loaded stands in the log
/// too, which counts from the moment that its manifest is `unpublished` no more.
fn load(found: Found, feeder: Feeder, unpublished: Option<Manifest>, shared: &Arc<Shared>) -> Result<Thread, String> {
    let shared = shared.clone();
    let body = move || {
        let loaded = match found {
            Found::Nothing => Ok(()),
            Found::OwnLog => recovery::load(&shared),
            found => loading::load(&found, feeder, &shared, || match &unpublished {
                Some(manifest) => recovery::publish_when_synced(manifest, &shared),
                None => Ok(()),
            }),
        };
        match &loaded {
            Ok(()) => admin::log::notice("Ready to accept connections"),
            Err(_) if shared.is_ending() => return Ok(()),
            Err(why) => {
                admin::log::warning(&format!("Fatal error loading the DB: {why}. Exiting."));
                shared.shut_down();
                signals::raise_term();
            }
        }
        loaded
    };
    std::thread::Builder::new().name("loader".into()).spawn(body).map_err(|e| format!("cannot start a thread: {e}"))
}

/// 64 bits from the kernel.
fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| std::io::Read::read_exact(&mut f, &mut bytes));
    read.map_or_else(|_| clock::ticks(), |()| u64::from_ne_bytes(bytes))
}

/// 32 hex digits.
fn random_hex() -> String {
    format!("{:016x}{:016x}", random_seed(), random_seed())
}

/// How long a core looks for work before it sleeps: nothing where cores share CPUs, or where the setting says so.
fn spin(config: &Config, cores: usize, cpus: usize) -> Duration {
    if cores > cpus {
        return Duration::ZERO;
    }
    Duration::from_micros(u64::from(config.spin_us.unwrap_or(SPIN_US_DEFAULT)))
}

/// Measured in `benches/`: long enough for one client's next request on loopback, short enough to stay cheap.
const SPIN_US_DEFAULT: u32 = 20;

fn listen(config: &Config, cores: usize) -> Result<(Plan, Listening), String> {
    let mut listening = Listening::default();
    let listeners = listening.begin(&config.bind, config.port, config.tcp_backlog).map_err(|e| e.to_string())?;
    let mut plan = Plan { listeners, own: (0..cores).map(|_| None).collect() };
    for host in config.bind.iter().filter(|_| config.shard_port_base != 0) {
        for (core, own) in plan.own.iter_mut().enumerate().filter(|(_, own)| own.is_none()) {
            let port = config.shard_port_base + core as u16;
            let socket = listening::open(host, port, config.tcp_backlog, true).map_err(|e| e.to_string())?;
            *own = socket.map(|socket| (OWN_PORT_FIRST + core as u32, socket));
        }
    }
    if !config.unixsocket.is_empty() {
        let path = Path::new(&config.unixsocket);
        let socket = sockets::listen_unix(path, config.unixsocketperm, &config.unixsocketgroup, config.tcp_backlog)
            .map_err(|e| format!("Failed opening Unix socket {}: {}", path.display(), sockets::errno_text(&e.error)))?;
        plan.listeners.push((OWN_PORT_FIRST - 1, socket));
    }
    let nowhere = plan.listeners.is_empty() && plan.own.iter().all(Option::is_none);
    if nowhere && config.port != 0 {
        return Err(format!("Failed listening on port {} (tcp), aborting.", config.port));
    }
    if nowhere {
        return Err("Configured to not listen anywhere, exiting.".to_string());
    }
    Ok((plan, listening))
}

type Thread = std::thread::JoinHandle<Result<(), String>>;

fn spawn(
    plan: Plan,
    seeds: Vec<DriverSeed>,
    intakes: Vec<Option<Intake>>,
    shared: &Arc<Shared>,
    handlers: &Arc<Handlers>,
    spin: Duration,
    pins: Option<Vec<usize>>,
) -> Result<Vec<Thread>, String> {
    let cores = seeds.len();
    let config = shared.config();
    let mut listeners = Some(plan.listeners);
    let mut threads = Vec::with_capacity(cores);
    let (ready, readies) = std::sync::mpsc::channel();
    let endpoints = mesh::<Message>(cores, config.mesh_depth);
    let ends = endpoints.into_iter().zip(intakes);
    for (core, ((seed, end), own)) in seeds.into_iter().zip(ends).zip(plan.own).enumerate() {
        let mut mine = listeners.take().unwrap_or_default();
        mine.extend(own);
        let (shared, handlers, ready) = (shared.clone(), handlers.clone(), ready.clone());
        let cpu = pins.as_ref().map(|cpus| cpus[core]);
        let body = move || run_core(core, seed, end, mine, &shared, handlers, spin, cpu, &ready);
        let thread = std::thread::Builder::new().name(format!("pinion-{core}")).spawn(body);
        threads.push(thread.map_err(|e| format!("cannot start the thread of core {core}: {e}"))?);
    }
    drop(ready);
    for _ in 0..cores {
        readies.recv().map_err(|_| "a core ended at its start".to_string())??;
    }
    Ok(threads)
}

#[allow(clippy::too_many_arguments, reason = "everything a core's thread takes with it, named once")]
fn run_core(
    core: usize,
    seed: DriverSeed,
    (endpoint, intake): (Endpoint<Message>, Option<Intake>),
    listeners: Vec<Listener>,
    shared: &Arc<Shared>,
    handlers: Arc<Handlers>,
    spin: Duration,
    cpu: Option<usize>,
    ready: &std::sync::mpsc::Sender<Result<(), String>>,
) -> Result<(), String> {
    if let Some(cpu) = cpu {
        affinity::pin_to(cpu);
    }
    let mut driver = match seed.build() {
        Ok(driver) => driver,
        Err(error) => {
            let _ = ready.send(Err(format!("core {core}: {error}")));
            return Ok(());
        }
    };
    for (index, socket) in listeners {
        driver.listen(index, socket);
    }
    let mut core = compose(endpoint, driver, shared, handlers, Clock::new(), random_seed(), spin);
    core.worker.take_over();
    if let Some(intake) = intake {
        core.worker.router.attach(intake);
    }
    let _ = ready.send(Ok(()));
    core.run().map_err(|e| e.to_string())
}

/// The core that `endpoint` belongs to, with an empty shard, ready to tick. `spin` as in [`Core::new`].
pub fn compose(
    endpoint: Endpoint<Message>,
    driver: Driver,
    shared: &Arc<Shared>,
    handlers: Arc<Handlers>,
    clock: Clock,
    seed: u64,
    spin: Duration,
) -> Core {
    let config = shared.config();
    let mut shard = Shard::new(config.databases, slots_of(endpoint.core(), endpoint.cores()), seed);
    shard.now_ms = clock.unix_ms();
    let terms = Terms { bulk_bytes_max: config.proto_max_bulk_len as usize, slow_ticks: u64::MAX };
    let router = Router::new(shard, shared.table.clone(), endpoint, terms, shared.txn_clock.clone());
    let worker = Worker::new(router, driver, shared.clone(), handlers, clock);
    let hooks = Hooks { after_run: admin::handlers::after_run, cron: admin::handlers::cron };
    Core::new(worker, hooks, spin)
}

/// Waits for a signal, or for SHUTDOWN, which sends one when it is done. After a signal the first core saves if it is
/// to and ends the server; where that fails the server goes on. A second SIGINT meanwhile ends it at once.
fn wait_for_end(shared: &Shared) -> &'static str {
    let mut asked = None;
    loop {
        let why = signals::wait().unwrap_or("signal");
        if shared.is_ending() {
            return asked.unwrap_or("SHUTDOWN");
        }
        if asked == Some("SIGINT") && why == "SIGINT" && shared.save_job().is_some() {
            admin::log::warning("You insist... exiting now.");
            std::process::exit(1);
        }
        admin::log::notice(&format!("Received {why} scheduling shutdown..."));
        let config = shared.config();
        shared.signal(if why == "SIGINT" { config.shutdown_on_sigint } else { config.shutdown_on_sigterm });
        asked = Some(why);
    }
}
