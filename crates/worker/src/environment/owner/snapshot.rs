//! Effects of SnapStart on the processes. No backend writes snapshots yet: a donor ends when it has shown that
//! it initialises, and every environment is initialised.

use super::{Done, Owner};

impl Owner {
    pub(super) fn checkpoint(&mut self) {
        self.effects.spawn(async { Done::Checkpointed });
    }

    pub(super) fn release_restore(&mut self) {
        self.journal.moment("restoring", None);
        self.runtime.release();
    }

    pub(super) fn restore_processes(&mut self) {
        self.effects.spawn(async { Done::RestoreFailed });
    }
}
