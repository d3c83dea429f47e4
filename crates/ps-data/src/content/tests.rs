use std::path::Path;

use super::{refuse_json, refuse_unread};
use crate::byte_stream::Beginning;

fn refused(name: &str, text: &[u8], is_whole: bool) -> Option<String> {
    let beginning = Beginning { bytes: text.to_vec(), is_whole };
    refuse_unread(Path::new(name), &beginning).err().map(|error| error.to_string())
}

#[test]
fn regression_libsvm_is_refused_by_name() {
    for text in [
        "0 1:4.96 2:18.75\n2 1:8.58 3:-1e-3\n",
        "+1 5:1\n\n-1 7:1",
        "# made by hand\n1 qid:3 1:0.5 # a document\n",
        "1,3 2:0.5\n0\n",
    ] {
        let error = refused("a.txt", text.as_bytes(), true).unwrap();
        assert!(
            error.starts_with("a.txt: looks like libsvm, which is not read yet; convert"),
            "{error}"
        );
    }
    let long: String = (1..9_000).map(|index| format!(" {index}:0.5")).collect();
    assert!(refused("a", format!("1{}", &long[..long.len() - 1]).as_bytes(), false).is_some());
    for text in ["", "1\n2\n", "1 2 3\n", "1 1:1 In the beginning\n", "1 a:2\n", "at 10:30\n"] {
        assert_eq!(refused("a.txt", text.as_bytes(), true), None, "{text}");
    }
}

#[test]
fn parquet_is_refused_by_name_or_content() {
    assert!(refused("a", b"PAR1\x15\x04", false).unwrap().contains("is Parquet"));
    assert!(refused("a.snappy.parquet", b"?", true).unwrap().contains("is Parquet"));
}

#[test]
fn json_is_no_text_that_begins_with_a_bracket() {
    let is_json = |text: &str| {
        let beginning = Beginning { bytes: text.as_bytes().to_vec(), is_whole: true };
        refuse_json(Path::new("a.txt"), &beginning).is_err()
    };
    for text in ["{\"a\": 1}", " [\n1, 2]", "{}", "[{\"a\": 1}]", "[null]", "[]"] {
        assert!(is_json(text), "{text}");
    }
    for text in ["[Verse 1]\nla la", "{chorus}", "", "[", "no"] {
        assert!(!is_json(text), "{text}");
    }
    let nothing = Beginning { bytes: b"x".to_vec(), is_whole: true };
    assert!(refuse_json(Path::new("a.jsonl.gz"), &nothing).is_err());
}
