//! Whether weights are of one moment.

use super::{Fate, Ledger};

impl Ledger {
    /// Checks weights that are to be what all shards held at one moment: every push is there wholly or not at all, unless
    /// its worker died in the middle of it, and with a push all those from whose weights it was computed.
    ///
    /// # Errors
    /// The first push that is not.
    pub fn check_moment(&self, weights: &[f32]) -> Result<(), String> {
        let layout = self.layout();
        let there = self.seen(&layout, weights);
        let is_there = |host: usize, push: usize| {
            there.get(host).and_then(|pushes| pushes.get(push)).copied().unwrap_or(false)
        };
        for (host, account) in self.lock().iter().enumerate() {
            let own = layout.position(&super::name(host)).map(|position| layout.range(position));
            let pushes = weights[own.unwrap_or(0..0)].chunks(self.shape.stride);
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
