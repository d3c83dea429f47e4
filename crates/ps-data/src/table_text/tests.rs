use proptest::prelude::*;

use super::is_table;
use crate::byte_stream::Beginning;

fn whole(text: &str) -> Beginning {
    Beginning { bytes: text.as_bytes().to_vec(), is_whole: true }
}

#[test]
fn tables_are_told() {
    for text in [
        "1,0\n2,1\n",
        "1,0\n2,1",
        "\u{feff}x,y\r\n1,0\r\n",
        "\n1,0\n\n2,1\n\n",
        "height,colour\n1.5,red\n1.7,blue\n",
        "name,kind\n\"Smith, John\",1\n\"Brown, a long way from home\",0\n",
        "a,\"two\nlines\",1\nb,one,2\n",
        "|1x3 Cross validator\n25, Private, 7, <=50K.\n38, Private, 9, >50K.\n",
        "p,x,s,n\ne,x,s,y\n",
        "vhigh,vhigh,2,small\nlow,low,5more,big\n",
        "1.5;2;a\n1.7;3;b\n",
        "1,5;2,25;a\n1,7;3,5;b\n",
        "word\tcount\nthe\t17\n",
        "1,?,a\n?,?,b\n3,?,a\n",
        "caf\u{e9},1\nth\u{e9},2\n",
    ] {
        assert!(is_table(&whole(text)), "{text}");
    }
    let spaced: String =
        (0..12).map(|row| format!("low, small family, {}\n", ["a b", "c d"][row % 2])).collect();
    assert!(is_table(&whole(&spaced)), "{spaced}");
}

/// What a language model is trained on stays text.
#[test]
fn prose_and_code_are_no_tables() {
    for text in [
        "",
        "1,0\n",
        "one word a line\nand no comma\n",
        "Shall I compare thee to a summer's day,\nThou art more lovely and more temperate,\n",
        "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n",
        "Yes, my lord\nNo, my lord\n",
        "Tomorrow, and tomorrow, and tomorrow,\nCreeps, in this, petty pace,\n",
        "To be, or not to be\nTo die, to sleep\nTo sleep, perchance to dream\n",
        "We came, because nobody had told us that we should not\nWe left, and so on\n",
        "\"Yes, he said.\nNo, she said.\nAnd so they went, both of them\n",
        "\tlet x = 1\n\tlet y = 2\n",
        "int x;\nint y;\n",
        "{\"a\": 1, \"b\": 2}\n{\"a\": 3, \"b\": 4}\n",
        "[1, 2]\n[3, 4]\n",
        "1,2\n3,4,5\n",
        "a\u{0},1\nb\u{0},2\n",
    ] {
        assert!(!is_table(&whole(text)), "{text}");
    }
}

#[test]
fn a_line_that_is_cut_off_is_not_counted() {
    let cut = |text: &str| Beginning { bytes: text.as_bytes().to_vec(), is_whole: false };
    assert!(is_table(&cut("1,2,0\n3,4,1\n5,")));
    assert!(!is_table(&cut("1,2,0\n3,4,1")), "one whole line");
}

proptest! {
    #[test]
    fn tables_of_numbers_are_told(
        rows in (2_usize..6).prop_flat_map(|columns| {
            prop::collection::vec(prop::collection::vec(-1e6_f64..1e6, columns), 2..40)
        }),
        between in prop::sample::select(vec![",", ";", "\t", ", "]),
    ) {
        let line = |row: &Vec<f64>| {
            let row: Vec<String> = row.iter().map(|value| format!("{value:.3}")).collect();
            row.join(between) + "\n"
        };
        let text: String = rows.iter().map(line).collect();
        prop_assert!(is_table(&whole(&text)));
    }

    /// Sentences of words with a comma and a blank here and there, in lines of any length.
    #[test]
    fn sentences_are_no_tables(
        lines in prop::collection::vec(
            prop::collection::vec(("[a-z]{1,9}", prop::bool::weighted(0.2)), 2..12),
            2..30,
        ),
    ) {
        let line = |words: &Vec<(String, bool)>| {
            let words = words.iter().map(|(word, comma)| word.clone() + if *comma { ", " } else { " " });
            words.collect::<String>() + "end\n"
        };
        let text: String = lines.iter().map(line).collect();
        prop_assert!(!is_table(&whole(&text)), "{}", text);
    }
}
