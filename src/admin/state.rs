//! What the administration of one process keeps between commands. Every part has its own lock; none of them is taken
//! on a command's way to its key.

use crate::admin::config::ConfigStore;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module. One per process, inside `net::shared::Shared`.
#[derive(Debug)]
pub struct AdminState {
    store: Mutex<ConfigStore>,
}

impl AdminState {
    /// With the settings the process started with.
    pub fn new(store: ConfigStore) -> Self {
        AdminState { store: Mutex::new(store) }
    }

    /// The settings as CONFIG sees them.
    pub fn store(&self) -> MutexGuard<'_, ConfigStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
