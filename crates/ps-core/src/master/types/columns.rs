//! What members say of the columns of a table, and are told.

use super::Role;
use crate::schema::TablePart;

/// What a process counted in its share of a table, or a question for the sum.
#[derive(Clone, Debug)]
pub struct ColumnsRequest {
    /// What it will be.
    pub role: Role,
    /// Drawn once per process.
    pub token: u64,
    /// Where it is.
    pub address: String,
    /// Whether every worker counts the same lines: then those of one are enough.
    pub is_same: bool,
    /// How many parts it has; 0 without a table.
    pub parts: u32,
    /// One of them, and which.
    pub part: Option<(u32, TablePart)>,
    /// Which part of the sum it wants.
    pub wanted: u32,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnsAnswer {
    /// Which of its parts is expected next.
    pub next: u32,
    /// Whether the sum of all is fixed.
    pub is_settled: bool,
    /// How many parts the sum has; 0 where the data are no table.
    pub parts: u32,
    /// The part that was wanted.
    pub part: Option<TablePart>,
}
