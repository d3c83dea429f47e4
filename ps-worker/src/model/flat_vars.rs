//! A model's variables as one flat vector, and back.
//!
//! A training loop that already exists needs only this: [`FlatVars::set`] puts pulled weights into
//! the variables, and [`FlatVars::gradient`] makes what is pushed from a backward pass.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, DType, InplaceOp1, Layout as CandleLayout, Result, Storage, Tensor, TensorId, Var,
};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage};
use candle_nn::VarMap;
use ps_core::{Layout, TensorKind, TensorSpec};

use super::ModelError;
use ps_nn::floats;

/// A gradient in layout order.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatGradient {
    /// One value for each element of the model; zeros where `present` is false.
    pub values: Vec<f32>,
    /// Per tensor of the layout: whether the backward pass reached it.
    pub present: Vec<bool>,
}

/// The variables of a [`VarMap`] in the order of their [`Layout`].
pub struct FlatVars {
    layout: Layout,
    vars: Vec<Var>,
    positions: HashMap<TensorId, usize>,
    /// By position.
    frozen: Vec<bool>,
    /// The places of those that are not frozen.
    trained: Arc<HashMap<TensorId, usize>>,
}

impl FlatVars {
    /// The variables that are in the map now; later ones are not seen.
    ///
    /// # Errors
    /// No variable at all, one that is not `f32`, or one under two names.
    pub fn new(map: &VarMap) -> std::result::Result<Self, ModelError> {
        let map = map.data().lock().unwrap_or_else(PoisonError::into_inner);
        let tensors = map.iter().map(|(name, var)| TensorSpec {
            kind: kind(name),
            ..TensorSpec::trainable(name, var.dims())
        });
        let layout = Layout::new(tensors.collect())?;
        let mut vars = Vec::with_capacity(map.len());
        let mut positions = HashMap::with_capacity(map.len());
        for (position, tensor) in layout.tensors().iter().enumerate() {
            let var = &map[&tensor.name];
            if var.dtype() != DType::F32 {
                return Err(ModelError::NotF32 { name: tensor.name.clone(), found: var.dtype() });
            }
            if let Some(first) = positions.insert(var.id(), position) {
                let first = layout.tensors()[first].name.clone();
                return Err(ModelError::Shared { first, second: tensor.name.clone() });
            }
            vars.push(var.clone());
        }
        let frozen = vec![false; vars.len()];
        Ok(Self { layout, vars, trained: Arc::new(positions.clone()), positions, frozen })
    }

    /// Freezes these variables, by position, beside those that are frozen already: they get no gradient.
    ///
    /// # Errors
    /// Nothing is left to train.
    pub fn freeze(&mut self, tensors: &[bool]) -> std::result::Result<(), ModelError> {
        for (frozen, freeze) in self.frozen.iter_mut().zip(tensors) {
            *frozen |= freeze;
        }
        let is_trained = |position: &usize| !self.is_frozen(*position) && !self.is_state(*position);
        if !(0..self.vars.len()).any(|position| is_trained(&position)) {
            return Err(ModelError::AllFrozen);
        }
        let mut trained = self.positions.clone();
        trained.retain(|_, position| !self.frozen[*position]);
        self.trained = Arc::new(trained);
        Ok(())
    }

    /// Whether the tensor of a place is not trained.
    pub fn is_frozen(&self, position: usize) -> bool {
        self.frozen[position]
    }

    /// Names, shapes and places of the variables.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The place of a variable in the layout; `None` for one that was not in the map.
    pub fn position(&self, var: &Var) -> Option<usize> {
        self.positions.get(&var.id()).copied()
    }

    /// The places of the variables that get a gradient, or are state.
    pub(super) fn trained(&self) -> Arc<HashMap<TensorId, usize>> {
        self.trained.clone()
    }

    /// Whether the tensor of a place is one that the model itself changes, as a batch norm its running
    /// statistics.
    pub fn is_state(&self, position: usize) -> bool {
        self.layout.tensors()[position].kind == TensorKind::State
    }

    /// The variables in layout order.
    pub fn vars(&self) -> &[Var] {
        &self.vars
    }

    /// Copies a flat vector into the variables; nothing is allocated.
    ///
    /// # Errors
    /// A vector of another length, or what candle says.
    pub fn set(&self, weights: &[f32]) -> std::result::Result<(), ModelError> {
        let expected = self.layout.elements();
        if weights.len() != expected {
            return Err(ModelError::Length { found: weights.len(), expected });
        }
        for (position, var) in self.vars.iter().enumerate() {
            let values = &weights[self.layout.range(position)];
            let copied = var.inplace_op1(&CopyFrom(values));
            copied.map_err(|source| self.failed("writing", position, source))?;
        }
        Ok(())
    }

    /// Copies the variables into a flat vector.
    ///
    /// # Errors
    /// What candle says.
    pub fn get(&self) -> std::result::Result<Vec<f32>, ModelError> {
        let mut weights = Vec::with_capacity(self.layout.elements());
        for (position, var) in self.vars.iter().enumerate() {
            append(&mut weights, var).map_err(|source| self.failed("reading", position, source))?;
        }
        Ok(weights)
    }

    /// Copies the gradients of the variables into a flat vector; of those that are state, their
    /// values.
    ///
    /// # Errors
    /// What candle says.
    pub fn gradient(&self, gradients: &GradStore) -> std::result::Result<FlatGradient, ModelError> {
        let mut values = Vec::with_capacity(self.layout.elements());
        let mut present = Vec::with_capacity(self.vars.len());
        for (position, var) in self.vars.iter().enumerate() {
            let state = self.is_state(position).then_some(var.as_tensor());
            let gradient = state.or_else(|| gradients.get(var));
            let gradient = gradient.filter(|_| !self.is_frozen(position));
            present.push(gradient.is_some());
            if let Some(gradient) = gradient {
                append(&mut values, gradient)
                    .map_err(|source| self.failed("reading the gradient of", position, source))?;
            }
            // Fills the place of an absent gradient with zeros; a present one has its full size.
            values.resize(self.layout.range(position).end, 0.0);
        }
        Ok(FlatGradient { values, present })
    }

    /// A checksum of each variable's values.
    pub(super) fn digests(&self) -> std::result::Result<Vec<u32>, ModelError> {
        let digest = |(position, var): (usize, &Var)| {
            let digest = digest(var);
            digest.map_err(|source| self.failed("reading", position, source))
        };
        self.vars.iter().enumerate().map(digest).collect()
    }

    pub(super) fn failed(
        &self,
        doing: &str,
        position: usize,
        source: candle_core::Error,
    ) -> ModelError {
        let name = &self.layout.tensors()[position].name;
        ModelError::candle(format!("{doing} variable `{name}`"))(source)
    }
}

/// Running statistics go by the names that PyTorch and candle give them.
fn kind(name: &str) -> TensorKind {
    match name.rsplit('.').next() {
        Some("running_mean" | "running_var") => TensorKind::State,
        _ => TensorKind::Trainable,
    }
}

/// Copies these values over a tensor in place: `Var::set` would allocate a second tensor, which
/// costs three to four times as much on large models.
struct CopyFrom<'a>(&'a [f32]);

impl InplaceOp1 for CopyFrom<'_> {
    fn name(&self) -> &'static str {
        "copy-from"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &CandleLayout) -> Result<()> {
        let (CpuStorage::F32(held), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("a variable that is not contiguous f32");
        };
        held[start..end].copy_from_slice(self.0);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &CandleLayout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a variable that is not contiguous");
        };
        let device = storage.device().clone();
        let mut held = storage.as_cuda_slice_mut::<f32>()?.slice_mut(start..end);
        device.memcpy_htod(self.0, &mut held)
    }
}

/// Appends the values of a tensor.
fn append(flat: &mut Vec<f32>, tensor: &Tensor) -> Result<()> {
    with_values(tensor, |values| flat.extend_from_slice(values))
}

fn digest(tensor: &Tensor) -> Result<u32> {
    let mut digest = 0;
    with_values(tensor, |values| digest = crc32fast::hash(bytemuck::cast_slice(values)))?;
    Ok(digest)
}

/// Looks at the values of a tensor; on a CPU nothing is copied that lies together.
fn with_values(tensor: &Tensor, look: impl FnOnce(&[f32])) -> Result<()> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    if let Storage::Cpu(storage) = &*storage {
        look(floats(storage, layout)?);
        return Ok(());
    }
    drop(storage);
    look(&tensor.flatten_all()?.to_vec1::<f32>()?);
    Ok(())
}
