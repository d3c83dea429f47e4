//! The reader for a format.

use std::path::Path;

use crate::byte_stream::{self, ByteStream};
use crate::csv_file::{NumericReader, TableReader};
use crate::recordio::RecordReader;
use crate::sample_reader::SampleReader;
use crate::stream::StreamSource;
use crate::text::TextReader;
use crate::{Error, Format};

/// A reader of these bytes, which are not gzip any more, in the format that the source has or that
/// was found out.
pub(crate) fn open_reader(
    path: &Path,
    bytes: ByteStream,
    format: Format,
    source: &StreamSource,
) -> Result<Box<dyn SampleReader>, Error> {
    let StreamSource { wrapper, table, schema, context, .. } = source;
    Ok(match format {
        Format::Csv => {
            let text = byte_stream::text(bytes, *wrapper);
            match schema {
                Some(schema) => Box::new(TableReader::new(path, text, schema, *wrapper)),
                None => Box::new(NumericReader::new(path, text, table.clone())),
            }
        }
        Format::RecordioProtobuf => Box::new(RecordReader::new(path, bytes, *wrapper, table.task)),
        Format::Text => {
            Box::new(TextReader::new(path, byte_stream::text(bytes, *wrapper), *context))
        }
        Format::Auto | Format::Idx => {
            return Err(Error::Options(format!(
                "{}: the format `{}` cannot be read sample by sample; name it with --format csv, \
                 --format recordio-protobuf or --format text",
                path.display(),
                format.name()
            )));
        }
    })
}
