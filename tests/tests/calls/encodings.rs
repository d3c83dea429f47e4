//! Values on the wire in every encoding, dense and as the largest alone, through a real server.

use ps_client::{Gradient, Weights};
use ps_core::model_spec::ModelSpec;
use ps_core::settings::Wire;
use ps_core::{Layout, TensorKind, TensorSpec};
use ps_kernels::encoding::Encoding;
use ps_proto::v1::refused_chunk::Reason as Refused;
use ps_proto::{PROTOCOL, v1};
use ps_tests::loopback::{JOB, Server, model, model_of, push};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tonic::Code;

async fn server(model: &ModelSpec) -> Server {
    let server = Server::start(0).await.unwrap();
    server.init_model(model).await.unwrap();
    server
}

fn encoded(encoding: Encoding, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; encoding.encoded_bytes(values.len())];
    encoding.encode(values, &mut bytes);
    bytes
}

fn decoded(encoding: Encoding, bytes: &[u8], elements: usize) -> Vec<f32> {
    let mut values = vec![0.0; elements];
    encoding.decode(bytes, &mut values);
    values
}

fn round_trip(encoding: Encoding, values: &[f32]) -> Vec<f32> {
    decoded(encoding, &encoded(encoding, values), values.len())
}

/// A push in an encoding, with positions where there are some.
fn push_as(encoding: Encoding, seq: u64, values: &[f32], positions: &[u16]) -> v1::PushMessage {
    let mut message = push(seq, &[]);
    message.header.as_mut().unwrap().encoding = v1::Encoding::from(encoding).into();
    message.chunks[0].values = encoded(encoding, values).into();
    message.chunks[0].positions = positions.iter().flat_map(|p| p.to_le_bytes()).collect();
    message
}

fn negative(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| 0.0 - value).collect()
}

const GRADIENT: [f32; 5] = [1.0 / 3.0, -0.7, 1e-3, 1234.567, 0.0];

#[tokio::test]
async fn pushed_values_arrive_as_their_encoding_says() {
    for encoding in Encoding::ALL {
        let server = server(&model()).await;
        let message = push_as(encoding, 0, &GRADIENT, &[]);
        for _ in 0..2 {
            // The second time it is a retry.
            server.push(vec![message.clone()]).await.unwrap();
        }
        let arrived = round_trip(encoding, &GRADIENT);
        assert_eq!(server.weights().await.unwrap(), negative(&arrived), "{encoding}");
        let mut part = push_as(encoding, 1, &GRADIENT[..2], &[]);
        part.chunks[0].spans = vec![v1::Span { start: 0, len: 1 }, v1::Span { start: 4, len: 1 }];
        server.push(vec![part]).await.unwrap();
        let two = round_trip(encoding, &GRADIENT[..2]);
        let weights = server.weights().await.unwrap();
        assert_eq!(weights[0], -arrived[0] - two[0], "{encoding}");
        assert_eq!(weights[1..4], negative(&arrived)[1..4], "{encoding}");
        assert_eq!(weights[4], -arrived[4] - two[1], "{encoding}");
    }
}

#[tokio::test]
async fn pulled_weights_are_written_as_they_are_asked_for() {
    let server = server(&model()).await;
    server.push(vec![push(0, &GRADIENT)]).await.unwrap();
    let weights = server.weights().await.unwrap();
    for encoding in Encoding::ALL {
        let wire = v1::Encoding::from(encoding).into();
        let request = v1::PullRequest {
            job: JOB.into(),
            protocol: PROTOCOL,
            encoding: wire,
            ..v1::PullRequest::default()
        };
        let mut messages = server.data().pull(request).await.unwrap().into_inner();
        let mut chunks = Vec::new();
        while let Some(message) = messages.message().await.unwrap() {
            chunks.extend(message.chunks);
        }
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].values, encoded(encoding, &weights), "{encoding}");
    }
}

#[tokio::test]
async fn an_unknown_encoding_is_answered_with_the_known_ones() {
    let server = server(&model()).await;
    let mut bad_push = push(0, &[1.0; 5]);
    bad_push.header.as_mut().unwrap().encoding = 77;
    let mut bad_answer = push(0, &[1.0; 5]);
    bad_answer.header.as_mut().unwrap().pull_encoding = 77;
    let request = v1::PullRequest {
        job: JOB.into(),
        protocol: PROTOCOL,
        encoding: 77,
        ..v1::PullRequest::default()
    };
    let refused = [
        server.push(vec![bad_push]).await.unwrap_err(),
        server.push(vec![bad_answer]).await.unwrap_err(),
        server.data().pull(request).await.unwrap_err(),
    ];
    for status in refused {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        for word in ["77", "1 (f32)", "2 (bf16)", "3 (f16)", "4 (int8)"] {
            assert!(status.message().contains(word), "{}", status.message());
        }
    }
    assert_eq!(server.weights().await.unwrap(), [0.0; 5]);
}

#[tokio::test]
async fn sparse_values_are_a_dense_span_with_zeros() {
    for encoding in Encoding::ALL {
        let server = server(&model()).await;
        let kept = [0.7, -0.3];
        server.push(vec![push_as(encoding, 0, &kept, &[1, 4])]).await.unwrap();
        let arrived = negative(&round_trip(encoding, &kept));
        let whole = [0.0, arrived[0], 0.0, 0.0, arrived[1]];
        assert_eq!(server.weights().await.unwrap(), whole, "{encoding}");
        // Positions count in what the spans cover: elements 0, 3 and 4.
        let mut part = push_as(encoding, 1, &kept, &[0, 1]);
        part.chunks[0].spans = vec![v1::Span { start: 0, len: 1 }, v1::Span { start: 3, len: 2 }];
        server.push(vec![part]).await.unwrap();
        let both = [arrived[0], arrived[0], 0.0, arrived[1], arrived[1]];
        assert_eq!(server.weights().await.unwrap(), both, "{encoding}");
    }
}

#[tokio::test]
async fn hostile_values_and_positions_are_refused_and_nothing_is_applied() {
    let server = server(&model()).await;
    let bf16 = |values: &[f32], positions: &[u16]| push_as(Encoding::Bf16, 0, values, positions);
    let mut odd = bf16(&[1.0], &[1]);
    odd.chunks[0].positions = vec![1, 0, 2].into();
    let mut half_a_value = bf16(&[1.0; 5], &[]);
    half_a_value.chunks[0].values = vec![0; 9].into();
    let mut no_block = push_as(Encoding::Int8, 0, &[1.0; 5], &[]);
    no_block.chunks[0].values = vec![0; 5].into();
    let mut beyond_the_span = bf16(&[1.0], &[2]);
    beyond_the_span.chunks[0].spans = vec![v1::Span { start: 3, len: 2 }];
    let mut state = bf16(&[1.0], &[1]);
    state.header.as_mut().unwrap().kind = v1::TensorKind::State.into();
    let hostile = [
        (bf16(&[1.0; 2], &[1, 5]), "position 5 of 5"),
        (bf16(&[1.0; 2], &[2, 2]), "position 2 after 2"),
        (bf16(&[1.0; 2], &[2, 1]), "position 1 after 2"),
        (bf16(&[1.0; 3], &[1, 2]), "6 bytes of bf16 values for 2 elements, expected 4"),
        (bf16(&[1.0; 1], &[1, 2]), "expected 4"),
        (bf16(&[1.0; 4], &[]), "8 bytes of bf16 values for 5 elements, expected 10"),
        (bf16(&[], &[]), "expected 10"),
        (odd, "3 bytes of positions"),
        (half_a_value, "9 bytes"),
        (no_block, "5 bytes of int8 values for 5 elements, expected 9"),
        (beyond_the_span, "position 2 of 2"),
        (state, "State"),
    ];
    for (message, words) in hostile {
        let status = server.push(vec![message.clone()]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{message:?}: {status:?}");
        assert!(status.message().contains(words), "`{words}`: {}", status.message());
    }
    server.push(vec![bf16(&[1.0; 5], &[])]).await.unwrap();
    assert_eq!(server.weights().await.unwrap(), [-1.0; 5]);
}

#[tokio::test]
async fn state_is_written_in_any_encoding_but_not_in_parts() {
    let kind = TensorKind::State;
    let tensors = vec![TensorSpec { name: "mean".into(), shape: vec![2], kind }];
    let server = server(&model_of(tensors)).await;
    let as_state = |mut message: v1::PushMessage| {
        message.header.as_mut().unwrap().kind = v1::TensorKind::State.into();
        vec![message]
    };
    server.push(as_state(push_as(Encoding::F16, 0, &[0.5, 3.0], &[]))).await.unwrap();
    let parts = push_as(Encoding::F16, 1, &[7.0], &[0]);
    let status = server.push(as_state(parts)).await.unwrap_err();
    assert!(status.message().contains("zeros would replace"), "{}", status.message());
    assert_eq!(server.weights().await.unwrap(), [0.5, 3.0]);
}

#[tokio::test]
async fn what_is_not_finite_is_refused_in_every_encoding() {
    for encoding in Encoding::ALL {
        let server = server(&model()).await;
        for (seq, bad) in [(0, f32::NAN), (1, f32::INFINITY), (2, f32::NEG_INFINITY)] {
            let dense = push_as(encoding, 2 * seq, &[1.0, bad, 1.0, 1.0, 1.0], &[]);
            let sparse = push_as(encoding, 2 * seq + 1, &[bad], &[3]);
            for message in [dense, sparse] {
                let reply = server.push(vec![message]).await.unwrap();
                assert_eq!(reply.refused[0].reason(), Refused::NonFiniteGradient, "{encoding}");
            }
        }
        assert_eq!(server.weights().await.unwrap(), [0.0; 5], "{encoding}");
    }
}

/// A tensor of several chunks, one that is absent, and a small one.
fn large() -> ModelSpec {
    model_of(vec![
        TensorSpec::trainable("a", [150_000]),
        TensorSpec::trainable("b", [40_000]),
        TensorSpec::trainable("c", [100]),
    ])
}

/// A gradient that covers all tensors but `b`.
fn gradient(layout: &Arc<Layout>, value: impl Fn(usize) -> f32) -> Gradient {
    let values = (0..layout.elements()).map(value).collect();
    Gradient::new(layout.clone(), values, vec![true, false, true], 0.0)
}

fn wavy(element: usize) -> f32 {
    (element as f32 * 0.37).sin() * 1.7
}

#[tokio::test]
async fn a_client_trains_in_every_encoding() {
    let model = large();
    let layout = Arc::new(model.layout.clone());
    for wire in Encoding::ALL.map(|encoding| Wire { push: encoding, pull: encoding, top_k: None }) {
        let server = server(&model).await;
        let client = server.client(5, wire);
        let mut weights = Weights::new(&model);
        client.pull(0, &mut weights).await.unwrap();
        client.push_pull(&gradient(&layout, wavy), 1.0, &mut weights).await.unwrap();
        let held = server.weights().await.unwrap();
        let ranges = model.partition().chunks(0);
        for range in &ranges {
            let pulled = round_trip(wire.pull, &held[range.clone()]);
            assert_eq!(weights.values()[range.clone()], pulled, "{wire:?}");
        }
        let wanted = |element: &usize| layout.range(1).contains(element);
        let error = |(element, held): (usize, &f32)| match wanted(&element) {
            true => held.abs(),
            false => (held + wavy(element)).abs(),
        };
        let largest = held.iter().enumerate().map(error).fold(0.0, f32::max);
        let most = [0.0, 1.7 / 256.0, 1.7 / 2048.0, 1.7 / 250.0];
        assert!(largest <= most[Encoding::ALL.iter().position(|e| *e == wire.push).unwrap()]);
        // The own bytes are counted, not those of f32.
        let pulled: usize = ranges.iter().map(|range| wire.pull.encoded_bytes(range.len())).sum();
        let traffic = client.traffic();
        assert_eq!(traffic.bytes_pulled.load(Ordering::Relaxed), 2 * pulled as u64);
        let covered = layout.elements() - 40_000;
        let pushed = traffic.bytes_pushed.load(Ordering::Relaxed) as usize;
        let most = wire.push.encoded_bytes(covered) + 4 * ranges.len();
        assert!(pushed >= wire.push.encoded_bytes(covered) && pushed <= most, "{pushed}");
        let counters = client.describe().await.unwrap()[0].counters.unwrap();
        assert_eq!(counters.bytes_received as usize, pushed + 4 * layout.elements());
    }
}

/// What one push leaves out the next ones bring, and a new registration starts without it.
#[tokio::test]
async fn the_largest_come_first_and_the_rest_later() {
    let model = large();
    let layout = Arc::new(model.layout.clone());
    let server = server(&model).await;
    let wire = Wire { top_k: Some(0.25), ..Wire::default() };
    let first = server.client(5, wire);
    let mut weights = Weights::new(&model);
    first.pull(0, &mut weights).await.unwrap();
    first.push_pull(&gradient(&layout, wavy), 1.0, &mut weights).await.unwrap();
    let moved = |weights: &[f32]| weights.iter().filter(|weight| **weight != 0.0).count();
    let kept: usize = [150_000, 100].iter().map(|n| n / 4).sum();
    assert!(moved(weights.values()).abs_diff(kept) <= 8, "{}", moved(weights.values()));
    let sent = first.traffic().bytes_pushed.load(Ordering::Relaxed) as usize;
    assert_eq!(sent, moved(weights.values()) * 6);
    for (element, weight) in weights.values().iter().enumerate() {
        assert!(*weight == 0.0 || *weight == -wavy(element), "{element}: {weight}");
    }
    // Nothing new, and what was left out still comes; zeros are pushed like any gradient.
    for _ in 0..4 {
        first.push_pull(&gradient(&layout, |_| 0.0), 1.0, &mut weights).await.unwrap();
    }
    for (element, weight) in weights.values().iter().enumerate() {
        let expected = if layout.range(1).contains(&element) { 0.0 } else { -wavy(element) };
        assert_eq!(*weight, expected, "{element}");
    }
    first.push(&gradient(&layout, wavy), 1.0, &weights).await.unwrap();
    let before = server.weights().await.unwrap();
    let second = server.client(6, wire);
    second.pull(0, &mut weights).await.unwrap();
    second.push(&gradient(&layout, |_| 0.0), 1.0, &weights).await.unwrap();
    assert_eq!(server.weights().await.unwrap(), before);
}

/// int8 rounds small values away beside large ones; feedback brings them in the end.
#[tokio::test]
async fn what_int8_rounds_away_is_not_lost() {
    let server = server(&model()).await;
    let layout = Arc::new(model().layout);
    let client = server.client(5, Wire { push: Encoding::Int8, ..Wire::default() });
    let mut weights = Weights::new(&model());
    client.pull(0, &mut weights).await.unwrap();
    let values = [127.0, 0.2, -0.3, 0.0, 0.5];
    for _ in 0..100 {
        let gradient = Gradient::new(layout.clone(), values.to_vec(), vec![true; 2], 0.0);
        client.push_pull(&gradient, 1.0, &mut weights).await.unwrap();
    }
    for (weight, value) in weights.values().iter().zip(values) {
        assert!((weight + 100.0 * value).abs() <= 1.01, "{:?}", weights.values());
    }
}

/// A gradient that is not finite is refused once and does not spoil those after it.
#[tokio::test]
async fn a_refused_gradient_leaves_nothing_behind() {
    let server = server(&model()).await;
    let layout = Arc::new(model().layout);
    let wire = Wire { push: Encoding::Int8, pull: Encoding::F32, top_k: Some(0.2) };
    let client = server.client(5, wire);
    let mut weights = Weights::new(&model());
    client.pull(0, &mut weights).await.unwrap();
    let of = |values: [f32; 5]| Gradient::new(layout.clone(), values.to_vec(), vec![true; 2], 0.0);
    let broken = of([f32::NAN, f32::INFINITY, 0.0, 0.0, f32::NAN]);
    let report = client.push_pull(&broken, 1.0, &mut weights).await.unwrap();
    assert_eq!(report.chunks_refused, 1);
    let report = client.push_pull(&of([0.0, 0.0, 2.0, 0.0, 0.0]), 1.0, &mut weights).await.unwrap();
    assert_eq!((report.chunks_refused, weights.values()), (0, &[0.0, 0.0, -2.0, 0.0, 0.0][..]));
}
