//! What a request says.

use ps_data::{Inputs, UnseenTexts};

/// What a body says.
pub(super) struct Understood {
    /// Of its samples, one after another.
    pub(super) inputs: Inputs,
    /// Texts that training never saw.
    pub(super) unseen: Vec<UnseenTexts>,
}

impl From<Inputs> for Understood {
    fn from(inputs: Inputs) -> Self {
        Self { inputs, unseen: Vec::new() }
    }
}
