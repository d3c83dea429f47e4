//! Models by name.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use ps_core::schema::EmbeddingRule;
use ps_data::Dataset;

use super::lenet::LeNet;
use super::mlp::{Mlp, SoftmaxRegression};
use super::own_data::OwnData;
use super::own_measures::OwnMeasures;
use super::resnet::ResNet;
use super::transformer::Transformer;
use super::wide_deep::WideDeep;
use super::{DataRequest, DataShape, Model, ModelError, ModelOptions, Predicted};

type Build =
    dyn Fn(VarBuilder, &DataShape, &mut ModelOptions) -> Result<Box<dyn Model>> + Send + Sync;

/// The models that a program can train, the built-in ones and the user's own; and what it has for them: data sets and
/// measures of its own.
#[derive(Clone, Default)]
pub struct Models {
    known: BTreeMap<String, KnownModel>,
    data: OwnData,
    measures: OwnMeasures,
}

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
        Self::default()
            .with::<SoftmaxRegression>("linear")
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
        self.known.insert(name.into(), KnownModel { build: Arc::new(build), embedding });
        self
    }

    /// Adds data that `--dataset` names: read or made anew in every process of a job, which must all get the same.
    #[must_use]
    pub fn with_dataset<R>(mut self, name: impl Into<String>, read: R) -> Self
    where
        R: Fn(&mut DataRequest) -> std::result::Result<Dataset, Box<dyn Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        self.data.insert(name.into(), read);
        self
    }

    /// Adds a measure over the whole test or validation set, which metric lines, report, `--keep-measure` and `evaluate` have
    /// by this name: lower-case letters, digits and underscores. `None` where it makes no sense. It is better when it is
    /// larger, unless its name ends in `_loss` or `_error`.
    #[must_use]
    pub fn with_measure<M>(mut self, name: impl Into<String>, measure: M) -> Self
    where
        M: Fn(&Predicted<'_>) -> Option<f64> + Send + Sync + 'static,
    {
        self.measures.insert(name.into(), measure);
        self
    }

    /// Reads data of the program's own.
    ///
    /// # Errors
    /// There are none of this name, they have no such option, or what reading them says.
    pub fn dataset(
        &self,
        name: &str,
        request: DataRequest,
    ) -> std::result::Result<Dataset, String> {
        self.data.read(name, request)
    }

    /// The measures of the program's own.
    ///
    /// # Errors
    /// A name that cannot stand in a metric line.
    pub(super) fn measures(&self) -> std::result::Result<OwnMeasures, ModelError> {
        self.measures.check().map_err(ModelError::Measure)?;
        Ok(self.measures.clone())
    }

    /// Which columns of categories the model of this name looks up where nobody says; none, of a model that is not known.
    pub fn embedding(&self, name: &str) -> EmbeddingRule {
        self.known.get(name).map(|known| known.embedding).unwrap_or_default()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
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
        let Some(KnownModel { build, embedding }) = self.known.get(name) else {
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
