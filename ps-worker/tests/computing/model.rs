//! Models through the interface of the training loop.

use std::sync::Arc;

use crate::common::compute_step;
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Module, ModuleT, VarBuilder, batch_norm, layer_norm, linear};
use ps_core::SampleOrder;
use ps_data::{Dataset, Features, Samples, bundled_digits};
use ps_worker::compute::{Compute, SampleBatch};
use ps_worker::model::{
    Batch, CandleCompute, ComputeOptions, DataShape, Model, ModelError, ModelOptions, Models,
};

/// Few samples of few inputs, so that every element of a gradient can be checked.
fn small_data() -> Arc<Dataset> {
    let set = |shift: usize| {
        let values: Vec<f32> =
            (0..8 * 6).map(|p| ((p * 7 + shift) % 11) as f32 / 5.0 - 1.0).collect();
        let labels: Vec<u32> = (0..8).map(|sample| (sample % 3) as u32).collect();
        Samples::new(Features::Floats(values.into()), vec![2, 3], labels).unwrap()
    };
    Arc::new(Dataset::new(set(0), set(5), 3))
}

fn compute_with(
    models: &Models,
    model: &str,
    options: &[(&str, &str)],
    data: Arc<Dataset>,
) -> std::result::Result<CandleCompute, ModelError> {
    let options = options.iter().copied().collect();
    let options = ComputeOptions::new(model, options, Device::Cpu);
    CandleCompute::new(models, options, data)
}

fn compute(model: &str, options: &[(&str, &str)]) -> CandleCompute {
    compute_with(&Models::built_in(), model, options, small_data()).unwrap()
}

fn numbers(samples: &[u64]) -> SampleBatch {
    SampleBatch::Numbers(samples.to_vec())
}

/// What is said when this model is built or takes its first step.
fn refusal<M: Model>() -> String {
    let models = Models::built_in().with::<M>("own");
    let mut compute = match compute_with(&models, "own", &[], small_data()) {
        Ok(compute) => compute,
        Err(error) => return error.to_string(),
    };
    let weights = compute.start_weights(1).unwrap();
    compute_step(&mut compute, &weights, &numbers(&[0, 1]), 0).unwrap_err().to_string()
}

#[test]
fn the_gradient_agrees_with_finite_differences() {
    for (model, options) in [("linear", &[][..]), ("mlp", &[("hidden", "5,4")][..])] {
        // With this seed no ReLU has its kink within the difference, which would spoil it.
        let mut compute = compute(model, options);
        let mut weights = compute.start_weights(5).unwrap();
        let samples = [4, 0, 6, 3, 1];
        let step = compute_step(&mut compute, &weights, &numbers(&samples), 0).unwrap();
        assert!(step.present.iter().all(|&present| present));
        for element in 0..weights.len() {
            let held = weights[element];
            let mut loss_at = |value: f32| {
                weights[element] = value;
                compute_step(&mut compute, &weights, &numbers(&samples), 0).unwrap().loss
            };
            let width = 2e-3_f32;
            let numeric =
                (loss_at(held + width) - loss_at(held - width)) / (2.0 * f64::from(width));
            weights[element] = held;
            let found = f64::from(step.gradient[element]);
            assert!(
                (numeric - found).abs() < 5e-4 + 0.01 * numeric.abs(),
                "{model}, element {element}: {found}, finite differences give {numeric}"
            );
        }
    }
}

#[test]
fn plain_sgd_learns_the_bundled_digits_the_same_way_each_time() {
    let train = || {
        let data = Arc::new(bundled_digits().unwrap());
        let mut compute =
            compute_with(&Models::built_in(), "mlp", &[("hidden", "64")], data).unwrap();
        let mut weights = compute.start_weights(1).unwrap();
        for pass in 0..5 {
            let samples = compute.train_samples();
            let order: Vec<u64> = SampleOrder::new(1, pass, 0, samples).at(0..samples).collect();
            for batch in order.chunks(32) {
                let step = compute_step(&mut compute, &weights, &numbers(batch), 0).unwrap();
                for (weight, gradient) in weights.iter_mut().zip(&step.gradient) {
                    *weight -= 0.1 * gradient;
                }
            }
        }
        (compute.evaluate(&weights).unwrap(), weights)
    };
    let (evaluation, weights) = train();
    assert_eq!(evaluation.samples, 360);
    assert!(evaluation.accuracy.unwrap() > 0.9, "{evaluation:?}");
    assert_eq!(train(), (evaluation, weights));
}

#[test]
fn start_weights_come_from_the_seed_alone() {
    let mut first = compute("mlp", &[("hidden", "7")]);
    let start = first.start_weights(9).unwrap();
    assert_eq!(start.len(), 6 * 7 + 7 + 7 * 3 + 3);
    assert_eq!(compute("mlp", &[("hidden", "7")]).start_weights(9).unwrap(), start);
    assert_ne!(first.start_weights(10).unwrap(), start);
    compute_step(&mut first, &vec![0.5; start.len()], &numbers(&[0]), 0).unwrap();
    assert_eq!(first.start_weights(9).unwrap(), start, "start weights are not the current ones");
}

/// Adds to its outputs what a normalisation without a gradient makes of them.
struct CutOff(candle_nn::Linear, candle_nn::LayerNorm);

impl Model for CutOff {
    fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        let norm = layer_norm(shape.outputs, 1e-5, vars.pp("b"))?;
        Ok(Self(linear(shape.inputs(), shape.outputs, vars.pp("a"))?, norm))
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let logits = self.0.forward(&batch.features.flatten_from(1)?)?;
        let cut = self.1.forward(&logits)?;
        candle_nn::loss::cross_entropy(&(logits + cut)?, &batch.labels)
    }
}

#[test]
fn a_variable_without_gradient_is_an_error_that_names_it() {
    let models = Models::built_in().with::<CutOff>("own");
    let mut compute = compute_with(&models, "own", &[], small_data()).unwrap();
    let weights = compute.start_weights(1).unwrap();
    let error =
        compute_step(&mut compute, &weights, &numbers(&[0, 1, 2]), 0).unwrap_err().to_string();
    assert!(error.contains("`b.bias`, `b.weight`") && !error.contains("`a."), "{error}");
    assert_eq!(compute.evaluate(&weights).unwrap().accuracy, None);
}

#[test]
fn a_loss_that_is_not_finite_is_a_result() {
    let mut compute = compute("linear", &[]);
    let weights = vec![f32::NAN; compute.layout().elements()];
    assert!(compute_step(&mut compute, &weights, &numbers(&[0]), 0).unwrap().loss.is_nan());
    assert!(compute.evaluate(&weights).unwrap().loss.is_nan());
}

#[test]
fn bad_steps_are_refused() {
    let mut compute = compute("linear", &[]);
    let weights = compute.start_weights(1).unwrap();
    let mut error = |weights: &[f32], samples: &[u64]| {
        compute_step(&mut compute, weights, &numbers(samples), 0).unwrap_err().to_string()
    };
    assert!(error(&weights, &[]).contains("no samples"));
    assert!(error(&weights, &[8]).contains("sample 8 of 8"));
    assert!(error(&weights[1..], &[0]).contains("20 weights for a model of 21"));
}

#[test]
fn unknown_models_and_options_list_the_known_ones() {
    let error = |model: &str, options: &[(&str, &str)]| {
        let built = compute_with(&Models::built_in(), model, options, small_data());
        built.err().unwrap().to_string()
    };
    let known = "known: lenet, linear, mlp, resnet-tiny, transformer-tiny, wide-deep";
    assert_eq!(error("alexnet", &[]), format!("no model is named `alexnet`; {known}"));
    assert!(
        error("lenet", &[("channels", "8,8,8,8")]).contains("nothing is left of images of 2 x 3")
    );
    assert!(error("transformer-tiny", &[]).contains("--format text"));
    let set = || Samples::new(Features::Floats(vec![0.5; 12].into()), vec![6], vec![0, 2]).unwrap();
    let table = Arc::new(Dataset::new(set(), set(), 3));
    let built = compute_with(&Models::built_in(), "transformer-tiny", &[], table);
    assert!(built.err().unwrap().to_string().contains("3 outputs"));
    assert!(error("lenet", &[("hidden", "512,512")]).contains("expected one whole number"));
    assert!(error("lenet", &[("hidden", "0")]).contains("no outputs"));
    assert!(error("resnet-tiny", &[("blocks", "0")]).contains("at least one in each stage"));
    // Found by review: these took all memory before anybody said a word.
    for (model, option) in [
        ("mlp", "hidden"),
        ("mlp", "embed-width"),
        ("wide-deep", "embed-width"),
        ("lenet", "hidden"),
        ("lenet", "channels"),
        ("resnet-tiny", "channels"),
        ("resnet-tiny", "blocks"),
        ("transformer-tiny", "width"),
        ("transformer-tiny", "layers"),
        ("transformer-tiny", "heads"),
    ] {
        let said = error(model, &[(option, "10000000")]);
        assert!(said.contains(&format!("`{option}`: found `10000000`, expected 0 to")), "{said}");
    }
    assert!(error("resnet-tiny", &[("channels", "4,0")]).contains("from 4 to 0 channels"));
    assert!(
        error("mlp", &[("hiden", "3")]).contains("no option `hiden`; it has: embed-width, hidden")
    );
    assert!(error("linear", &[("hidden", "3")]).contains("has no options"));
    assert!(error("mlp", &[("hidden", "3,x")]).contains("option `hidden`: found `x`"));
    assert!(error("mlp", &[("hidden", "0")]).contains("width 0"));
}

struct NoVariables;

impl Model for NoVariables {
    fn build(_: VarBuilder, _: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        Ok(Self)
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.features.mean_all()
    }
}

struct DoublePrecision;

impl Model for DoublePrecision {
    fn build(vars: VarBuilder, _: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        vars.to_dtype(DType::F64).get(3, "wide").map(|_| Self)
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.features.mean_all()
    }
}

struct NotOneNumber(Tensor);

impl Model for NotOneNumber {
    fn build(vars: VarBuilder, _: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        vars.get(3, "a").map(Self)
    }

    fn loss(&self, _: &Batch) -> Result<Tensor> {
        self.0.sqr()
    }
}

/// Changes a variable of its own that is called nothing in particular.
struct ChangesItself(candle_nn::BatchNorm);

impl Model for ChangesItself {
    fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        let vars = vars.rename_f(|name| name.replace("running", "moving"));
        batch_norm(shape.inputs(), 1e-5, vars).map(Self)
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.0.forward_t(&batch.features.flatten_from(1)?, true)?.sqr()?.mean_all()
    }
}

#[test]
fn models_that_cannot_be_trained_are_refused() {
    let error = refusal::<NoVariables>();
    assert!(error.contains("at least one variable"), "{error}");
    let error = refusal::<DoublePrecision>();
    assert!(error.contains("`wide`") && error.contains("F32"), "{error}");
    let error = refusal::<NotOneNumber>();
    assert!(error.contains("a loss of shape [3]"), "{error}");
    let error = refusal::<ChangesItself>();
    assert!(error.contains("`moving_mean` was changed"), "{error}");
}

#[test]
fn of_rows_an_mlp_has_a_linear_path_that_begins_as_nothing_and_l2_by_the_samples() {
    let rows = |samples: usize| {
        let values: Vec<f32> = (0..samples * 6).map(|p| (p * 7 % 11) as f32 / 5.0 - 1.0).collect();
        let labels: Vec<u32> = (0..samples).map(|sample| (sample % 3) as u32).collect();
        let set = Samples::new(Features::Floats(values.into()), vec![6], labels).unwrap();
        Arc::new(Dataset::new(set.clone(), set, 3))
    };
    let gradient = |options: &[(&str, &str)], samples| {
        let models = Models::built_in();
        let mut compute = compute_with(&models, "mlp", options, rows(samples)).unwrap();
        let weights = compute.start_weights(3).unwrap();
        let step = compute_step(&mut compute, &weights, &numbers(&[0, 1, 2]), 0).unwrap();
        (step.gradient, weights, compute.layout().clone())
    };
    let (with, weights, layout) = gradient(&[], 30);
    let (without, ..) = gradient(&[("l2", "0")], 30);
    // 3 / 2 / 30 for the linear path, times 6 / 4 for the layers, times 2 where there are 5 samples an input.
    for (position, tensor) in layout.tensors().iter().enumerate() {
        let is_layer = tensor.name.starts_with("layer") && tensor.name.ends_with("weight");
        let is_path = tensor.name.starts_with("linear-path");
        for element in layout.range(position) {
            assert!(!is_path || weights[element] == 0.0, "{} is not 0", tensor.name);
            let l2 = if is_layer { 0.15 * weights[element] } else { 0.0 };
            assert!((with[element] - without[element] - l2).abs() < 1e-6, "{}", tensor.name);
        }
    }
    let names: Vec<_> = layout.tensors().iter().map(|tensor| tensor.name.clone()).collect();
    assert!(names.contains(&"linear-path.weight".to_owned()), "{names:?}");
    let (.., plain) = gradient(&[("linear-path", "false")], 30);
    assert!(plain.tensors().iter().all(|tensor| !tensor.name.starts_with("linear")));
    assert!(compute("mlp", &[]).layout().tensors().len() == plain.tensors().len(), "an image's");
}

#[test]
fn samples_from_elsewhere_train_a_model_that_has_none_of_its_own() {
    let data = small_data();
    let (inputs, labels) = data.train.gather(&[4, 0, 2]).unwrap();
    let mut has_data = compute("mlp", &[("hidden", "5")]);
    let weights = has_data.start_weights(3).unwrap();
    let expected = compute_step(&mut has_data, &weights, &numbers(&[4, 0, 2]), 0).unwrap();

    let none =
        || Samples::new(Features::Floats(Vec::new().into()), Vec::new(), Vec::new()).unwrap();
    let nothing = Arc::new(Dataset::new(none(), none(), 0));
    let options =
        || ComputeOptions::new("mlp", ModelOptions::from_iter([("hidden", "5")]), Device::Cpu);
    let shape = DataShape::of(&data);
    let models = Models::built_in();
    let mut empty = CandleCompute::for_shape(&models, options(), nothing, &shape).unwrap();
    assert_eq!(empty.start_weights(3).unwrap(), weights);
    let values = SampleBatch::Values { inputs, labels };
    assert_eq!(compute_step(&mut empty, &weights, &values, 0).unwrap(), expected);
    assert!(empty.evaluate(&weights).unwrap().loss.is_nan());

    let other = DataShape { features: vec![99], ..shape.clone() };
    let refused = CandleCompute::for_shape(&models, options(), data.clone(), &other);
    assert!(refused.err().unwrap().to_string().contains("[99]"));
    let fewer = DataShape { outputs: 1, ..shape };
    let refused = CandleCompute::for_shape(&models, options(), data, &fewer);
    assert!(refused.err().unwrap().to_string().contains("--classes"));
}
