//! Rows of tables, one for each column of ids, side by side.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use ps_core::schema::IdColumn;
use ps_nn::Embedding;

/// Deviation of the start values: about that of what hidden layers give, so that no column is louder than the features.
const DEVIATION: f64 = 0.05;

/// The widest row that is chosen by itself.
const WIDTH_MAX: usize = 50;

/// A table for each column of ids (an embedding, named `column1` and so on); a sample has one row of each, side by side.
pub struct LookedUp {
    tables: Vec<Embedding>,
    width: usize,
}

impl LookedUp {
    /// Tables for these columns, whose rows are as wide as `width` says.
    ///
    /// # Errors
    /// What candle says.
    pub fn new(
        vars: &VarBuilder,
        columns: &[IdColumn],
        width: impl Fn(&IdColumn) -> usize,
    ) -> Result<Self> {
        Self::of_deviation(vars, columns, DEVIATION, width)
    }

    /// The same with rows that begin as nothing, for what is added up.
    pub(super) fn of_zeros(vars: &VarBuilder, columns: &[IdColumn], width: usize) -> Result<Self> {
        Self::of_deviation(vars, columns, 0.0, |_| width)
    }

    fn of_deviation(
        vars: &VarBuilder,
        columns: &[IdColumn],
        deviation: f64,
        width: impl Fn(&IdColumn) -> usize,
    ) -> Result<Self> {
        let (mut tables, mut all) = (Vec::with_capacity(columns.len()), 0);
        for (at, column) in columns.iter().enumerate() {
            let (rows, width) = (column.vocabulary as usize, width(column));
            let vars = vars.pp(format!("column{}", at + 1));
            tables.push(Embedding::new(rows, width, deviation, vars)?);
            all += width;
        }
        Ok(Self { tables, width: all })
    }

    /// Values of all rows of a sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows of these ids `[samples, columns]`, side by side: `[samples, width]`; `None` without columns.
    ///
    /// # Errors
    /// An id beyond its table, or another number of columns.
    pub fn forward(&self, ids: &Tensor) -> Result<Option<Tensor>> {
        let rows = self.rows(ids)?;
        match rows.is_empty() {
            true => Ok(None),
            false => Tensor::cat(&rows, D::Minus1).map(Some),
        }
    }

    /// The sum of all rows of a sample, which must be of one width: `[samples, width]`; `None` without columns.
    pub(super) fn sum(&self, ids: &Tensor) -> Result<Option<Tensor>> {
        let mut rows = self.rows(ids)?.into_iter();
        let Some(first) = rows.next() else { return Ok(None) };
        rows.try_fold(first, |sum, row| sum + row).map(Some)
    }

    fn rows(&self, ids: &Tensor) -> Result<Vec<Tensor>> {
        let columns = ids.dim(1)?;
        if columns != self.tables.len() {
            candle_core::bail!("{columns} ids of a sample, expected {}", self.tables.len());
        }
        let row =
            |(at, table): (usize, &Embedding)| table.forward(&ids.narrow(1, at, 1)?.squeeze(1)?);
        self.tables.iter().enumerate().map(row).collect()
    }
}

/// How wide a row is, unless somebody says: `1.6 * rows^0.56`, at most 50 (the rule of the library fastai).
pub(super) fn usual_width(column: &IdColumn) -> usize {
    let width = 1.6 * f64::from(column.vocabulary).powf(0.56);
    (width.round() as usize).clamp(1, WIDTH_MAX)
}

/// What a model's option `embed-width` says: this width for all columns, or 0 for the usual one.
pub(super) fn width_or_usual(option: usize) -> impl Fn(&IdColumn) -> usize {
    move |column| if option > 0 { option } else { usual_width(column) }
}
