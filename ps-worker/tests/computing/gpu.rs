//! What a GPU computes, beside what the processor does. Without a GPU these tests say so and pass;
//! `deploy/gpu/build test --release -p ps-worker --features cuda --test computing gpu::` builds them.

use std::path::Path;
use std::sync::Arc;

use crate::common::{Step, compute_step};
use ps_data::{Dataset, Features, Samples};
use ps_worker::compute::{Compute, SampleBatch};
use ps_worker::device::{Device, DeviceChoice};
use ps_worker::model::{CandleCompute, ComputeOptions, Models};

/// A model, its options, and the shape and number of classes of its samples.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [usize], u32);

const CASES: [Case; 4] = [
    ("mlp", &[("hidden", "64,33")], &[28, 28], 10),
    ("lenet", &[("channels", "4,6"), ("hidden", "50")], &[28, 28], 10),
    ("resnet-tiny", &[("channels", "4,8"), ("blocks", "2")], &[28, 28], 10),
    ("transformer-tiny", &[("width", "32"), ("layers", "2"), ("dropout", "0.1")], &[24], 256),
];

fn gpu() -> Option<Device> {
    if !Path::new("/dev/nvidiactl").exists() {
        eprintln!("skipped: this machine has no NVIDIA driver");
        return None;
    }
    Some(DeviceChoice::Cuda(0).open().unwrap())
}

fn data(shape: &[usize], classes: u32) -> Arc<Dataset> {
    let each: usize = shape.iter().product();
    let whole = shape.len() == 1;
    let value = |place: usize| {
        let drawn = (place * 7_919 + place / each * 104_729) % 256;
        if whole { drawn as f32 } else { drawn as f32 / 255.0 }
    };
    let set = |samples: usize| {
        let values = (0..samples * each).map(value).collect();
        let labels: Vec<u32> = (0..samples as u32).map(|sample| sample * 7 % classes).collect();
        Samples::new(Features::Floats(values), shape.to_vec(), labels).unwrap()
    };
    Arc::new(Dataset::new(set(64), set(48), classes as usize))
}

/// Two steps, the second of which hands over while it computes, and the test set's loss.
fn steps(case: Case, device: Device) -> (CandleCompute, [Step; 2], f64) {
    let (name, given, shape, classes) = case;
    let options = given.iter().copied().collect();
    let options = ComputeOptions::new(name, options, device);
    let mut compute =
        CandleCompute::new(&Models::built_in(), options, data(shape, classes)).unwrap();
    let weights = compute.start_weights(3).unwrap();
    let first =
        compute_step(&mut compute, &weights, &SampleBatch::Numbers((0..32).collect()), 1).unwrap();
    let second =
        compute_step(&mut compute, &weights, &SampleBatch::Numbers((32..64).collect()), 2).unwrap();
    let loss = compute.evaluate(&weights).unwrap().loss;
    (compute, [first, second], loss)
}

#[test]
fn a_gpu_computes_what_the_processor_does() {
    let Some(gpu) = gpu() else { return };
    for case in CASES {
        let (compute, expected, expected_loss) = steps(case, Device::Cpu);
        let (_, found, loss) = steps(case, gpu.clone());
        assert!((loss - expected_loss).abs() < 1e-3 * expected_loss, "{}: {loss}", case.0);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.present, expected.present, "{}", case.0);
            assert!((found.loss - expected.loss).abs() < 1e-3 * expected.loss, "{}", case.0);
            for (position, tensor) in compute.layout().tensors().iter().enumerate() {
                let range = compute.layout().range(position);
                let (found, expected) = (&found.gradient[range.clone()], &expected.gradient[range]);
                let norm = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>().sqrt();
                let differ = found.iter().zip(expected).map(|(f, e)| f - e).collect::<Vec<_>>();
                let (off, size) = (norm(&differ), norm(expected));
                assert!(off <= 1e-2 * size + 1e-6, "{}, {}: {off} of {size}", case.0, tensor.name);
            }
        }
    }
}

/// Copies run beside the computation: a value that left too early, or whose memory was used again
/// before it was copied, would differ from step to step.
#[test]
fn the_same_step_has_the_same_gradient_many_times() {
    let Some(gpu) = gpu() else { return };
    let (mut compute, _, _) = steps(CASES[0], gpu);
    let weights = compute.start_weights(3).unwrap();
    let batch = SampleBatch::Numbers((0..32).collect());
    let expected = compute_step(&mut compute, &weights, &batch, 1).unwrap().gradient;
    for _ in 0..200 {
        assert_eq!(compute_step(&mut compute, &weights, &batch, 1).unwrap().gradient, expected);
    }
}
