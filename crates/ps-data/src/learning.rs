//! Columns of a table that nobody sees whole: what is counted here, and what follows from what all counted.

use std::sync::Arc;

use ps_core::schema::{Schema, TableSums};

use crate::csv_file::{self, Extent};
use crate::file_sets::FileSets;
use crate::{DataSource, Error, Format};

/// Counts the columns in the training files here, or in the beginning of a stream; `None` where they are no table or none.
/// `who` counts names itself in messages to people. Of `workers` processes that read the same files this is one.
///
/// # Errors
/// No known set of files, or one that is damaged; the error names the file.
pub fn table_sums(
    source: &DataSource,
    who: &str,
    (index, workers): (u32, u32),
) -> Result<Option<TableSums>, Error> {
    if source.train.is_none() {
        return Ok(None);
    }
    let FileSets { format, training, .. } = FileSets::find(source)?;
    if format != Format::Csv {
        return Ok(None);
    }
    let samples_max = if source.streamed { source.schema_samples } else { u64::MAX };
    let extent = Extent { samples_max, parts: workers.max(1).into(), part: index.into() };
    csv_file::sums_of_files(&training, &source.table, source.wrapper, extent, who)
}

/// The schema of a table of which all members of a job counted this.
///
/// # Errors
/// Nobody can say what a column holds, or shares contradict each other; the error names the member and its file.
pub fn schema_of_sums(sums: &TableSums, source: &DataSource) -> Result<Arc<Schema>, Error> {
    let mut schema = csv_file::schema_of_sums(sums, &source.table)?;
    if let Some(classes) = source.classes {
        schema.number_classes(classes);
    }
    Ok(Arc::new(schema))
}
