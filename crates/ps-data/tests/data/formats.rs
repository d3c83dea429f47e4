//! What files are where their names do not say it, and what is refused instead of being guessed.

use super::common::{assert_says, folder};
use ps_data::{DataSource, Format, load};

const TABLE: &[u8] = b"4.96,18.75,0\n8.58,12.99,2\n5.22,20.47,1\n";
const LIBSVM: &[u8] = b"0 1:4.96 2:18.75 3:97.5\n2 1:8.58 2:12.99 3:103.5\n";
const PROSE: &[u8] = b"First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\n\
    Speak, speak.\n";

fn auto(files: &[(&str, &[u8])]) -> Result<ps_data::Dataset, ps_data::Error> {
    load(&DataSource::folder(folder(files).path()))
}

#[test]
fn regression_a_table_is_csv_whatever_its_ending() {
    for name in ["data.txt", "a.data", "a.dat", "a.train", "part-00000"] {
        let data = auto(&[(name, TABLE), ("readme.md", PROSE)]).unwrap();
        assert_eq!((data.train.len(), data.train.shape()), (3, &[2][..]), "{name}");
    }
    let tabs = TABLE.iter().map(|byte| if *byte == b',' { b'\t' } else { *byte });
    assert_eq!(auto(&[("data.tsv", &tabs.collect::<Vec<u8>>())]).unwrap().train.shape(), [2]);
    let dir = folder(&[("data.anything", TABLE)]);
    assert_says(load(&DataSource::folder(dir.path())), &["no data in", "found data.anything"]);
    let file = load(&DataSource::folder(dir.path().join("data.anything"))).unwrap();
    assert_eq!(file.train.len(), 3);
    let data = auto(&[("a.data", TABLE), ("a.test", TABLE), ("SOURCE.txt", PROSE)]).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (3, 3));
}

#[test]
fn regression_prose_stays_text() {
    let is_text = |files: &[(&str, &[u8])]| {
        let data = auto(files).unwrap();
        assert_eq!((data.train.shape(), data.outputs), (&[64][..], 256));
    };
    let long = PROSE.repeat(20);
    is_text(&[("train.txt", &long)]);
    is_text(&[("a.txt", &long), ("b.txt", &long), ("table.md", TABLE)]);
    let lines = b"Shall I compare thee to a summer's day,\nThou art more lovely and temperate,\n";
    is_text(&[("a.txt", &lines.repeat(9))]);
    // The user says so.
    let dir = folder(&[("a.txt", &TABLE.repeat(9))]);
    let source = DataSource { format: Format::Text, ..DataSource::folder(dir.path()) };
    assert_eq!(load(&source).unwrap().outputs, 256);
}

#[test]
fn tables_beside_files_that_are_none_are_not_guessed() {
    let parts = ["some look like CSV (a.txt)", "some do not (b.txt)", "--format", "--ignore-files"];
    assert_says(auto(&[("a.txt", TABLE), ("b.txt", PROSE)]), &parts);
    assert_says(auto(&[("part-0", TABLE), ("part-1", b"1,2,0\n")]), &["do not (part-1)"]);
    let texts: [(&str, &[u8]); 3] = [("a.txt", PROSE), ("b.txt", PROSE), ("c.dat", TABLE)];
    assert_says(auto(&texts), &["some look like CSV (c.dat)", "(a.txt, b.txt)"]);
    // Where names say what is CSV, others are it only if they say of which set they are.
    let data = auto(&[("train.csv", TABLE), ("names.txt", b"1,a\n2,b\n"), ("test.txt", TABLE)]);
    let data = data.unwrap();
    assert_eq!((data.train.len(), data.test.len()), (3, 3));
}

#[test]
fn regression_libsvm_and_parquet_are_refused_by_name() {
    let parts = ["looks like libsvm, which is not read yet", "convert it to CSV"];
    assert_says(auto(&[("train.txt", LIBSVM)]), &["train.txt: ", parts[0], parts[1]]);
    assert_says(auto(&[("a", LIBSVM), ("train.csv", TABLE)]), &parts);
    assert_says(auto(&[("a.csv", LIBSVM)]), &parts);
    let parquet = ["data.parquet: is Parquet, which is not read yet", "--ignore-files"];
    assert_says(auto(&[("data.parquet", b"PAR1..."), ("train.csv", TABLE)]), &parquet);
    assert_says(auto(&[("part-0", b"PAR1...")]), &["part-0: is Parquet"]);
    assert_says(auto(&[("part-0.c000", b"PAR1...")]), &["part-0.c000: is Parquet"]);
    for bytes in [LIBSVM, b"PAR1..."] {
        let dir = folder(&[("part-0", bytes)]);
        let csv = DataSource { format: Format::Csv, ..DataSource::folder(dir.path()) };
        assert_says(load(&csv), &["part-0", "which is not read yet"]);
        let text = DataSource { format: Format::Text, context: 2, ..csv };
        assert!(load(&text).is_ok());
    }
    let hidden: [(&str, &[u8]); 2] = [("_delta.parquet", b"PAR1"), ("a.csv", TABLE)];
    assert_eq!(auto(&hidden).unwrap().train.len(), 3);
}

#[test]
fn json_is_refused_where_somebody_points_at_it() {
    let json = b"{\"a\": 1, \"b\": 0}\n{\"a\": 2, \"b\": 1}\n";
    let dir = folder(&[("data.jsonl", json), ("data.txt", json), ("a.csv", TABLE)]);
    for name in ["data.jsonl", "data.txt"] {
        let source = DataSource::folder(dir.path().join(name));
        assert_says(load(&source), &[name, "looks like JSON, which is not read yet"]);
    }
    assert_eq!(load(&DataSource::folder(dir.path())).unwrap().train.len(), 3);
}

#[test]
fn a_file_that_is_nothing_known_is_not_called_a_folder() {
    let dir = folder(&[("picture.png", b"\x89PNG\r\n")]);
    let result = load(&DataSource::folder(dir.path().join("picture.png")));
    assert_says(result, &["picture.png", "it is a file, and looks like none of these"]);
}
