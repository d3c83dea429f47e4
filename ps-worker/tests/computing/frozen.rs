//! Variables that are not trained.

use std::sync::Arc;

use crate::common::recorder::Recorder;
use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use ps_core::coverage::Coverage;
use ps_data::{Dataset, Features, Samples};
use ps_nn::{Linear, composed, cross_entropy};
use ps_worker::compute::{Compute, SampleBatch};
use ps_worker::model::{
    Batch, CandleCompute, ComputeOptions, DataShape, Model, ModelOptions, Models,
};

/// Three samples of four numbers, of three classes.
fn data() -> Arc<Dataset> {
    let set = || {
        let values = (0..12).map(|place| place as f32 / 12.0).collect();
        Samples::new(Features::Floats(values), vec![4], vec![0, 1, 2]).unwrap()
    };
    Arc::new(Dataset::new(set(), set(), 3))
}

/// A model with a variable that its loss does not use.
struct Unused<const SAYS_SO: bool>(Linear, Tensor);

impl<const SAYS_SO: bool> Model for Unused<SAYS_SO> {
    fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        let inputs = shape.features.iter().product();
        Ok(Self(
            Linear::new(inputs, shape.outputs, vars.pp("used"))?,
            vars.get(3, "unused.weight")?,
        ))
    }

    fn frozen(&self) -> Vec<String> {
        if SAYS_SO { vec!["unused.*".into()] } else { Vec::new() }
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        assert_eq!(self.1.dims(), [3]);
        cross_entropy(&self.0.forward(&batch.features.flatten_from(1)?)?, &batch.labels)
    }
}

fn unused<const SAYS_SO: bool>(freeze: &[&str]) -> std::result::Result<Vec<Coverage>, String> {
    let models = Models::built_in().with::<Unused<SAYS_SO>>("unused");
    let options = ComputeOptions::new("unused", ModelOptions::default(), Device::Cpu);
    let said = |error: ps_worker::model::ModelError| error.to_string();
    let mut compute = CandleCompute::new(&models, options, data()).map_err(said)?;
    let patterns: Vec<String> = freeze.iter().map(|pattern| (*pattern).to_owned()).collect();
    let frozen = ps_core::parameters::frozen("--freeze", &patterns, compute.layout());
    compute.freeze(&frozen.unwrap()).map_err(|error| error.to_string())?;
    let weights = compute.start_weights(3).unwrap();
    compute.load(&weights).unwrap();
    let recorder = Recorder::default();
    for _ in 0..2 {
        compute
            .gradient(SampleBatch::Numbers(vec![0, 1, 2]), 5, Box::new(recorder.clone()))
            .map_err(|error| error.to_string())?;
    }
    let handed: Vec<usize> = recorder.finished().into_iter().map(|(tensor, _)| tensor).collect();
    let coverage = recorder.coverage();
    assert!(handed.iter().all(|tensor| coverage[*tensor] != Coverage::Absent), "{handed:?}");
    Ok(coverage)
}

#[test]
fn a_variable_that_gets_no_gradient_is_legal_when_it_is_said() {
    // With layers as they are on a processor, and as they are on a GPU.
    let test = || {
        let error = unused::<false>(&[]).unwrap_err();
        assert!(error.contains("`unused.weight`") && error.contains("--freeze"), "{error}");
        let rest = [Coverage::Whole, Coverage::Whole];
        let expected = [&[Coverage::Absent][..], &rest].concat();
        assert_eq!(unused::<false>(&["unused.*"]), Ok(expected.clone()));
        assert_eq!(unused::<true>(&[]), Ok(expected));
        let used = unused::<true>(&["used.weight"]).unwrap();
        assert_eq!(used, [Coverage::Absent, Coverage::Whole, Coverage::Absent]);
        assert!(unused::<true>(&["used.*"]).unwrap_err().contains("nothing to train"));
    };
    test();
    composed(test);
}
