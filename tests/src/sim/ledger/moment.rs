//! Whether chunks are of one moment.

use super::{Fate, Ledger};
use ps_core::chunk::Chunk;
use std::ops::Range;

impl Ledger {
    /// Checks chunks that are to be what all shards held at one moment: every push is there wholly or not at all, unless
    /// its worker was lost in the middle of it, as may be where hosts die, and with a push all those from whose weights it was
    /// computed.
    ///
    /// # Errors
    /// The first push that is not, or the first chunk that has another number of a host's pushes than the one before.
    pub fn check_moment(&self, chunks: &[Chunk], hosts_die: bool) -> Result<(), String> {
        let layout = self.layout();
        let weights: Vec<f32> = chunks.iter().flat_map(|it| it.weights().to_vec()).collect();
        let there = self.seen(&layout, &weights);
        let is_there = |host: usize, push: usize| {
            there.get(host).and_then(|pushes| pushes.get(push)).copied().unwrap_or(false)
        };
        for (host, account) in self.lock().iter().enumerate() {
            let own = layout.position(&super::name(host)).map(|position| layout.range(position));
            let own = own.unwrap_or(0..0);
            // Who registered anew may have left a push in parts.
            if account.registered == 1 && !hosts_die {
                let counts = updates(chunks, &own);
                if counts.iter().any(|count| *count != counts[0]) {
                    return Err(format!("host {host}: its chunks have {counts:?} of its pushes"));
                }
            }
            let pushes = weights[own].chunks(self.shape.stride);
            for (push, (elements, fate)) in pushes.zip(&account.fates).enumerate() {
                let is_whole = elements.iter().all(|weight| *weight == elements[0]);
                if !is_whole && *fate == Fate::Acknowledged {
                    return Err(format!("host {host} push {push} is there in parts"));
                }
                if !is_there(host, push) {
                    continue;
                }
                let seen = account.seen[push].iter().enumerate().flat_map(|(other, pushes)| {
                    let seen = (0..).zip(pushes).filter(|(_, seen)| **seen);
                    seen.map(move |(number, _): (usize, _)| (other, number))
                });
                for (other, number) in seen {
                    if !is_there(other, number) {
                        return Err(format!(
                            "host {host} push {push} is there, and host {other} push {number} is not, from which it \
                             was computed"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// How many gradients each chunk had that lies wholly in these elements.
fn updates(chunks: &[Chunk], own: &Range<usize>) -> Vec<u64> {
    let mut next = 0;
    let ranges = chunks.iter().map(|chunk| {
        let range = next..next + chunk.weights().len();
        next = range.end;
        (range, chunk.updates())
    });
    let ranges = ranges.filter(|(range, _)| own.start <= range.start && range.end <= own.end);
    ranges.map(|(_, updates)| updates).collect()
}
