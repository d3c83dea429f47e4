//! The options that say how wide and deep a built-in model is.

/// Widths and depths; a model refuses those that it does not have.
#[derive(clap::Args, Clone, Debug, Default, serde::Serialize)]
#[command(next_help_heading = "Model and data")]
pub struct ShapeArgs {
    /// mlp: widths of the hidden layers [default: 512,512]; lenet: width of the one [default: 512].
    #[arg(long, env = "PS_HIDDEN", value_name = "WIDTHS")]
    pub hidden: Option<String>,
    /// Channels of lenet's convolutions [default: 32,64], of resnet-tiny's stages [default:
    /// 16,32,64].
    #[arg(long, env = "PS_CHANNELS", value_name = "COUNTS")]
    pub channels: Option<String>,
    /// resnet-tiny: residual blocks in each stage [default: 1].
    #[arg(long, env = "PS_BLOCKS", value_name = "N")]
    pub blocks: Option<String>,
    /// transformer-tiny: width of its layers [default: 256].
    #[arg(long, env = "PS_WIDTH", value_name = "N")]
    pub width: Option<String>,
    /// transformer-tiny: how many layers [default: 4].
    #[arg(long, env = "PS_LAYERS", value_name = "N")]
    pub layers: Option<String>,
    /// transformer-tiny: heads of its attention, which share the width evenly [default: 4].
    #[arg(long, env = "PS_HEADS", value_name = "N")]
    pub heads: Option<String>,
    /// transformer-tiny: share of the values that are dropped while training [default: 0].
    #[arg(long, env = "PS_DROPOUT", value_name = "SHARE")]
    pub dropout: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::values;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        shape: ShapeArgs,
    }

    #[test]
    fn every_option_has_the_name_that_models_know_it_by() {
        let names = ["hidden", "channels", "blocks", "width", "layers", "heads", "dropout"];
        for name in names {
            let command = Command::parse_from(["", &format!("--{name}=3")]);
            assert_eq!(values(&command.shape), [(name.to_owned(), "3".to_owned())]);
        }
    }
}
