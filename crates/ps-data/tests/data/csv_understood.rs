//! What is understood of a table, or asked for: each is a kind of report that users made of such programs.

use std::fs;

use super::common::{all, assert_says};
use ps_core::TaskChoice;
use ps_core::schema::{ColumnUse, Schema};
use ps_data::{ColumnChoice, DataSource, Dataset, Error, HeaderChoice, Mark, TableOptions};

fn read(train: &str, test: &str, table: TableOptions) -> Result<Dataset, Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), train).unwrap();
    if !test.is_empty() {
        fs::write(dir.path().join("test.csv"), test).unwrap();
    }
    ps_data::load(&DataSource { table, ..DataSource::folder(dir.path()) })
}

fn auto(train: &str, test: &str) -> Result<Dataset, Error> {
    read(train, test, TableOptions::default())
}

fn schema(data: &Dataset) -> &Schema {
    data.schema.as_deref().unwrap()
}

fn names(choices: &[&str]) -> Vec<ColumnChoice> {
    choices.iter().map(|choice| choice.parse().unwrap()).collect()
}

#[test]
fn regression_an_unnamed_index_is_a_name_and_numbers_stay_numbers() {
    let data = auto(",width,kind\n0,4.0,ash\n1,6.0,oak\n", ",width,kind\n0,5.0,oak\n").unwrap();
    assert_eq!((data.train.len(), data.train.shape(), data.outputs), (2, &[2][..], 2));
    assert!(schema(&data).header);
    assert_eq!(schema(&data).column_name(0), "1");
}

#[test]
fn regression_columns_in_another_order_are_found_by_their_names() {
    let data = auto("w,h,kind\n1,10,ash\n3,30,oak\n", "kind,h,extra,w\noak,30,?,1\n").unwrap();
    assert_eq!(all(&data.test), (vec![-1.0, 1.0], vec![1]));
    let missing = auto("w,h,kind\n1,10,ash\n3,30,oak\n", "kind,height,w\noak,30,1\n");
    assert_says(missing, &["test.csv", "no column named `h`", "kind, height, w"]);
    // In further training files, too.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), "w,h,kind\n1,10,ash\n").unwrap();
    fs::write(dir.path().join("b.csv"), "kind,w,h\noak,3,30\n").unwrap();
    let data = ps_data::load(&DataSource::folder(dir.path())).unwrap();
    assert_eq!(all(&data.train), (vec![-1.0, -1.0, 1.0, 1.0], vec![0, 1]));
}

#[test]
fn regression_missing_numbers_are_filled_and_shown_however_many_values_there_are() {
    for rows in [4, 600] {
        let lines: String = (0..rows).map(|row| format!("{row},m,{}\n", row % 2)).collect();
        let data = auto(&format!("age,sex,y\n{lines},f,1\n"), "age,sex,y\nNA,m,0\n").unwrap();
        let age = &schema(&data).columns[0];
        assert!(matches!(age.usage, ColumnUse::Numeric { .. }), "{age:?}");
        assert_eq!((age.missing, data.train.shape()), (1, &[4][..]), "age, missing, f, m");
        assert_eq!(all(&data.test).0, [0.0, 1.0, 0.0, 1.0]);
    }
}

#[test]
fn regression_an_open_quote_is_named_with_its_line() {
    let train = "1,ash\n2,oak\n3,\"ash\n4,oak\n";
    assert_says(auto(train, ""), &["train.csv, line 3", "quote", "not closed"]);
}

#[test]
fn regression_blanks_before_quotes_are_none_of_the_value() {
    let train = "\"a\", \"kind\"\n\"1.5\", \"ash, white\"\n\"2.5\", \"oak\"\n";
    let table = TableOptions::with_label(ColumnChoice::Name("kind".into()));
    let data = read(train, "", table).unwrap();
    assert_eq!(schema(&data).classes(), ["ash, white", "oak"]);
}

#[test]
fn regression_lines_are_counted_however_they_end() {
    for end in ["\n", "\r\n", "\r"] {
        let lines: String = (0..98).map(|row| format!("{row},{}{end}", row % 2)).collect();
        let text = format!("a,y{end}{lines}oops,1{end}3,1{end}");
        assert_says(auto(&text, ""), &["train.csv, line 100, column 1 (`a`)", "`oops`"]);
        let text = format!("a,y{end}{end}\"1\",0{end}{end}\"x{end}y\",1{end}oops,1,1{end}");
        assert_says(auto(&text, ""), &["train.csv, line 7: 3 columns"]);
    }
}

#[test]
fn regression_other_delimiters_and_decimals_are_asked_for_and_then_read() {
    let text = "6,7;19,1;1\n7,8;14,1;2\n4,8;19,5;1\n";
    assert_says(auto(text, ""), &["train.csv", "--delimiter ';'", "--decimal ,"]);
    let (delimiter, decimal) = (Some(Mark(b';')), Some(Mark(b',')));
    let read_so = read(text, "", TableOptions { delimiter, decimal, ..TableOptions::default() });
    let point = auto("6.7,19.1,1\n7.8,14.1,2\n4.8,19.5,1\n", "").unwrap();
    assert_eq!(all(&read_so.unwrap().train), all(&point.train));
    let quoted = auto("\"6,7\",1\n\"7,8\",0\n\"1,5\",1\n", "");
    assert_says(quoted, &["column 1", "`7,8`", "decimal comma", "--decimal ,"]);
}

#[test]
fn regression_what_a_user_says_of_columns_counts() {
    let text = "id,zip,size,y\nx1,10115,1,0\nx2,80331,?,1\nx3,10115,big,0\n";
    let table = TableOptions {
        ignore: names(&["id"]),
        categorical: names(&["zip"]),
        numeric: names(&["3"]),
        task: TaskChoice::Classification,
        ..TableOptions::default()
    };
    let data = read(text, "", table.clone()).unwrap();
    assert_eq!(data.train.shape(), [2 + 2], "two codes; size and that it is missing");
    let columns = &schema(&data).columns;
    assert_eq!((&columns[0].usage, columns[2].missing), (&ColumnUse::Ignored, 2));
    let twice = TableOptions { numeric: names(&["id"]), ..table.clone() };
    assert_says(read(text, "", twice), &["--ignore id", "another option"]);
    let label = TableOptions { ignore: names(&["y"]), ..table.clone() };
    assert_says(read(text, "", label), &["--ignore y", "label"]);
    let unnamed = TableOptions { header: HeaderChoice::No, ..table };
    assert_says(read(text, "", unnamed), &["--header no", "number"]);
}

#[test]
fn regression_a_column_that_is_called_label_is_asked_about_where_another_is_the_last() {
    let text = "label,a,b\n0,1,2\n1,3,4\n0,5,2\n";
    assert_says(
        auto(text, ""),
        &["column 1 (`label`)", "column 3 (`b`)", "--label 1", "--label 3"],
    );
    for (label, inputs) in [("label", [-1.2247449, -0.70710677]), ("3", [-0.70710677, -1.2247449])]
    {
        let table = TableOptions::with_label(label.parse().unwrap());
        assert_eq!(all(&read(text, "", table).unwrap().train).0[..2], inputs, "{label}");
    }
}

#[test]
fn a_header_is_what_the_user_says() {
    let no = TableOptions { header: HeaderChoice::No, ..TableOptions::default() };
    assert_says(read("x,y\n1,0\n2,1\n", "", no.clone()), &["line 1, column 1", "`x`"]);
    assert_eq!(read("a,yes\nb,no\n", "", no).unwrap().train.len(), 2);
    let yes = TableOptions { header: HeaderChoice::Yes, ..TableOptions::default() };
    assert_eq!(read("1,0\n1,0\n2,1\n", "", yes).unwrap().train.len(), 2);
}

#[test]
fn regression_classes_are_one_where_they_are_written_in_two_ways() {
    // The remark is UCI's, as the final point is.
    let test = "|1x3 Cross validator\n1,<=50K.\n2,>50K.\n";
    let data = auto("3,<=50K\n2, >50K\n", test).unwrap();
    assert_eq!((data.outputs, data.test.labels().classes()), (2, &[0, 1][..]));
    let data = auto("1,1\n2,1.0\n3,2\n", "1,2.0\n").unwrap();
    assert_eq!(
        (data.outputs, data.train.labels().classes(), data.test.labels().classes()),
        (2, &[0, 0, 1][..], &[1][..])
    );
}

#[test]
fn a_line_without_end_and_a_million_columns_are_refused_by_their_line() {
    let wide = format!("1,2\n{}\n", "1,".repeat(1_000_000));
    assert_says(auto(&wide, ""), &["train.csv, line 2", "more than 65536 columns"]);
    let long = format!("1,2\n\"{}", "x".repeat(40 << 20));
    assert_says(auto(&long, ""), &["train.csv, line 2", "bytes", "quote"]);
    let utf16: Vec<u8> = [0xff, 0xfe, b'1', 0, b',', 0].to_vec();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), utf16).unwrap();
    assert_says(ps_data::load(&DataSource::folder(dir.path())), &["UTF-16", "UTF-8"]);
}

#[test]
fn regression_two_columns_of_one_name_are_told_apart_by_their_places() {
    let text = "a,a,y\n1,10,0\n3,30,1\n1,10,0\n3,30,1\n";
    let data = auto(text, "a,a,y\n1,30,1\n3,10,0\n").unwrap();
    assert_eq!(all(&data.train).0[..2], [-1.0, -1.0]);
    assert_eq!(all(&data.test), (vec![-1.0, 1.0, 1.0, -1.0], vec![1, 0]));
    assert_says(auto(text, "y,a,a\n1,1,30\n"), &["test.csv", "two columns are named `a`"]);
}

#[test]
fn regression_a_header_of_other_names_is_no_sample() {
    let train = "shape,colour,class\nround,red,a\nflat,blue,b\nround,blue,a\nflat,red,b\n";
    for test in ["Shape,Colour,Class\nround,red,a\n", "Colour,Shape\nred,round\n"] {
        let parts = ["test.csv, line 1", "neither the header", "shape, colour, class"];
        assert_says(auto(train, test), &parts);
    }
    assert_eq!(auto(train, "round,red,a\n").unwrap().test.len(), 1, "no header is needed");
    let numbers = auto("w,h,y\n1,2,0\n3,4,1\n", "W,H,Y\n1,2,0\n");
    assert_says(numbers, &["test.csv, line 1", "W, H, Y", "neither"]);
}

#[test]
fn regression_thousands_are_named_and_what_the_user_says_of_a_column_is_taken() {
    let text = "price,y\n\"9,588\",0\n\"1,234\",1\n\"12,000\",0\n";
    assert_says(
        auto(text, ""),
        &["column 1 (`price`)", "commas between thousands", "--categorical 1"],
    );
    let table = TableOptions { categorical: names(&["price"]), ..TableOptions::default() };
    assert_eq!(read(text, "", table).unwrap().train.shape(), [3]);
}

#[test]
fn regression_a_table_that_no_process_sees_whole_has_a_schema_of_numbers_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), "w,y,h\n10,0,5\n30,1,7\n").unwrap();
    for (sharded, streamed) in [(true, false), (true, true)] {
        let label = ColumnChoice::Name("y".into());
        let table = TableOptions::with_label(label);
        let source = DataSource {
            sharded,
            streamed,
            table,
            classes: Some(3),
            ..DataSource::folder(dir.path())
        };
        let data = ps_data::load(&source).unwrap();
        let schema = schema(&data);
        assert_eq!(
            (schema.width(), schema.classes()),
            (2, &["0", "1", "2"].map(str::to_owned)[..])
        );
        let plain = ColumnUse::Numeric { mean: 0.0, deviation: 1.0 };
        assert_eq!((&schema.columns[2].name, &schema.columns[2].usage), (&"h".to_owned(), &plain));
    }
}

#[test]
fn regression_a_sample_with_the_first_lines_values_in_another_order_is_no_header() {
    let parts = |one: &str, other: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.csv"), one).unwrap();
        fs::write(dir.path().join("b.csv"), other).unwrap();
        ps_data::load(&DataSource::folder(dir.path()))
    };
    let data = parts("1,0\n3,1\n", "0,1\n2,0\n").unwrap();
    assert_eq!((data.train.len(), data.train.labels().classes()), (4, &[0, 1, 1, 0][..]));
    let texts = parts("yes,no\nno,no\nyes,no\n", "no,yes\nyes,no\n");
    assert_says(texts, &["b.csv, line 1", "in another order", "--header no"]);
}
