//! Columns of categories that are looked up: ids beside features.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::common::assert_says;
use ps_core::schema::{Column, ColumnUse, EmbeddingRule, IdColumn, SCHEMA_VERSION, Schema};
use ps_data::{
    DataSource, Dataset, EmbedChoice, Error, InputWidth, Inputs, SampleEncoder, SampleSet,
    SchemaReader, TableOptions, UnseenTexts,
};

/// A city of so many, and a number; some cities are missing.
fn table(cities: usize, rows: usize) -> String {
    let mut text = "city,size,label\n".to_owned();
    for row in 0..rows {
        let city = if row % 11 == 9 { String::new() } else { format!("c{:05}", row % cities) };
        writeln!(text, "{city},{},{}", row % 7, row % 2).unwrap();
    }
    text
}

fn load(text: &str, test: &str, table: TableOptions) -> Result<Dataset, Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), text).unwrap();
    if !test.is_empty() {
        fs::write(dir.path().join("test.csv"), test).unwrap();
    }
    ps_data::load(&DataSource { table, ..DataSource::folder(dir.path()) })
}

fn looking_up(embedding: EmbeddingRule, embed: &str) -> TableOptions {
    TableOptions { embedding, embed: embed.parse().unwrap(), ..TableOptions::default() }
}

#[test]
fn ids_go_with_their_samples() {
    let test = "city,size,label\nc00299,1,0\nunknown,2,1\n,3,0\n";
    let data = load(&table(300, 3_000), test, looking_up(EmbeddingRule::Large, "auto")).unwrap();
    let ids = vec![IdColumn { name: "city".into(), vocabulary: 301 }];
    assert_eq!((data.train.shape(), &data.ids), (&[1][..], &ids));
    let (inputs, labels) = data.train.gather(&[2, 9, 301]).unwrap();
    // What is missing is 0, the first category 1.
    assert_eq!((inputs.ids, labels.classes()), (vec![3, 0, 2], &[0, 1, 1][..]));
    assert_eq!(inputs.features.len(), 3);
    let (inputs, _) = data.test.gather(&[0, 1, 2]).unwrap();
    assert_eq!(inputs.ids, [300, 0, 0]);
    // Parts of a set keep them.
    let part = data.train.clone().every(10, 2);
    assert_eq!(part.gather(&[0, 1]).unwrap().0.ids, [3, 13]);
    assert_eq!(SampleSet::id_columns(&data), 1);
}

#[test]
fn a_sample_by_itself_has_the_ids_that_it_has_in_a_file() {
    let data = load(&table(300, 3_000), "", looking_up(EmbeddingRule::All, "auto"));
    let data = data.unwrap();
    let (expected, _) = data.train.gather(&[5, 20]).unwrap();
    let schema = data.schema.unwrap();
    let text = serde_json::to_string(&*schema).unwrap();
    // As it is beside a model.
    let mut encoder = SampleEncoder::new(&Arc::new(serde_json::from_str(&text).unwrap()));
    let mut inputs = Inputs::default();
    for values in [["c00005", "5", ""], ["", "6", ""]] {
        encoder.encode(&values.map(str::to_owned), &mut inputs).unwrap();
    }
    assert_eq!(inputs, expected);
    assert_eq!(InputWidth { features: 1, ids: 1 }.samples(&inputs), Some(2));
}

#[test]
fn a_table_of_categories_alone_has_samples_without_numbers() {
    let text = "colour,shape,label\nred,round,a\nblue,square,b\nred,square,a\n";
    let data = load(text, "", looking_up(EmbeddingRule::Large, "all")).unwrap();
    assert_eq!((data.train.len(), data.train.shape(), data.train.id_columns()), (3, &[0][..], 2));
    assert_eq!(data.train.gather(&[1, 2]).unwrap().0.ids, [1, 2, 2, 2]);
}

#[test]
fn who_says_nothing_and_cannot_look_up_hears_what_to_do() {
    assert_says(
        load(&table(300, 3_000), "", TableOptions::default()),
        &["column 1 (`city`)", "300 categories, such as `c00000`", "--ignore 1", "wide-deep"],
    );
    assert_says(
        load(&table(2_000, 3_000), "", looking_up(EmbeddingRule::Large, "auto")),
        &["column 1 (`city`)", "distinct texts in 2728 values", "--ignore 1", "--categorical 1"],
    );
    assert!(load(&table(2_000, 3_000), "", looking_up(EmbeddingRule::Large, "city")).is_ok());
}

#[test]
fn more_texts_than_have_names_are_hashed() {
    let text = table(70_000, 210_000);
    let data = load(&text, "", looking_up(EmbeddingRule::Large, "auto")).unwrap();
    let schema = data.schema.as_ref().unwrap();
    assert_eq!(schema.columns[0].usage, ColumnUse::Hashed { rows: 65_536 });
    assert_eq!(data.ids[0].vocabulary, 65_537);
    let (inputs, _) = data.train.gather(&[0, 9]).unwrap();
    assert_eq!(inputs.ids, [ps_core::schema::hashed_id("c00000", 65_536), 0]);
    assert_eq!("auto".parse(), Ok(EmbedChoice::Auto));
}

/// Reads these lines with a schema of columns `shop` and `town`, both hashed, and the label `sold`.
fn of_hashed(lines: &'static str, needs_label: bool) -> Result<Vec<u32>, Error> {
    let column = |name: &str, usage| Column {
        name: name.to_owned(),
        usage,
        missing: 0,
        texts_are_missing: false,
    };
    let classes = vec!["no".to_owned(), "yes".to_owned()];
    let schema = Arc::new(Schema {
        version: SCHEMA_VERSION,
        header: true,
        delimiter: ',',
        decimal: '.',
        missing: Vec::new(),
        samples: 1_000_000,
        columns: vec![
            column("shop", ColumnUse::Hashed { rows: 65_536 }),
            column("town", ColumnUse::Hashed { rows: 65_536 }),
            column("sold", ColumnUse::Class { classes }),
        ],
    });
    let reader =
        SchemaReader::of_reader(Path::new("new.csv"), lines.as_bytes(), schema, needs_label);
    let (mut reader, mut inputs) = (reader?, Inputs::default());
    while reader.next_sample(&mut inputs)? {}
    Ok(inputs.ids)
}

/// Found by review: no text of a hashed column was a sign of a sample, so that files without a header were refused.
#[test]
fn regression_lines_of_hashed_columns_alone_need_no_header() {
    let ids = |texts: &[&str]| -> Vec<u32> {
        texts.iter().map(|text| ps_core::schema::hashed_id(text, 65_536)).collect()
    };
    let two = ids(&["a", "Ulm", "b", "Bonn"]);
    assert_eq!(of_hashed("a,Ulm\nb,Bonn\n", false).unwrap(), two);
    assert_eq!(
        of_hashed("a,Ulm,\nb,Bonn,\n", false).unwrap(),
        two,
        "labels that are to be predicted"
    );
    assert_eq!(of_hashed("a,Ulm,no\nb,Bonn,yes\n", true).unwrap(), two);
    assert_eq!(of_hashed("town,shop\nUlm,a\nBonn,b\n", false).unwrap(), two);
    for header in ["Shop,TOWN", "Shop,place", "Shop,place,sold", "a,Ulm,perhaps"] {
        let lines: &'static str = format!("{header}\nb,Bonn\n").leak();
        assert_says(of_hashed(lines, false), &["new.csv, line 1", "nor a sample like theirs"]);
    }
}

#[test]
fn texts_that_training_never_saw_are_counted_wherever_samples_come_from() {
    let data = load(&table(300, 3_000), "", looking_up(EmbeddingRule::Large, "auto")).unwrap();
    let schema = data.schema.unwrap();
    let mut encoder = SampleEncoder::new(&schema);
    let mut inputs = Inputs::default();
    for city in ["c00001", "Ulm", "", "Bonn"] {
        encoder.encode(&[city, "1", ""].map(str::to_owned), &mut inputs).unwrap();
    }
    let unseen = UnseenTexts { column: "city".into(), count: 2, example: "Ulm".into() };
    assert_eq!(encoder.unseen_texts(), std::slice::from_ref(&unseen));
    let lines = "city,size\nUlm,1\nc00001,1\nBonn,2\n".as_bytes();
    let reader = SchemaReader::of_reader(Path::new("new.csv"), lines, schema, false);
    let mut reader = reader.unwrap();
    while reader.next_sample(&mut inputs).unwrap() {}
    assert_eq!(reader.unseen_texts(), [unseen]);
}

/// Found by review: the message said that the model looks nothing up.
#[test]
fn regression_embed_none_is_named_where_it_is_the_cause() {
    assert_says(
        load(&table(300, 3_000), "", looking_up(EmbeddingRule::Large, "none")),
        &["column 1 (`city`)", "--embed none says that nothing is: leave that out", "--ignore 1"],
    );
}
