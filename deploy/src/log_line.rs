//! What a line says that a process wrote: a metric, or something for people. Pure.

/// The value of `name=value;` in a metric line.
pub fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let pairs = line.split(';').map(str::trim);
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| v)
}

/// A line of a process's standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Of our log.
    Log {
        /// Its level, in capitals.
        level: &'a str,
        /// What it says.
        text: &'a str,
    },
    /// `error: ps-worker: ..`, the last words of a program of ours; without its name.
    Error(&'a str),
    /// The first of a panic: it says where, the next one says what.
    Panic,
    /// Anything else: what a model or a program of the user's printed.
    Printed,
}

impl<'a> Line<'a> {
    /// What this line is.
    pub fn of(line: &'a str) -> Self {
        if let Some((_, level, text)) = logged(line) {
            return Self::Log { level, text };
        }
        let ours = line.strip_prefix("error: ").and_then(|error| error.split_once(": "));
        match ours {
            Some(("ps-master" | "ps-server" | "ps-worker", error)) => Self::Error(error),
            _ if line.contains("panicked at") => Self::Panic,
            _ => Self::Printed,
        }
    }

    /// Whether it is a warning, an error or a panic.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Log { level, .. } => ["WARN", "ERROR"].contains(level),
            Self::Error(_) | Self::Panic => true,
            Self::Printed => false,
        }
    }
}

/// The time, level and text of a line of our log.
pub fn logged(line: &str) -> Option<(&str, &str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let is_time = time.len() > 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T';
    let (level, text) = rest.trim_start().split_once(' ')?;
    let is_level = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level);
    (is_time && is_level).then_some((time, level, text))
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
        let log = |rest: &str| format!("2026-11-29T05:41:00.123456Z {rest}");
        let is_trouble = |line: &str| Line::of(line).is_trouble();
        assert!(is_trouble(&log(" WARN the master is lost")));
        assert!(is_trouble(&log("ERROR no")));
        assert!(is_trouble("error: ps-worker: no such folder"));
        assert!(is_trouble("thread 'main' (1) panicked at src/main.rs:3:5:"));
        assert!(!is_trouble(&log(" INFO an ERROR was seen elsewhere")));
    }

    #[test]
    fn what_is_not_ours_is_printed() {
        for line in ["", "hello", "error: my own: no", "05:41:00 WARN mine", "2026 INFO"] {
            assert_eq!(Line::of(line), Line::Printed, "{line}");
        }
        // Bytes of several in a character are no time either.
        assert_eq!(Line::of("ééééééééééééZ WARN x"), Line::Printed);
        assert_eq!(Line::of("error: ps-worker: a: b"), Line::Error("a: b"));
    }
}
