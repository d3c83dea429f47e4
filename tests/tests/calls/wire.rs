//! docs/wire.md says what the code does: clients in other languages are written from it.

use ps_core::partition::{Partition, chunk_elements};
use ps_core::{Layout, TensorKind, TensorSpec};
use ps_kernels::encoding::Encoding;
use ps_proto::{PROTOCOL, v1};

/// What the page's values are encodings and a checksum of.
const VALUES: [f32; 4] = [1.0, -2.5, 0.1, 300.0];

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md")).unwrap()
}

/// The rows of the page's tables with so many columns, without their headings.
fn rows(columns: usize) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let page = page();
    let lines = page.lines().filter(|line| line.starts_with('|'));
    let all = lines.map(cells).filter(|cells| cells.len() == columns);
    all.filter(|cells| !cells[0].starts_with("---")).skip(1).collect()
}

#[test]
fn the_grid_is_the_pages() {
    let rows = rows(5);
    assert!(rows.len() >= 8, "{rows:?}");
    for row in rows {
        let number = |column: usize| row[column].parse::<usize>().unwrap();
        let (trainable, state, servers) = (number(0), number(1), number(2) as u32);
        let tensor = |name: &str, elements, kind| TensorSpec {
            name: name.to_owned(),
            shape: vec![elements],
            kind,
        };
        let mut tensors = vec![tensor("weight", trainable, TensorKind::Trainable)];
        tensors.extend((state > 0).then(|| tensor("mean", state, TensorKind::State)));
        let layout = Layout::new(tensors).unwrap();
        let elements = chunk_elements(layout.elements(), servers);
        assert_eq!(elements as usize, number(3), "{row:?}");
        let partition = Partition::new(&layout, elements, servers);
        let mut firsts: Vec<u32> = (0..servers).map(|shard| partition.run(shard).start).collect();
        firsts.push(partition.run(servers - 1).end);
        let firsts: Vec<String> = firsts.iter().map(ToString::to_string).collect();
        assert_eq!(firsts.join(", "), row[4], "{row:?}");
    }
}

#[test]
fn encodings_are_the_pages() {
    let rows = rows(3);
    assert_eq!(rows.len(), Encoding::ALL.len(), "{rows:?}");
    for (row, encoding) in rows.iter().zip(Encoding::ALL) {
        let mut bytes = vec![0; encoding.encoded_bytes(VALUES.len())];
        encoding.encode(&VALUES, &mut bytes);
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let number = v1::Encoding::from_str_name(&format!("ENCODING_{}", row[0].to_uppercase()));
        let number = (number.unwrap() as i32).to_string();
        assert_eq!([&row[0], &row[1], &row[2]], [encoding.name(), &number, &hex.join(" ")]);
    }
}

#[test]
fn digests_and_numbers_are_the_pages() {
    let bytes: Vec<u8> = VALUES.iter().flat_map(|value| value.to_le_bytes()).collect();
    let expected = [crc32fast::hash(&[0; 20]), crc32fast::hash(&bytes)].map(|it| it.to_string());
    let found: Vec<String> = rows(2).into_iter().map(|row| row[1].clone()).collect();
    assert_eq!(found, expected);
    let page = page();
    let unacknowledged = ps_core::limits::UNACKNOWLEDGED_PUSHES_MAX;
    assert!(page.contains(&format!("**protocol** ({PROTOCOL})")));
    assert!(page.contains(&format!("At most {unacknowledged} pushes may be unacknowledged")));
}
