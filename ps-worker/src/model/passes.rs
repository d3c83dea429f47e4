//! The forward and backward pass of one step, and what they hand over.

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::{Batch, FlatVars, Model, ModelError, scalar};
use ps_core::coverage::Coverage;
use ps_nn::{Completion, GradientCollector, HostCopies};
use ps_nn::{GradientSink, StepStart};

/// What the first step has shown of a model.
#[derive(Default)]
pub(super) struct Passes {
    /// By variable: whether candle's own operations have a part in its gradient. Such a gradient is
    /// finished when the whole backward pass is; the others leave before.
    shared: Option<Vec<bool>>,
    host_copies: HostCopies,
}

impl Passes {
    /// Computes loss and gradient at the weights that the variables hold.
    ///
    /// # Errors
    /// What candle says; in the first step, a variable that gets no gradient, or that the model
    /// changes itself.
    pub(super) fn run(
        &mut self,
        model: &dyn Model,
        vars: &FlatVars,
        batch: &Batch,
        into: Box<dyn GradientSink>,
    ) -> Result<(), ModelError> {
        let before = if self.shared.is_none() { Some(vars.digests()?) } else { None };
        let host_copies = std::mem::take(&mut self.host_copies);
        let collector =
            GradientCollector::new(vars.trained(), self.shared.as_deref(), into, host_copies);
        let (collector, passed) = collector.run(|| self.passes(model, vars, batch));
        let (step, gradients) = passed?;
        let mut collector = collector.ok_or(ModelError::NoCollector)?;
        if let Some(before) = before {
            let shared = vars.vars().iter().map(|var| gradients.get(var).is_some());
            let shared: Vec<bool> = shared.collect();
            check_first_step(vars, &before, &collector, &shared)?;
            collector.set_shared(&shared);
            collector.begin(step.begun(vars, &collector));
            self.shared = Some(shared);
            step.hand_over_state(vars, &mut collector)?;
        }
        hand_over_rest(vars, &gradients, &step, &mut collector)?;
        self.host_copies = collector
            .finish_copies()
            .map_err(ModelError::candle("copying gradients from the GPU"))?;
        Ok(())
    }

    fn passes(
        &self,
        model: &dyn Model,
        vars: &FlatVars,
        batch: &Batch,
    ) -> Result<(Forward, GradStore), ModelError> {
        let loss = model.loss(batch).map_err(ModelError::candle("computing the loss"))?;
        let step = Forward::new(vars, &loss, batch.samples())?;
        if self.shared.is_some() {
            let mut state = Ok(());
            GradientCollector::with_current(|collector| {
                collector.begin(step.begun(vars, collector));
                state = step.hand_over_state(vars, collector);
            });
            state?;
        }
        let gradients =
            loss.backward().map_err(ModelError::candle("computing the gradient of the loss"))?;
        Ok((step, gradients))
    }
}

/// What is known after the forward pass.
struct Forward {
    loss: f64,
    samples: u64,
    /// By variable: whether the loss depends on it.
    reached: Vec<bool>,
}

impl Forward {
    fn new(vars: &FlatVars, loss: &Tensor, samples: usize) -> Result<Self, ModelError> {
        let value = scalar(loss).map_err(ModelError::candle("reading the loss"))?;
        let (positions, mut reached) = (vars.trained(), vec![false; vars.vars().len()]);
        for node in loss.sorted_nodes() {
            if let Some(&position) = positions.get(&node.id()) {
                reached[position] = true;
            }
        }
        Ok(Self { loss: value, samples: samples as u64, reached })
    }

    fn begun(&self, vars: &FlatVars, collector: &GradientCollector) -> StepStart {
        let coverage = |position: usize| match vars.is_state(position) {
            _ if vars.is_frozen(position) => Coverage::Absent,
            true => Coverage::Whole,
            false if !self.reached[position] => Coverage::Absent,
            false => collector.coverage(position),
        };
        let coverage = (0..self.reached.len()).map(coverage).collect();
        StepStart { loss: self.loss, samples: self.samples, coverage }
    }

    /// What the model itself changes, it has changed by now.
    fn hand_over_state(
        &self,
        vars: &FlatVars,
        collector: &mut GradientCollector,
    ) -> Result<(), ModelError> {
        for (position, var) in vars.vars().iter().enumerate() {
            if vars.is_state(position) && !vars.is_frozen(position) {
                let handed = collector.emit(position, var);
                handed.map_err(|source| vars.failed("reading", position, source))?;
            }
        }
        Ok(())
    }
}

/// Hands over what has not left yet.
fn hand_over_rest(
    vars: &FlatVars,
    gradients: &GradStore,
    step: &Forward,
    collector: &mut GradientCollector,
) -> Result<(), ModelError> {
    for (position, var) in vars.vars().iter().enumerate() {
        if vars.is_state(position) || vars.is_frozen(position) {
            continue;
        }
        let failed = |source| vars.failed("reading the gradient of", position, source);
        match collector.finish(position, var, gradients.get(var)).map_err(failed)? {
            Completion::Done => (),
            Completion::Absent if step.reached[position] => {
                collector.emit_zeros(position, var).map_err(failed)?;
            }
            Completion::Absent => (),
            Completion::TooLate => return Err(ModelError::LateGradient(name(vars, position))),
        }
    }
    Ok(())
}

/// Looks once for what candle does without a word: variables that get no gradient, and ones that the
/// model changes itself.
fn check_first_step(
    vars: &FlatVars,
    before: &[u32],
    collector: &GradientCollector,
    shared: &[bool],
) -> Result<(), ModelError> {
    let differ = before.iter().zip(vars.digests()?).map(|(before, now)| *before != now);
    let mut changed = differ.enumerate().filter(|(position, _)| !vars.is_state(*position));
    if let Some((position, _)) = changed.find(|(_, differs)| *differs) {
        return Err(ModelError::ChangedByModel(name(vars, position)));
    }
    let without = |position: &usize| {
        let is_trained = !vars.is_state(*position) && !vars.is_frozen(*position);
        is_trained && !shared[*position] && !collector.has(*position)
    };
    let without = (0..shared.len()).filter(without);
    let without: Vec<String> = without.map(|position| name(vars, position)).collect();
    if without.is_empty() { Ok(()) } else { Err(ModelError::NoGradient(without.join("`, `"))) }
}

fn name(vars: &FlatVars, position: usize) -> String {
    vars.layout().tensors()[position].name.clone()
}
