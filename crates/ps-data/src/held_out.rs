//! A validation set out of training samples.

use ps_core::SampleOrder;

use crate::{Dataset, Error, HeldOut};

/// The shuffle that chooses is none that a pass has.
const NO_PASS: u64 = u64::MAX;

/// Holds samples out of the training set.
///
/// # Errors
/// There are validation samples already, or one of both sets would be empty.
pub(crate) fn hold_out(mut data: Dataset, held_out: HeldOut) -> Result<Dataset, Error> {
    let HeldOut { share, seed } = held_out;
    if !data.validation.is_empty() {
        let problem = "--validation-split beside validation files: there is a validation set; leave one of them \
                       out, files with --ignore-files PATTERN";
        return Err(Error::Options(problem.to_owned()));
    }
    let samples = data.train.len();
    let count = (samples as f64 * share).round() as usize;
    if count == 0 || count >= samples {
        return Err(Error::Options(format!(
            "--validation-split {share}: of {samples} training samples it holds out {count}, and both sets \
             need at least one; give another share, or files with --validation"
        )));
    }
    let is_held_out = positions(seed, samples, count);
    let of_set = |wanted: bool| -> Vec<usize> {
        (0..samples).filter(|position| is_held_out[*position] == wanted).collect()
    };
    data.validation = data.train.part(&of_set(true));
    data.train = data.train.part(&of_set(false));
    Ok(data)
}

/// Whether each sample is held out: exactly so many are, by a shuffle.
fn positions(seed: u64, samples: usize, count: usize) -> Vec<bool> {
    let mut is_held_out = vec![false; samples];
    let order = SampleOrder::new(seed, NO_PASS, 0, samples as u64);
    order.at(0..count as u64).for_each(|position| is_held_out[position as usize] = true);
    is_held_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, Samples};

    fn data(samples: u32) -> Dataset {
        let features = Features::Floats((0..samples).map(|value| value as f32).collect());
        let train = Samples::new(features, vec![1], (0..samples).collect::<Vec<u32>>()).unwrap();
        Dataset::new(train, Samples::none(vec![1]), samples as usize)
    }

    fn held_out(samples: u32, share: f64, seed: u64) -> Result<Dataset, String> {
        hold_out(data(samples), HeldOut { share, seed }).map_err(|error| error.to_string())
    }

    #[test]
    fn each_sample_is_in_one_set_and_which_follows_from_the_seed() {
        let one = held_out(1000, 0.2, 1).unwrap();
        assert_eq!((one.train.len(), one.validation.len()), (800, 200));
        let mut all = [one.train.labels().classes(), one.validation.labels().classes()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<u32>>());
        for (position, label) in one.validation.labels().classes().iter().enumerate() {
            let (features, _) = one.validation.gather(&[position as u64]).unwrap();
            assert_eq!(features.features, [*label as f32], "features and labels stay together");
        }
        assert_eq!(one, held_out(1000, 0.2, 1).unwrap());
        assert_ne!(one, held_out(1000, 0.2, 2).unwrap());
        // Not those from the beginning or the end.
        let early = one.validation.labels().classes().iter().filter(|label| **label < 500).count();
        assert!((60..140).contains(&early), "{early}");
    }

    #[test]
    fn both_sets_need_a_sample() {
        assert_eq!(held_out(3, 0.5, 1).unwrap().validation.len(), 2);
        for (samples, share) in [(3, 0.1), (3, 0.9), (0, 0.5), (1, 0.5)] {
            let error = held_out(samples, share, 1).unwrap_err();
            assert!(error.contains(&format!("--validation-split {share}")), "{error}");
        }
        let twice = hold_out(held_out(10, 0.5, 1).unwrap(), HeldOut { share: 0.5, seed: 1 });
        assert!(twice.unwrap_err().to_string().contains("leave one of them out"));
    }
}
