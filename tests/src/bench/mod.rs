//! What the benchmarks share: processes of their own, what those used, and figures.

pub mod peer;
pub mod programs;
pub mod report;
pub mod server;
pub mod usage;

use std::process::ExitCode;
use std::str::FromStr;

/// What a benchmark was called with; cargo's own word is not among it.
pub fn arguments() -> Vec<String> {
    std::env::args().skip(1).filter(|argument| argument != "--bench").collect()
}

/// The value after this word, or the default.
///
/// # Errors
/// It is none.
pub fn option<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    words: &[&str],
    name: &str,
    default: T,
) -> anyhow::Result<T> {
    let at = words.iter().position(|word| *word == name);
    Ok(at.and_then(|at| words.get(at + 1)).map_or(Ok(default), |text| text.parse())?)
}

/// Says why a benchmark failed, if it did.
pub fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
