//! Processes that our children leave behind are waited for, and nobody's status is taken. A program
//! of its own: it would wait for other tests' children.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

use psrun::orphans::Children;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Mutex;

/// What dead children leave is anybody's: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Starts a process that leaves one behind, whose id it writes to the file before it exits with 7.
fn leaving_one_behind(file: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("sleep 0.3 & echo $! > {file}; exit 7"));
    command
}

/// The state letter and the parent of a process that still is in the table.
fn state(pid: &str) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(PathBuf::from("/proc").join(pid).join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}

#[tokio::test]
async fn what_children_leave_behind_is_waited_for() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let children = Children::default();
    let adopting = tokio::spawn(children.clone().adopt_orphans());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut orphans = Vec::new();
    for round in 0..20 {
        let file = folder.path().join(format!("pid-{round}"));
        let mut command = leaving_one_behind(file.to_str().unwrap());
        let mut child = children.spawn(&mut command).unwrap();
        let pid = child.id();
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(7), "its status was taken by somebody else");
        children.waited_for(pid);
        orphans.push(std::fs::read_to_string(file).unwrap().trim().to_owned());
    }
    let me = std::process::id().to_string();
    // Without a parent of its own it became ours, so the test is about what it says.
    let (_, parent) = state(orphans.last().unwrap()).unwrap();
    assert_eq!(parent, me);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let left: Vec<_> = orphans.iter().filter_map(|pid| Some((pid, state(pid)?))).collect();
    let left: Vec<_> = left.iter().filter(|(_, (_, parent))| *parent == me).collect();
    assert!(left.is_empty(), "not waited for: {left:?}");
    adopting.abort();
}

#[tokio::test]
async fn the_end_of_one_job_is_not_the_end_of_another() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // A child, and one below it.
    let script = format!("sleep 30 & echo $! > {}; wait", file.display());
    let patient = || {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&script);
        command
    };
    let (ended, other) = (Children::default(), Children::default());
    let mut others = other.spawn(&mut patient()).unwrap();
    let below = loop {
        let pid = std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
        if !pid.is_empty() {
            break pid;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let mut ours = ended.spawn(&mut patient()).unwrap();
    ended.end_descendants().await;
    assert!(!ours.wait().await.unwrap().success(), "ours still ran, and was to be killed");
    ended.waited_for(ours.id());
    assert!(others.try_wait().unwrap().is_none(), "a child of another job was killed");
    assert_eq!(state(&below).unwrap().0, "S", "what is below it was killed");
    // Its own end reaches both.
    other.end_descendants().await;
    assert!(!others.wait().await.unwrap().success());
    assert!(state(&below).is_none_or(|(state, _)| state == "Z"), "left");
}
