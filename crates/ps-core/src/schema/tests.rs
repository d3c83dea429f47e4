use super::*;
use crate::task::TaskChoice;
use proptest::prelude::*;

fn summary(values: &[&str]) -> ColumnSummary {
    let mut column = ColumnSummary::default();
    values.iter().for_each(|value| column.add(value, ValueRules::default().value(value)));
    column
}

fn labels(values: &[&str]) -> LabelSummary {
    let mut labels = LabelSummary::default();
    values.iter().for_each(|value| labels.add(value, &ValueRules::default()));
    labels
}

fn verdict(lines: &[&'static str]) -> FirstLine {
    let cells = |line: &&'static str| line.split(',').collect::<Vec<&'static str>>();
    let lines: Vec<Vec<&str>> = lines.iter().map(cells).collect();
    let first = &lines[0];
    let others: Vec<ColumnSummary> = (0..first.len())
        .map(|column| summary(&lines[1..].iter().map(|line| line[column]).collect::<Vec<_>>()))
        .collect();
    first_line(first, &others.iter().collect::<Vec<_>>(), &ValueRules::default())
}

fn categories(texts: &[&str]) -> ColumnUse {
    ColumnUse::Categorical { categories: texts.iter().map(ToString::to_string).collect() }
}

#[test]
fn missing_values_do_not_make_a_column_of_numbers_a_column_of_texts() {
    for missing in ["", "NA", "nan", "NULL", "?", "n/a"] {
        let column = summary(&["1", missing, "3", missing, missing]);
        assert_eq!(
            column.kind(),
            Ok(ColumnKind::Numeric { mean: 2.0, deviation: 1.0 }),
            "{missing}"
        );
        assert_eq!(column.missing, 3);
    }
    assert_eq!(summary(&["", ""]).kind(), Ok(ColumnKind::Numeric { mean: 0.0, deviation: 1.0 }));
}

#[test]
fn numbers_before_the_first_text_are_among_the_categories() {
    for columns in [1, 5_000_000] {
        let mut column = ColumnSummary::of_columns(columns);
        for text in ["7", "5", "7", "x", "x", "x", "5"] {
            column.add(text, ValueRules::default().value(text));
        }
        let found: Vec<(&str, u64)> = column.distinct.iter().collect();
        match columns {
            1 => assert_eq!(found, [("5", 2), ("7", 2), ("x", 3)]),
            // There is no room for any: they are the others.
            _ => assert_eq!((found.len(), column.distinct.others()), (0, 7)),
        }
    }
}

/// A table of thousands of columns of texts needed ten times its own size.
#[test]
fn regression_columns_share_the_memory_for_their_texts() {
    let mut column = ColumnSummary::of_columns(20_000);
    for number in 0..1_000 {
        let text = format!("text {number}");
        column.add(&text, Value::Text(&text));
    }
    assert!((50..250).contains(&column.distinct.len_min()), "{}", column.distinct.len_min());
    assert_eq!(column.distinct.len_min() as u64 + column.distinct.others(), 1_000);
    let mut alone = ColumnSummary::of_columns(20);
    for number in 0..70_000 {
        let text = format!("{number}{}", "x".repeat(50));
        alone.add(&text, Value::Text(&text));
    }
    assert_eq!(alone.distinct.len_min(), 65_536, "as many as can have a name");
}

#[test]
fn a_column_is_what_most_of_its_values_are_however_many_there_are() {
    let texts = summary(&["red", "blue", "red", "7"]);
    assert_eq!(texts.kind(), Ok(ColumnKind::Categorical));
    assert_eq!(
        texts.categories(EmbeddingRule::Never, false),
        Ok(categories(&["7", "blue", "red"]))
    );
    assert_eq!(summary(&["1", "2", "x"]).kind(), Err(Doubt::StrayTexts));
    assert_eq!(summary(&["1", "inf", "2"]).kind(), Err(Doubt::StrayTexts));
    let names: Vec<String> = (0..300).map(|number| format!("name {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let names = summary(&names);
    assert_eq!(names.categories(EmbeddingRule::Never, false), Err(Doubt::ManyTexts));
}

#[test]
fn texts_that_come_after_many_numbers_are_not_half_forgotten() {
    let mut values = vec!["5"; 1_500];
    values.extend(["7", "8"]);
    values.extend(vec!["red"; 2_000]);
    assert_eq!(summary(&values).kind(), Err(Doubt::LateTexts));
    let mut column = ColumnSummary::default();
    values.iter().for_each(|value| column.add(value, Value::Text(value)));
    assert_eq!(column.kind(), Ok(ColumnKind::Categorical));
    let all = categories(&["5", "7", "8", "red"]);
    assert_eq!(column.categories(EmbeddingRule::Never, false), Ok(all));
}

#[test]
fn a_decimal_comma_is_read_where_it_is_asked_for() {
    let comma = ValueRules { decimal: ',', ..ValueRules::default() };
    assert_eq!(comma.number("1,5"), Some(1.5));
    assert_eq!(comma.number("1.234,5"), None);
    assert_eq!(ValueRules::default().number("1,5"), None);
    let rules = ValueRules { missing: vec!["-999".into(), "x".into()], ..ValueRules::default() };
    assert_eq!(rules.value("-999"), Value::Missing);
    assert_eq!(rules.value("x"), Value::Missing);
    assert_eq!(rules.value("-998"), Value::Number(-998.0));
}

#[test]
fn headers_are_found_by_what_the_other_lines_hold() {
    let header: [&[&'static str]; 9] = [
        &["x,y", "1,0", "3,1"],
        // The name of an index, which has none.
        &[",width,kind", "0,4.0,ash", "1,7.1,birch"],
        // Names that are numbers.
        &["0,1,2,target", "4.7,19.7,114.7,0", "8.6,14.1,101.0,2"],
        &["0,1,2,label", "4.7,19.7,114.7,ash", "8.6,14.1,101.0,oak"],
        &["x1,2019,y", "1,2,0", "3,4,1"],
        // Texts alone.
        &["letter,answer", "a,yes", "b,no", "a,no"],
        // A value that is missing elsewhere.
        &["age,sex,y", "57,m,1", ",f,0"],
        &["age,y", "NA,1", "?,0", "3,1"],
        &["1,2,3,class", "4,5,6,x", "5,5,6,y"],
    ];
    for lines in header {
        assert_eq!(verdict(lines), FirstLine::Header, "{lines:?}");
    }
    let sample: [&[&'static str]; 8] = [
        &["ash,1", "oak,2", "elm,1"],
        &["1,0", "3,1"],
        &["0,1", "1,1", "0,0"],
        &["5.1,ash", "4.2,birch", "3.3,ash"],
        &["a,yes", "b,no", "a,no"],
        &[",ash", "4.2,birch", "3.3,ash"],
        &["0,ash", "4.2,birch", "3.3,ash"],
        &["?,3,1", "2,4,0"],
    ];
    for lines in sample {
        assert_eq!(verdict(lines), FirstLine::Sample, "{lines:?}");
    }
    // A text may be a slip, and numbers may be years.
    let doubtful: [&[&'static str]; 4] = [
        &["1,ash", "2,oak", "5,oak"],
        &["abc,5.1,3.2,1", "4.2,4.1,3.0,0", "4.1,4.0,3.3,1"],
        &["a,2020,2021,b", "1,2,3,x", "4,5,6,y"],
        &["0,1,2,3", "4,5,6,1", "7,8,9,0"],
    ];
    for lines in doubtful {
        assert!(matches!(verdict(lines), FirstLine::Doubtful(_)), "{lines:?}");
    }
}

#[test]
fn labels_are_classes_where_they_are_few_and_numbers_where_they_are_measured() {
    let classes = |values: &[&str]| match labels(values).target(TaskChoice::Auto) {
        Ok((Target::Classes(names), _)) => names,
        other => panic!("{other:?}"),
    };
    assert_eq!(classes(&["10", "9", "9.0", "+10"]), ["9", "10"], "in the order of the numbers");
    assert_eq!(classes(&["<=50K.", " >50K", "<=50K"]), ["<=50K", ">50K"]);
    assert_eq!(labels(&["1", "1.0"]).respelt.examples(), "`1.0`");
    let measured = labels(&["140.8", "45.5", "90.0"]).target(TaskChoice::Auto).unwrap();
    assert!(matches!(measured.0, Target::Number { .. }), "{measured:?}");
    assert!(measured.1.contains("2 of 3 labels"), "{measured:?}");
    let many: Vec<String> = (0..600).map(|number| (number % 300).to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(labels(&many).target(TaskChoice::Auto), Ok((Target::Number { .. }, _))));
    assert!(matches!(
        labels(&many).target(TaskChoice::Classification),
        Ok((Target::Classes(_), _))
    ));
    let ages: Vec<String> = (0..6_000).map(|number| (number % 60).to_string()).collect();
    let ages: Vec<&str> = ages.iter().map(String::as_str).collect();
    let doubt = labels(&ages).target(TaskChoice::Auto).unwrap_err();
    assert!(doubt.contains("60 distinct labels in 6000") && doubt.contains("--task"), "{doubt}");
    let names: Vec<String> = (0..100).map(|number| format!("name {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(labels(&names).target(TaskChoice::Auto).unwrap_err().contains("--label"));
    assert!(labels(&["1", "x"]).target(TaskChoice::Regression).unwrap_err().contains("`x`"));
}

#[test]
fn several_labels_are_numbers_or_say_yes_or_no() {
    let (numbers, flags) = (labels(&["1.5", "2"]), labels(&["0", "1", "no", "TRUE"]));
    let (texts, two) = (labels(&["ash", "oak"]), labels(&["0", "1"]));
    let several = |all: &[&LabelSummary], asked| targets(all, asked);
    assert_eq!(several(&[&flags, &two], TaskChoice::Auto).unwrap().0, [Target::Flag, Target::Flag]);
    let found = several(&[&numbers, &two], TaskChoice::Auto).unwrap();
    assert!(found.0.iter().all(|it| matches!(it, Target::Number { .. })), "{found:?}");
    assert!(found.1.contains("2 label columns, --task regression"), "{found:?}");
    let (at, problem) = several(&[&numbers, &texts], TaskChoice::Auto).unwrap_err();
    assert!(at == 1 && problem.contains("`ash`"), "{problem}");
    let (at, problem) = several(&[&two, &numbers], TaskChoice::MultiLabel).unwrap_err();
    assert!(at == 1 && problem.contains("2 of 2 labels are neither"), "{problem}");
    let (_, problem) = several(&[&two, &two], TaskChoice::Binary).unwrap_err();
    assert!(problem.contains("a sample has one class"), "{problem}");
    assert_eq!(several(&[&two], TaskChoice::MultiLabel).unwrap().0, [Target::Flag]);
    let three = labels(&["a", "b", "c"]);
    assert!(several(&[&three], TaskChoice::Binary).unwrap_err().1.contains("two classes"));
}

#[test]
fn a_schema_is_read_as_it_was_written() {
    let usage = [
        ColumnUse::Numeric { mean: 0.1, deviation: 3.0 },
        ColumnUse::Categorical { categories: vec!["a\"b".into(), "ü".into()] },
        ColumnUse::Ignored,
        ColumnUse::Class { classes: vec!["no".into(), "yes".into()] },
    ];
    let columns = usage.into_iter().enumerate();
    let columns = columns.map(|(place, usage)| Column {
        name: format!("c{place}"),
        usage,
        missing: 2,
        texts_are_missing: place == 0,
    });
    let schema = Schema {
        version: SCHEMA_VERSION,
        header: true,
        delimiter: ';',
        decimal: ',',
        missing: vec!["-".into()],
        samples: 7,
        columns: columns.collect(),
    };
    let text = serde_json::to_string(&schema).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), schema);
    assert_eq!((schema.width(), schema.classes().len()), (2 + 3, 2));
    assert!(text.contains(r#""use":"categorical""#), "{text}");
}

proptest! {
    #[test]
    fn parts_that_are_merged_are_as_the_whole(
        values in prop::collection::vec(prop_oneof![
            (-100_i32..100).prop_map(|number| number.to_string()),
            (-1e3_f64..1e3).prop_map(|number| number.to_string()),
            "[abc]{0,2}",
            Just("NA".to_owned()),
        ], 0..60),
        cut in 0..60_usize,
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let (one, other) = values.split_at(cut.min(values.len()));
        let (mut merged, whole) = (summary(one), summary(&values));
        merged.merge(&summary(other));
        prop_assert_eq!(merged.numbers.mean(), whole.numbers.mean());
        prop_assert_eq!(merged.numbers.deviation(), whole.numbers.deviation());
        let counts = |column: &ColumnSummary| (column.numbers.count, column.texts, column.missing);
        prop_assert_eq!(counts(&merged), counts(&whole));
        prop_assert_eq!(&merged.distinct, &whole.distinct);
        let (mut merged, whole) = (labels(one), labels(&values));
        merged.merge(&labels(other));
        prop_assert_eq!(&merged.classes, &whole.classes);
        prop_assert_eq!((merged.whole, merged.texts), (whole.whole, whole.texts));
    }

    #[test]
    fn numbers_are_what_the_library_reads(text in "-?[0-9]{0,12}(\\.[0-9]{0,9})?", number: f64) {
        let expected = |text: &str| text.parse::<f64>().ok().filter(|it| (*it as f32).is_finite());
        for text in [text, number.to_string(), format!("{number:.3}"), format!("{number:e}")] {
            let read = ValueRules::default().number(&text);
            prop_assert_eq!(read.map(f64::to_bits), expected(&text).map(f64::to_bits), "{}", text);
        }
    }

    #[test]
    fn one_number_is_one_class(number in -1_000_i64..1_000) {
        let rules = ValueRules::default();
        let name = number.to_string();
        for label in [format!("{number}.0"), format!(" {number} "), format!("{number}."), format!("{number}e0")] {
            prop_assert_eq!(class_name(&label, &rules), name.as_str());
            prop_assert_eq!(class_name(&format!("0{number}"), &rules).starts_with('0'), number <= 0);
        }
    }
}
