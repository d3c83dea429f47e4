//! Bodies of requests that were misread.

use super::batcher::About;
use super::request::{BodyFormat, understood};
use super::understood::Understood;
use crate::prediction::PredictionFormat;
use ps_core::schema::{Column, ColumnUse, IdColumn, SCHEMA_VERSION, Schema};
use ps_data::InputWidth;
use std::sync::Arc;

/// A model of columns that have these names and are numbers, and of the label `kind`.
fn of_table(names: &[&str]) -> About {
    let column = |name: &str, usage| Column {
        name: name.to_owned(),
        usage,
        missing: 0,
        texts_are_missing: false,
    };
    let number = |name: &&str| column(name, ColumnUse::Numeric { mean: 0.0, deviation: 1.0 });
    let mut columns: Vec<Column> = names.iter().map(number).collect();
    columns.push(column("kind", ColumnUse::Class { classes: vec!["ash".into(), "oak".into()] }));
    let schema = Schema {
        version: SCHEMA_VERSION,
        header: true,
        delimiter: ',',
        decimal: '.',
        missing: Vec::new(),
        samples: 2,
        columns,
    };
    let width = InputWidth { features: names.len(), ids: 0 };
    About {
        width,
        ids: Vec::new(),
        says: PredictionFormat::default(),
        schema: Some(Arc::new(schema)),
    }
}

fn features(about: &About, body: &str) -> Result<Vec<f32>, String> {
    let read = understood(about, BodyFormat::Json, body.as_bytes().to_vec());
    read.map(|(Understood { inputs, .. }, _)| inputs.features)
}

/// Found by review: a column called `features` was taken for what is around a sample.
#[test]
fn regression_columns_may_be_called_as_what_is_around_samples() {
    let about = of_table(&["features", "instances"]);
    let expected = Ok(vec![3.0, 4.0]);
    for body in [
        r#"{"features": 3, "instances": 4}"#,
        r#"[{"features": 3, "instances": 4}]"#,
        r#"{"instances": [{"features": 3, "instances": 4}]}"#,
        r#"{"features": {"features": 3, "instances": 4}}"#,
        r#"{"instances": [{"features": [3, 4]}]}"#,
        r#"{"features": [3, 4]}"#,
        "[3, 4]",
    ] {
        assert_eq!(features(&about, body), expected, "{body}");
    }
    let about = of_table(&["width"]);
    assert_eq!(features(&about, r#"{"features": {"width": 3}}"#), Ok(vec![3.0]));
    let error = features(&about, r#"{"features": 3}"#).unwrap_err();
    assert!(error.contains("no `width`, and `features` is no column"), "{error}");
    assert!(features(&about, r#"{"instances": 3}"#).unwrap_err().contains("`instances`"));
}

/// Found by a newcomer: what a table's header may have beside the columns was refused in JSON, and nothing was called a
/// sample without values.
#[test]
fn regression_json_may_have_other_fields_and_no_sample_is_none() {
    let about = of_table(&["width"]);
    assert_eq!(features(&about, r#"{"width": 3, "note": "x"}"#), Ok(vec![3.0]));
    for body in ["[]", r#"{"instances": []}"#] {
        let error = features(&about, body).unwrap_err();
        assert!(error.contains("expected at least one sample"), "{body}: {error}");
    }
}

/// Found by review: a model with ids and without a table was told "2 values, expected 2".
#[test]
fn regression_a_model_with_ids_and_without_a_table_is_asked_in_each_format() {
    let ids = vec![IdColumn::new("shop".to_owned(), 300)];
    let width = InputWidth { features: 1, ids: 1 };
    let about = About { width, ids, says: PredictionFormat::default(), schema: None };
    for (format, body) in [
        (BodyFormat::Csv, "0.5,7\n0.25,8\n"),
        (BodyFormat::Json, "[[0.5, 7], [0.25, 8]]"),
        (BodyFormat::Json, r#"{"instances": [{"features": [0.5], "ids": [7]}, [0.25, 8]]}"#),
        (BodyFormat::JsonLines, "{\"features\": [0.5], \"ids\": [7]}\n[0.25, 8]\n"),
    ] {
        let (Understood { inputs, unseen }, samples) =
            understood(&about, format, body.as_bytes().to_vec()).unwrap();
        assert_eq!((inputs.features, inputs.ids), (vec![0.5, 0.25], vec![7, 8]), "{body}");
        assert_eq!((samples, unseen), (2, Vec::new()));
    }
    for (format, body, words) in [
        (BodyFormat::Csv, "0.5\n", "line 1: 1 values, expected 1 features and then 1 ids (shop)"),
        (BodyFormat::Csv, "0.5,7\n0.5,300\n", "line 2: 300: expected an id of `shop`"),
        (BodyFormat::Csv, "0.5,x\n", "line 1: `x` is no number"),
        (BodyFormat::Csv, "\n", "at least one sample"),
        (BodyFormat::Json, r#"{"features": [0.5]}"#, "sample 1: 0 `ids`, expected 1 features"),
    ] {
        let Err(error) = understood(&about, format, body.as_bytes().to_vec()) else {
            panic!("{body} was taken");
        };
        assert!(error.contains(words), "{error}");
    }
}
