//! A disk that is behind: a guard's absence, for tests that prove the simulation's worth.

use super::lock::lock;
use ps_runtime::files::{FileReader, FileStore, FileWriter, SimulatedDisk};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

/// Has of a file that is written whole what was written so many times before.
#[derive(Clone)]
pub(super) struct LaggingDisk {
    disk: SimulatedDisk,
    by: usize,
    newer: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl LaggingDisk {
    pub(super) fn new(disk: SimulatedDisk, by: usize) -> Self {
        Self { disk, by, newer: Arc::default() }
    }
}

impl FileStore for LaggingDisk {
    fn rewrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if name != ps_master::STATE_FILE {
            return self.disk.write(name, bytes);
        }
        let mut newer = lock(&self.newer);
        newer.push_back(bytes.to_vec());
        match newer.len() > self.by {
            true => newer.pop_front().map_or(Ok(()), |old| self.disk.write(name, &old)),
            false => Ok(()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn FileReader>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn location(&self) -> String {
        self.disk.location()
    }
}
