//! `psrun serve`: a trained model behind HTTP, by the contract of SageMaker's hosting.
//!
//! `GET /ping` says that it can answer, `POST /invocations` answers. Requests that wait at the same time are computed
//! together: one thread owns the model (`batcher`); `request`, `documents` and `plain` make samples of a body, `reply` a body of what came out.

mod batcher;
mod documents;
mod http;
mod plain;
mod reply;
mod request;
mod understood;
mod unseen;

#[cfg(test)]
mod tests;

use anyhow::Context;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use ps_cli::process::{LevelFilter, ProcessArgs};
use ps_runtime::{MetricSink, Shutdown};
use ps_worker::device::DeviceChoice;
use ps_worker::model::Models;
use ps_worker::trained_model::TrainedModel;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a hosting container finds its model.
const CONTAINER_MODEL: &str = "/opt/ml/model";

/// What a model's server is told.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Folder that a job left: model.safetensors, config.json and, of a table, schema.json [default: /opt/ml/model].
    #[arg(long, env = "PS_SERVE_MODEL", value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Where it listens; port 0 takes any free one [default: 127.0.0.1:8080, and 0.0.0.0:8080, or the port in
    /// SAGEMAKER_BIND_TO_PORT, for /opt/ml/model].
    #[arg(long, env = "PS_SERVE_LISTEN", value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, env = "PS_DEVICE", default_value_t = DeviceChoice::Auto, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Threads to compute with [default: all cores].
    #[arg(long, env = "PS_THREADS", value_name = "T",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub threads: Option<usize>,
    /// Megabytes of a request's body; more is refused.
    #[arg(long, env = "PS_SERVE_BODY_MIB", default_value_t = 16, value_name = "MIB",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub body_mib: usize,
    /// Requests that are read and answered at once; more are told to come again.
    #[arg(long, env = "PS_SERVE_REQUESTS", default_value_t = 64, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub requests: usize,
    /// How much is written to stderr: error, warn, info, debug or trace.
    #[arg(long, env = "PS_LOG", default_value = "info")]
    pub log: LevelFilter,
}

impl ServeArgs {
    fn folder(&self) -> &Path {
        self.model.as_deref().unwrap_or(Path::new(CONTAINER_MODEL))
    }

    /// A container is reached from outside, a program of this machine's user is not unless they say so.
    fn listen(&self) -> String {
        let port = std::env::var("SAGEMAKER_BIND_TO_PORT").unwrap_or_else(|_| "8080".to_owned());
        match (&self.listen, &self.model) {
            (Some(listen), _) => listen.clone(),
            (None, None) => format!("0.0.0.0:{port}"),
            (None, Some(_)) => "127.0.0.1:8080".to_owned(),
        }
    }

    /// The options that every process has.
    pub fn process(&self) -> ProcessArgs {
        ProcessArgs {
            job_id: String::new(),
            log: self.log,
            config: None,
            stop_timeout_s: 9,
            exit_with_parent: false,
            progress_to_parent: false,
            plain: false,
        }
    }
}

/// Serves until a signal comes; then what was asked is answered.
///
/// # Errors
/// The model cannot be used, or nobody can listen there.
pub async fn run(
    models: Models,
    args: ServeArgs,
    metrics: MetricSink,
    mut shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let folder = args.folder().to_owned();
    let device = args.device.open()?;
    let opened = tokio::task::spawn_blocking(move || TrainedModel::open(&models, &folder, device));
    let model = opened.await.context("opening the model")??;
    let listen = args.listen();
    let listener = tokio::net::TcpListener::bind(&listen);
    let listener = listener.await.with_context(|| format!("listening on {listen}"))?;
    let address: SocketAddr = listener.local_addr().context("finding the address")?;
    let router = http::router(model, &args)?;
    metrics(&format!("role=model; listening={address};"));
    tracing::info!("serving {} on http://{address}/invocations", args.folder().display());
    let mut stop = shutdown.clone();
    let stopping = async move { _ = shutdown.wait().await };
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopping);
    let late = async {
        let signal = stop.wait().await;
        tokio::time::sleep(http::ANSWER_TIME).await;
        signal
    };
    tokio::select! {
        served = serving => served.context("serving")?,
        // Who is not answered by now, is not.
        signal = late => return Ok(signal.exit_code()),
    }
    Ok(stop.wait().await.exit_code())
}
