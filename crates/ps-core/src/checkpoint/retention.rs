//! Which complete checkpoints are worth their room.

/// Decides about complete checkpoints one after another, the newest first: so many are kept, and if the run went wrong in all of
/// them, the newest from before, too.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    newest: usize,
    has_sound: bool,
}

impl Retention {
    /// Keeps so many of the newest.
    pub fn newest(count: usize) -> Self {
        Self { newest: count, has_sound: false }
    }

    /// Whether the next one would be kept. `is_sound`: nothing spoke for it that the run went wrong just then.
    pub fn wants(&self, is_sound: bool) -> bool {
        self.newest > 0 || (is_sound && !self.has_sound)
    }

    /// Whether the next one is kept.
    pub fn take(&mut self, is_sound: bool) -> bool {
        let wanted = self.wants(is_sound);
        self.newest -= usize::from(wanted && self.newest > 0);
        self.has_sound |= is_sound;
        wanted
    }
}
