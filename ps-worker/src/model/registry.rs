//! Models by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use ps_core::schema::EmbeddingRule;

use super::lenet::LeNet;
use super::mlp::{Mlp, SoftmaxRegression};
use super::resnet::ResNet;
use super::transformer::Transformer;
use super::wide_deep::WideDeep;
use super::{DataShape, Model, ModelError, ModelOptions};

type Build =
    dyn Fn(VarBuilder, &DataShape, &mut ModelOptions) -> Result<Box<dyn Model>> + Send + Sync;

/// The models that a program can train: the built-in ones and the user's own.
#[derive(Clone)]
pub struct Models(BTreeMap<String, KnownModel>);

/// A model that has a name.
#[derive(Clone)]
struct KnownModel {
    build: Arc<Build>,
    /// What it looks up.
    embedding: EmbeddingRule,
}

impl Models {
    /// `linear`, `mlp`, `wide-deep`, `lenet`, `resnet-tiny` and `transformer-tiny`.
    pub fn built_in() -> Self {
        let none = Self(BTreeMap::new());
        none.with::<SoftmaxRegression>("linear")
            .with::<Mlp>("mlp")
            .with::<WideDeep>("wide-deep")
            .with::<LeNet>("lenet")
            .with::<ResNet>("resnet-tiny")
            .with::<Transformer>("transformer-tiny")
    }

    /// Adds a model; one of the same name is replaced.
    #[must_use]
    pub fn with<M: Model>(self, name: impl Into<String>) -> Self {
        self.with_builder(name, M::embedding(), |vars, shape, options| {
            Ok(Box::new(M::build(vars, shape, options)?))
        })
    }

    /// Adds a model that is built by a closure, for one that needs more than its options, and looks up what this rule says
    /// ([`Model::embedding`]).
    #[must_use]
    pub fn with_builder<B>(
        mut self,
        name: impl Into<String>,
        embedding: EmbeddingRule,
        build: B,
    ) -> Self
    where
        B: Fn(VarBuilder, &DataShape, &mut ModelOptions) -> Result<Box<dyn Model>>
            + Send
            + Sync
            + 'static,
    {
        self.0.insert(name.into(), KnownModel { build: Arc::new(build), embedding });
        self
    }

    /// Which columns of categories the model of this name looks up where nobody says; none, of a model that is not known.
    pub fn embedding(&self, name: &str) -> EmbeddingRule {
        self.0.get(name).map(|known| known.embedding).unwrap_or_default()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Builds the model of this name.
    ///
    /// # Errors
    /// No such model, an option that it does not have, or what building it says.
    pub fn build(
        &self,
        name: &str,
        vars: VarBuilder,
        shape: &DataShape,
        mut options: ModelOptions,
    ) -> std::result::Result<Box<dyn Model>, ModelError> {
        let Some(KnownModel { build, embedding }) = self.0.get(name) else {
            let known = self.names().collect::<Vec<&str>>().join(", ");
            return Err(ModelError::Unknown { name: name.to_owned(), known });
        };
        if *embedding == EmbeddingRule::Never && !shape.ids.is_empty() {
            let ids = shape.ids.len();
            return Err(ModelError::LooksNothingUp { model: name.to_owned(), ids });
        }
        let model = build(vars, shape, &mut options).map_err(ModelError::candle(format!(
            "building model `{name}` for features of shape {:?}, {} ids and {} outputs, {}",
            shape.features,
            shape.ids.len(),
            shape.outputs,
            shape.task
        )))?;
        match options.left_over() {
            Some(problem) => Err(ModelError::Option { model: name.to_owned(), problem }),
            None => Ok(model),
        }
    }
}
