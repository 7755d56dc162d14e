//! What a core does differently while data is loaded: it takes in what loaders send, and refuses commands that would
//! see half of it. Which commands those are is for dispatch to say.

use crate::net::worker::Worker;
use crate::txn::feed::{Intake, Unpacked};

/// The answer to commands that need the data.
pub const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// What a core knows of loading.
#[derive(Debug)]
pub(super) struct LoadWatch {
    /// Data is being loaded, as of this tick.
    pub(super) active: bool,
    /// A loader sent more than one tick takes in.
    pub(super) waits: bool,
}

impl Default for LoadWatch {
    fn default() -> Self {
        // until the first tick has looked
        LoadWatch { active: true, waits: false }
    }
}

impl Worker {
    /// At the begin of a tick.
    pub fn refresh_loading(&mut self) {
        if let Some((intake, flushes)) = self.shared.take_feed(self.router.core) {
            self.begin_reload(intake, flushes);
        }
        let is_active = self.shared.loading.is_active();
        if is_active || self.loading.active || self.router.is_fed() {
            self.loading.active = is_active;
            self.take_over();
            if !self.loading.active && self.router.is_fed() {
                self.router.detach();
                self.end_reload();
            }
        }
        if self.router.is_fed() {
            self.router.prepare_feed();
        }
    }

    /// Commands that need the data are refused. Ends up to a tick after loading did.
    pub fn refuses_for_loading(&self) -> bool {
        self.loading.active
    }

    /// Takes in some of what loaders sent. After the mesh was drained: messages of cores that have ended loading are
    /// for a shard that has ended it, too.
    pub fn take_feed(&mut self) {
        if !self.router.is_fed() {
            return;
        }
        let unpacked = self.router.unpack(self.clock.unix_ms());
        self.loading.waits = unpacked == Unpacked::More;
        if unpacked == Unpacked::Ended {
            self.end_reload();
        }
    }

    /// What is there is loaded again: while this goes on, nothing else runs.
    #[cold]
    fn begin_reload(&mut self, intake: Intake, flushes: bool) {
        let shard = &mut self.router.shard;
        shard.reloads = true;
        if flushes {
            shard.flush(None);
        }
        self.router.attach(intake);
        self.loading.active = true;
    }

    fn end_reload(&mut self) {
        self.router.shard.reloads = false;
        self.apply_config();
    }
}
