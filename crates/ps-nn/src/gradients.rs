//! Where the gradients of parameters go: to whoever collects them on this thread as soon as each is
//! finished, or to candle's own store where nobody does.
//!
//! A layer's forward pass says which parameters it [`uses`](used); its backward pass
//! [`delivers`](deliver) their gradients. One that is used in several places is finished when all of
//! them have delivered.

use candle_core::{Result, Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::downloads::Downloads;
use super::handover::{Begun, Handover};
use super::values::{Held, Values};
use ps_core::coverage::Coverage;

/// Collects the gradients of a model's parameters for one step.
pub struct Collector {
    positions: Arc<HashMap<TensorId, usize>>,
    parameters: Vec<Parameter>,
    /// Nothing leaves before the backward pass has ended.
    holds: bool,
    into: Box<dyn Handover>,
    /// What has left a GPU and is not handed over yet.
    downloads: Downloads,
}

/// What is known of one parameter in this step.
#[derive(Default)]
struct Parameter {
    /// Uses in the forward pass that have not come back.
    uses: usize,
    /// Rows that were looked up, as long as nothing else used it.
    rows: Option<Vec<u32>>,
    /// Candle's own operations use it too: it is not finished before the whole backward pass is.
    is_shared: bool,
    /// What has come so far.
    gradient: Option<Values>,
    is_handed_over: bool,
}

impl Parameter {
    /// The rows that have a gradient, rising; `None` for all.
    fn covered(&self) -> Option<Vec<u32>> {
        let mut rows = self.rows.clone().filter(|_| !self.is_shared)?;
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }
}

thread_local! {
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

impl Collector {
    /// Collects for these parameters, each of which has a position, and hands over. `shared` says
    /// which of them candle's own operations use, too; `None`: that is yet to be seen, and nothing
    /// leaves before the backward pass has ended.
    pub fn new(
        positions: Arc<HashMap<TensorId, usize>>,
        shared: Option<&[bool]>,
        into: Box<dyn Handover>,
        downloads: Downloads,
    ) -> Self {
        let mut parameters: Vec<Parameter> = Vec::new();
        parameters.resize_with(positions.len(), Parameter::default);
        let holds = shared.is_none();
        let mut collector = Self { positions, parameters, holds, into, downloads };
        collector.share(shared.unwrap_or_default());
        collector
    }

    /// Says which parameters candle's own operations use, too.
    pub fn share(&mut self, shared: &[bool]) {
        for (parameter, is_shared) in self.parameters.iter_mut().zip(shared) {
            parameter.is_shared = *is_shared;
        }
    }

    /// Runs a forward and backward pass on this thread, and gives the collector back.
    ///
    /// A thread of rayon's that waits for a part of a product may meanwhile run something else,
    /// another model's passes within these too: each finds its own collector.
    pub fn during<R>(self, passes: impl FnOnce() -> R) -> (Option<Self>, R) {
        // Put back even when a pass panics: the thread lives on.
        let outer = Outer(COLLECTOR.replace(Some(self)));
        let result = passes();
        let collector = COLLECTOR.take();
        drop(outer);
        (collector, result)
    }

    /// Within [`Collector::during`].
    pub fn with(act: impl FnOnce(&mut Self)) {
        COLLECTOR.with_borrow_mut(|collector| collector.as_mut().map(act));
    }

    /// Says what the step will hand over.
    pub fn begin(&mut self, begun: Begun) {
        self.into.begin(begun);
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
        parameter.is_handed_over || parameter.gradient.is_some()
    }

    /// After both passes: what candle has of a parameter's gradient is the rest of it.
    ///
    /// Returns whether there is any gradient, or that it has left already without this part.
    pub fn finish(
        &mut self,
        position: usize,
        tensor: &Tensor,
        rest: Option<&Tensor>,
    ) -> Result<Finish> {
        let parameter = &mut self.parameters[position];
        if rest.is_some() && !parameter.is_shared {
            return Ok(Finish::TooLate);
        }
        if parameter.is_handed_over {
            return Ok(Finish::Done);
        }
        let rest = rest.map(|rest| Values::of_tensor(None, rest)).transpose()?;
        let sum = match (parameter.gradient.take(), rest) {
            (None, None) => return Ok(Finish::Absent),
            (Some(only), None) | (None, Some(only)) => only,
            (Some(held), Some(rest)) => held.added(rest)?,
        };
        // Less than was covered, where the loss does not depend on one of several uses.
        let covering = sum.covering(parameter.covered(), tensor)?;
        self.leave(position, covering)?;
        Ok(Finish::Done)
    }

    /// Hands over zeros.
    pub fn zeros(&mut self, position: usize, tensor: &Tensor) -> Result<()> {
        let covered = self.parameters[position].covered();
        self.leave(position, Values::none().covering(covered, tensor)?)
    }

    /// Hands over what did not come from a layer.
    pub fn value(&mut self, position: usize, value: &Tensor) -> Result<()> {
        self.leave(position, Values::of_tensor(None, value)?)
    }

    /// After both passes: hands over what is still on its way from a GPU, and gives back what its
    /// copies need, for the next step.
    pub fn settle(mut self) -> Result<Downloads> {
        while let Some((position, values)) = self.downloads.next(|length| self.into.room(length))? {
            self.into.finished(position, values);
        }
        Ok(self.downloads)
    }

    fn deliver(&mut self, position: usize, values: Values) -> Result<()> {
        let parameter = &mut self.parameters[position];
        let sum = match parameter.gradient.take() {
            None => values,
            Some(held) => held.added(values)?,
        };
        parameter.uses = parameter.uses.saturating_sub(1);
        if parameter.uses > 0 || parameter.is_shared || self.holds {
            parameter.gradient = Some(sum);
            return Ok(());
        }
        self.leave(position, sum)
    }

    /// Hands a finished gradient over; one on a GPU as soon as its copy is here.
    fn leave(&mut self, position: usize, values: Values) -> Result<()> {
        self.parameters[position].is_handed_over = true;
        match values.into_held() {
            Held::Here(values) => self.into.finished(position, values),
            Held::OnDevice(tensor) => self.downloads.start(position, tensor)?,
        }
        while let Some((position, values)) =
            self.downloads.arrived(|length| self.into.room(length))?
        {
            self.into.finished(position, values);
        }
        Ok(())
    }
}

/// What became of a parameter's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is handed over.
    Done,
    /// There is none.
    Absent,
    /// Candle has a part in it, which nobody has waited for.
    TooLate,
}

/// The collector of the passes within which others run, if there are any.
struct Outer(Option<Collector>);

impl Drop for Outer {
    fn drop(&mut self) {
        COLLECTOR.replace(self.0.take());
    }
}

/// A layer's forward pass uses a parameter.
pub(super) fn used(parameter: &Tensor) {
    with_parameter(parameter, |parameter| {
        parameter.uses += 1;
        parameter.rows = None;
    });
}

/// A layer's forward pass uses some rows of a parameter.
pub(super) fn used_rows(parameter: &Tensor, rows: &[u32]) {
    with_parameter(parameter, |parameter| {
        match &mut parameter.rows {
            Some(held) => held.extend_from_slice(rows),
            None if parameter.uses == 0 => parameter.rows = Some(rows.to_vec()),
            None => (),
        }
        parameter.uses += 1;
    });
}

fn with_parameter(tensor: &Tensor, note: impl FnOnce(&mut Parameter)) {
    COLLECTOR.with_borrow_mut(|collector| {
        let Some(collector) = collector else { return };
        if let Some(&position) = collector.positions.get(&tensor.id()) {
            note(&mut collector.parameters[position]);
        }
    });
}

/// A buffer for a gradient; what is in it counts for nothing.
pub(super) fn room(length: usize) -> Vec<f32> {
    let room = COLLECTOR.with_borrow_mut(|collector| Some(collector.as_mut()?.into.room(length)));
    room.unwrap_or_else(|| vec![0.0; length])
}

/// A layer's backward pass has the gradient of a parameter; what is returned is for candle.
pub(super) fn deliver(parameter: &Tensor, values: Vec<f32>) -> Result<Option<Tensor>> {
    hand_over(parameter, Values::new(None, values))
}

/// The same for some rows of a table, rising; `values` has the rows one after another.
pub(super) fn deliver_rows(
    parameter: &Tensor,
    rows: Vec<u32>,
    values: Vec<f32>,
) -> Result<Option<Tensor>> {
    hand_over(parameter, Values::new(Some(rows), values))
}

/// Candle's operations have the gradient of a parameter, or of these rows of it.
pub(super) fn deliver_tensor(
    parameter: &Tensor,
    rows: Option<Vec<u32>>,
    gradient: &Tensor,
) -> Result<Option<Tensor>> {
    hand_over(parameter, Values::of_tensor(rows, gradient)?)
}

/// Whether somebody collects this parameter's gradient.
pub(super) fn is_collected(parameter: &Tensor) -> bool {
    COLLECTOR.with_borrow(|collector| {
        let Some(collector) = collector else { return false };
        collector.positions.contains_key(&parameter.id())
    })
}

/// Gives the gradient back, for candle, where nobody collects it.
fn hand_over(parameter: &Tensor, values: Values) -> Result<Option<Tensor>> {
    COLLECTOR.with_borrow_mut(|collector| {
        let known = collector.as_mut().and_then(|collector| {
            let position = collector.positions.get(&parameter.id()).copied()?;
            Some((collector, position))
        });
        match known {
            Some((collector, position)) => collector.deliver(position, values).map(|()| None),
            None => values.like(parameter).map(Some),
        }
    })
}
