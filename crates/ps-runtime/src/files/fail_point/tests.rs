use super::*;
use crate::files::{FileStore, SimulatedDisk};

/// Dies by an error, and tells where.
#[derive(Clone, Default)]
struct Told {
    begun: Arc<Mutex<Vec<DurableStep>>>,
    died: Arc<Mutex<Vec<String>>>,
}

impl AtDurableSteps for Told {
    fn begins(&self, step: DurableStep, _: &str) {
        self.begun.lock().unwrap().push(step);
    }

    fn dies(&self, at: &str) -> io::Error {
        self.died.lock().unwrap().push(at.to_owned());
        io::Error::other("dead")
    }

    fn is_dying(&self) -> io::Error {
        io::Error::other("dying")
    }
}

#[test]
fn points_are_read_as_they_are_written() {
    for text in ["before:1", "after:17", "before:create:2", "after:sync-names:3", "half:write:40"] {
        assert_eq!(text.parse::<FailPoint>().unwrap().to_string(), text);
    }
    for text in
        ["", "before", "before:0", "half:3", "half:rename:1", "after:x:1", "now:1", "a:b:c:1"]
    {
        let error = text.parse::<FailPoint>().unwrap_err().to_string();
        assert!(error.contains(&format!("`{text}`")) && error.contains("sync-names"), "{error}");
    }
}

/// What lies on the disk after a process that wrote a file and died at this point; where it died.
fn after(point: &str) -> (SimulatedDisk, Vec<String>) {
    let (disk, told) = (SimulatedDisk::default(), Told::default());
    disk.write("x", b"old").unwrap();
    let steps = DurableSteps::new(Some(point.parse().unwrap()), told.clone());
    let files = steps.watch(Arc::new(disk.clone()));
    let written = files.write("x", b"twelve bytes");
    let died = told.died.lock().unwrap().clone();
    assert_eq!(written.is_err(), !died.is_empty(), "{point}");
    (disk, died)
}

#[test]
fn a_process_dies_before_after_or_in_the_middle_of_the_step_that_was_named() {
    let partial = |point: &str| after(point).0.content("x.partial");
    assert_eq!(partial("before:1"), None);
    assert_eq!(partial("after:1").unwrap(), b"");
    assert_eq!(partial("before:write:1").unwrap(), b"");
    assert_eq!(partial("half:write:1").unwrap(), b"twelve");
    assert_eq!(partial("after:write:1").unwrap(), b"twelve bytes");
    let whole = |point: &str| after(point).0.content("x").unwrap();
    assert_eq!(whole("before:rename:1"), b"old");
    assert_eq!(whole("after:rename:1"), b"twelve bytes");
    // Create, write, sync, rename, names: as many as there are, and none after them.
    assert_eq!(after("before:5").1, ["before sync-names names"]);
    assert_eq!(after("after:sync:1").1, ["after sync x.partial"]);
    assert!(after("before:6").1.is_empty());
    assert!(after("before:remove:1").1.is_empty());
}

/// Whoever cleans up behind an error must not do so for a process that is gone.
#[test]
fn nothing_is_done_after_death_and_all_stores_count_together() {
    let told = Told::default();
    let steps = DurableSteps::new(Some("before:rename:2".parse().unwrap()), told.clone());
    let disks = [SimulatedDisk::default(), SimulatedDisk::default()];
    let [one, other] = disks.clone().map(|disk| steps.watch(Arc::new(disk)));
    one.write("a", b"1").unwrap();
    assert!(other.write("b", b"2").is_err());
    assert_eq!(disks[1].list().unwrap(), ["b.partial"], "as it was at the moment of its death");
    assert_eq!(one.remove("a").unwrap_err().to_string(), "dying");
    assert_eq!(disks[0].list().unwrap(), ["a"]);
    assert_eq!(told.died.lock().unwrap().len(), 1);
    assert_eq!(told.begun.lock().unwrap().len(), 9);
}
