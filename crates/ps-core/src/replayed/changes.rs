//! How much the newest pushes had changed a chunk.

use super::ReplayedPush;
use crate::ids::Version;
use std::collections::VecDeque;

/// Pushes of which a chunk remembers how much they changed.
const RECENT: usize = 64;

/// What a push changed in a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// The version that it made.
    pub(super) version: Version,
    /// The squared Euclidean distance of the weights before and after it.
    pub(super) squares: f64,
    pub(super) push: ReplayedPush,
}

/// The newest changes of a chunk, by rising version.
#[derive(Default)]
pub(super) struct RecentChanges(VecDeque<Change>);

impl RecentChanges {
    pub(super) fn add(&mut self, change: Change) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(change);
    }

    /// Those that are in the weights of this version.
    pub(super) fn until(&self, version: Version) -> impl Iterator<Item = &Change> {
        self.0.iter().take_while(move |change| change.version <= version)
    }
}
