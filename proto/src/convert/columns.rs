//! What members count in their shares of a table.

use super::words::{at_most, check_line, one_line};
use super::{Error, check_protocol};
use crate::v1;
use ps_core::limits::{ADDRESS_BYTES_MAX, SAMPLES_MAX};
use ps_core::master::{ColumnsAnswer, ColumnsRequest, Role};
use ps_core::schema::{
    BeginningLine, COLUMNS_MAX, ColumnPart, LinePlace, Moments, TablePart, TextCount,
};

/// Bytes of a file's name, and of whose it is: longer paths are cut.
const FILE_BYTES_MAX: usize = 8 * 1024;

/// Parts of a table: more than a member may send in all.
const PARTS_MAX: u32 = 1 << 20;

impl TryFrom<v1::ColumnsRequest> for ColumnsRequest {
    type Error = Error;

    fn try_from(wire: v1::ColumnsRequest) -> Result<Self, Error> {
        const NAME: &str = "ColumnsRequest";
        check_protocol(NAME, wire.protocol)?;
        let role = match wire.role() {
            v1::Role::Worker => Role::Worker,
            v1::Role::Evaluator => Role::Evaluator,
            v1::Role::Server | v1::Role::Unspecified => {
                return Err(Error::invalid(NAME, "role", "another", "worker or evaluator"));
            }
        };
        check_line(NAME, "address", &wire.address, ADDRESS_BYTES_MAX)?;
        Error::check(NAME, "parts", wire.parts, 0..=PARTS_MAX)?;
        let part = wire.part.map(TablePart::try_from).transpose()?;
        Ok(Self {
            role,
            token: wire.token,
            address: wire.address,
            is_same: wire.is_same,
            parts: wire.parts,
            part: part.map(|part| (wire.number, part)),
            wanted: wire.wanted,
        })
    }
}

impl From<ColumnsAnswer> for v1::ColumnsReply {
    fn from(answer: ColumnsAnswer) -> Self {
        Self {
            next: answer.next,
            is_settled: answer.is_settled,
            parts: answer.parts,
            part: answer.part.map(Into::into),
        }
    }
}

const PART: &str = "TablePart";

impl TryFrom<v1::TablePart> for TablePart {
    type Error = Error;

    fn try_from(wire: v1::TablePart) -> Result<Self, Error> {
        Error::check(PART, "columns", wire.columns, 2..=COLUMNS_MAX as u32)?;
        Error::check(PART, "delimiter", wire.delimiter, 0..=127)?;
        check_counts([("samples", wire.samples)])?;
        Error::check(PART, "unlabelled_column", wire.unlabelled_column, 0..=wire.columns)?;
        let unlabelled = wire.unlabelled.map(line_place);
        Ok(Self {
            columns: wire.columns as usize,
            delimiter: wire.delimiter as u8,
            samples: wire.samples,
            beginnings: wire.beginnings.into_iter().map(beginning).collect::<Result<_, _>>()?,
            unlabelled: unlabelled.map(|place| (place, wire.unlabelled_column as usize)),
            sums: wire.sums.into_iter().map(ColumnPart::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<v1::ColumnPart> for ColumnPart {
    type Error = Error;

    fn try_from(wire: v1::ColumnPart) -> Result<Self, Error> {
        Error::check(PART, "column", wire.column, 0..=COLUMNS_MAX as u32)?;
        let counts = [wire.texts, wire.missing, wire.uncounted];
        let label_counts = [wire.label_whole, wire.label_texts, wire.label_flags];
        check_counts(counts.map(|count| ("counts", count)))?;
        check_counts(label_counts.map(|count| ("label counts", count)))?;
        check_counts([("others", wire.others), ("other_classes", wire.other_classes)])?;
        let place = wire.text_place.map(line_place);
        Ok(Self {
            column: wire.column as usize,
            beginnings: wire.beginnings,
            numbers: numbers(wire.numbers)?,
            counts,
            distinct: texts(wire.distinct)?,
            others: wire.others,
            early: texts(wire.early)?,
            is_label: wire.is_label,
            label_numbers: numbers(wire.label_numbers)?,
            label_counts,
            classes: texts(wire.classes)?,
            other_classes: wire.other_classes,
            respelt: texts(wire.respelt)?,
            text: place.map(|place| (place, wire.text)),
        })
    }
}

/// Each line counts once, and of all members' together the sum is a number still.
fn check_counts<const N: usize>(counts: [(&'static str, u64); N]) -> Result<(), Error> {
    counts.into_iter().try_for_each(|(field, count)| {
        Error::check(PART, field, count, 0..=SAMPLES_MAX * u64::from(u16::MAX))
    })
}

fn texts(wire: Vec<v1::TextCount>) -> Result<Vec<TextCount>, Error> {
    let count = |it: v1::TextCount| {
        check_counts([("count", it.count)])?;
        Ok((it.text, it.count))
    };
    wire.into_iter().map(count).collect()
}

fn line_place(wire: v1::LinePlace) -> LinePlace {
    LinePlace { file: one_line(&wire.file, FILE_BYTES_MAX), line: wire.line }
}

fn beginning(wire: v1::BeginningLine) -> Result<BeginningLine, Error> {
    check_counts([("times", wire.times)])?;
    let place = wire.place.ok_or(Error::Missing { message: PART, field: "place" })?;
    at_most(PART, "file", place.file.len(), FILE_BYTES_MAX)?;
    Ok(BeginningLine {
        place: line_place(place),
        times: wire.times,
        moved: wire.moved.map(line_place),
    })
}

fn numbers(wire: Option<v1::NumberSums>) -> Result<Moments, Error> {
    let Some(it) = wire else { return Ok(Moments::default()) };
    check_counts([("numbers", it.count)])?;
    let sums = [it.sum, it.sum_rest, it.squares, it.squares_rest, it.least, it.most];
    let found = || format!("{} numbers with the sums {sums:?}", it.count);
    Moments::from_numbers(it.count, sums)
        .ok_or_else(|| Error::invalid(PART, "numbers", found(), "sums that numbers can have"))
}

impl From<TablePart> for v1::TablePart {
    fn from(part: TablePart) -> Self {
        let (unlabelled, unlabelled_column) = part.unlabelled.unzip();
        Self {
            columns: part.columns as u32,
            delimiter: part.delimiter.into(),
            samples: part.samples,
            beginnings: part.beginnings.into_iter().map(Into::into).collect(),
            unlabelled: unlabelled.map(Into::into),
            unlabelled_column: unlabelled_column.unwrap_or_default() as u32,
            sums: part.sums.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ColumnPart> for v1::ColumnPart {
    fn from(part: ColumnPart) -> Self {
        let [texts, missing, uncounted] = part.counts;
        let [label_whole, label_texts, label_flags] = part.label_counts;
        let (text_place, text) = part.text.unzip();
        Self {
            column: part.column as u32,
            beginnings: part.beginnings,
            numbers: number_sums(part.numbers),
            texts,
            missing,
            uncounted,
            distinct: text_counts(part.distinct),
            others: part.others,
            early: text_counts(part.early),
            is_label: part.is_label,
            label_numbers: number_sums(part.label_numbers),
            label_whole,
            label_texts,
            label_flags,
            classes: text_counts(part.classes),
            other_classes: part.other_classes,
            respelt: text_counts(part.respelt),
            text: text.unwrap_or_default(),
            text_place: text_place.map(Into::into),
        }
    }
}

fn text_counts(texts: Vec<TextCount>) -> Vec<v1::TextCount> {
    texts.into_iter().map(|(text, count)| v1::TextCount { text, count }).collect()
}

fn number_sums(moments: Moments) -> Option<v1::NumberSums> {
    let [sum, sum_rest, squares, squares_rest, least, most] = moments.to_numbers();
    let count = moments.count;
    let sums = v1::NumberSums { count, sum, sum_rest, squares, squares_rest, least, most };
    (count > 0).then_some(sums)
}

impl From<LinePlace> for v1::LinePlace {
    fn from(place: LinePlace) -> Self {
        Self { file: place.file, line: place.line }
    }
}

impl From<BeginningLine> for v1::BeginningLine {
    fn from(line: BeginningLine) -> Self {
        Self {
            place: Some(line.place.into()),
            times: line.times,
            moved: line.moved.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROTOCOL;

    fn part() -> TablePart {
        let place = |line| LinePlace { file: "host (pid 1): /d/a.csv".to_owned(), line };
        let mut numbers = Moments::default();
        [0.1, 0.2, 1e9].into_iter().for_each(|number| numbers.add(number));
        let texts = |name: &str| vec![(name.to_owned(), 2), ("other".to_owned(), 1)];
        let column = ColumnPart {
            column: 1,
            beginnings: vec!["town".to_owned()],
            numbers,
            counts: [3, 0, 0],
            distinct: texts("Ulm"),
            others: 4,
            early: texts("5"),
            is_label: true,
            label_numbers: numbers,
            label_counts: [1, 2, 3],
            classes: texts("ash"),
            other_classes: 1,
            respelt: texts("1.0"),
            text: Some((place(2), "Ulm".to_owned())),
        };
        TablePart {
            columns: 2,
            delimiter: b';',
            samples: 6,
            beginnings: vec![BeginningLine { place: place(1), times: 3, moved: Some(place(9)) }],
            unlabelled: Some((place(7), 1)),
            sums: vec![column],
        }
    }

    #[test]
    fn a_part_survives_the_wire() {
        assert_eq!(TablePart::try_from(v1::TablePart::from(part())).unwrap(), part());
        let answer = ColumnsAnswer { next: 3, is_settled: true, parts: 4, part: Some(part()) };
        let wire = v1::ColumnsReply::from(answer);
        assert_eq!((wire.next, wire.is_settled, wire.parts), (3, true, 4));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let request = v1::ColumnsRequest {
            role: v1::Role::Worker.into(),
            protocol: PROTOCOL,
            address: "host (pid 1)".into(),
            parts: 1,
            part: Some(part().into()),
            ..v1::ColumnsRequest::default()
        };
        assert!(ColumnsRequest::try_from(request.clone()).is_ok());
        let with = |change: fn(&mut v1::TablePart)| {
            let mut part = v1::TablePart::from(part());
            change(&mut part);
            v1::ColumnsRequest { part: Some(part), ..request.clone() }
        };
        let cases = [
            (v1::ColumnsRequest { role: 1, ..request.clone() }, "`role`"),
            (v1::ColumnsRequest { protocol: 1, ..request.clone() }, "protocol 1"),
            (v1::ColumnsRequest { parts: u32::MAX, ..request.clone() }, "`parts`"),
            (v1::ColumnsRequest { address: "a\nb".into(), ..request.clone() }, "`address`"),
            (with(|part| part.columns = 1), "`columns`"),
            (with(|part| part.columns = u32::MAX), "`columns`"),
            (with(|part| part.delimiter = 300), "`delimiter`"),
            (with(|part| part.samples = u64::MAX), "`samples`"),
            (with(|part| part.beginnings[0].place = None), "`place`"),
            (with(|part| part.beginnings[0].times = u64::MAX), "`times`"),
            (with(|part| part.sums[0].column = u32::MAX), "`column`"),
            (with(|part| part.sums[0].missing = u64::MAX), "`counts`"),
            (with(|part| part.sums[0].distinct[0].count = u64::MAX), "`count`"),
            (with(|part| part.sums[0].numbers.as_mut().unwrap().sum = f64::NAN), "`numbers`"),
        ];
        for (request, part) in cases {
            let error = ColumnsRequest::try_from(request).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
