//! What roles answer to the standard health protocol, to its own client over a real socket.

use ps_cli::TrainingArgs;
use ps_master::MasterFiles;
use ps_runtime::files::SimulatedDisk;
use ps_runtime::{Connector, Lanes, Shutdown, transport};
use ps_server::config::{Bounds, Config};
use ps_tests::loopback::{JOB, Server, config, outside};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving};
use tonic_health::pb::health_client::HealthClient;

const SERVER_SERVICES: [&str; 3] = ["", "ps.v1.DataPlane", "ps.v1.ShardControl"];

/// What the process at this address says of a service; an empty name stands for all of it.
async fn check(address: &str, service: &str) -> Result<ServingStatus, Status> {
    let mut client = HealthClient::new(Connector::tcp().channel(address).unwrap());
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(client.check(request).await?.into_inner().status())
}

/// A server of this master, on a port of its own.
async fn serve(master: String) -> String {
    let (incoming, address) = transport::listen("127.0.0.1:0").await.unwrap();
    let address = address.to_string();
    let config = Config { master: Some(master), ..config(0, Bounds::default()) };
    let (served, lanes) = (address.clone(), Lanes::per_core());
    tokio::spawn(async move {
        let (_trigger, shutdown) = Shutdown::new();
        ps_server::serve::run(
            config,
            incoming,
            lanes,
            served,
            outside(),
            shutdown,
            Default::default(),
        )
        .await
    });
    address
}

#[tokio::test]
async fn a_server_without_a_master_serves_beside_its_bulk_calls() {
    let server = Server::start(0).await.unwrap();
    for service in SERVER_SERVICES {
        assert_eq!(check(&server.address, service).await.unwrap(), Serving, "{service}");
    }
    let unknown = check(&server.address, "ps.v1.Master").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    server.init().await.unwrap();
    assert!(!server.weights().await.unwrap().is_empty());
}

/// Found by a fail point: a server that was started again with nothing was given a start by a worker, and pushes, before it had
/// said to its master that it held nothing; it was taken for one that had lost what was trained.
#[tokio::test]
async fn a_server_serves_and_is_started_once_its_master_knows_it() {
    let (incoming, address) = transport::listen("127.0.0.1:0").await.unwrap();
    let address = address.to_string();
    let server = serve(address.clone()).await;
    for service in SERVER_SERVICES {
        assert_eq!(check(&server, service).await.unwrap(), NotServing, "{service}");
    }
    let started = Server::at(&server).init().await.unwrap_err();
    assert_eq!(started.code(), Code::Unavailable, "{started}");
    let settings = TrainingArgs::default().settings().unwrap();
    let config = ps_master::Config::new(JOB, 1, 1, settings);
    let (led, files) = (address.clone(), Arc::new(SimulatedDisk::default()));
    tokio::spawn(async move {
        let (_trigger, shutdown) = Shutdown::new();
        let files = MasterFiles { results: files, checkpoints: None, state: None };
        ps_master::run(config, incoming, led, outside(), shutdown, files).await
    });
    for service in ["", "ps.v1.Master"] {
        assert_eq!(check(&address, service).await.unwrap(), Serving, "{service}");
    }
    let patience = Duration::from_secs(20);
    let registered = async {
        while check(&server, "").await.unwrap() != Serving {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(patience, registered).await.unwrap();
    for service in SERVER_SERVICES {
        assert_eq!(check(&server, service).await.unwrap(), Serving, "{service}");
    }
    // From then on it is a matter of who calls, and in which epoch.
    let started = Server::at(&server).init().await.unwrap_err();
    assert_eq!(started.code(), Code::FailedPrecondition, "{started}");
}
