//! Other hosts appear when they like: their names resolve late, and their master listens later.

use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// First and longest wait between two looks.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Waits until every name resolves.
///
/// # Errors
/// Some do not in this time; the message names them and says what to look at.
pub async fn resolve(hosts: &[String], timeout: Duration) -> Result<(), String> {
    let mut waits = Waits::new(timeout);
    let mut missing = hosts.to_vec();
    loop {
        missing = unresolved(missing).await;
        if missing.is_empty() {
            return Ok(());
        }
        let names = missing.join(", ");
        let Some(wait) = waits.next() else {
            return Err(format!(
                "the names of these hosts did not resolve in {} s: {names}; look whether they were \
                 started and are in one network (hyperparameter resolve-timeout-s)",
                timeout.as_secs()
            ));
        };
        // The first looks are too early to be worth a line.
        if wait >= Duration::from_secs(1) {
            tracing::info!("waiting for the names of {names} to resolve");
        }
        tokio::time::sleep(wait).await;
    }
}

async fn unresolved(hosts: Vec<String>) -> Vec<String> {
    let mut looks = JoinSet::new();
    for host in hosts {
        looks.spawn(async move {
            let resolves =
                lookup_host((host.as_str(), 0)).await.is_ok_and(|mut all| all.next().is_some());
            (!resolves).then_some(host)
        });
    }
    let mut missing: Vec<String> = looks.join_all().await.into_iter().flatten().collect();
    missing.sort();
    missing
}

/// Waits until somebody listens where the master is: its host may still be copying its data.
///
/// # Errors
/// Nobody does in this time.
pub async fn reach(master: &str, timeout: Duration) -> Result<(), String> {
    let mut waits = Waits::new(timeout);
    loop {
        let why = match tokio::time::timeout(CONNECT, TcpStream::connect(master)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        let Some(wait) = waits.next() else {
            return Err(format!(
                "the master at {master} did not answer in {} s: {why}; look at the log of its host, \
                 and whether hosts of the job may reach each other",
                timeout.as_secs()
            ));
        };
        if wait >= Duration::from_secs(1) {
            tracing::info!("waiting for the master at {master}: {why}");
        }
        // Once it is there it waits for us: no long pauses any more.
        tokio::time::sleep(wait.min(CONNECT)).await;
    }
}

/// Waits that double, until the time is over.
struct Waits {
    next: Duration,
    end: Instant,
}

impl Waits {
    fn new(timeout: Duration) -> Self {
        Self { next: FIRST, end: Instant::now() + timeout }
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let left =
            self.end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        let wait = self.next.min(left);
        self.next = (self.next * 2).min(LONGEST);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn addresses_and_known_names_resolve() {
        let hosts = names(&["127.0.0.2", "localhost"]);
        resolve(&hosts, Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn missing_names_are_named() {
        let hosts = names(&["127.0.0.2", "algo-9.invalid", "algo-8.invalid"]);
        let error = resolve(&hosts, Duration::from_millis(200)).await.unwrap_err();
        assert!(error.contains("algo-8.invalid, algo-9.invalid"), "{error}");
        assert!(!error.contains("127.0.0.2"), "{error}");
    }

    #[tokio::test]
    async fn a_master_that_comes_late_is_waited_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = reach(&address, Duration::from_millis(300)).await.unwrap_err();
        assert!(error.contains(&address), "{error}");
        let late = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
            listener.accept().await.unwrap();
        };
        let (reached, ()) = tokio::join!(reach(&address, Duration::from_secs(10)), late);
        reached.unwrap();
    }

    #[test]
    fn waits_grow_to_half_a_minute() {
        let waits: Vec<Duration> = Waits::new(Duration::from_secs(900)).take(12).collect();
        assert_eq!(waits[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(waits[11], LONGEST);
    }
}
