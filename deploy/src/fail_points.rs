//! `PS_FAIL_POINTS`: processes of a job kill themselves at chosen durable steps. For tests of what they leave behind, which is
//! why no help names it (docs/adr/0041-fail-points.md).

use crate::name::{Name, Role};
use anyhow::Context;
use ps_cli::fail_points::TRACE;
use ps_runtime::files::FailPoint;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The variable: `server:1:before:17,server:1:after:rename:2,master:half:write:5`, or `trace`. The k-th point of a process is
/// for its k-th start.
const VARIABLE: &str = "PS_FAIL_POINTS";

/// Where processes kill themselves; each point is for one start, whichever copy of this hands it out.
#[derive(Clone, Debug, Default)]
pub struct FailPoints {
    is_traced: bool,
    points: Arc<Mutex<BTreeMap<Name, VecDeque<FailPoint>>>>,
}

impl FailPoints {
    /// What the environment of this process says; it is said aloud where that is anything.
    ///
    /// # Errors
    /// It says something that is no list of points.
    pub fn of_environment() -> anyhow::Result<Self> {
        let said = std::env::var(VARIABLE).unwrap_or_default();
        if !said.is_empty() {
            tracing::warn!(
                "{VARIABLE}={said}: this job is a test's, whose processes kill themselves there; unset it for any other use"
            );
        }
        Self::parse(&said).with_context(|| format!("reading {VARIABLE}"))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        if text == TRACE {
            return Ok(Self { is_traced: true, ..Self::default() });
        }
        let mut points: BTreeMap<Name, VecDeque<FailPoint>> = BTreeMap::new();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let (name, point) = split(entry).with_context(|| {
                format!("`{entry}`: expected master:POINT or server:I:POINT, or {TRACE} alone")
            })?;
            points.entry(name).or_default().push_back(point.parse()?);
        }
        Ok(Self { is_traced: false, points: Arc::new(Mutex::new(points)) })
    }

    /// What the process of this name is told that is started now.
    pub fn next(&self, name: Name) -> Option<String> {
        if self.is_traced {
            return Some(TRACE.to_owned());
        }
        let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        points.get_mut(&name)?.pop_front().map(|point| point.to_string())
    }
}

/// Whose point it is, and which.
fn split(entry: &str) -> Option<(Name, &str)> {
    match entry.split_once(':')? {
        ("master", point) => Some((Name { role: Role::Master, index: 0 }, point)),
        ("server", rest) => {
            let (index, point) = rest.split_once(':')?;
            Some((Name { role: Role::Server, index: index.parse().ok()? }, point))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_of_a_process_has_a_point_of_its_own() {
        let text = "server:1:before:17,master:half:write:5,server:1:after:rename:2";
        let (points, master) =
            (FailPoints::parse(text).unwrap(), Name { role: Role::Master, index: 0 });
        let server = |index| Name { role: Role::Server, index };
        assert_eq!(points.next(server(0)), None);
        assert_eq!(points.next(server(1)).unwrap(), "before:17");
        // Another life of the job, too.
        let again = points.clone();
        assert_eq!(again.next(server(1)).unwrap(), "after:rename:2");
        assert_eq!(points.next(server(1)), None);
        assert_eq!(points.next(master).unwrap(), "half:write:5");
        let traced = FailPoints::parse("trace").unwrap();
        assert_eq!(traced.next(master).unwrap(), "trace");
        assert_eq!(FailPoints::parse("").unwrap().next(master), None);
        for bad in ["server:before:1", "worker:0:before:1", "server:1:soon:1", "x"] {
            let error = format!("{:#}", FailPoints::parse(bad).unwrap_err());
            assert!(error.contains("expected"), "{error}");
        }
    }
}
