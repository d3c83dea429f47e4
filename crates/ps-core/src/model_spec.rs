//! What all servers and workers of a job agree on before the first push.

use crate::Layout;
use crate::correction::Correction;
use crate::parameters::UpdateRule;
use crate::partition::Partition;
use ps_kernels::optimizer::Optimizer;

/// The model, how it is cut, and how pushes to it are applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Names and shapes.
    pub layout: Layout,
    /// What applies gradients.
    pub optimizer: Optimizer,
    /// By tensor of the layout: what is different about it; empty: nothing is about any.
    pub rules: Vec<UpdateRule>,
    /// What is done about stale gradients.
    pub correction: Correction,
    /// Steps a worker may be ahead of the slowest active one; `None` for no bound.
    pub bound: Option<u64>,
    /// Elements of a chunk, chosen when the model was initialised: see [`crate::partition`].
    pub chunk_elements: u32,
    /// Servers the model is cut over.
    pub shards: u32,
}

/// Where a shard's part of the model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a worker; the CRC-32 of the start weights, which others must have too.
    Start(u32),
    /// From the checkpoint of this number; whatever a worker would start from, it takes this.
    Checkpoint(u64),
}

impl ModelSpec {
    /// The cut over the servers.
    pub fn partition(&self) -> Partition {
        Partition::new(&self.layout, self.chunk_elements, self.shards)
    }

    /// The same on the grid that was chosen when the model was initialised, where that is known.
    #[must_use]
    pub fn on_grid(self, chunk_elements: Option<u32>) -> Self {
        let chunk_elements = chunk_elements.unwrap_or(self.chunk_elements);
        Self { chunk_elements, ..self }
    }

    /// The first thing in which this differs from what the servers hold, in words.
    pub fn difference(&self, held: &Self) -> Option<String> {
        if let Some(difference) = self.layout.difference(&held.layout) {
            return Some(difference);
        }
        let rule =
            |spec: &Self, position: usize| spec.rules.get(position).copied().unwrap_or_default();
        let tensors = self.layout.tensors().iter().enumerate();
        let mut rules =
            tensors.map(|(place, tensor)| (tensor, rule(self, place), rule(held, place)));
        if let Some((tensor, here, there)) = rules.find(|(_, here, there)| here != there) {
            let name = &tensor.name;
            return Some(format!(
                "the group of `{name}` is {here} here and {there} on the servers"
            ));
        }
        let bound = |bound: Option<u64>| bound.map_or("none".to_owned(), |b| b.to_string());
        let pairs = [
            ("optimizer", format!("{:?}", self.optimizer), format!("{:?}", held.optimizer)),
            ("staleness correction", self.correction.to_string(), held.correction.to_string()),
            ("staleness bound", bound(self.bound), bound(held.bound)),
            (
                "elements of a chunk",
                self.chunk_elements.to_string(),
                held.chunk_elements.to_string(),
            ),
            ("number of servers", self.shards.to_string(), held.shards.to_string()),
        ];
        pairs
            .into_iter()
            .find(|(_, here, there)| here != there)
            .map(|(what, here, there)| format!("{what} is {here} here and {there} on the servers"))
    }
}
