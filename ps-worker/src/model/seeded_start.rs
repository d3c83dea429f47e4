//! Start values from the job's seed, in the place of candle's generator, which cannot be seeded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, VarMap};

use ps_core::limits::{MODEL_ELEMENTS_MAX, TENSORS_MAX};
use ps_core::random::Random;

/// Makes variables whose start values depend on the seed, the variable's name, its shape and the
/// distribution that the model asks for: not on the order in which the model asks, nor the machine.
///
/// It is cheap to clone; clones share the variables.
#[derive(Clone)]
pub struct SeededStart {
    seed: u64,
    vars: VarMap,
    distributions: Arc<Mutex<BTreeMap<String, Init>>>,
}

impl SeededStart {
    /// Adds variables to this map as they are asked for.
    pub fn new(seed: u64, vars: VarMap) -> Self {
        Self { seed, vars, distributions: Arc::default() }
    }

    /// What a model is built from.
    pub fn builder(&self, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), DType::F32, device.clone())
    }

    /// The start values that a variable made here has for a seed; `None` for any other variable.
    pub fn values(&self, seed: u64, name: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let mut values = Vec::new();
        self.append_values(seed, name, shape, &mut values).then_some(values)
    }

    /// Appends them; whether the variable was made here.
    pub(super) fn append_values(
        &self,
        seed: u64,
        name: &str,
        shape: &[usize],
        to: &mut Vec<f32>,
    ) -> bool {
        let distributions = self.distributions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(distribution) = distributions.get(name) else { return false };
        start_values(seed, name, &Shape::from(shape), *distribution, to);
        true
    }
}

impl SimpleBackend for SeededStart {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        distribution: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        if dtype != DType::F32 {
            candle_core::bail!("variable `{name}` is asked for as {dtype:?}; only F32 is trained");
        }
        let mut vars = self.vars.data().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(var) = vars.get(name) {
            if var.shape() != &shape {
                candle_core::bail!(
                    "variable `{name}` is asked for as {shape:?} and as {:?}; give each its own \
                     name, for example with `vars.pp(..)`",
                    var.shape()
                );
            }
            return Ok(var.as_tensor().clone());
        }
        let before = vars.values().map(|var| var.elem_count() as u64).sum::<u64>();
        let count = shape.dims().iter().try_fold(1_u64, |all, size| all.checked_mul(*size as u64));
        let all = count.and_then(|count| count.checked_add(before));
        if all.is_none_or(|all| all > MODEL_ELEMENTS_MAX) {
            candle_core::bail!(
                "variable `{name}` of shape {shape:?}, after {before} elements: a model may have \
                 {MODEL_ELEMENTS_MAX}; give smaller layers"
            );
        }
        if vars.len() >= TENSORS_MAX {
            candle_core::bail!(
                "variable `{name}`: a model may have {TENSORS_MAX} of them; give fewer layers"
            );
        }
        let mut values = Vec::new();
        if values.try_reserve_exact(shape.elem_count()).is_err() {
            candle_core::bail!(
                "variable `{name}` of shape {shape:?}: there is not enough memory for it; give \
                 smaller layers"
            );
        }
        start_values(self.seed, name, &shape, distribution, &mut values);
        let var = Var::from_vec(values, shape, device)?;
        let tensor = var.as_tensor().clone();
        vars.insert(name.to_owned(), var);
        let mut distributions = self.distributions.lock().unwrap_or_else(PoisonError::into_inner);
        distributions.insert(name.to_owned(), distribution);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _dtype: DType, _device: &Device) -> Result<Tensor> {
        let vars = self.vars.data().lock().unwrap_or_else(PoisonError::into_inner);
        match vars.get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => candle_core::bail!(
                "variable `{name}` is asked for without a shape before it exists; ask with a shape"
            ),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.vars.data().lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}

fn start_values(seed: u64, name: &str, shape: &Shape, distribution: Init, to: &mut Vec<f32>) {
    let mut random = Random::for_tensor(seed, name);
    let count = shape.elem_count();
    let mut uniform = |lowest: f64, end: f64| {
        to.extend((0..count).map(|_| (lowest + (end - lowest) * random.uniform()) as f32));
    };
    let (mean, deviation) = match distribution {
        Init::Const(value) => return to.extend(std::iter::repeat_n(value as f32, count)),
        Init::Uniform { lo, up } => return uniform(lo, up),
        Init::Randn { mean, stdev } => (mean, stdev),
        Init::Kaiming { dist, fan, non_linearity } => {
            let deviation = non_linearity.gain() / (fan.for_shape(shape).max(1) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => (0.0, deviation),
                // A uniform distribution of this width has this deviation.
                NormalOrUniform::Uniform => {
                    let bound = 3_f64.sqrt() * deviation;
                    return uniform(-bound, bound);
                }
            }
        }
    };
    to.extend((0..count).map(|_| (mean + deviation * random.normal()) as f32));
}
