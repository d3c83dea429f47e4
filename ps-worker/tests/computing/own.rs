//! Data and measures of a program's own.

use std::sync::Arc;

use candle_core::Device;
use ps_data::{Dataset, Features, Samples};
use ps_worker::compute::Compute as _;
use ps_worker::model::{
    CandleCompute, ComputeOptions, DataRequest, IdColumn, ModelOptions, Models, Predicted,
};

fn data(samples: usize) -> Dataset {
    let set = || {
        let features = Features::Floats((0..samples).map(|at| at as f32).collect());
        let labels: Vec<u32> = (0..samples as u32).map(|at| at % 2).collect();
        let samples = Samples::new(features, vec![1], labels).unwrap();
        let ids = (0..samples.len() as u32).map(|at| at % 5).collect();
        samples.with_ids(ids).unwrap()
    };
    let ids = vec![IdColumn::new("five".to_owned(), 5)];
    Dataset { ids, ..Dataset::new(set(), set(), 2) }
}

fn models() -> Models {
    Models::built_in().with_dataset("counted", |request: &mut DataRequest| {
        let samples = request.options.take("samples", 10)?;
        match samples {
            0 => Err("no samples".into()),
            samples => Ok(data(samples)),
        }
    })
}

fn request(options: &[(&str, &str)]) -> DataRequest {
    DataRequest { options: options.iter().copied().collect(), ..DataRequest::default() }
}

#[test]
fn data_of_ones_own_are_read_by_name() {
    let found = models().dataset("counted", request(&[("samples", "7")])).unwrap();
    assert_eq!((found.train.len(), found.ids[0].vocabulary), (7, 5));
    let refused = |name, options| models().dataset(name, request(options)).unwrap_err();
    assert!(refused("other", &[]).contains("`other`; known: counted"));
    assert!(refused("counted", &[("sample", "7")]).contains("no option `sample`; it has: samples"));
    assert!(refused("counted", &[("samples", "x")]).contains("expected one whole number"));
    assert_eq!(refused("counted", &[("samples", "0")]), "dataset `counted`: no samples");
    let none = Models::built_in().dataset("counted", DataRequest::default());
    assert!(none.unwrap_err().contains("none of its own"));
}

/// The measures of a test set of ten, by their names.
fn measured(models: &Models, model: &str) -> Result<Vec<(String, f64)>, String> {
    let options = ComputeOptions::new(model, ModelOptions::default(), Device::Cpu);
    let compute = CandleCompute::new(models, options, Arc::new(data(10)));
    let mut compute = compute.map_err(|error| error.to_string())?;
    let weights = compute.start_weights(1).unwrap();
    let found = compute.evaluate(&weights).unwrap().measures;
    Ok(found.into_iter().map(|it| (it.name, it.value)).collect())
}

#[test]
fn measures_of_ones_own_see_all_samples_and_predictions() {
    fn seen(all: &Predicted<'_>) -> Option<f64> {
        let numbers: Vec<u64> = (0..all.samples.len() as u64).collect();
        let (inputs, labels) = all.samples.gather(&numbers).unwrap();
        let probabilities = all.predictions.chunks_exact(all.outputs);
        assert!(probabilities.into_iter().all(|it| (it.iter().sum::<f32>() - 1.0).abs() < 1e-5));
        let ids: u32 = inputs.ids.iter().sum();
        Some(f64::from(ids + labels.classes().iter().sum::<u32>()))
    }
    let models = models().with_measure("seen", seen).with_measure("auc", |_| Some(7.0));
    let models =
        models.with_measure("senseless", |_| None).with_measure("wild", |_| Some(f64::NAN));
    let found = measured(&models, "mlp").unwrap();
    let value = |name: &str| {
        let named: Vec<f64> = found.iter().filter(|it| it.0 == name).map(|it| it.1).collect();
        named
    };
    assert_eq!((value("seen"), value("auc")), (vec![25.0], vec![7.0]), "{found:?}");
    assert!(value("senseless").is_empty() && value("wild").is_empty());
    assert_eq!(value("f1").len(), 1, "those that are built in stay");
}

#[test]
fn a_measure_that_no_metric_line_can_name_is_refused() {
    let error = measured(&models().with_measure("Top 5", |_| None), "mlp").unwrap_err();
    assert!(error.contains("measure `Top 5`") && error.contains("lower-case"), "{error}");
}

#[test]
fn a_model_that_looks_nothing_up_is_not_given_ids() {
    let problem = measured(&models(), "lenet").unwrap_err();
    assert!(problem.contains("`lenet` looks nothing up"), "{problem}");
    assert!(problem.contains("1 columns of ids"), "{problem}");
}
