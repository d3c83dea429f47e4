//! A model of one's own over numbers and categories, a measure of its own, and data of its own: this program is `psrun` with
//! them, as in `own_model`.
//!
//! ```text
//! cargo run --release -p psrun --example embedding_model -- local --model towers --data adult.data --test adult.test
//! cargo run --release -p psrun --example embedding_model -- local --model towers --dataset shops --dataset-option shops=500
//! ```

use psrun::candle_core::{D, Result, Tensor};
use psrun::candle_nn::VarBuilder;
use psrun::data::{Dataset, Features, Samples};
use psrun::model::{
    Batch, DataRequest, DataShape, EmbeddingRule, IdColumn, Model, ModelOptions, Models, Predicted,
};
use psrun::nn::{Embedding, Linear};
use std::error::Error;

#[global_allocator]
static ALLOCATOR: psrun::mimalloc::MiMalloc = psrun::mimalloc::MiMalloc;

/// A row of `--model-option width=8` values for each column of categories, beside the numbers, below one hidden layer.
struct Towers {
    rows: Vec<Embedding>,
    hidden: Linear,
    outputs: Linear,
}

impl Model for Towers {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let width = options.take("width", 8)?;
        // The schema's names are no names of variables: they may have points and blanks.
        let row = |(at, column): (usize, &IdColumn)| {
            let vars = vars.pp(format!("row{at}"));
            Embedding::new(column.vocabulary as usize, width, 0.1, vars)
        };
        let inputs = shape.inputs() + width * shape.ids.len();
        Ok(Self {
            rows: shape.ids.iter().enumerate().map(row).collect::<Result<_>>()?,
            hidden: Linear::new(inputs, 64, vars.pp("hidden"))?,
            outputs: Linear::new(64, shape.outputs, vars.pp("outputs"))?,
        })
    }

    /// All columns of categories come as ids; without this they would be inputs.
    fn embedding() -> EmbeddingRule {
        EmbeddingRule::All
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let mut inputs = vec![batch.features.clone()];
        for (at, rows) in self.rows.iter().enumerate() {
            inputs.push(rows.forward(&batch.ids.narrow(1, at, 1)?.squeeze(1)?)?);
        }
        let hidden = self.hidden.forward_relu(&Tensor::cat(&inputs, D::Minus1)?)?;
        self.outputs.forward(&hidden).map(Some)
    }
}

/// Of the tenth of the samples that the model is surest of, how many are of the second class: what a campaign would reach.
fn precision_of_first_tenth(all: &Predicted<'_>) -> Option<f64> {
    if all.outputs != 2 {
        return None;
    }
    let labels = all.samples.labels().classes();
    let mut order: Vec<usize> = (0..labels.len()).collect();
    let sureness = |at: &usize| all.predictions[2 * at + 1];
    order.sort_by(|one, other| sureness(other).total_cmp(&sureness(one)));
    let first = &order[..labels.len().div_ceil(10)];
    Some(first.iter().filter(|at| labels[**at] == 1).count() as f64 / first.len() as f64)
}

/// Made-up sales: whether a shop sells at a price, which depends on the shop above all.
fn shops(request: &mut DataRequest) -> std::result::Result<Dataset, Box<dyn Error + Send + Sync>> {
    let shops: u32 = request.options.take("shops", 300)?;
    let samples = |count: u32, first: u32| {
        // The same in every process.
        let hash = |number: u32| (number + 1).wrapping_mul(2_654_435_761).rotate_left(13);
        let shop = |at: u32| hash(first + at) % shops.max(1);
        let price = |at: u32| hash(first + at).rotate_left(7) as f32 / u32::MAX as f32;
        let limit = |shop: u32| hash(shop) as f32 / u32::MAX as f32;
        let sold = (0..count).map(|at| u32::from(price(at) < limit(shop(at))));
        let prices = Features::Floats((0..count).map(price).collect());
        let samples = Samples::new(prices, vec![1], sold.collect::<Vec<u32>>());
        samples.and_then(|samples| samples.with_ids((0..count).map(shop).collect()))
    };
    let (train, test) = samples(8_000, 0).zip(samples(2_000, 8_000)).ok_or("no samples")?;
    let ids = vec![IdColumn::new("shop".to_owned(), shops.max(1))];
    Ok(Dataset { ids, ..Dataset::new(train, test, 2) })
}

fn main() -> std::process::ExitCode {
    let models = Models::built_in()
        .with::<Towers>("towers")
        .with_measure("first_tenth", precision_of_first_tenth)
        .with_dataset("shops", shops);
    psrun::main_with(models, std::env::args_os())
}
