//! Models and settings: layouts, optimizers, schedules.

use super::Error;
use crate::v1;
use ps_core::correction::Correction;
use ps_core::limits::{
    CHUNK_ELEMENTS_MAX, DIMENSIONS_MAX, MODEL_ELEMENTS_MAX, NAME_BYTES_MAX, SHARDS_MAX, TENSORS_MAX,
};
use ps_core::model_spec::ModelSpec;
use ps_core::parameters::UpdateRule;
use ps_core::partition::chunk_elements;
use ps_core::{Layout, TensorKind, TensorSpec};
use ps_kernels::optimizer::{Optimizer, OptimizerKind};
use std::collections::BTreeMap;

impl From<&ModelSpec> for v1::ModelSpec {
    fn from(spec: &ModelSpec) -> Self {
        Self {
            tensors: tensors(spec),
            optimizer: Some((&spec.optimizer).into()),
            correction: correction_to_wire(spec.correction).into(),
            staleness_bound: spec.bound,
            chunk_elements: spec.chunk_elements,
            shards: spec.shards,
        }
    }
}

/// The tensors with their rules.
fn tensors(spec: &ModelSpec) -> Vec<v1::Tensor> {
    let mut tensors: Vec<_> = spec.layout.tensors().iter().map(v1::Tensor::from).collect();
    for (tensor, rule) in tensors.iter_mut().zip(&spec.rules) {
        if *rule != UpdateRule::default() {
            tensor.learning_rate_scale = Some(rule.learning_rate_scale);
            tensor.weight_decay = rule.weight_decay;
        }
    }
    tensors
}

/// The rules of these tensors, in the order of the layout; empty where none has one of its own.
fn rules(layout: &Layout, of: &BTreeMap<String, UpdateRule>) -> Vec<UpdateRule> {
    if of.is_empty() {
        return Vec::new();
    }
    let rule = |tensor: &TensorSpec| of.get(&tensor.name).copied().unwrap_or_default();
    layout.tensors().iter().map(rule).collect()
}

/// What a tensor says of its rule; `None`: the optimizer's.
fn rule(tensor: &v1::Tensor) -> Result<Option<UpdateRule>, Error> {
    let plain = UpdateRule::default();
    let learning_rate_scale = tensor.learning_rate_scale.unwrap_or(plain.learning_rate_scale);
    let rule = UpdateRule { learning_rate_scale, weight_decay: tensor.weight_decay };
    if rule.is_valid() {
        return Ok((rule != plain).then_some(rule));
    }
    let expected = "numbers that are finite and not negative";
    Err(Error::invalid("Tensor", "learning_rate_scale", rule, expected))
}

impl TryFrom<v1::ModelSpec> for ModelSpec {
    type Error = Error;

    fn try_from(spec: v1::ModelSpec) -> Result<Self, Error> {
        const NAME: &str = "ModelSpec";
        let correction = correction_from_wire(NAME, spec.correction())?;
        Error::check(NAME, "shards", spec.shards, 1..=SHARDS_MAX)?;
        Error::check(NAME, "tensors", spec.tensors.len(), 0..=TENSORS_MAX)?;
        let mut own = BTreeMap::new();
        for tensor in &spec.tensors {
            if let Some(rule) = rule(tensor)? {
                own.insert(tensor.name.clone(), rule);
            }
        }
        let tensors: Result<Vec<_>, _> =
            spec.tensors.into_iter().map(TensorSpec::try_from).collect();
        let layout = Layout::new(tensors?)
            .map_err(|error| Error::invalid(NAME, "tensors", error, "a model"))?;
        Error::check(
            NAME,
            "elements of tensors",
            layout.elements() as u64,
            1..=MODEL_ELEMENTS_MAX,
        )?;
        // No number of servers has smaller ones: there would be chunks without number.
        let range = chunk_elements(layout.elements(), SHARDS_MAX)..=CHUNK_ELEMENTS_MAX as u32;
        Error::check(NAME, "chunk_elements", spec.chunk_elements, range)?;
        let optimizer =
            spec.optimizer.ok_or(Error::Missing { message: NAME, field: "optimizer" })?;
        let rules = rules(&layout, &own);
        Ok(Self {
            layout,
            optimizer: Optimizer::try_from(optimizer)?,
            rules,
            correction,
            bound: spec.staleness_bound,
            chunk_elements: spec.chunk_elements,
            shards: spec.shards,
        })
    }
}

impl From<&TensorSpec> for v1::Tensor {
    fn from(tensor: &TensorSpec) -> Self {
        let kind = match tensor.kind {
            TensorKind::Trainable => v1::TensorKind::Trainable,
            TensorKind::State => v1::TensorKind::State,
        };
        Self {
            name: tensor.name.clone(),
            shape: tensor.shape.iter().map(|&dim| dim as u64).collect(),
            kind: kind.into(),
            learning_rate_scale: None,
            weight_decay: None,
        }
    }
}

impl TryFrom<v1::Tensor> for TensorSpec {
    type Error = Error;

    fn try_from(tensor: v1::Tensor) -> Result<Self, Error> {
        const NAME: &str = "Tensor";
        let kind = super::data::kind(NAME, tensor.kind())?;
        Error::check(NAME, "bytes of name", tensor.name.len(), 1..=NAME_BYTES_MAX)?;
        Error::check(NAME, "dimensions of shape", tensor.shape.len(), 0..=DIMENSIONS_MAX)?;
        let dims: Result<Vec<usize>, _> =
            tensor.shape.iter().map(|&dim| usize::try_from(dim)).collect();
        let shape = dims.map_err(|_| {
            Error::invalid(NAME, "shape", format!("{:?}", tensor.shape), "addressable dimensions")
        })?;
        Ok(Self { name: tensor.name, shape, kind })
    }
}

impl From<&Optimizer> for v1::Optimizer {
    fn from(optimizer: &Optimizer) -> Self {
        let mut wire = Self {
            name: optimizer.name().to_owned(),
            weight_decay: optimizer.weight_decay.into(),
            ..Self::default()
        };
        match optimizer.kind {
            OptimizerKind::Sgd => (),
            OptimizerKind::Momentum { momentum } | OptimizerKind::Nesterov { momentum } => {
                wire.momentum = Some(momentum.into());
            }
            OptimizerKind::Adagrad { epsilon } => wire.epsilon = Some(epsilon),
            OptimizerKind::RmsProp { alpha, epsilon } => {
                (wire.alpha, wire.epsilon) = (Some(alpha), Some(epsilon));
            }
            OptimizerKind::Adam { beta1, beta2, epsilon }
            | OptimizerKind::AdamW { beta1, beta2, epsilon } => {
                (wire.beta1, wire.beta2) = (Some(beta1), Some(beta2));
                wire.epsilon = Some(epsilon);
            }
        }
        wire
    }
}

impl TryFrom<v1::Optimizer> for Optimizer {
    type Error = Error;

    fn try_from(wire: v1::Optimizer) -> Result<Self, Error> {
        let invalid = |error: ps_kernels::optimizer::Error| {
            Error::invalid("Optimizer", "name", error, "an optimizer of this version")
        };
        let mut optimizer = Self::parse(&wire.name, None, None).map_err(invalid)?;
        optimizer.weight_decay = wire.weight_decay as f32;
        let set = |field: &mut f64, value: Option<f64>| *field = value.unwrap_or(*field);
        match &mut optimizer.kind {
            OptimizerKind::Sgd => (),
            OptimizerKind::Momentum { momentum } | OptimizerKind::Nesterov { momentum } => {
                *momentum = wire.momentum.map_or(*momentum, |value| value as f32);
            }
            OptimizerKind::Adagrad { epsilon } => set(epsilon, wire.epsilon),
            OptimizerKind::RmsProp { alpha, epsilon } => {
                set(alpha, wire.alpha);
                set(epsilon, wire.epsilon);
            }
            OptimizerKind::Adam { beta1, beta2, epsilon }
            | OptimizerKind::AdamW { beta1, beta2, epsilon } => {
                set(beta1, wire.beta1);
                set(beta2, wire.beta2);
                set(epsilon, wire.epsilon);
            }
        }
        optimizer.validate().map_err(invalid)?;
        Ok(optimizer)
    }
}

fn correction_to_wire(correction: Correction) -> v1::StalenessCorrection {
    match correction {
        Correction::None => v1::StalenessCorrection::None,
        Correction::Auto => v1::StalenessCorrection::Auto,
        Correction::LearningRate => v1::StalenessCorrection::LearningRate,
    }
}

fn correction_from_wire(
    message: &'static str,
    correction: v1::StalenessCorrection,
) -> Result<Correction, Error> {
    match correction {
        v1::StalenessCorrection::None => Ok(Correction::None),
        v1::StalenessCorrection::Auto => Ok(Correction::Auto),
        v1::StalenessCorrection::LearningRate => Ok(Correction::LearningRate),
        v1::StalenessCorrection::Unspecified => {
            Err(Error::Missing { message, field: "correction" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_model_survives_the_wire() {
        let layout = Layout::new(vec![
            TensorSpec::trainable("b", [2, 3]),
            TensorSpec { name: "a".into(), shape: vec![], kind: TensorKind::State },
        ]);
        let spec = ModelSpec {
            layout: layout.unwrap(),
            optimizer: Optimizer::parse("adam", None, Some(0.5)).unwrap(),
            rules: vec![
                UpdateRule { learning_rate_scale: 0.5, weight_decay: Some(0.0) },
                UpdateRule::default(),
            ],
            correction: Correction::LearningRate,
            bound: Some(4),
            chunk_elements: 64,
            shards: 3,
        };
        let mut wire = v1::ModelSpec::from(&spec);
        assert_eq!(ModelSpec::try_from(wire.clone()), Ok(spec));
        let tiny_chunks = v1::ModelSpec { chunk_elements: 1, ..wire.clone() };
        let error = ModelSpec::try_from(tiny_chunks).unwrap_err().to_string();
        assert!(error.contains("`chunk_elements`: found 1"), "{error}");
        let mut wild = wire.clone();
        wild.tensors[0].learning_rate_scale = Some(f32::NAN);
        let error = ModelSpec::try_from(wild).unwrap_err().to_string();
        assert!(error.contains("learning_rate_scale") && error.contains("NaN"), "{error}");
        wire.tensors[0].shape = vec![u64::MAX, u64::MAX];
        assert!(ModelSpec::try_from(wire).is_err());
    }
}
