//! Processes that our children leave behind are ended and waited for, and nobody's status is taken. A
//! program of its own: it would end other tests' children.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

use ps_cli::orphans::{Children, Orphans};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// What dead children leave is anybody's: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Starts a process that leaves one behind, whose id it writes to the file before it exits with 7.
fn leaving_one_behind(file: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("sleep 60 & echo $! > {file}; exit 7"));
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
async fn what_children_leave_behind_is_ended_and_waited_for() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let children = Children::default();
    let adopting = tokio::spawn(children.clone().adopt_orphans(Orphans::Kill));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut orphans = Vec::new();
    for round in 0..20 {
        let file = folder.path().join(format!("pid-{round}"));
        let mut command = leaving_one_behind(file.to_str().unwrap());
        let mut child = children.spawn(|| command.spawn(), Child::id).unwrap();
        let pid = child.id();
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(7), "its status was taken by somebody else");
        children.waited_for(pid);
        orphans.push(std::fs::read_to_string(file).unwrap().trim().to_owned());
    }
    // A minute is what they would take by themselves.
    let start = Instant::now();
    while let Some(left) = orphans.iter().find_map(|pid| Some((pid, state(pid)?))) {
        assert!(start.elapsed() < Duration::from_secs(20), "left, or not waited for: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    adopting.abort();
}

/// A daemon of a program that still runs is a part of it, and ends with it.
#[tokio::test]
async fn orphans_may_be_kept_until_all_is_over() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let children = Children::default();
    let adopting = tokio::spawn(children.clone().adopt_orphans(Orphans::Keep));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut command = leaving_one_behind(file.to_str().unwrap());
    let mut child = children.spawn(|| command.spawn(), Child::id).unwrap();
    let pid = child.id();
    child.wait().await.unwrap();
    children.waited_for(pid);
    let orphan = std::fs::read_to_string(file).unwrap().trim().to_owned();
    // Time for several looks at it.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (_, parent) = state(&orphan).unwrap();
    assert_eq!(parent, std::process::id().to_string());
    children.end_descendants_blocking();
    assert_eq!(state(&orphan), None);
    adopting.abort();
}

/// Nobody is left to end it: we are killed, too.
#[tokio::test]
async fn what_ends_with_a_thread_does() {
    let _alone = ALONE.lock().await;
    let children = Children::default();
    let start = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut command = Command::new("/bin/sleep");
            command.arg("60");
            ps_cli::orphans::end_with_thread(&mut command);
            children.spawn(|| command.spawn(), Child::id).unwrap().id().unwrap()
        })
    };
    let pid = std::thread::spawn(start).join().unwrap().to_string();
    let start = Instant::now();
    while state(&pid).is_some_and(|(state, _)| state != "Z") {
        assert!(start.elapsed() < Duration::from_secs(20), "left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
    let mut others = other.spawn(|| patient().spawn(), Child::id).unwrap();
    let below = loop {
        let pid = std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
        if !pid.is_empty() {
            break pid;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let mut ours = ended.spawn(|| patient().spawn(), Child::id).unwrap();
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
