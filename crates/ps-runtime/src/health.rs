//! The standard health protocol (`grpc.health.v1`), by which orchestrators ask whether a process can
//! do its work.

use crate::requests::{Bounded, RequestBudget};
use ps_core::limits::BULK_HEADER_BYTES_MAX;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

pub use tonic_health::ServingStatus;

/// The protocol's own messages and name, for server reflection.
pub use tonic_health::pb::FILE_DESCRIPTOR_SET;
pub use tonic_health::pb::health_server::SERVICE_NAME;

/// What a process says of its services, and of itself as a whole.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: &'static [&'static str],
}

impl Health {
    /// Says this of these services.
    pub async fn new(services: &'static [&'static str], status: ServingStatus) -> Self {
        let health = Self { reporter: HealthReporter::new(), services };
        health.set(status).await;
        health
    }

    /// Says something else from now on, also to whoever watches.
    pub async fn set(&self, status: ServingStatus) {
        // The protocol's name for the whole process is the empty one.
        for service in self.services.iter().chain(&[""]) {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// The service that says it; a listener has it beside the others.
    pub fn service(&self, budget: &RequestBudget) -> Bounded<HealthServer<HealthService>> {
        let service = HealthService::from_health_reporter(self.reporter.clone());
        budget.bounded_for_strangers(HealthServer::new(service), BULK_HEADER_BYTES_MAX)
    }
}
