//! `psrun checkpoint ls`: what a folder holds.

use super::Said;
use super::folder::{Folder, Problem, bytes_of, spec_of};
use jiff::Timestamp;
use ps_core::checkpoint::{Manifest, NamedFile, names};
use ps_core::digits::digits;
use std::fmt::Write as _;
use std::time::SystemTime;

/// Says of every checkpoint what it is, the newest last. `written` tells when a file was.
///
/// # Errors
/// A line could not be written.
pub(super) fn run(
    folder: &Folder<'_>,
    written: impl Fn(&str) -> Option<SystemTime>,
    said: &mut Said<'_>,
) -> anyhow::Result<()> {
    let finished = folder.contents.finished();
    for &number in &finished {
        let mut line = format!("checkpoint={number};");
        let looked = folder.manifest(number).and_then(|manifest| {
            let torn = torn(folder, &manifest);
            describe(&mut line, &manifest, &torn)?;
            torn
        });
        if let Err(problem) = looked {
            if folder.is_gone(number) {
                continue;
            }
            if !line.contains("complete=") {
                line += " complete=false;";
            }
            (said.tell)(&format!("checkpoint {number} cannot be used: {problem}"));
        }
        if let Some(at) = written(&names::manifest_file(number)).and_then(rfc3339) {
            let _ = write!(line, " written={at};");
        }
        writeln!(said.out, "{line}")?;
    }
    let location = folder.files.location();
    for (number, files) in folder.contents.unfinished() {
        (said.tell)(&unfinished(number, &files, finished.contains(&number)));
    }
    if finished.is_empty() {
        (said.tell)(&format!("no finished checkpoint in {location}"));
    }
    Ok(())
}

/// Pushes that are in a part of a shard only, on all shards together: as all files say, when the ends of all are whole.
fn torn(folder: &Folder<'_>, manifest: &Manifest) -> Result<u64, Problem> {
    let spec = spec_of(manifest)?;
    let torn = |file| Ok::<_, Problem>(folder.ends(file, &spec)?.remembered().torn_pushes());
    manifest.files.iter().map(torn).sum()
}

fn describe(
    line: &mut String,
    manifest: &Manifest,
    torn: &Result<u64, Problem>,
) -> Result<(), Problem> {
    let (spec, state) = (spec_of(manifest)?, &manifest.state);
    let (shards, tensors) = (manifest.files.len(), manifest.tensors.len());
    let chunks: usize = manifest.files.iter().map(|file| file.chunks.len()).sum();
    let (elements, bytes) = (spec.layout.elements(), bytes_of(manifest));
    let (passes, samples) = (state.passes.len(), state.samples_done);
    let _ = write!(
        line,
        " complete={}; passes={passes}; samples_done={samples}; train_seconds={:.1}; shards={shards}; tensors={tensors}; \
         chunks={chunks}; elements={elements}; bytes={bytes}; optimizer={};",
        torn.is_ok(),
        state.seconds,
        state.settings.optimizer.name()
    );
    let last = state.passes.last();
    let measures = last.map(|pass| (pass.train_loss, pass.test_loss, pass.test_accuracy));
    let (train_loss, test_loss, test_accuracy) = measures.unwrap_or_default();
    for (name, value) in
        [("train_loss", train_loss), ("test_loss", test_loss), ("test_accuracy", test_accuracy)]
    {
        if let Some(value) = value {
            let _ = write!(line, " {name}={};", digits(value));
        }
    }
    if let Some(model) = manifest.model.as_ref().and_then(|it| it.config.model.as_ref()) {
        let _ = write!(line, " model={model};");
    }
    if let Ok(torn) = torn {
        let _ = write!(line, " torn={torn};");
    }
    Ok(())
}

fn unfinished(number: u64, files: &[&NamedFile], has_manifest: bool) -> String {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let why = if has_manifest { "not written to the end" } else { "no manifest" };
    format!(
        "unfinished: checkpoint {number}, {why}: {}; a job is writing it, or one died before it was done (then `psrun \
         checkpoint prune` removes it)",
        names.join(", ")
    )
}

/// To the second, in UTC.
fn rfc3339(at: SystemTime) -> Option<String> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let at = Timestamp::from_second(i64::try_from(since.as_secs()).ok()?);
    at.ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_of_the_standard() {
        let at = |seconds| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(1_772_323_199), "2026-02-28T23:59:59Z");
    }
}
