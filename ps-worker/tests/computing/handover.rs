//! What a computation hands over, and when.

use std::sync::{Arc, Mutex};

use crate::common::compute_step;
use crate::common::recorder::Recorder;
use candle_core::{Device, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use ps_core::TensorKind;
use ps_core::coverage::Coverage;
use ps_core::schema::EmbeddingRule;
use ps_data::{DataSource, Dataset, Features, Samples, TableOptions};
use ps_nn::{Embedding, Linear, Phase, composed, cross_entropy};
use ps_worker::compute::{Compute, SampleBatch};
use ps_worker::model::{
    Batch, CandleCompute, ComputeOptions, DataShape, Model, ModelOptions, Models, SeededStart,
};

/// With layers as they are on a processor, and as they are on a GPU.
fn on_both(test: impl Fn()) {
    test();
    composed(test);
}

fn data(shape: &[usize], classes: u32, scale: f32) -> Arc<Dataset> {
    let each: usize = shape.iter().product();
    let value = |place: usize| ((place * 37 % 101) as f32 / 101.0 * scale).floor() / scale.min(1.0);
    let set = || {
        let values: Vec<f32> = (0..4 * each).map(value).collect();
        let labels: Vec<u32> = (0..4).map(|sample| sample * 7 % classes).collect();
        Samples::new(Features::Floats(values.into()), shape.to_vec(), labels).unwrap()
    };
    Arc::new(Dataset::new(set(), set(), classes as usize))
}

fn options(model: &str, options: &[(&str, &str)]) -> ComputeOptions {
    let options = options.iter().copied().collect();
    ComputeOptions::new(model, options, Device::Cpu)
}

fn batch() -> SampleBatch {
    SampleBatch::Numbers(vec![0, 1, 2])
}

/// One step, after a first one.
fn second_step(compute: &mut CandleCompute) -> Recorder {
    let weights = compute.start_weights(3).unwrap();
    compute_step(compute, &weights, &batch(), 5).unwrap();
    compute.load(&weights).unwrap();
    let recorder = Recorder::default();
    compute.gradient(batch(), 5, Box::new(recorder.clone())).unwrap();
    recorder
}

/// The gradients as candle's own store has them when nobody collects.
fn candles(model: &str, given: &[(&str, &str)], data: &Dataset, weights: &[f32]) -> Vec<Vec<f32>> {
    let (map, given) = (VarMap::new(), given.iter().copied().collect());
    let shape = DataShape::of(data);
    let builder = SeededStart::new(3, map.clone()).builder(&Device::Cpu);
    let model = Models::built_in().build(model, builder, &shape, given).unwrap();
    let flat = ps_worker::model::FlatVars::new(&map).unwrap();
    flat.set(weights).unwrap();
    let (inputs, labels) = data.train.gather(&[0, 1, 2]).unwrap();
    let mut dims = vec![3];
    dims.extend(data.train.shape());
    let batch = Batch {
        features: Tensor::from_vec(inputs.features, dims, &Device::Cpu).unwrap(),
        ids: Tensor::from_vec(inputs.ids, (3, data.train.id_columns()), &Device::Cpu).unwrap(),
        labels: Tensor::new(labels.classes(), &Device::Cpu).unwrap(),
        objective: Arc::default(),
        phase: Phase::Training { seed: 5 },
    };
    let gradients = model.loss(&batch).unwrap().backward().unwrap();
    let gradient = flat.gradient(&gradients).unwrap();
    (0..flat.vars().len())
        .map(|tensor| gradient.values[flat.layout().range(tensor)].to_vec())
        .collect()
}

#[test]
fn what_is_handed_over_is_what_candle_would_have_kept() {
    on_both(|| {
        for (model, given, shape, classes, scale) in [
            ("mlp", &[("hidden", "5,4")][..], &[2, 3][..], 3, 1e6),
            ("lenet", &[("channels", "2,3"), ("hidden", "5")], &[8, 8], 3, 1e6),
            ("resnet-tiny", &[("channels", "2,3"), ("blocks", "2")], &[2, 8, 8], 3, 1e6),
            (
                "transformer-tiny",
                &[("width", "8"), ("layers", "2"), ("dropout", "0.1")],
                &[6],
                256,
                200.0,
            ),
        ] {
            compare(model, given, &data(shape, classes, scale));
        }
    });
}

/// Compares what is handed over with what candle would have kept; the tensors of which only some rows were.
fn compare(model: &str, given: &[(&str, &str)], data: &Arc<Dataset>) -> Vec<String> {
    let models = Models::built_in();
    let mut compute = CandleCompute::new(&models, options(model, given), data.clone()).unwrap();
    let recorder = second_step(&mut compute);
    let expected = candles(model, given, data, &compute.start_weights(3).unwrap());
    let mut finished = recorder.finished();
    finished.sort_by_key(|(tensor, _)| *tensor);
    assert_eq!(finished.len(), expected.len(), "{model}: every tensor once");
    let mut by_rows = Vec::new();
    for (tensor, values) in finished {
        let spec = &compute.layout().tensors()[tensor];
        if let Coverage::Rows(rows) = &recorder.coverage()[tensor] {
            let width = spec.shape[1];
            let of = |row: &u32| expected[tensor][*row as usize * width..][..width].to_vec();
            assert_eq!(values, rows.iter().flat_map(of).collect::<Vec<_>>(), "{}", spec.name);
            by_rows.push(spec.name.clone());
            continue;
        }
        assert_eq!(values, expected[tensor], "{model}, {}", spec.name);
    }
    by_rows
}

/// Samples of two numbers and two columns of categories.
fn looked_up() -> Arc<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let rows = "a,x,0.5,2,no\nb,y,1.5,-1,yes\na,y,-0.5,0.25,yes\nc,x,0,1,no\nd,z,1,1,yes\n";
    std::fs::write(folder.path().join("train.csv"), rows).unwrap();
    let embedding = EmbeddingRule::All;
    let table = TableOptions { embedding, ..TableOptions::default() };
    let source = DataSource { table, ..DataSource::folder(folder.path()) };
    Arc::new(ps_data::load(&source).unwrap())
}

#[test]
fn what_is_looked_up_is_handed_over_row_by_row() {
    on_both(|| {
        let data = looked_up();
        let given = [("hidden", "5,4"), ("embed-width", "3")];
        let rows = |prefix: &str| [1, 2].map(|at| format!("{prefix}embed.column{at}.weight"));
        assert_eq!(compare("mlp", &given, &data), rows(""));
        assert_eq!(compare("linear", &[], &data), rows(""));
        let both = [rows("deep."), rows("wide.")].concat();
        assert_eq!(compare("wide-deep", &given, &data), both);
    });
}

#[test]
fn the_last_layers_gradient_is_handed_over_first() {
    on_both(|| {
        let (models, data) = (Models::built_in(), data(&[2, 3], 3, 1e6));
        let given = options("mlp", &[("hidden", "5,4")]);
        let mut compute = CandleCompute::new(&models, given, data).unwrap();
        let order: Vec<usize> =
            second_step(&mut compute).finished().into_iter().map(|it| it.0).collect();
        let names = compute.layout().tensors();
        let order: Vec<&str> = order.iter().map(|tensor| names[*tensor].name.as_str()).collect();
        let last_first = ["layer3.bias", "layer3.weight", "layer2.bias", "layer2.weight"];
        assert_eq!(order[..4], last_first);
    });
}

#[test]
fn running_statistics_are_state_and_go_before_the_gradients() {
    on_both(|| {
        let models = Models::built_in();
        let given = [("channels", "2"), ("blocks", "1")];
        let data = data(&[8, 8], 3, 1e6);
        let mut compute =
            CandleCompute::new(&models, options("resnet-tiny", &given), data).unwrap();
        let recorder = second_step(&mut compute);
        let state: Vec<usize> = compute
            .layout()
            .tensors()
            .iter()
            .enumerate()
            .filter(|(_, tensor)| tensor.kind == TensorKind::State)
            .map(|(position, _)| position)
            .collect();
        assert_eq!(state.len(), 2 * 3, "mean and variance of each norm");
        assert_eq!(state[0], compute.layout().tensors().len() - 6, "they follow the trained ones");
        let finished = recorder.finished();
        let first: Vec<usize> = finished.iter().take(6).map(|(tensor, _)| *tensor).collect();
        assert_eq!(first, state);
        let weights = compute.start_weights(3).unwrap();
        for (tensor, values) in &finished[..6] {
            assert_ne!(values, &weights[compute.layout().range(*tensor)], "they have moved");
        }
    });
}

/// A table that a layer looks up rows of, and, if `TIED`, candle's own product uses, too.
struct Words<const TIED: bool> {
    table: Embedding,
    weight: Tensor,
    classes: Linear,
}

impl<const TIED: bool> Model for Words<TIED> {
    fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        let table = Embedding::new(50, 4, 1.0, vars.pp("table"))?;
        let weight = vars.pp("table").get((50, 4), "weight")?;
        Ok(Self { table, weight, classes: Linear::new(4, shape.outputs, vars.pp("classes"))? })
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let rows = self.table.forward(&batch.features.to_dtype(candle_core::DType::U32)?)?;
        let loss = cross_entropy(&self.classes.forward(&rows.mean(1)?)?, &batch.labels)?;
        if TIED { loss + self.weight.sqr()?.sum_all()? } else { Ok(loss) }
    }
}

fn words<const TIED: bool>() -> (Recorder, CandleCompute) {
    let models = Models::built_in().with::<Words<TIED>>("words");
    let data = data(&[3], 3, 49.0);
    let mut compute = CandleCompute::new(&models, options("words", &[]), data).unwrap();
    (second_step(&mut compute), compute)
}

#[test]
fn of_a_table_only_rows_that_were_looked_up_are_handed_over() {
    on_both(|| {
        let (recorder, compute) = words::<false>();
        let table = compute.layout().position("table.weight").unwrap();
        let Coverage::Rows(rows) = &recorder.coverage()[table] else {
            panic!("{:?}", recorder.coverage())
        };
        assert!(rows.len() <= 9 && rows.windows(2).all(|pair| pair[0] < pair[1]), "{rows:?}");
        let finished = recorder.finished();
        let (_, values) = finished.iter().find(|(tensor, _)| *tensor == table).unwrap();
        assert_eq!(values.len(), rows.len() * 4);
    });
}

/// A model may look up rows, or use a whole table, for something that its loss does not depend on.
struct Aside<const WHOLE: bool> {
    words: Words<false>,
    other: Linear,
    bias: Tensor,
}

impl<const WHOLE: bool> Model for Aside<WHOLE> {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let other = Linear::new(4, 50, vars.pp("table"))?;
        let bias = vars.pp("table").get(50, "bias")?;
        Ok(Self { words: Words::build(vars, shape, options)?, other, bias })
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let loss = (self.words.loss(batch)? + self.bias.sqr()?.sum_all()?)?;
        let aside = self.words.table.forward(&Tensor::new(&[48_u32, 49], &Device::Cpu)?)?;
        if WHOLE {
            self.other.forward(&aside)?;
        }
        Ok(loss)
    }
}

#[test]
fn a_use_that_the_loss_does_not_reach_has_zeros() {
    fn of_table<const WHOLE: bool>() -> (Coverage, Vec<f32>) {
        let models = Models::built_in().with::<Aside<WHOLE>>("aside");
        let mut compute =
            CandleCompute::new(&models, options("aside", &[]), data(&[3], 3, 49.0)).unwrap();
        let recorder = second_step(&mut compute);
        let table = compute.layout().position("table.weight").unwrap();
        let (_, values) = recorder.finished().into_iter().find(|it| it.0 == table).unwrap();
        (recorder.coverage()[table].clone(), values)
    }
    on_both(|| {
        let (Coverage::Rows(rows), values) = of_table::<false>() else { panic!("of some rows") };
        assert_eq!((rows[rows.len() - 2], rows[rows.len() - 1]), (48, 49));
        assert_eq!((values.len(), &values[values.len() - 8..]), (rows.len() * 4, &[0.0; 8][..]));
        let (coverage, values) = of_table::<true>();
        assert_eq!((coverage, values.len()), (Coverage::Whole, 200));
    });
}

#[test]
fn what_candle_uses_too_waits_for_its_part() {
    on_both(|| {
        let (recorder, compute) = words::<true>();
        let table = compute.layout().position("table.weight").unwrap();
        assert_eq!(recorder.coverage()[table], Coverage::Whole);
        let weights = compute.layout().range(table);
        let (last, values) = recorder.finished().pop().unwrap();
        assert_eq!((last, values.len()), (table, weights.len()));
        assert!(values.iter().all(|value| *value != 0.0), "every row has candle's part");
    });
}

#[test]
fn a_gradient_that_left_without_candles_part_is_an_error() {
    /// Uses its table by candle's operations from the second step on.
    struct Late(Words<false>, std::sync::atomic::AtomicUsize);
    impl Model for Late {
        fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
            Ok(Self(Words::build(vars, shape, options)?, 0.into()))
        }

        fn loss(&self, batch: &Batch) -> Result<Tensor> {
            let loss = Words::<false>::loss(&self.0, batch)?;
            match self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Ok(loss),
                _ => loss + self.0.weight.sqr()?.sum_all()?,
            }
        }
    }
    let models = Models::built_in().with::<Late>("late");
    let mut compute =
        CandleCompute::new(&models, options("late", &[]), data(&[3], 3, 49.0)).unwrap();
    let weights = compute.start_weights(3).unwrap();
    compute_step(&mut compute, &weights, &batch(), 0).unwrap();
    let error = compute_step(&mut compute, &weights, &batch(), 0).unwrap_err().to_string();
    assert!(error.contains("`table.weight`") && error.contains("first step"), "{error}");
}

/// A thread of rayon's that waits for a part of a product takes up what else there is to do: in a
/// process of several models, another one's whole step.
#[test]
fn a_step_that_another_models_step_interrupts_hands_over_all_the_same() {
    struct Interrupted(Words<false>, Mutex<CandleCompute>);
    impl Model for Interrupted {
        fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
            let (_, other) = words::<false>();
            Ok(Self(Words::build(vars, shape, options)?, other.into()))
        }

        fn loss(&self, batch: &Batch) -> Result<Tensor> {
            let loss = Words::<false>::loss(&self.0, batch)?;
            let recorder = second_step(&mut self.1.lock().unwrap());
            assert_eq!(recorder.finished().len(), 3, "the other's step");
            Ok(loss)
        }
    }
    let models = Models::built_in().with::<Interrupted>("interrupted");
    let data = data(&[3], 3, 49.0);
    let mut compute = CandleCompute::new(&models, options("interrupted", &[]), data).unwrap();
    let (mut finished, (alone, _)) = (second_step(&mut compute).finished(), words::<false>());
    let mut expected = alone.finished();
    finished.sort_by_key(|(tensor, _)| *tensor);
    expected.sort_by_key(|(tensor, _)| *tensor);
    assert_eq!(finished, expected);
}
