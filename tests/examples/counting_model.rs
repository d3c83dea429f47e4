//! psrun with a model whose weights count the steps that they were part of: at rate 1 each step takes one from every weight, so
//! that a push that is lost, doubled or torn is seen in the model.
//!
//! ```text
//! cargo run --release -p ps-tests --example counting_model -- local --model counting --optimizer sgd --lr 1 --divergence off --passes 10
//! ```

use psrun::candle_core::{Result, Tensor};
use psrun::candle_nn::{Init, VarBuilder};
use psrun::model::{Batch, DataShape, Model, ModelOptions, Models};

#[global_allocator]
static ALLOCATOR: psrun::mimalloc::MiMalloc = psrun::mimalloc::MiMalloc;

/// `--model-option weights=30000` says how many there are.
struct Counting(Tensor);

impl Model for Counting {
    fn build(vars: VarBuilder, _: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let weights: usize = options.take("weights", 30_000)?;
        vars.get_with_hints(weights, "counts", Init::Const(0.0)).map(Self)
    }

    /// Its gradient is one everywhere, whatever the samples are.
    fn loss(&self, _: &Batch) -> Result<Tensor> {
        self.0.sum_all()
    }
}

fn main() -> std::process::ExitCode {
    psrun::main_with(Models::built_in().with::<Counting>("counting"), std::env::args_os())
}
