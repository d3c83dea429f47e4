//! Error feedback: what a push leaves out is added to the next gradient.
//!
//! Seide et al., "1-bit stochastic gradient descent", Interspeech 2014; that it converges like plain
//! SGD is in Karimireddy et al., "Error feedback fixes SignSGD", ICML 2019.

use super::Encoding;

/// Adds what earlier pushes left out to a gradient; both are of the same elements.
pub fn add_residual(gradient: &mut [f32], residual: &[f32]) {
    for (value, left) in gradient.iter_mut().zip(residual) {
        *value += left;
    }
}

/// Takes what was sent from what was to be sent, so that `values` becomes what is left out.
///
/// `sent` is encoded: values of all elements, or of those at `positions`. `room` is working memory.
/// Elements that are not finite leave nothing: they would spoil every later push.
pub fn leave_residual(
    values: &mut [f32],
    positions: &[u16],
    encoding: Encoding,
    sent: &[u8],
    room: &mut Vec<f32>,
) {
    let count = if positions.is_empty() { values.len() } else { positions.len() };
    room.resize(count, 0.0);
    encoding.decode(sent, room);
    if positions.is_empty() {
        for (value, sent) in values.iter_mut().zip(room) {
            *value -= *sent;
        }
    } else {
        for (position, sent) in positions.iter().zip(room) {
            values[usize::from(*position)] -= *sent;
        }
    }
    for value in values {
        *value = if value.is_finite() { *value } else { 0.0 };
    }
}
