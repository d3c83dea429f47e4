//! Collects the gradients of a model's parameters on the thread that computes them, and gives each to
//! a sink as soon as it is finished.
//!
//! A parameter that is used in several places is finished when all of them have delivered.

use candle_core::{Result, Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::gradient_sink::{GradientSink, StepStart};
use super::host_copies::HostCopies;
use super::parameter_gradient::{Location, ParameterGradient};
use ps_core::coverage::Coverage;

/// Collects the gradients of a model's parameters for one step.
pub struct GradientCollector {
    positions: Arc<HashMap<TensorId, usize>>,
    parameters: Vec<ParameterState>,
    /// Nothing is emitted before the backward pass has ended.
    is_deferred: bool,
    sink: Box<dyn GradientSink>,
    /// What is on its way from a GPU.
    host_copies: HostCopies,
}

/// What is known of one parameter in this step.
#[derive(Default)]
struct ParameterState {
    /// Uses in the forward pass that have not come back.
    uses: usize,
    /// Rows that were looked up, as long as nothing else used it.
    rows: Option<Vec<u32>>,
    /// Candle's own operations use it too: it is not finished before the whole backward pass is.
    is_shared: bool,
    /// What has come so far.
    gradient: Option<ParameterGradient>,
    is_emitted: bool,
}

impl ParameterState {
    /// The rows that have a gradient, rising; `None` for all.
    fn covered(&self) -> Option<Vec<u32>> {
        let mut rows = self.rows.clone().filter(|_| !self.is_shared)?;
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }
}

thread_local! {
    static COLLECTOR: RefCell<Option<GradientCollector>> = const { RefCell::new(None) };
}

impl GradientCollector {
    /// Collects for these parameters, each of which has a position, and emits into the sink. `shared` says
    /// which of them candle's own operations use, too; `None`: that is yet to be seen, and nothing
    /// is emitted before the backward pass has ended.
    pub fn new(
        positions: Arc<HashMap<TensorId, usize>>,
        shared: Option<&[bool]>,
        sink: Box<dyn GradientSink>,
        host_copies: HostCopies,
    ) -> Self {
        let mut parameters: Vec<ParameterState> = Vec::new();
        // Some have a place and no gradient: they are frozen.
        let places = positions.values().max().map_or(0, |last| last + 1);
        parameters.resize_with(places, ParameterState::default);
        let is_deferred = shared.is_none();
        let mut collector = Self { positions, parameters, is_deferred, sink, host_copies };
        collector.set_shared(shared.unwrap_or_default());
        collector
    }

    /// Says which parameters candle's own operations use, too.
    pub fn set_shared(&mut self, shared: &[bool]) {
        for (parameter, is_shared) in self.parameters.iter_mut().zip(shared) {
            parameter.is_shared = *is_shared;
        }
    }

    /// Runs a forward and backward pass on this thread, and gives the collector back.
    ///
    /// A thread of rayon's that waits for a part of a product may meanwhile run something else,
    /// another model's passes within these too: each finds its own collector.
    pub fn run<R>(self, passes: impl FnOnce() -> R) -> (Option<Self>, R) {
        // Put back even when a pass panics: the thread lives on.
        let outer = OuterCollector(COLLECTOR.replace(Some(self)));
        let result = passes();
        let collector = COLLECTOR.take();
        drop(outer);
        (collector, result)
    }

    /// Acts on the collector of this thread, within [`GradientCollector::run`].
    pub fn with_current(act: impl FnOnce(&mut Self)) {
        COLLECTOR.with_borrow_mut(|collector| collector.as_mut().map(act));
    }

    /// Says what the step will emit.
    pub fn begin(&mut self, start: StepStart) {
        self.sink.begin(start);
    }

    /// What of a parameter has a gradient, if any of it has.
    pub fn coverage(&self, position: usize) -> Coverage {
        match self.parameters[position].covered() {
            Some(rows) => Coverage::Rows(rows.into()),
            None => Coverage::Whole,
        }
    }

    /// Whether a layer has delivered a part of a parameter's gradient.
    pub fn has(&self, position: usize) -> bool {
        let parameter = &self.parameters[position];
        parameter.is_emitted || parameter.gradient.is_some()
    }

    /// After both passes: what candle has of a parameter's gradient is the rest of it.
    ///
    /// Returns whether there is any gradient, or that it was emitted already without this part.
    pub fn finish(
        &mut self,
        position: usize,
        tensor: &Tensor,
        rest: Option<&Tensor>,
    ) -> Result<Completion> {
        let parameter = &mut self.parameters[position];
        if rest.is_some() && !parameter.is_shared {
            return Ok(Completion::TooLate);
        }
        if parameter.is_emitted {
            return Ok(Completion::Done);
        }
        let rest = rest.map(|rest| ParameterGradient::of_tensor(None, rest)).transpose()?;
        let sum = match (parameter.gradient.take(), rest) {
            (None, None) => return Ok(Completion::Absent),
            (Some(only), None) | (None, Some(only)) => only,
            (Some(gradient), Some(rest)) => gradient.added(rest)?,
        };
        // Less than was covered, where the loss does not depend on one of several uses.
        let covering = sum.covering(parameter.covered(), tensor)?;
        self.emit_gradient(position, covering)?;
        Ok(Completion::Done)
    }

    /// Emits zeros.
    pub fn emit_zeros(&mut self, position: usize, tensor: &Tensor) -> Result<()> {
        let covered = self.parameters[position].covered();
        self.emit_gradient(position, ParameterGradient::none().covering(covered, tensor)?)
    }

    /// Emits what did not come from a layer.
    pub fn emit(&mut self, position: usize, value: &Tensor) -> Result<()> {
        self.emit_gradient(position, ParameterGradient::of_tensor(None, value)?)
    }

    /// After both passes: emits what is still on its way from a GPU, and gives back what its
    /// copies need, for the next step.
    pub fn finish_copies(mut self) -> Result<HostCopies> {
        while let Some((position, values)) =
            self.host_copies.next(|length| self.sink.buffer(length))?
        {
            self.sink.finished(position, values);
        }
        Ok(self.host_copies)
    }

    /// Some rows of a parameter are used, or all of it.
    pub(super) fn mark_used(&mut self, position: usize, rows: Option<&[u32]>) {
        let parameter = &mut self.parameters[position];
        match (rows, &mut parameter.rows) {
            (Some(rows), Some(held)) => held.extend_from_slice(rows),
            (Some(rows), none) if parameter.uses == 0 => *none = Some(rows.to_vec()),
            (_, held) => *held = None,
        }
        parameter.uses += 1;
    }

    /// A buffer for a gradient; what is in it counts for nothing.
    pub(super) fn buffer(&mut self, length: usize) -> Vec<f32> {
        self.sink.buffer(length)
    }

    /// Takes the gradient from one of the uses.
    pub(super) fn deliver(&mut self, position: usize, gradient: ParameterGradient) -> Result<()> {
        let parameter = &mut self.parameters[position];
        if parameter.is_emitted {
            candle_core::bail!("a parameter has more gradients than it was marked as used");
        }
        let sum = match parameter.gradient.take() {
            None => gradient,
            Some(before) => before.added(gradient)?,
        };
        parameter.uses = parameter.uses.saturating_sub(1);
        if parameter.uses > 0 || parameter.is_shared || self.is_deferred {
            parameter.gradient = Some(sum);
            return Ok(());
        }
        self.emit_gradient(position, sum)
    }

    /// Emits a finished gradient; one on a GPU as soon as its copy is here.
    fn emit_gradient(&mut self, position: usize, gradient: ParameterGradient) -> Result<()> {
        self.parameters[position].is_emitted = true;
        match gradient.location {
            Location::Host(values) => self.sink.finished(position, values),
            Location::Device(tensor) => self.host_copies.start(position, tensor)?,
        }
        while let Some((position, values)) =
            self.host_copies.arrived(|length| self.sink.buffer(length))?
        {
            self.sink.finished(position, values);
        }
        Ok(())
    }
}

/// What became of a parameter's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It is emitted.
    Done,
    /// There is none.
    Absent,
    /// Candle has a part in it, which nobody has waited for.
    TooLate,
}

/// The collector of the passes within which others run, if there are any.
struct OuterCollector(Option<GradientCollector>);

impl Drop for OuterCollector {
    fn drop(&mut self) {
        COLLECTOR.replace(self.0.take());
    }
}

/// Finds the collector of this parameter's gradient, if somebody collects it.
pub(super) fn with_collector<R>(
    parameter: &Tensor,
    act: impl FnOnce(&mut GradientCollector, usize) -> R,
) -> Option<R> {
    COLLECTOR.with_borrow_mut(|collector| {
        let collector = collector.as_mut()?;
        let position = collector.positions.get(&parameter.id()).copied()?;
        Some(act(collector, position))
    })
}
