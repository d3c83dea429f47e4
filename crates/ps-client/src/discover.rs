//! Finding out which address serves which shard, where no master says so.

use crate::client::Client;
use crate::config::ClientConfig;
use crate::error::Error;
use ps_runtime::Outside;

/// Asks every address which shard it holds and puts the addresses in the order of the shards. Elements of
/// a chunk, too, where the servers hold a model already.
///
/// # Errors
/// A server is away for too long or of another job; two hold the same shard, or one is missing.
pub(crate) async fn discover(
    config: &ClientConfig,
    outside: &Outside,
) -> Result<(Vec<String>, Option<u32>), Error> {
    let addresses = config.shard_map.current().addresses;
    let count = addresses.len();
    let mut ordered: Vec<Option<String>> = vec![None; count];
    let found = Client::new(config.clone(), outside)?.describe().await?;
    let mut chunk_elements = None;
    for (address, description) in addresses.iter().zip(found) {
        let shard = description.shard;
        let refused = |message: String| Error::Server { shard, address: address.clone(), message };
        // A program that a master's worker runs was given the epoch: it belongs there.
        if description.has_master && config.shard_map.epoch() == 0 {
            return Err(refused(
                "it works for a master: name that one with --master instead of --ps".into(),
            ));
        }
        let Some(slot) = ordered.get_mut(shard as usize) else {
            return Err(refused(format!(
                "it holds shard {shard}, but only {count} servers are named: name all of them \
                 with --ps, or start them with --shard 0 to {}",
                count - 1
            )));
        };
        if let Some(other) = slot {
            return Err(refused(format!(
                "it holds shard {shard}, and so does {other}: start each with a --shard of its own"
            )));
        }
        *slot = Some(address.clone());
        // Where they differ, the start is refused by name.
        chunk_elements = description.model.map(|model| model.chunk_elements).or(chunk_elements);
    }
    // As many servers as shards, none twice: every shard has one.
    Ok((ordered.into_iter().flatten().collect(), chunk_elements))
}
