//! Server reflection: what the calls and their messages are, for clients without generated code.

use ps_core::limits::BULK_HEADER_BYTES_MAX;
use ps_proto::FILE_DESCRIPTOR_SET;
use ps_proto::v1::data_plane_server::SERVICE_NAME as DATA_PLANE;
use ps_proto::v1::shard_control_server::SERVICE_NAME as SHARD_CONTROL;
use ps_runtime::health;
use std::sync::OnceLock;
use tonic::service::Routes;
use tonic_reflection::server::{Builder, Error};

/// Made once: that takes milliseconds, and a process may have thousands of servers, one after another.
static SERVICES: OnceLock<Routes> = OnceLock::new();

/// The service as it is, and as it was: grpcio's client still asks for `v1alpha`.
///
/// # Errors
/// The descriptors that were built in are broken.
pub(crate) fn services() -> Result<Routes, Error> {
    if let Some(services) = SERVICES.get() {
        return Ok(services.clone());
    }
    let newer = builder().build_v1()?.max_decoding_message_size(BULK_HEADER_BYTES_MAX);
    let older = builder().build_v1alpha()?.max_decoding_message_size(BULK_HEADER_BYTES_MAX);
    Ok(SERVICES.get_or_init(|| Routes::new(newer).add_service(older)).clone())
}

/// Knows all of our messages and those of the health protocol, and names the services that a server has.
fn builder<'a>() -> Builder<'a> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(health::FILE_DESCRIPTOR_SET)
        .with_service_name(DATA_PLANE)
        .with_service_name(SHARD_CONTROL)
        .with_service_name(health::SERVICE_NAME)
}
