//! What is learnt by heart beside what is understood (Cheng et al., 2016, "Wide & Deep Learning for Recommender Systems").

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::mlp::{Mlp, SoftmaxRegression};
use super::{Batch, DataShape, Model, ModelOptions};
use ps_core::schema::EmbeddingRule;

/// The sum of `linear` and `mlp`, both over features and ids; options `hidden` and `embed-width` as of `mlp`.
pub(super) struct WideDeep {
    wide: SoftmaxRegression,
    deep: Mlp,
}

impl Model for WideDeep {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let wide = SoftmaxRegression::build(vars.pp("wide"), shape, options)?;
        Ok(Self { wide, deep: Mlp::deep(&vars.pp("deep"), shape, options, 0.0)? })
    }

    fn embedding() -> EmbeddingRule {
        EmbeddingRule::All
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let (wide, deep) = (self.wide.logits(batch)?, self.deep.logits(batch)?);
        (wide + deep).map(Some)
    }
}
