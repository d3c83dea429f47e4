//! What a model is given of some samples.

/// What a model is given of some samples, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Numbers, as many for each sample as its shape says.
    pub features: Vec<f32>,
    /// Numbers of rows that a model looks up, one for each column of ids.
    pub ids: Vec<u32>,
}

impl Inputs {
    /// Takes in further samples.
    pub fn extend(&mut self, other: &Self) {
        self.features.extend_from_slice(&other.features);
        self.ids.extend_from_slice(&other.ids);
    }

    /// Forgets all samples, and keeps the memory.
    pub fn clear(&mut self) {
        self.features.clear();
        self.ids.clear();
    }
}

/// How much of each there is for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputWidth {
    /// Numbers.
    pub features: usize,
    /// Ids; with none of both there is no sample.
    pub ids: usize,
}

impl InputWidth {
    /// How many samples these are; `None` where the last is not whole, or has not as many ids as numbers.
    pub fn samples(self, inputs: &Inputs) -> Option<usize> {
        let (features, ids) = (inputs.features.len(), inputs.ids.len());
        let samples = match self.features {
            0 => ids.checked_div(self.ids)?,
            each => features / each,
        };
        (samples * self.features == features && samples * self.ids == ids).then_some(samples)
    }

    /// The samples in parts of at most so many, each with how many it has.
    pub fn parts(self, inputs: &Inputs, at_most: usize) -> impl Iterator<Item = (Inputs, usize)> {
        let (samples, at_most) = (self.samples(inputs).unwrap_or_default(), at_most.max(1));
        (0..samples).step_by(at_most).map(move |start| {
            let end = samples.min(start + at_most);
            let part = Inputs {
                features: inputs.features[start * self.features..end * self.features].to_vec(),
                ids: inputs.ids[start * self.ids..end * self.ids].to_vec(),
            };
            (part, end - start)
        })
    }
}

impl From<Vec<f32>> for Inputs {
    /// Samples without ids.
    fn from(features: Vec<f32>) -> Self {
        Self { features, ids: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(features: usize, ids: usize) -> Inputs {
        Inputs { features: vec![0.0; features], ids: (0..ids as u32).collect() }
    }

    #[test]
    fn samples_are_counted_by_what_they_have() {
        let both = InputWidth { features: 3, ids: 2 };
        assert_eq!(both.samples(&inputs(6, 4)), Some(2));
        assert_eq!(both.samples(&inputs(7, 4)), None);
        assert_eq!(both.samples(&inputs(6, 2)), None);
        assert_eq!(InputWidth { features: 0, ids: 2 }.samples(&inputs(0, 4)), Some(2));
        assert_eq!(InputWidth { features: 3, ids: 0 }.samples(&inputs(3, 0)), Some(1));
        assert_eq!(InputWidth { features: 0, ids: 0 }.samples(&inputs(0, 0)), None);
    }

    #[test]
    fn parts_have_each_sample_once() {
        let width = InputWidth { features: 1, ids: 2 };
        let parts: Vec<(Inputs, usize)> = width.parts(&inputs(5, 10), 2).collect();
        let ids: Vec<(Vec<u32>, usize)> =
            parts.into_iter().map(|(it, count)| (it.ids, count)).collect();
        assert_eq!(ids, [(vec![0, 1, 2, 3], 2), (vec![4, 5, 6, 7], 2), (vec![8, 9], 1)]);
    }
}
