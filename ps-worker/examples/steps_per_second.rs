//! Training steps per second on inputs of MNIST's size, without any server.
//!
//! `steps_per_second [SECONDS] [BATCH_SIZE] [THREADS]`; without THREADS the environment decides.
//! The models are the built-in `mlp` and the same one made of candle's own layers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use ps_worker::compute::{self, Compute};
use ps_worker::data::{Dataset, Features, Samples};
use ps_worker::model::{
    Batch, CandleCompute, ComputeOptions, DataShape, Model, ModelOptions, Models,
};
use ps_worker::threads;

/// The built-in `mlp` as candle users write it.
struct CandleLayers([Linear; 3]);

impl Model for CandleLayers {
    fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        Ok(Self([
            linear(shape.inputs(), 512, vars.pp("layer1"))?,
            linear(512, 512, vars.pp("layer2"))?,
            linear(512, shape.classes, vars.pp("layer3"))?,
        ]))
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let [first, second, third] = &self.0;
        let hidden = first.forward(&batch.features.flatten_from(1)?)?.relu()?;
        let logits = third.forward(&second.forward(&hidden)?.relu()?)?;
        candle_nn::loss::cross_entropy(&logits, &batch.labels)
    }
}

fn samples(count: usize) -> Option<Samples> {
    let bytes = (0..count * 784).map(|position| (position * 31 % 251) as u8).collect();
    let labels = (0..count).map(|position| (position % 10) as u32).collect();
    Samples::new(Features::Bytes(bytes), vec![28, 28], labels)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<usize> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<std::result::Result<_, _>>()?;
    let argument = |position: usize, default| arguments.get(position).copied().unwrap_or(default);
    if let Some(&threads) = arguments.get(2) {
        threads::configure_threads(threads)?;
    }
    let (seconds, batch_size) = (argument(0, 5), argument(1, 128));
    let train = samples(8_192).ok_or("wrong number of features")?;
    let test = samples(1_024).ok_or("wrong number of features")?;
    let data = Arc::new(Dataset { train, test, classes: 10 });
    let models = Models::built_in().with::<CandleLayers>("candle-layers");
    for model in ["mlp", "candle-layers"] {
        let options = ComputeOptions {
            model: model.to_owned(),
            options: ModelOptions::new(),
            device: Device::Cpu,
        };
        let mut compute = CandleCompute::new(&models, options, Arc::clone(&data))?;
        let mut weights = compute.start_weights(1)?;
        let mut steps = 0_u64;
        let mut in_gradient = Duration::ZERO;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds as u64) {
            let first = steps * batch_size as u64;
            let numbers: Vec<u64> = (first..first + batch_size as u64).map(|n| n % 8_192).collect();
            let before = Instant::now();
            let step = compute.gradient(&weights, &compute::Batch::Numbers(numbers))?;
            in_gradient += before.elapsed();
            for (weight, gradient) in weights.iter_mut().zip(&step.gradient) {
                *weight -= 0.01 * gradient;
            }
            steps += 1;
        }
        println!(
            "model={model}; batch_size={batch_size}; steps_per_second={:.1}; gradient_ms={:.2};",
            steps as f64 / start.elapsed().as_secs_f64(),
            in_gradient.as_secs_f64() * 1e3 / steps as f64
        );
    }
    Ok(())
}
