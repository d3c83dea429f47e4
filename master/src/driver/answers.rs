//! What members are told, once the state that it follows from is on the disk, where that is kept.

use crate::service::{Answer, Call};
use crate::state::StateFile;
use ps_core::master::Machine;

/// Answers that are not said yet.
pub(super) struct Answers {
    state: Option<StateFile>,
    leaves_state: bool,
    has_changed: bool,
    waiting: Vec<Answer>,
}

impl Answers {
    /// Nobody has asked yet. At the end of the job its state is removed, or left to whoever started this process, or to whoever
    /// starts the job again.
    pub(super) fn new(state: Option<StateFile>, leaves_state: bool) -> Self {
        Self { state, leaves_state, has_changed: true, waiting: Vec::new() }
    }

    /// Has a member's call answered; it hears of it later.
    pub(super) fn take(&mut self, call: Call, machine: &mut Machine) {
        let answer = call.answer(machine);
        self.has_changed |= answer.lasts();
        self.waiting.push(answer);
    }

    /// The state is another one, by more than signs of life.
    pub(super) fn changed(&mut self) {
        self.has_changed = true;
    }

    /// Writes down what has changed, then says what follows.
    pub(super) fn say(&mut self, machine: &mut Machine) {
        self.has_changed |= machine.take_news();
        if std::mem::take(&mut self.has_changed)
            && let Some(state) = &mut self.state
        {
            state.write(machine);
        }
        self.waiting.drain(..).for_each(Answer::say);
    }

    /// Whether what was said is written down, so that somebody can go on with it.
    pub(super) fn have_lasting_state(&self) -> bool {
        self.state.as_ref().is_some_and(StateFile::lasts)
    }

    /// The job is over, for now or for good.
    pub(super) fn end(&mut self, machine: &Machine) {
        let Some(state) = self.state.take().filter(|_| !machine.goes_on_later()) else { return };
        state.remove_before_end();
        if !self.leaves_state {
            state.remove();
        }
    }
}
