//! Writes the model as it is on the servers, with no more than one shard of it in memory.

use super::event::{Event, event};
use crate::cluster::Cluster;
use crate::kept;
use crate::weights::{Described, Error};
use ps_core::ids::Life;
use ps_core::keeping::Kept;
use ps_core::layout::Layout;
use ps_core::master::{Machine, ModelWritten};
use ps_core::model_config::{About, CONFIG_FILE};
use ps_core::model_file::{MODEL_FILE, header};
use ps_core::schema::SCHEMA_FILE;
use ps_core::settings::TrainingSettings;
use ps_core::{DataDescription, DataKind};
use ps_runtime::blocking;
use ps_runtime::files::{FileStore, Replacement};
use std::time::Duration;

/// Bytes of a model that are read from the servers and written in a second, at the most: what takes longer
/// even so is not begun.
const BYTES_PER_SECOND_MAX: u64 = 2 << 30;

/// What the time that a signal leaves is too short for is not tried: it would only take the disk from the
/// last checkpoint, of which every server writes its own part.
fn check_time(elements: u64, within: Option<Duration>) -> Result<(), String> {
    let bytes = elements.saturating_mul(size_of::<f32>() as u64);
    let needed = Duration::from_secs(bytes / BYTES_PER_SECOND_MAX);
    match within.filter(|within| needed > *within) {
        Some(within) => Err(format!(
            "the model was not written: {:.1} GB take more than the {within:.1?} that a signal left; give \
             --stop-timeout-s {} or more, if whoever stops the job waits as long",
            bytes as f64 / 1e9,
            needed.as_secs() * 2 + 5
        )),
        None => Ok(()),
    }
}

/// What is to be saved.
pub(super) struct What {
    /// What the master was told of the model.
    pub(super) about: About,
    pub(super) data: DataDescription,
    /// What the job trains with, as far as its programs do.
    pub(super) settings: TrainingSettings,
    /// How long it may take.
    pub(super) within: Option<Duration>,
    /// Whether start weights, which no push has changed, are not worth it.
    pub(super) if_trained: bool,
    /// The job whose best weights are the model instead.
    pub(super) kept: Option<Life>,
}

/// Reads the weights and writes them, with what the master was told of the model. `kept` is where the best ones
/// are, unless that is the same folder.
pub(super) async fn save(
    cluster: &Cluster,
    files: &dyn FileStore,
    kept: Option<&dyn FileStore>,
    what: What,
) -> Event {
    let written = match cluster.describe_all().await {
        Ok(described) if what.if_trained && !described.is_trained() => {
            return event(Machine::no_model);
        }
        Ok(described) => match what.kept.and_then(|job| kept_model(files, kept, job)) {
            Some(kept) => write_kept(described, files, &what, kept),
            None => match check_time(described.spec.layout.elements() as u64, what.within) {
                Ok(()) => write(cluster, described, files, &what).await,
                Err(hopeless) => Err(hopeless),
            },
        },
        Err(Error::NoModel) => return event(Machine::no_model),
        Err(error) => Err(error.to_string()),
    };
    event(|machine, now| machine.model_written(written, now))
}

/// The best weights as the model, unless they are lost: then the last ones are better than none.
fn kept_model(files: &dyn FileStore, kept: Option<&dyn FileStore>, job: Life) -> Option<Kept> {
    let model = blocking(|| kept::become_model(files, kept, job));
    let lost = |reason| {
        tracing::error!("the best weights are lost: {reason}; the last ones are written instead");
    };
    model.map_err(lost).ok()
}

/// What belongs to the model, beside weights that are in their place.
fn write_kept(
    Described { spec, servers }: Described,
    files: &dyn FileStore,
    what: &What,
    kept: Kept,
) -> Result<ModelWritten, String> {
    write_about(files, what, &spec.layout)?;
    let settings = Some(what.settings.clone().as_held(&spec));
    Ok(ModelWritten { digest: kept.digest, servers, settings, kept: Some(kept) })
}

/// What is known of the model, beside its weights. Whoever uses it needs that.
fn write_about(files: &dyn FileStore, what: &What, layout: &Layout) -> Result<(), String> {
    let all = what.about.files(layout, &what.data);
    let all = all.map_err(|error| format!("making {CONFIG_FILE}: {error}"))?;
    blocking(|| all.iter().try_for_each(|(name, bytes)| files.write(name, bytes)))
        .map_err(|error| error.to_string())?;
    if what.about.model.is_none() && what.data.kind != DataKind::Program {
        tracing::warn!(
            "nobody said which model this is, so that `psrun evaluate` and `psrun predict` cannot use it: give \
             ps-master --model NAME, or write the name into `model` of {}/{CONFIG_FILE}",
            files.location()
        );
    }
    if what.about.schema.is_none()
        && what.about.untold_schema.is_some()
        && !files.list().is_ok_and(|names| names.iter().any(|name| name == SCHEMA_FILE))
    {
        tracing::warn!(
            "what was understood of the table is too long to be told to the master, and nobody wrote it here, so that the model \
             cannot be used: write it with `psrun data DATA --write-schema {}/{SCHEMA_FILE}`, and give a worker or the \
             evaluator of the next job --write-schema",
            files.location()
        );
    }
    Ok(())
}

async fn write(
    cluster: &Cluster,
    Described { spec, servers }: Described,
    files: &dyn FileStore,
    what: &What,
) -> Result<ModelWritten, String> {
    write_about(files, what, &spec.layout)?;
    let header = header(&spec.layout).map_err(|error| format!("making {MODEL_FILE}: {error}"))?;
    let mut file = blocking(|| {
        let mut file = Replacement::new(files, MODEL_FILE)?;
        file.write_at(0, &header)?;
        Ok(file)
    })
    .map_err(|error: std::io::Error| error.to_string())?;
    let (mut place, mut digest) = (header.len() as u64, crc32fast::Hasher::new());
    let mut weights = Vec::new();
    for shard in 0..spec.shards {
        cluster.read_shard(&spec, shard, &mut weights).await.map_err(|error| error.to_string())?;
        // The machine is little-endian, as the file is: `chunk` checks it when it is compiled.
        let bytes: &[u8] = bytemuck::cast_slice(&weights);
        let written = blocking(|| {
            digest.update(bytes);
            file.write_at(place, bytes)
        });
        written.map_err(|error| error.to_string())?;
        place += bytes.len() as u64;
    }
    blocking(|| file.commit()).map_err(|error| error.to_string())?;
    let settings = Some(what.settings.clone().as_held(&spec));
    Ok(ModelWritten { digest: digest.finalize(), servers, settings, kept: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_in_time_is_not_begun() {
        let gigabytes = |count: u64| count << 28;
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(check_time(gigabytes(10), seconds(6)), Ok(()));
        assert_eq!(check_time(gigabytes(1000), None), Ok(()));
        let error = check_time(gigabytes(40), seconds(6)).unwrap_err();
        assert!(error.contains("42.9 GB") && error.contains("--stop-timeout-s 45"), "{error}");
    }
}
