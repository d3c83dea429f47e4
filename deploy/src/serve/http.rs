//! The two addresses of the contract, and a third that batch transform asks.

use super::ServeArgs;
use super::batcher::{About, Batcher};
use super::reply;
use super::request::{self, BodyFormat};
use super::understood::Understood;
use super::unseen::Unseen;
use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ps_worker::trained_model::TrainedModel;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a body may take to come, and after a signal what was asked may take to be answered.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(8);
const BODY_TIME: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Serving {
    batcher: Batcher,
    about: Arc<About>,
    /// Requests that may still be taken.
    places: Arc<Semaphore>,
    body_bytes: usize,
    requests: usize,
    unseen: Unseen,
}

/// What answers requests.
///
/// # Errors
/// The model's thread cannot be started.
pub(super) fn router(model: TrainedModel, args: &ServeArgs) -> anyhow::Result<Router> {
    let (batcher, about) = Batcher::start(model).context("starting the model's thread")?;
    let serving = Serving {
        batcher,
        about: Arc::new(about),
        places: Arc::new(Semaphore::new(args.requests)),
        body_bytes: args.body_mib << 20,
        requests: args.requests,
        unseen: Unseen::default(),
    };
    Ok(Router::new()
        .route("/ping", get(|| async { StatusCode::OK }))
        .route("/execution-parameters", get(execution_parameters))
        .route("/invocations", post(invoke))
        .with_state(serving))
}

/// How batch transform may ask.
async fn execution_parameters(State(serving): State<Serving>) -> Response {
    let parameters = json!({
        "MaxConcurrentTransforms": serving.requests,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": serving.body_bytes >> 20,
    });
    ([(CONTENT_TYPE, "application/json")], parameters.to_string()).into_response()
}

async fn invoke(State(serving): State<Serving>, request: Request) -> Response {
    let Ok(_place) = serving.places.try_acquire() else {
        let message = "too many requests at once; come again\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], message).into_response();
    };
    let (parts, body) = request.into_parts();
    match answer(&serving, &parts.headers, body).await {
        Ok((format, body)) => ([(CONTENT_TYPE, format.content_type())], body).into_response(),
        Err((status, problem)) => (status, format!("{problem}\n")).into_response(),
    }
}

type Refusal = (StatusCode, String);

async fn answer(
    serving: &Serving,
    headers: &HeaderMap,
    body: Body,
) -> Result<(BodyFormat, Vec<u8>), Refusal> {
    let (format, accepted) = formats(headers)?;
    let body = read(serving, body).await?;
    // A large body takes its time to be understood: others are answered meanwhile.
    let about = serving.about.clone();
    let understood =
        tokio::task::spawn_blocking(move || request::understood(&about, format, body.to_vec()));
    let failed = |error: String| (StatusCode::INTERNAL_SERVER_ERROR, error);
    let understood = understood.await.map_err(|error| failed(error.to_string()))?;
    let (Understood { inputs, unseen }, samples) =
        understood.map_err(|problem| (StatusCode::BAD_REQUEST, problem))?;
    serving.unseen.count(unseen);
    let predictions = serving.batcher.answer(inputs, samples).await.map_err(failed)?;
    let body = reply::body(accepted, &serving.about.says, &predictions).map_err(failed)?;
    Ok((accepted, body))
}

/// How the body is written, and how the reply is wanted.
fn formats(headers: &HeaderMap) -> Result<(BodyFormat, BodyFormat), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = "expected text/csv, application/json or application/jsonlines";
    let content_type = text(CONTENT_TYPE);
    let format = BodyFormat::named(content_type).ok_or_else(|| {
        let problem = format!("content type `{content_type}`: {known}");
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, problem)
    })?;
    let accept = text(ACCEPT);
    let mut wanted = accept.split(',').map(str::trim).filter(|it| !it.is_empty()).peekable();
    if wanted.peek().is_none() {
        return Ok((format, format));
    }
    let is_any = |it: &&str| it.starts_with("*/*");
    let accepted = wanted.find_map(|it| BodyFormat::named(it).or(is_any(&it).then_some(format)));
    let refused = || (StatusCode::NOT_ACCEPTABLE, format!("accept `{accept}`: {known}"));
    Ok((format, accepted.ok_or_else(refused)?))
}

async fn read(serving: &Serving, body: Body) -> Result<Bytes, Refusal> {
    let limit = serving.body_bytes;
    match tokio::time::timeout(BODY_TIME, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let problem = format!("reading the body, of at most {limit} bytes: {error}");
            Err((StatusCode::PAYLOAD_TOO_LARGE, problem))
        }
        Err(_) => {
            let problem = format!("the body did not come within {} s", BODY_TIME.as_secs());
            Err((StatusCode::REQUEST_TIMEOUT, problem))
        }
    }
}
