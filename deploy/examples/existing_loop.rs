//! An existing candle training loop whose optimizer is swapped for the servers.
//!
//! ```text
//! ps-server --shard 0 &
//! cargo run --release -p psrun --example existing_loop -- default 127.0.0.1:2223
//! ```
//!
//! As a program of a job with a master, `ps-worker --master HOST:PORT -- existing_loop`, it takes its
//! place from the environment.

use psrun::candle_core::{self, D, DType, Device, Module, Result, Tensor};
use psrun::candle_nn::{self, Optimizer, VarBuilder, VarMap};
use psrun::data::{Samples, bundled_digits};
use psrun::optimizer::{AsyncOptimizer, AsyncOptimizerConfig};

const PASSES: usize = 10;
const BATCH_SIZE: usize = 32;

fn main() -> Result<()> {
    let data = bundled_digits().map_err(candle_core::Error::wrap)?;
    let device = Device::Cpu;
    let inputs = data.train.features_per_sample();

    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &device);
    let model = candle_nn::seq()
        .add(candle_nn::linear(inputs, 64, builder.pp("hidden"))?)
        .add_fn(|hidden| hidden.relu())
        .add(candle_nn::linear(64, data.outputs, builder.pp("output"))?);

    // Was: candle_nn::SGD::new(vars.all_vars(), 0.1)?
    let given = AsyncOptimizerConfig::from_env(vars.clone()).map_err(candle_core::Error::wrap)?;
    let config = given.unwrap_or_else(|| {
        let mut args = std::env::args().skip(1);
        let job = args.next().unwrap_or_else(|| "default".to_owned());
        AsyncOptimizerConfig { job, ..AsyncOptimizerConfig::new(vars.clone(), args) }
    });
    let mut optimizer = AsyncOptimizer::new(vars.all_vars(), config)?;

    let batch = |samples: &Samples, numbers: &[u64]| -> Result<(Tensor, Tensor)> {
        let (values, labels) = samples.gather(numbers).map_err(candle_core::Error::wrap)?;
        let features = Tensor::from_vec(values.features, (numbers.len(), inputs), &device)?;
        Ok((features, Tensor::new(labels.classes(), &device)?))
    };
    let train: Vec<u64> = (0..data.train.len() as u64).collect();
    for pass in 1..=PASSES {
        for numbers in train.chunks(BATCH_SIZE) {
            let (features, labels) = batch(&data.train, numbers)?;
            let loss = candle_nn::loss::cross_entropy(&model.forward(&features)?, &labels)?;
            optimizer.backward_step(&loss)?;
        }
        let test: Vec<u64> = (0..data.test.len() as u64).collect();
        let (features, labels) = batch(&data.test, &test)?;
        let right = model.forward(&features)?.argmax(D::Minus1)?.eq(&labels)?;
        let accuracy = right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
        println!("pass={pass}; test_accuracy={accuracy:.4};");
    }
    Ok(())
}
