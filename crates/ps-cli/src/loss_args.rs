//! The options that say what training makes small.

use ps_core::loss::{Loss, LossKind, Weights};

/// Which loss, and how much each class counts.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Loss")]
pub struct LossArgs {
    /// What training makes small.
    #[arg(long, env = "PS_LOSS", value_parser = crate::choice::<LossKind>(), default_value = "auto")]
    pub loss: LossKind,
    /// huber: the error from which on it counts as absolute, in deviations of the label [default: 1].
    #[arg(long, env = "PS_HUBER_DELTA", value_name = "D")]
    pub huber_delta: Option<f64>,
    /// How much each class, or each of several labels, counts in training: balanced (as if each were as frequent), or
    /// NAME=WEIGHT,.. for some; the others count 1.
    #[arg(long, env = "PS_CLASS_WEIGHTS", value_name = "WEIGHTS")]
    pub class_weights: Option<String>,
    /// How much the second of two classes counts in training, or each of several labels where a sample has it; the first, and
    /// where it has it not, 1.
    #[arg(long, env = "PS_POSITIVE_WEIGHT", value_name = "WEIGHT")]
    pub positive_weight: Option<f64>,
}

impl LossArgs {
    /// The loss.
    ///
    /// # Errors
    /// Numbers out of range, or options that contradict each other.
    pub fn loss(&self) -> Result<Loss, String> {
        let weights = match (&self.class_weights, self.positive_weight) {
            (None, None) => Weights::Equal,
            (Some(text), None) if text.trim() == "balanced" => Weights::Balanced,
            (Some(text), None) => Weights::Named(named(text)?),
            (None, Some(weight)) => Weights::Positive(weight),
            (Some(_), Some(_)) => {
                return Err("--class-weights with --positive-weight: give one of them".to_owned());
            }
        };
        let loss = Loss { kind: self.loss, huber_delta: self.huber_delta, weights };
        loss.validate()?;
        Ok(loss)
    }
}

/// Weights by name.
fn named(text: &str) -> Result<Vec<(String, f64)>, String> {
    let one = |part: &str| {
        // A name may have a sign in it, such as `>=50K`.
        let (name, weight) = part.rsplit_once('=')?;
        Some((name.trim().to_owned(), weight.trim().parse().ok()?))
    };
    let wrong = |part: &str| {
        format!("--class-weights: expected balanced, or NAME=WEIGHT,.., found `{part}`")
    };
    let mut weights: Vec<(String, f64)> = Vec::new();
    for part in text.split(',') {
        let (name, weight) = one(part).ok_or_else(|| wrong(part))?;
        if weights.iter().any(|(known, _)| *known == name) {
            return Err(format!("--class-weights: `{name}` is given twice; give it once"));
        }
        weights.push((name, weight));
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        loss: LossArgs,
    }

    fn loss(line: &[&str]) -> Result<Loss, String> {
        let line = std::iter::once("").chain(line.iter().copied());
        Command::parse_from(line).loss.loss()
    }

    #[test]
    fn weights_are_named_or_follow_from_the_data() {
        assert_eq!(loss(&[]), Ok(Loss::default()));
        assert_eq!(loss(&["--class-weights=balanced"]).unwrap().weights, Weights::Balanced);
        let named = loss(&["--class-weights", "<=50K=1, >50K=3.5"]).unwrap().weights;
        assert_eq!(named, Weights::Named(vec![("<=50K".into(), 1.0), (">50K".into(), 3.5)]));
        assert_eq!(loss(&["--positive-weight=4"]).unwrap().weights, Weights::Positive(4.0));
        assert_eq!(loss(&["--loss=huber", "--huber-delta=2"]).unwrap().huber_delta, Some(2.0));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for (line, words) in [
            (&["--class-weights=even"][..], "found `even`"),
            (&["--class-weights=a=x"], "found `a=x`"),
            (&["--class-weights=y=3,n=1, y=2"], "`y` is given twice"),
            (&["--class-weights=a=0"], "a class weight of 0"),
            (&["--class-weights=balanced", "--positive-weight=2"], "give one of them"),
            (&["--huber-delta=2"], "without --loss huber"),
        ] {
            let error = loss(line).unwrap_err();
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }
}
