//! What a folder of checkpoints holds, by the names of its files alone.

use super::{File, names};
use std::collections::{BTreeMap, BTreeSet};

/// The files in a folder that are a checkpoint's. Files of others are not in here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    files: Vec<NamedFile>,
}

/// A file of some checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Its name.
    pub name: String,
    /// The checkpoint's number.
    pub number: u64,
    /// Whether it is a manifest, or was to become one.
    pub is_manifest: bool,
    /// Whether it was written to its end.
    pub is_whole: bool,
}

impl Contents {
    /// Finds them among all names. `whole_name` gives the name that a file is to have once it is written to its end.
    pub fn of(names: &[String], whole_name: impl Fn(&str) -> &str) -> Self {
        let file = |name: &String| {
            let whole = whole_name(name);
            Some(NamedFile {
                name: name.clone(),
                number: names::parse_number(whole)?,
                is_manifest: names::parse_manifest_file(whole).is_some(),
                is_whole: whole == name,
            })
        };
        let mut files: Vec<_> = names.iter().filter_map(file).collect();
        files.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        Self { files }
    }

    /// The checkpoints that have a manifest, the oldest first.
    pub fn finished(&self) -> BTreeSet<u64> {
        let manifests = self.files.iter().filter(|file| file.is_manifest && file.is_whole);
        manifests.map(|file| file.number).collect()
    }

    /// Files of which no manifest tells, or that were not written to their end: by the number of the checkpoint that they were
    /// to be. Somebody writes them just now, or never finished.
    pub fn unfinished(&self) -> BTreeMap<u64, Vec<&NamedFile>> {
        let finished = self.finished();
        let mut unfinished = BTreeMap::<u64, Vec<&NamedFile>>::new();
        for file in self.files.iter().filter(|it| !it.is_whole || !finished.contains(&it.number)) {
            unfinished.entry(file.number).or_default().push(file);
        }
        unfinished
    }

    /// What is out of use where these checkpoints, with the files that their manifests list, are kept and those of other numbers
    /// in `spared` are nobody's business. In the order in which it is to be removed: manifests first, since a checkpoint without
    /// one is none, whatever is left of it.
    pub fn unused(
        &self,
        kept: &BTreeMap<u64, Vec<File>>,
        spared: &BTreeSet<u64>,
    ) -> Vec<&NamedFile> {
        let is_used = |file: &NamedFile| {
            let listed = kept.get(&file.number).is_some_and(|files| {
                file.is_manifest || files.iter().any(|it| it.name == file.name)
            });
            (listed && file.is_whole) || spared.contains(&file.number)
        };
        let mut unused: Vec<_> = self.files.iter().filter(|file| !is_used(file)).collect();
        unused.sort_by_key(|file| !file.is_manifest);
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Retention;

    fn shard_file(number: u64, shard: u32) -> File {
        let name = names::shard_file(number, shard, 2);
        File { name, shard, bytes: 1, crc: 1, chunks: 0..0 }
    }

    fn contents(extra: &[&str]) -> Contents {
        let finished = [1, 2, 3].into_iter().flat_map(|number| {
            let parts = (0..2).map(move |shard| names::shard_file(number, shard, 2));
            parts.chain([names::manifest_file(number)])
        });
        let names: Vec<String> = finished.chain(extra.iter().map(|it| (*it).to_owned())).collect();
        Contents::of(&names, |name| name.strip_suffix(".partial").unwrap_or(name))
    }

    fn kept(numbers: &[u64]) -> BTreeMap<u64, Vec<File>> {
        let files = |number| vec![shard_file(number, 0), shard_file(number, 1)];
        numbers.iter().map(|number| (*number, files(*number))).collect()
    }

    fn names_of(files: &[&NamedFile]) -> Vec<String> {
        files.iter().map(|file| file.name.clone()).collect()
    }

    #[test]
    fn what_has_no_manifest_is_unfinished_and_foreign_files_are_not_seen() {
        let extra = [
            "checkpoint-000004-shard-0-of-2.safetensors",
            "checkpoint-000003-shard-1-of-2.safetensors.partial",
            "checkpoint-000005.manifest.json.partial",
            "checkpoint-notes.txt",
            "best.safetensors",
        ];
        let contents = contents(&extra);
        assert_eq!(contents.finished(), BTreeSet::from([1, 2, 3]));
        let unfinished = contents.unfinished();
        assert_eq!(unfinished.keys().copied().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(names_of(&unfinished[&3]), [extra[1]]);
        let unused = contents.unused(&kept(&[1, 2, 3]), &BTreeSet::new());
        assert_eq!(names_of(&unused), [extra[2], extra[1], extra[0]]);
    }

    #[test]
    fn manifests_go_first_and_what_is_kept_or_spared_stays() {
        let contents = contents(&["checkpoint-000003-shard-0-of-1.safetensors"]);
        let unused = contents.unused(&kept(&[3]), &BTreeSet::from([2]));
        let expected = [
            "checkpoint-000001.manifest.json",
            "checkpoint-000001-shard-0-of-2.safetensors",
            "checkpoint-000001-shard-1-of-2.safetensors",
            // Of another cut, which the manifest does not list.
            "checkpoint-000003-shard-0-of-1.safetensors",
        ];
        assert_eq!(names_of(&unused), expected);
        assert!(contents.unused(&kept(&[]), &BTreeSet::from([1, 2, 3])).is_empty());
    }

    #[test]
    fn the_newest_are_kept_and_one_from_before_the_run_went_wrong() {
        let kept = |newest: usize, sound: &[bool]| {
            let mut retention = Retention::newest(newest);
            sound.iter().map(|is_sound| retention.take(*is_sound)).collect::<Vec<_>>()
        };
        assert_eq!(kept(2, &[true, true, true]), [true, true, false]);
        assert_eq!(kept(1, &[false, false, true, true]), [true, false, true, false]);
        assert_eq!(kept(2, &[false, true, true]), [true, true, false]);
        assert_eq!(kept(1, &[false, false]), [true, false]);
        assert!(!Retention::newest(0).wants(false) && Retention::newest(1).wants(false));
    }
}
