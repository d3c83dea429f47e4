//! The name of a model, which must be one that there is.

use ps_worker::model::Models;

/// Checks that there is such a model; a program of the user's may use the word as it likes.
///
/// # Errors
/// There is none; the known ones are named.
pub fn check(models: &Models, name: &str) -> Result<(), String> {
    if !models.names().any(|known| known == name) {
        let known: Vec<&str> = models.names().collect();
        let known = known.join(", ");
        return Err(format!("--model: no model is named `{name}`; choose one of {known}"));
    }
    Ok(())
}
