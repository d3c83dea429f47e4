//! The layers as their definitions say, in `f64` and without any haste.

/// `[count, outputs]` from `[count, inputs]`, `[outputs, inputs]` and `[outputs]`.
pub(crate) fn linear(inputs: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let width = weight.len() / bias.len();
    let row = |row: &[f64]| -> Vec<f64> {
        let of = |(weight, bias): (&[f64], &f64)| bias + dot(row, weight);
        weight.chunks(width).zip(bias).map(of).collect()
    };
    inputs.chunks(width).flat_map(row).collect()
}

pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The windows of an image `[channels, height, width]`: for each output, each kernel place and
/// channel, the position in the image, `None` in the padding.
#[derive(Clone, Copy)]
pub(crate) struct Images {
    pub(crate) channels: usize,
    pub(crate) size: (usize, usize),
    pub(crate) kernel: (usize, usize),
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Images {
    pub(crate) fn outputs(&self) -> (usize, usize) {
        let along =
            |size: usize, kernel: usize| (size + 2 * self.padding - kernel) / self.stride + 1;
        (along(self.size.0, self.kernel.0), along(self.size.1, self.kernel.1))
    }

    fn at(&self, channel: usize, output: (usize, usize), place: (usize, usize)) -> Option<usize> {
        let y = (output.0 * self.stride + place.0).checked_sub(self.padding)?;
        let x = (output.1 * self.stride + place.1).checked_sub(self.padding)?;
        let inside = y < self.size.0 && x < self.size.1;
        inside.then(|| (channel * self.size.0 + y) * self.size.1 + x)
    }

    fn places(&self) -> Vec<(usize, usize)> {
        let columns = self.kernel.1;
        (0..self.kernel.0).flat_map(|y| (0..columns).map(move |x| (y, x))).collect()
    }

    fn each_output(&self) -> Vec<(usize, usize)> {
        let (rows, columns) = self.outputs();
        (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))).collect()
    }

    pub(crate) fn convolve(&self, images: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let each = self.channels * self.size.0 * self.size.1;
        let window = self.channels * self.kernel.0 * self.kernel.1;
        let mut outputs = Vec::new();
        for image in images.chunks(each) {
            for (weight, bias) in weight.chunks(window).zip(bias) {
                for output in self.each_output() {
                    let mut sum = *bias;
                    for channel in 0..self.channels {
                        for (number, place) in self.places().into_iter().enumerate() {
                            let factor = weight[channel * self.kernel.0 * self.kernel.1 + number];
                            sum += self
                                .at(channel, output, place)
                                .map_or(0.0, |at| image[at] * factor);
                        }
                    }
                    outputs.push(sum);
                }
            }
        }
        outputs
    }

    /// Each channel by itself: what `fold` makes of the values in a window.
    pub(crate) fn pool(&self, images: &[f64], fold: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let plane = Self { channels: 1, ..*self };
        let mut outputs = Vec::new();
        for image in images.chunks(self.size.0 * self.size.1) {
            for output in plane.each_output() {
                let places = plane.places().into_iter();
                let seen: Vec<f64> = places
                    .filter_map(|place| plane.at(0, output, place))
                    .map(|at| image[at])
                    .collect();
                outputs.push(fold(&seen));
            }
        }
        outputs
    }
}

pub(crate) fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(crate) fn relu(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|value| value.max(0.0)).collect()
}

pub(crate) fn norm(inputs: &[f64], weight: &[f64], bias: Option<&[f64]>, epsilon: f64) -> Vec<f64> {
    let row = |row: &[f64]| -> Vec<f64> {
        let mean = if bias.is_some() { mean(row) } else { 0.0 };
        let variance =
            row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (variance + epsilon).sqrt();
        let value = |place: usize| {
            (row[place] - mean) * scale * weight[place] + bias.map_or(0.0, |bias| bias[place])
        };
        (0..row.len()).map(value).collect()
    };
    inputs.chunks(weight.len()).flat_map(row).collect()
}

/// Over `[samples, channels, plane]`, by the batch's own statistics.
pub(crate) fn batch_norm(
    inputs: &[f64],
    weight: &[f64],
    bias: &[f64],
    plane: usize,
    epsilon: f64,
) -> Vec<f64> {
    let channels = weight.len();
    let of = |place: usize| place / plane % channels;
    let mut outputs = vec![0.0; inputs.len()];
    for channel in 0..channels {
        let places: Vec<usize> = (0..inputs.len()).filter(|place| of(*place) == channel).collect();
        let here: Vec<f64> = places.iter().map(|place| inputs[*place]).collect();
        let around = mean(&here);
        let variance = mean(&here.iter().map(|value| (value - around).powi(2)).collect::<Vec<_>>());
        for place in places {
            let normal = (inputs[place] - around) / (variance + epsilon).sqrt();
            outputs[place] = normal * weight[channel] + bias[channel];
        }
    }
    outputs
}

pub(crate) fn softmax(row: &[f64]) -> Vec<f64> {
    let most = most(row);
    let powers: Vec<f64> = row.iter().map(|value| (value - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// `[positions, width]` from queries, keys and values side by side, in so many heads.
pub(crate) fn attention(inputs: &[f64], positions: usize, width: usize, heads: usize) -> Vec<f64> {
    let (size, mut outputs) = (width / heads, vec![0.0; positions * width]);
    let part = |position: usize, part: usize, head: usize| {
        let begin = position * 3 * width + part * width + head * size;
        &inputs[begin..begin + size]
    };
    for head in 0..heads {
        for position in 0..positions {
            let product =
                |seen| dot(part(position, 0, head), part(seen, 1, head)) / (size as f64).sqrt();
            let shares = softmax(&(0..=position).map(product).collect::<Vec<_>>());
            for (seen, share) in shares.into_iter().enumerate() {
                for (place, value) in part(seen, 2, head).iter().enumerate() {
                    outputs[position * width + head * size + place] += share * value;
                }
            }
        }
    }
    outputs
}

pub(crate) fn cross_entropy(logits: &[f64], labels: &[u32]) -> f64 {
    let classes = logits.len() / labels.len();
    let rows = logits.chunks(classes).zip(labels);
    let sum: f64 = rows.map(|(row, label)| -softmax(row)[*label as usize].ln()).sum();
    sum / labels.len() as f64
}

pub(crate) fn binary_cross_entropy(logits: &[f64], targets: &[f64]) -> f64 {
    let one = |(logit, target): (&f64, &f64)| {
        logit.max(0.0) - logit * target + (-logit.abs()).exp().ln_1p()
    };
    logits.iter().zip(targets).map(one).sum::<f64>() / logits.len() as f64
}

pub(crate) fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}
