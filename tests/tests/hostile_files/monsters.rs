//! Files that were never sound.

use super::sound::{gzip, idx, table};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Larger than a line may be.
const LARGE: usize = 40 << 20;

const SPARSE_BYTES: u64 = 10 << 30;

const NAMES: [&str; 5] =
    ["train.csv", "train", "train.csv.gz", "train-images-idx3-ubyte", "train.rec"];

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn any_name(draw: &mut ChaCha8Rng) -> &'static str {
    NAMES[draw.random_range(0..NAMES.len())]
}

/// The table of the sound files, or gzip of it, with this behind it.
fn csv(draw: &mut ChaCha8Rng, folder: &Path, bytes: &[u8]) -> PathBuf {
    match draw.random_bool(0.3) {
        true => write(folder, "train.csv.gz", &gzip(bytes)),
        false => write(folder, "train.csv", bytes),
    }
}

pub(crate) fn random_bytes(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut bytes = vec![0; 1 << draw.random_range(0..20)];
    draw.fill(&mut bytes[..]);
    write(folder, any_name(draw), &bytes)
}

pub(crate) fn only_quotes(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let bytes = vec![b'"'; draw.random_range(1..3_000_000)];
    csv(draw, folder, &bytes)
}

pub(crate) fn open_quote(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut bytes = table(5);
    bytes.extend(b"1,\"");
    while bytes.len() < LARGE {
        bytes.extend(b"7,red,x\n");
    }
    csv(draw, folder, &bytes)
}

pub(crate) fn utf_16(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let is_little = draw.random_bool(0.5);
    let mut bytes = Vec::new();
    let mut put =
        |unit: u16| bytes.extend(if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() });
    if draw.random_bool(0.5) {
        put(0xfeff);
    }
    table(100).iter().for_each(|byte| put(u16::from(*byte)));
    csv(draw, folder, &bytes)
}

pub(crate) fn mixed_line_ends(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let ends: [&[u8]; 6] = [b"\n", b"\r", b"\r\n", b"\n\r", b"\n\n", b"\r\r\n"];
    let mut bytes = Vec::new();
    for line in table(200).split(|byte| *byte == b'\n') {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(ends[draw.random_range(0..ends.len())]);
    }
    csv(draw, folder, &bytes)
}

pub(crate) fn only_marks(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let marks = [b",,\n".as_slice(), b"\n", b",", b"\r\n \t", b";|\n"][draw.random_range(0..5)];
    let bytes = marks.repeat(draw.random_range(1..300_000));
    csv(draw, folder, &bytes)
}

pub(crate) fn million_columns(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let line = format!("{}1\n", "1,".repeat(1_000_000));
    let text = line.repeat(draw.random_range(1..4));
    csv(draw, folder, text.as_bytes())
}

pub(crate) fn most_columns(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let value = ["1", "", "x", "\"\"", "0.123456789012345678"][draw.random_range(0..5)];
    let line = format!("{}{value}\n", format!("{value},").repeat((1 << 16) - 1));
    let text = line.repeat(draw.random_range(1..6));
    csv(draw, folder, text.as_bytes())
}

pub(crate) fn one_line(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut bytes = if draw.random_bool(0.5) { table(5) } else { Vec::new() };
    bytes.resize(LARGE, [b'x', b'7', b',', b'"', 0xff][draw.random_range(0..5)]);
    csv(draw, folder, &bytes)
}

pub(crate) fn sparse(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let images = idx(&[60_000, 28, 28], 0);
    let (name, beginning) = match draw.random_range(0..5) {
        0 => ("train.csv", Vec::new()),
        1 => ("train.csv", table(50)),
        2 => ("train.csv.gz", gzip(&table(50))),
        3 => ("train-images-idx3-ubyte", images),
        _ => ("train.rec", 0xced7_230a_u32.to_le_bytes().to_vec()),
    };
    let path = write(folder, name, &beginning);
    let mut file = File::options().write(true).open(&path).unwrap();
    file.set_len(SPARSE_BYTES).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(b"\n").unwrap();
    path
}

pub(crate) fn bomb(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    // Members one behind the other are one file: 256 MiB that are made once, ten times.
    let fill = [0, b'x', b'"', b','][draw.random_range(0..4)];
    let member = gzip(&vec![fill; 256 << 20]);
    let mut bytes = gzip(&if draw.random_bool(0.5) { table(5) } else { Vec::new() });
    (0..10).for_each(|_| bytes.extend_from_slice(&member));
    write(folder, "train.csv.gz", &bytes)
}

pub(crate) fn deep_gzip(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let bytes = (0..draw.random_range(2..200)).fold(table(50), |bytes, _| gzip(&bytes));
    write(folder, ["train.csv.gz", "train.csv"][draw.random_range(0..2)], &bytes)
}

pub(crate) fn idx_claims(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let size = [0, 1, 7, u32::MAX, 1 << 31, 1 << 16];
    let mut any = || size[draw.random_range(0..size.len())];
    let (images, labels) = (idx(&[any(), any(), any()], 64), idx(&[any()], 7));
    write(folder, "train-labels-idx1-ubyte", &labels);
    write(folder, "train-images-idx3-ubyte", &images)
}

pub(crate) fn recordio_claims(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut bytes = 0xced7_230a_u32.to_le_bytes().to_vec();
    let lengths = [0, 1, 3, 29, 1 << 20, (1 << 29) - 1, u32::MAX];
    bytes.extend(lengths[draw.random_range(0..lengths.len())].to_le_bytes());
    // A field of bytes that claims to be as long as can be, then what may be anything.
    bytes.extend([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    let mut rest = vec![0; draw.random_range(0..200)];
    draw.fill(&mut rest[..]);
    bytes.extend(rest);
    write(folder, "train.rec", &bytes)
}

pub(crate) fn empty(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let name = any_name(draw);
    write(folder, name, &if draw.random_bool(0.5) { gzip(&[]) } else { Vec::new() })
}

pub(crate) fn long_number(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let digits = "7".repeat(1_000_000);
    let number = [
        digits.clone(),
        format!("0.{digits}"),
        format!("1e{digits}"),
        format!("-{digits}.{digits}e-{digits}"),
    ];
    let line = format!("{},1\n", number[draw.random_range(0..4)]);
    csv(draw, folder, format!("x,y\n1,0\n{line}2,1\n").as_bytes())
}

pub(crate) fn wrong_name(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let bytes = [table(50), gzip(&table(50)), idx(&[50, 2, 2], 200), idx(&[50], 50)];
    write(folder, any_name(draw), &bytes[draw.random_range(0..4)])
}

pub(crate) fn ragged(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut text = String::new();
    for _ in 0..500 {
        let cells: Vec<String> =
            (0..draw.random_range(1..9)).map(|_| draw.random_range(0..99).to_string()).collect();
        text += &(cells.join(",") + "\n");
    }
    csv(draw, folder, text.as_bytes())
}

pub(crate) fn distinct_texts(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let lines: String = (0..200_000).map(|at| format!("name {at},{at}x,{}\n", at % 2)).collect();
    csv(draw, folder, lines.as_bytes())
}

pub(crate) fn distinct_labels(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let lines: String =
        (0..200_000).map(|at| format!("{at},name {at} {}\n", "x".repeat(40))).collect();
    csv(draw, folder, lines.as_bytes())
}

/// A small file that becomes a gigabyte of texts, each another one.
pub(crate) fn large_texts(_: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut bytes = Vec::new();
    for at in 0..100 {
        bytes.extend(gzip(format!("{}{at},{}\n", "x".repeat(10 << 20), at % 2).as_bytes()));
    }
    write(folder, "train.csv.gz", &bytes)
}

pub(crate) fn control_characters(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut bytes = table(200);
    for _ in 0..200 {
        let at = draw.random_range(0..bytes.len());
        bytes[at] = draw.random_range(0..32);
    }
    csv(draw, folder, &bytes)
}

pub(crate) fn limits(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let some = [
        "1e308",
        "-1e308",
        "1e-320",
        "3.4e38",
        "3.5e38",
        "-0",
        "1e39",
        "inf",
        "NaN",
        "0x1p3",
        "9007199254740993",
        "1_000",
    ];
    let mut text = "x,z,y\n".to_owned();
    for line in 0..100 {
        let mut any = || some[draw.random_range(0..some.len())];
        text += &format!("{},{},{}\n", any(), any(), line % 2);
    }
    csv(draw, folder, text.as_bytes())
}

/// Thousands of columns, each of which has another text in every line.
pub(crate) fn wide_texts(_: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let mut text = String::new();
    for line in 0..2_000 {
        let value = format!("t{line},");
        text += &value.repeat(4_000);
        text += "1\n";
    }
    write(folder, "train.csv.gz", &gzip(text.as_bytes()))
}
