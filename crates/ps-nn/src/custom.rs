//! A layer of your own.
//!
//! Layers of candle's operations alone need nothing from here: their gradients are found in candle's
//! store when the backward pass has ended, and leave last. A layer whose gradients are to leave while
//! the backward pass goes on is one of candle's custom operations, such as
//! [`CustomOp2`](candle_core::CustomOp2):
//!
//! - before its forward pass it says which parameters it uses ([`mark_used`], [`mark_rows_used`]);
//! - its forward pass computes on slices ([`floats`]) and keeps what the backward pass needs
//!   ([`SavedForBackward`]);
//! - its backward pass computes on the slices of tensors ([`Floats`]), hands the gradient of each
//!   parameter over ([`deliver`], [`deliver_rows`]), into memory that the step before has used
//!   ([`gradient_buffer`]), and returns what it gets for that;
//! - where there is no kernel for the inputs ([`has_kernel`]: on a GPU, or within
//!   [`composed`](crate::composed)), it is made of candle's operations on [`tracked`] parameters.
//!
//! Where nobody collects gradients, as in a loop of one's own, candle's store gets them. A layer that
//! multiplies each row by learnt factors:
//!
//! ```
#![doc = include_str!("../tests/layers/scale.rs")]
//! ```

pub use crate::delivery::{deliver, deliver_rows, gradient_buffer, mark_rows_used, mark_used};
pub use crate::saved::SavedForBackward;
pub use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
pub use crate::tracked::{tracked, tracked_rows};
