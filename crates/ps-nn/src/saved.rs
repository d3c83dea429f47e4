//! What goes from a forward pass to its backward pass.

use std::sync::OnceLock;

/// What the forward pass of an operation keeps for its backward pass.
#[derive(Debug)]
pub struct SavedForBackward<T>(OnceLock<Vec<T>>);

impl<T> Default for SavedForBackward<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> SavedForBackward<T> {
    /// Keeps the values; an operation runs forwards once.
    pub fn save(&self, values: Vec<T>) {
        let _ = self.0.set(values);
    }

    /// The values, none before the forward pass.
    pub fn values(&self) -> &[T] {
        self.0.get().map_or(&[], Vec::as_slice)
    }
}
