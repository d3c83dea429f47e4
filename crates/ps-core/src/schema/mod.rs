//! What a job understands of a table: which values are numbers, which are missing, what a column holds, what the label is.
//!
//! Pure, and made of counts that can be merged: whoever reads a part of the data sums it up ([`ColumnSummary`],
//! [`LabelSummary`]), and the verdicts ([`first_line`], [`ColumnSummary::kind`], [`LabelSummary::target`]) are functions of
//! the sums. What was understood is a [`Schema`], which goes with the model.

mod column;
mod column_use;
mod decimal;
mod distinct;
mod early;
mod embedding;
mod file;
mod header;
mod label;
mod labels;
mod moments;
mod names;
mod outputs;
mod scale;
mod sums;
mod table;
mod table_part;
mod value;

pub use column::{ColumnKind, ColumnSummary, Doubt};
pub use column_use::{Column, ColumnUse};
pub use distinct::Distinct;
pub use embedding::{EmbeddingRule, IdColumn, UNKNOWN_ID, hashed_id};
pub use header::{FirstLine, first_line};
pub use label::{LabelSummary, Target, class_name, flag};
pub use labels::targets;
pub use moments::Moments;
pub use outputs::{label_scales, output_names};
pub use scale::Scale;
pub use sums::{BeginningLine, COLUMNS_MAX, ColumnSums, LinePlace, TableSums};
pub use table::{SCHEMA_FILE, SCHEMA_VERSION, Schema};
pub use table_part::{ColumnPart, TablePart, TextCount};
pub use value::{MISSING, Value, ValueRules};

#[cfg(test)]
mod tests;
