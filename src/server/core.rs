//! The life of a core: one loop, one tick after the other. Everything a core does hangs off [`Core::tick`]:
//!
//! ```text
//! submit, reap       ONE system call: what the last tick queued goes out, what happened comes in; spin, then sleep
//! take over          time, published settings, CLIENT PAUSE; evict
//! drain mesh         a bounded batch from each other core
//! events             accepted, received, sent, closed
//! load               while data is loaded: a bounded part of what the loader sent
//! run                what arrived: parse, prefetch, run to completion
//! deliver            replies of commands that ran in parts
//! commit             what was journaled goes to the log; replies whose log is durable are let go
//! send               every touched connection's output is queued
//! expire, free       budgeted
//! move together      budgeted, while much memory is wasted
//! snapshot           budgeted, while one is under way
//! flush mesh         one message batch per other core; a bell for those that sleep
//! ```
//!
//! Never waits for another core, and never blocks but in the one system call.

use crate::base::{clock, limits};
use crate::net::connection::{Closing, Conn};
use crate::net::worker::Worker;
use crate::runtime::driver::{Event, Wait};
use std::io;
use std::time::Duration;

/// What the layers above want to do once a tick and ten times a second (`hz`).
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// After the commands of a tick: hand noted commands to their logs.
    pub after_run: fn(&mut Worker),
    /// Ten times a second or as `hz` says: samples.
    pub cron: fn(&mut Worker),
}

/// One core.
#[derive(Debug)]
pub struct Core {
    /// Its network half and its shard.
    pub worker: Worker,
    hooks: Hooks,
    spin: Duration,
    next_cron_ms: u64,
    ending_since_ms: u64,
}

/// How long clients may take to receive their last replies when the server ends, milliseconds.
const LAST_REPLIES_MS: u64 = 500;

impl Core {
    /// A core that has not run yet. `spin` is how long it looks for work before it sleeps.
    pub fn new(worker: Worker, hooks: Hooks, spin: Duration) -> Self {
        Core { worker, hooks, spin, next_cron_ms: 0, ending_since_ms: 0 }
    }

    /// Runs until the server ends. An error means that the driver is broken.
    pub fn run(&mut self) -> io::Result<()> {
        let flag = self.worker.router.mesh.sleep_flag();
        self.worker.driver.attach_sleep_flag(flag);
        while self.tick()? {}
        self.worker.close_log();
        Ok(())
    }

    /// See the module. False when this core has ended.
    pub fn tick(&mut self) -> io::Result<bool> {
        self.wait()?;
        let began = clock::ticks();
        let worker = &mut self.worker;
        worker.clock.refresh();
        worker.router.shard.now_ms = worker.clock.unix_ms();
        worker.router.shard.log_read_ms = None;
        worker.refresh_config();
        worker.refresh_pause();
        worker.refresh_loading();
        worker.refresh_memory();
        self.drain_mesh();
        self.events();
        let worker = &mut self.worker;
        worker.take_feed();
        worker.take_migration_reports();
        worker.router.settle_ready();
        worker.router.settle_awaited();
        worker.router.fetch_step();
        worker.router.expire_waits();
        worker.run_inputs();
        worker.deliver_finished();
        worker.publish_events();
        (self.hooks.after_run)(worker);
        worker.relieve_clients();
        worker.commit_journal();
        worker.open_gates();
        worker.settle_aof_waits();
        worker.send_outputs();
        worker.router.shard.free_step(limits::FREE_STEP_OBJECTS);
        worker.defrag();
        worker.save_step();
        self.cron();
        let worker = &mut self.worker;
        let driver = &mut worker.driver;
        worker.router.flush(|core| driver.ring(core));
        worker.publish_counters(clock::ticks().wrapping_sub(began));
        if worker.shared.is_ending() {
            return Ok(!self.has_ended());
        }
        Ok(true)
    }

    /// How long the next tick may wait for something to happen.
    pub fn next_wait(&self) -> Wait {
        let worker = &self.worker;
        let save = worker.saving.next_wait();
        let busy = worker.has_ready()
            || worker.memory.is_unfinished()
            || !worker.router.shard.lazy.is_empty()
            || worker.router.is_awaiting() && !worker.saving.is_held_up()
            || worker.router.is_fetching()
            || save == Some(Duration::ZERO);
        let left_ms = self.next_cron_ms.saturating_sub(worker.clock.unix_ms());
        if busy || !worker.waits_for_logs() {
            Wait::POLL
        } else {
            let ends = [worker.router.next_wait_end_ms(), worker.aof_waits_end_ms()].into_iter().flatten().min();
            let ends = ends.map_or(u64::MAX, |at| at.saturating_sub(worker.clock.unix_ms()));
            let left_ms = if worker.is_defragging() { 1 } else { left_ms };
            let left = Duration::from_millis(left_ms.min(ends).clamp(1, 1000));
            Wait { timeout: Some(save.unwrap_or(left).min(left)), spin: self.spin }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let wait = self.next_wait();
        let worker = &mut self.worker;
        let mesh = &worker.router.mesh;
        worker.driver.submit_and_reap(wait, &|| mesh.has_inbound())
    }

    fn drain_mesh(&mut self) {
        let worker = &mut self.worker;
        if !worker.router.mesh.has_inbound() {
            return;
        }
        let depth = &worker.shared.cores[worker.router.core].queue_max;
        depth.set(depth.get().max(worker.router.mesh.inbound_len() as u64));
        let mut messages = std::mem::take(&mut worker.messages);
        let enough_at = worker.clock.deadline(limits::RUN_TICK_US);
        for _ in 0..limits::MESSAGES_PER_PEER {
            // one of each core at a time: a batch of slow commands keeps nobody waiting but those behind it
            let count = worker.router.mesh.drain(1, |from, message| messages.push((from, message)));
            for (from, message) in messages.drain(..) {
                worker.on_message(from, message);
                worker.publish_events();
            }
            if count == 0 || clock::ticks() > enough_at {
                break;
            }
        }
        worker.messages = messages;
    }

    fn events(&mut self) {
        let worker = &mut self.worker;
        while let Some(event) = worker.driver.next_event() {
            match event {
                Event::Received { conn, buffer } => worker.on_received(conn, buffer),
                Event::Sent { conn, buffer, result } => worker.on_sent(conn, buffer, result.is_err()),
                Event::ReceiveEnded { conn, error } => worker.on_receive_ended(conn, error.is_some()),
                Event::Closed { conn } => worker.on_closed(conn),
                Event::Accepted { listener, socket } => worker.on_accepted(listener, socket),
                Event::AcceptFailed { .. } => worker.on_accept_failed(),
                Event::Logged { buffer, result } => worker.on_logged(buffer, result),
                Event::LogFilled => worker.on_log_filled(),
                Event::LogSynced { result } => worker.on_log_synced(result),
                Event::Doorbell => {}
            }
        }
    }

    /// Ten times a second, or as `hz` says.
    fn cron(&mut self) {
        let worker = &mut self.worker;
        let now = worker.clock.unix_ms();
        if now < self.next_cron_ms {
            return;
        }
        self.next_cron_ms = now + 1000 / u64::from(worker.config.hz.clamp(1, 500));
        worker.cron();
        worker.router.shard.events.tracking.caller = None;
        let began = clock::ticks();
        worker.router.shard.expire_step(limits::EXPIRE_STEP_ENTRIES);
        worker.counters().expire_ticks.add(clock::ticks().wrapping_sub(began));
        worker.publish_events();
        worker.send_outputs();
        (self.hooks.cron)(worker);
    }

    /// Gives clients a moment to receive what was written, then is done.
    fn has_ended(&mut self) -> bool {
        let worker = &mut self.worker;
        let now = worker.clock.unix_ms();
        if self.ending_since_ms == 0 {
            self.ending_since_ms = now;
            self.next_cron_ms = now;
        }
        let sent = |c: &Conn| c.out.is_empty() && c.sending == 0 && c.gate.is_none();
        let drained = worker.conns().all(|c| c.closing == Closing::Told || sent(c));
        self.next_cron_ms = self.next_cron_ms.min(now + 10);
        drained || now.saturating_sub(self.ending_since_ms) > LAST_REPLIES_MS
    }
}
