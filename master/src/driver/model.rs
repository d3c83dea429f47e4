//! Writes the model as it is on the servers.

use super::event::{Event, event};
use crate::about::{About, CONFIG_FILE};
use crate::cluster::Cluster;
use crate::weights::{self, Model};
use ps_core::DataDescription;
use ps_core::master::{Machine, ModelWritten};
use ps_runtime::blocking;
use ps_runtime::files::FileStore;
use ps_runtime::model_file::{MODEL_FILE, to_safetensors};

/// Reads the weights and writes them, with what the master was told of the model.
pub(super) async fn save(
    cluster: &Cluster,
    files: &dyn FileStore,
    about: &About,
    data: &DataDescription,
) -> Event {
    let written = match cluster.read_model().await {
        Ok(model) => blocking(|| write(model, files, about, data)),
        Err(weights::Error::NoModel) => return event(Machine::no_model),
        Err(error) => Err(error.to_string()),
    };
    event(|machine, now| machine.model_written(written, now))
}

fn write(
    model: Model,
    files: &dyn FileStore,
    about: &About,
    data: &DataDescription,
) -> Result<ModelWritten, String> {
    let bytes = to_safetensors(&model.spec.layout, &model.weights)
        .map_err(|error| format!("making {MODEL_FILE}: {error}"))?;
    let config = about
        .to_json(&model.spec, data)
        .map_err(|error| format!("making {CONFIG_FILE}: {error}"))?;
    files.write(CONFIG_FILE, &config).map_err(|error| error.to_string())?;
    files.write(MODEL_FILE, &bytes).map_err(|error| error.to_string())?;
    Ok(ModelWritten { digest: model.digest(), servers: model.servers })
}
