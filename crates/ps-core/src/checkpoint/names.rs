//! The names of a checkpoint's files: they tell ours from what else lies in the folder.

use crate::ids::ShardId;

const PREFIX: &str = "checkpoint-";
const SHARD_SUFFIX: &str = ".safetensors";
const MANIFEST_SUFFIX: &str = ".manifest.json";

/// What the name of a shard's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardFileName {
    /// The checkpoint's number.
    pub number: u64,
    /// Who wrote it.
    pub shard: ShardId,
    /// How many shards the model was cut over.
    pub shards: u32,
}

/// The name of a shard's file: `checkpoint-000007-shard-1-of-3.safetensors`.
pub fn shard_file(number: u64, shard: ShardId, shards: u32) -> String {
    format!("{PREFIX}{number:06}-shard-{shard}-of-{shards}{SHARD_SUFFIX}")
}

/// What a name says, when it is that of a shard's file, to the letter.
pub fn parse_shard_file(name: &str) -> Option<ShardFileName> {
    let middle = name.strip_prefix(PREFIX)?.strip_suffix(SHARD_SUFFIX)?;
    let (number, rest) = middle.split_once("-shard-")?;
    let (shard, shards) = rest.split_once("-of-")?;
    let (number, shard, shards) = (number.parse().ok()?, shard.parse().ok()?, shards.parse().ok()?);
    // What is written differently (a sign, a zero in front) is not ours.
    (shard < shards && shard_file(number, shard, shards) == name).then_some(ShardFileName {
        number,
        shard,
        shards,
    })
}

/// The name of a checkpoint's manifest: `checkpoint-000007.manifest.json`.
pub fn manifest_file(number: u64) -> String {
    format!("{PREFIX}{number:06}{MANIFEST_SUFFIX}")
}

/// The number in the name of a manifest, when it is one, to the letter.
pub fn parse_manifest_file(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?.strip_suffix(MANIFEST_SUFFIX)?.parse().ok()?;
    (manifest_file(number) == name).then_some(number)
}

/// The number in the name of any file of a checkpoint.
pub fn parse_number(name: &str) -> Option<u64> {
    let of_shard = || parse_shard_file(name).map(|file| file.number);
    parse_manifest_file(name).or_else(of_shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_the_design() {
        assert_eq!(shard_file(7, 1, 3), "checkpoint-000007-shard-1-of-3.safetensors");
        assert_eq!(manifest_file(7), "checkpoint-000007.manifest.json");
        let number = 12_345_678;
        assert_eq!(parse_manifest_file(&manifest_file(number)), Some(number));
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in [
            "checkpoint-7-shard-1-of-3.safetensors",
            "checkpoint-000007-shard-+1-of-3.safetensors",
            "checkpoint-000007-shard-3-of-3.safetensors",
            "checkpoint-000007-shard-1-of-3.safetensors.partial",
            "../checkpoint-000007-shard-1-of-3.safetensors",
            "checkpoint-000007.manifest.json",
            "checkpoint-000007-shard-1.safetensors",
            "model.safetensors",
        ] {
            assert_eq!(parse_shard_file(name), None, "{name}");
        }
        assert_eq!(parse_manifest_file("checkpoint-0000007.manifest.json"), None);
        assert_eq!(parse_manifest_file("checkpoint-000007.manifest.json.partial"), None);
    }

    proptest! {
        #[test]
        fn names_are_read_as_written(number: u64, shards in 1_u32.., part: u32) {
            let shard = part % shards;
            let expected = ShardFileName { number, shard, shards };
            prop_assert_eq!(parse_shard_file(&shard_file(number, shard, shards)), Some(expected));
            prop_assert_eq!(parse_manifest_file(&manifest_file(number)), Some(number));
        }
    }
}
