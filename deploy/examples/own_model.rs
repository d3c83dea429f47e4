//! A model of one's own: this program is `psrun` with one more model, and it becomes every process
//! of the job by starting itself.
//!
//! ```text
//! cargo run --release -p psrun --example own_model -- local --model two-layers --model-option width=128 --passes 10
//! ```

use psrun::candle_core::{D, Result, Tensor};
use psrun::candle_nn::{Linear, Module, VarBuilder, linear};
use psrun::model::{Batch, DataShape, Model, ModelOptions, Models};

/// Exchanges with the servers are up to a third faster with it than with the C library's.
#[global_allocator]
static ALLOCATOR: psrun::mimalloc::MiMalloc = psrun::mimalloc::MiMalloc;

/// Two fully connected layers; `--model-option width=128` says how wide.
struct TwoLayers {
    first: Linear,
    second: Linear,
}

impl Model for TwoLayers {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let width = options.take("width", 64)?;
        Ok(Self {
            first: linear(shape.inputs(), width, vars.pp("first"))?,
            second: linear(width, shape.outputs, vars.pp("second"))?,
        })
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let pixels = batch.features.flatten(1, D::Minus1)?;
        self.second.forward(&self.first.forward(&pixels)?.relu()?).map(Some)
    }
}

fn main() -> std::process::ExitCode {
    let models = Models::built_in().with::<TwoLayers>("two-layers");
    psrun::main_with(models, std::env::args_os())
}
