//! Writes the model as it is on the servers, with no more than one shard of it in memory.

use super::event::{Event, event};
use crate::about::{About, CONFIG_FILE};
use crate::cluster::Cluster;
use crate::weights::{Described, Error};
use ps_core::DataDescription;
use ps_core::master::{Machine, ModelWritten};
use ps_core::model_file::{MODEL_FILE, header};
use ps_runtime::blocking;
use ps_runtime::files::{FileStore, Replacement};

/// Reads the weights and writes them, with what the master was told of the model.
pub(super) async fn save(
    cluster: &Cluster,
    files: &dyn FileStore,
    about: &About,
    data: &DataDescription,
) -> Event {
    let written = match cluster.describe_all().await {
        Ok(described) => write(cluster, described, files, about, data).await,
        Err(Error::NoModel) => return event(Machine::no_model),
        Err(error) => Err(error.to_string()),
    };
    event(|machine, now| machine.model_written(written, now))
}

async fn write(
    cluster: &Cluster,
    Described { spec, servers }: Described,
    files: &dyn FileStore,
    about: &About,
    data: &DataDescription,
) -> Result<ModelWritten, String> {
    let config =
        about.to_json(&spec, data).map_err(|error| format!("making {CONFIG_FILE}: {error}"))?;
    let header = header(&spec.layout).map_err(|error| format!("making {MODEL_FILE}: {error}"))?;
    let mut file = blocking(|| {
        files.write(CONFIG_FILE, &config)?;
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
    Ok(ModelWritten { digest: digest.finalize(), servers })
}
