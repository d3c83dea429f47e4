//! Chunks that travel as one are applied, and pulled, as each by itself would be.

use ps_client::{Gradient, Weights};
use ps_core::TensorSpec;
use ps_core::model_spec::ModelSpec;
use ps_core::settings::Wire;
use ps_kernels::encoding::Encoding;
use ps_proto::{PROTOCOL, v1};
use ps_tests::loopback::{JOB, Server, bytes, model_of, push};
use std::ops::Range;
use std::sync::Arc;

/// What the worker's client sends as runs, and a caller of any protobuf compiler chunk by chunk.
#[tokio::test]
async fn runs_of_chunks_are_what_their_chunks_are() {
    const ELEMENTS: usize = 1000;
    const CHUNK: u32 = 128;
    let tensors = vec![TensorSpec::trainable("a", [ELEMENTS])];
    let model = ModelSpec { chunk_elements: CHUNK, ..model_of(tensors) };
    let gradient: Vec<f32> = (0..ELEMENTS).map(|element| element as f32 - 400.5).collect();
    // The largest error, of the largest value.
    let encodings =
        [(Encoding::F32, 0.0), (Encoding::Bf16, 1.0 / 256.0), (Encoding::Int8, 1.0 / 254.0)];
    for (encoding, error_max) in encodings {
        let (one, other) = (Server::start(0).await.unwrap(), Server::start(0).await.unwrap());
        one.init_model(&model).await.unwrap();
        other.init_model(&model).await.unwrap();
        let client = one.client(1, Wire { pull: encoding, ..Wire::default() });
        let mut weights = Weights::new(&model);
        let layout = Arc::new(model.layout.clone());
        let whole = Gradient::new(layout, gradient.clone(), vec![true], 0.0);
        client.push_pull(&whole, 1.0, &mut weights).await.unwrap();
        other.push(chunk_by_chunk(&model, &gradient)).await.unwrap();
        assert_eq!(one.weights().await.unwrap(), other.weights().await.unwrap());
        // Encoded as they were pulled: each chunk alone, or all as one.
        let exact = one.weights().await.unwrap();
        let largest = exact.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let error = weights.values().iter().zip(&exact).map(|(a, b)| (a - b).abs());
        let error = error.fold(0.0, f32::max);
        assert!(error <= largest * error_max, "{encoding}: {error}");
        // Blocks of int8 are longer than these chunks, so that each is for itself.
        let runs = if encoding == Encoding::Int8 { 8 } else { 1 };
        assert_eq!(pulled_runs(&one, encoding).await, runs, "{encoding}");
    }
}

fn chunk_by_chunk(model: &ModelSpec, gradient: &[f32]) -> Vec<v1::PushMessage> {
    let chunks = model.partition().chunks(0);
    let mut header = push(0, &[]).header;
    header.as_mut().unwrap().chunks_total = chunks.len() as u32;
    let message = |(index, range): (u32, Range<usize>)| {
        let values = bytes(&gradient[range]);
        let chunks = vec![v1::ChunkPayload { index, values, ..Default::default() }];
        v1::PushMessage { header: header.take(), chunks }
    };
    (0..).zip(chunks).map(message).collect()
}

async fn pulled_runs(server: &Server, encoding: Encoding) -> usize {
    let request = v1::PullRequest {
        job: JOB.into(),
        protocol: PROTOCOL,
        encoding: v1::Encoding::from(encoding).into(),
        ..v1::PullRequest::default()
    };
    let mut messages = server.data().pull(request).await.unwrap().into_inner();
    let mut runs = 0;
    while let Some(message) = messages.message().await.unwrap() {
        runs += message.chunks.len();
    }
    runs
}
