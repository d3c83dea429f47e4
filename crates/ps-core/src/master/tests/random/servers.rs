//! Servers that are silent for a while, or elsewhere.

use super::*;

impl World {
    /// A server is heard no more for some seconds, and then again; who waits for it lives.
    pub(super) fn silence(&mut self, shard: u32, seconds: u64) {
        for _ in 0..seconds {
            self.time(10, Some(shard));
            let live = |index: &usize| self.processes[*index].caller.is_some();
            let live: Vec<_> = (0..self.processes.len()).filter(live).collect();
            live.into_iter().for_each(|index| self.beat(index));
        }
        let server = self.job.servers(SERVERS)[shard as usize];
        let _ = self.job.beat(server);
    }

    /// A server's process registers from another address.
    pub(super) fn move_server(&mut self, shard: u32) {
        self.next_token += 1;
        let address = format!("elsewhere{}:2223", self.next_token);
        let moved = registration(Role::Server, shard.into(), Some(shard));
        let _ = self.job.register(Registration { address, ..moved });
    }
}
