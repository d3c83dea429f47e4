//! A model of one's own: this program is `psrun` with one more model, and it becomes every process
//! of the job by starting itself.
//!
//! ```text
//! cargo run --release -p psrun --example own_model -- local --model two-layers --passes 10
//! ```

use candle_core::{D, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use ps_worker::model::{Batch, BatchScore, DataShape, Model, ModelOptions, Models, classified};

/// What every program of the product has: exchanges are up to a third faster with it than with the C library's
/// (docs/adr/0010-connections.md). Libraries set none, so that a program may have another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct TwoLayers {
    first: Linear,
    second: Linear,
}

impl Model for TwoLayers {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let width = options.take("hidden", 64)?;
        Ok(Self {
            first: linear(shape.inputs(), width, vars.pp("first"))?,
            second: linear(width, shape.classes, vars.pp("second"))?,
        })
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        candle_nn::loss::cross_entropy(&self.logits(batch)?, &batch.labels)
    }

    fn evaluate(&self, batch: &Batch) -> Result<BatchScore> {
        classified(&self.logits(batch)?, batch)
    }
}

impl TwoLayers {
    fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let pixels = batch.features.flatten(1, D::Minus1)?;
        self.second.forward(&self.first.forward(&pixels)?.relu()?)
    }
}

fn main() -> std::process::ExitCode {
    let models = Models::built_in().with::<TwoLayers>("two-layers");
    psrun::main_with(models, std::env::args_os())
}
