//! What people see of a job on a terminal.

use ps_tests::process::{Terminal, alone};
use std::time::Duration;

/// Longer than these jobs take on two slow cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// Found by a newcomer: on terminals of 80 and 120 columns the bar, which was wider than a row, wiped the line of every
/// pass but the last.
#[test]
fn regression_the_bar_wipes_no_line() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_str().unwrap();
    let args = ["local", "--passes", "6", "--instances", "3", "--out", out];
    let (code, rows) = Terminal::start(80, &args).wait(PATIENCE);
    let text = rows.join("\n");
    assert_eq!(code, Some(0), "{text}");
    for pass in 1..=6 {
        let start = format!("pass={pass}; test_accuracy=0.");
        assert_eq!(rows.iter().filter(|row| row.starts_with(&start)).count(), 1, "{start}\n{text}");
    }
    assert!(rows.iter().any(|row| row.starts_with("final_test_accuracy=0.")), "{text}");
    // Nothing of the bar is left, in no row.
    assert!(!rows.iter().any(|row| row.contains("[=") || row.contains("[>")), "{text}");
    // And each row is of one writer.
    let metrics = |row: &&String| row.contains("test_accuracy=") && !row.contains("INFO");
    for row in rows.iter().filter(metrics) {
        assert!(row.starts_with("pass=") || row.starts_with("final_"), "{row}\n{text}");
    }
}
