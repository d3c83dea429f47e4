//! Where the shards are, as the master tells its members.

use super::{Error, check_counts};
use crate::v1;
use ps_core::limits::{ADDRESS_BYTES_MAX, SHARDS_MAX};
use ps_core::master::{AwayServer, ShardMap, ShardMapUpdate};
use std::time::Duration;

impl From<ShardMapUpdate> for v1::ShardMap {
    fn from(update: ShardMapUpdate) -> Self {
        let ShardMapUpdate { revision, map, away } = update;
        let ShardMap { epoch, addresses, chunk_elements } = map;
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let away = away.into_iter().map(|server| v1::AwayServer {
            shard: server.shard,
            silent_ms: milliseconds(server.silent),
            left_ms: milliseconds(server.left),
        });
        let (chunk_elements, away) = (chunk_elements.unwrap_or(0), away.collect());
        Self { epoch, addresses, chunk_elements, revision, away }
    }
}

impl TryFrom<v1::ShardMap> for ShardMapUpdate {
    type Error = Error;

    fn try_from(wire: v1::ShardMap) -> Result<Self, Error> {
        const NAME: &str = "ShardMap";
        let v1::ShardMap { epoch, addresses, chunk_elements, revision, away } = wire;
        check_counts(NAME, [("epoch", epoch), ("revision", revision)])?;
        Error::check(NAME, "addresses", addresses.len(), 1..=SHARDS_MAX as usize)?;
        for address in &addresses {
            Error::check(NAME, "addresses", address.len(), 1..=ADDRESS_BYTES_MAX)?;
        }
        Error::check(NAME, "away", away.len(), 0..=addresses.len())?;
        let away = away.into_iter().map(|server| AwayServer {
            shard: server.shard,
            silent: Duration::from_millis(server.silent_ms),
            left: Duration::from_millis(server.left_ms),
        });
        let away = away.collect();
        let chunk_elements = (chunk_elements > 0).then_some(chunk_elements);
        Ok(Self { revision, map: ShardMap { epoch, addresses, chunk_elements }, away })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::limits::COUNT_MAX;

    fn update() -> ShardMapUpdate {
        let (silent, left) = (Duration::from_secs(10), Duration::from_secs(20));
        ShardMapUpdate {
            revision: 3,
            map: ShardMap {
                epoch: 7,
                addresses: vec!["a:1".into(), "b:2".into()],
                chunk_elements: Some(64),
            },
            away: vec![AwayServer { shard: 1, silent, left }],
        }
    }

    #[test]
    fn what_is_sent_is_received() {
        let wire = v1::ShardMap::from(update());
        assert_eq!(ShardMapUpdate::try_from(wire), Ok(update()));
    }

    #[test]
    fn maps_that_no_master_sends_are_refused() {
        let wire = || v1::ShardMap::from(update());
        let cases = [
            (v1::ShardMap { epoch: COUNT_MAX + 1, ..wire() }, "`epoch`"),
            (v1::ShardMap { addresses: Vec::new(), away: Vec::new(), ..wire() }, "`addresses`"),
            (v1::ShardMap { addresses: vec![String::new()], ..wire() }, "`addresses`"),
            (v1::ShardMap { away: vec![v1::AwayServer::default(); 3], ..wire() }, "`away`"),
        ];
        for (wire, field) in cases {
            let error = ShardMapUpdate::try_from(wire).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
