//! What a job understands of a table: which values are numbers, which are missing, what a column holds, what the label is.
//!
//! Pure, and made of counts that can be merged: whoever reads a part of the data sums it up ([`ColumnSummary`],
//! [`LabelSummary`]), and the verdicts ([`first_line`], [`ColumnSummary::kind`], [`LabelSummary::target`]) are functions of
//! the sums. What was understood is a [`Schema`], which goes with the model.

mod column;
mod distinct;
mod header;
mod label;
mod moments;
mod names;
mod table;
mod value;

pub use column::{ColumnKind, ColumnSummary, Doubt};
pub use distinct::Distinct;
pub use header::{FirstLine, first_line};
pub use label::{LabelKind, LabelSummary, Target, class_name};
pub use moments::Moments;
pub use table::{Column, ColumnUse, SCHEMA_FILE, SCHEMA_VERSION, Schema};
pub use value::{MISSING, Value, ValueRules};

#[cfg(test)]
mod tests;
