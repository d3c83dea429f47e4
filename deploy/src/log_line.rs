//! What a line says that a process wrote: a metric, or something for people. Pure.

/// The value of `name=value;` in a metric line.
pub fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let pairs = line.split(';').map(str::trim);
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| v)
}

/// Whether a log line is a warning, an error or a panic.
pub fn is_warning_or_worse(line: &str) -> bool {
    let text = without_time(line);
    ["WARN", "ERROR", "error:"].iter().any(|level| text.starts_with(level)) || starts_panic(line)
}

/// Whether a line is the first of a panic: it says where, the next one says what.
pub fn starts_panic(line: &str) -> bool {
    line.contains("panicked at")
}

/// A log line without the seconds that it starts with: they count from another process's start.
pub fn without_time(line: &str) -> &str {
    let rest = line.trim_start();
    match rest.split_once(' ') {
        Some((time, rest))
            if time.ends_with('s') && time.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            rest.trim_start()
        }
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let line = "role=server; shard=0; listening=127.0.0.1:4321;";
        assert_eq!(value(line, "listening"), Some("127.0.0.1:4321"));
        assert_eq!(value(line, "shard"), Some("0"));
        assert_eq!(value(line, "port"), None);
    }

    #[test]
    fn trouble_is_told_from_the_rest() {
        assert!(is_warning_or_worse("   0.004518031s  WARN the master is lost"));
        assert!(is_warning_or_worse("  12.004518031s ERROR no"));
        assert!(is_warning_or_worse("error: ps-worker: no such folder"));
        assert!(is_warning_or_worse("thread 'main' (1) panicked at src/main.rs:3:5:"));
        assert!(!is_warning_or_worse("   0.004518031s  INFO an ERROR was seen elsewhere"));
        assert_eq!(without_time("   0.004518031s  WARN lost"), "WARN lost");
    }
}
