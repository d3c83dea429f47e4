//! The models whose bytes are moved, and whose chunks are updated.

use ps_core::TensorSpec;

/// A model in words: bytes of two tensors, the second one small; or `resnet50`.
pub(crate) fn parse(words: &str) -> anyhow::Result<Vec<TensorSpec>> {
    match words {
        "resnet50" => Ok(resnet50()),
        bytes => Ok(two(bytes.parse::<usize>()? / size_of::<f32>())),
    }
}

/// Elements of all of these tensors.
pub(crate) fn elements(tensors: &[TensorSpec]) -> usize {
    tensors.iter().map(TensorSpec::elements).sum()
}

/// Elements of a small push: 4 KiB.
const SMALL_ELEMENTS: usize = 1024;

/// Two tensors, the second one small.
pub(crate) fn two(elements: usize) -> Vec<TensorSpec> {
    let small = SMALL_ELEMENTS.min(elements / 2);
    let tensor = |name, elements| TensorSpec::trainable(name, [elements]);
    vec![tensor("a", elements - small), tensor("b", small)]
}

/// 784-512-512-10: the built-in `mlp`.
pub(crate) fn mlp() -> Vec<TensorSpec> {
    let layers = [(784, 512), (512, 512), (512, 10)];
    let tensors = layers.into_iter().enumerate().flat_map(|(layer, (inputs, outputs))| {
        [
            TensorSpec::trainable(format!("{layer}.weight"), [outputs, inputs]),
            TensorSpec::trainable(format!("{layer}.bias"), [outputs]),
        ]
    });
    tensors.collect()
}

/// The 161 trainable tensors of ResNet-50 for 1,000 classes: 25.6 million weights (He 2016, table 1).
pub(crate) fn resnet50() -> Vec<TensorSpec> {
    let mut tensors = Vec::new();
    let mut convolution = |outputs: usize, inputs: usize, kernel: usize| {
        let number = tensors.len() / 3;
        let name = |part: &str| format!("{number:02}.{part}");
        tensors.push(TensorSpec::trainable(name("weight"), [outputs, inputs, kernel, kernel]));
        tensors.push(TensorSpec::trainable(name("norm.weight"), [outputs]));
        tensors.push(TensorSpec::trainable(name("norm.bias"), [outputs]));
    };
    convolution(64, 3, 7);
    let mut inputs = 64;
    for (blocks, width) in [(3, 64), (4, 128), (6, 256), (3, 512)] {
        for block in 0..blocks {
            convolution(width, inputs, 1);
            convolution(width, width, 3);
            convolution(4 * width, width, 1);
            if block == 0 {
                convolution(4 * width, inputs, 1);
            }
            inputs = 4 * width;
        }
    }
    tensors.push(TensorSpec::trainable("last.weight", [1000, inputs]));
    tensors.push(TensorSpec::trainable("last.bias", [1000]));
    tensors
}
