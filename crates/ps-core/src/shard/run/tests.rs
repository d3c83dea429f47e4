use super::super::tests::{NOW, bytes, chunk, header, spec};
use super::*;
use crate::chunk::NonFinite;
use crate::model_spec::ModelSpec;
use crate::shard::{Guards, InitialWeights, PushHeader, Shard};
use crate::{Layout, TensorSpec};
use ps_kernels::encoding::Encoding;
use std::time::Duration;

/// Three chunks of trainable elements, 64, 64 and 22, and one of state.
fn shard_of_runs() -> Shard {
    let tensors = vec![
        TensorSpec::trainable("w", [150]),
        TensorSpec { name: "s".into(), shape: vec![2], kind: TensorKind::State },
    ];
    let model = ModelSpec { layout: Layout::new(tensors).unwrap(), ..spec(None) };
    let start = vec![0.0; 152];
    let shard = Shard::new(0, Some(Duration::from_secs(10)), Guards::ALL, Box::new(|| ()));
    let mut initial = InitialWeights::new(0, model, crc32fast::hash(bytes(&start)));
    for (id, range) in [(0, 0..64), (1, 64..128), (2, 128..150), (3, 150..152)] {
        initial.add(id, bytes(&start[range])).unwrap();
    }
    shard.install(initial.finish().unwrap());
    shard
}

fn all_weights(shard: &Shard) -> Vec<f32> {
    let model = shard.model().unwrap();
    model.chunks().iter().flat_map(|chunk| chunk.lock().weights().to_vec()).collect()
}

#[test]
fn a_run_is_applied_chunk_by_chunk_in_every_encoding() {
    let gradient: Vec<f32> = (0..150).map(|element| (element as f32 - 70.0) / 8.0).collect();
    for encoding in Encoding::ALL {
        let shard = shard_of_runs();
        let mut sent = vec![0; encoding.encoded_bytes(150)];
        encoding.encode(&gradient, &mut sent);
        let mut decoded = vec![0.0; 150];
        encoding.decode(&sent, &mut decoded);
        let mut push =
            shard.begin(PushHeader { encoding, chunks_total: 3, ..header(0, 1, 0) }, NOW).unwrap();
        push.take(&EncodedRun { chunks: 3, values: &sent, ..chunk(&[]) }).unwrap();
        assert!(push.is_complete());
        let mut expected: Vec<f32> = decoded.iter().map(|value| 0.0 - value).collect();
        expected.extend([0.0, 0.0]);
        assert_eq!(all_weights(&shard), expected, "{encoding}");
    }
}

#[test]
fn of_a_run_only_the_chunks_that_are_missing_are_applied() {
    let shard = shard_of_runs();
    let gradient = [1.0; 150];
    let begin = || shard.begin(PushHeader { chunks_total: 3, ..header(0, 1, 0) }, NOW).unwrap();
    let second = EncodedRun { first: 1, ..chunk(&gradient[..64]) };
    begin().take(&second).unwrap();
    // The next attempt sends them as one, with a value that spoils the third.
    let mut spoiled = gradient;
    spoiled[149] = f32::NAN;
    let mut push = begin();
    push.take(&EncodedRun { chunks: 3, ..chunk(&spoiled) }).unwrap();
    let (acknowledgement, _) = push.finish().unwrap();
    assert_eq!(acknowledgement.refused, [(2, NonFinite::Gradient)]);
    let weights = all_weights(&shard);
    assert!(weights[..128] == [-1.0; 128] && weights[128..] == [0.0; 24], "{weights:?}");
}

#[test]
fn a_run_that_is_none_touches_no_chunk() {
    let shard = shard_of_runs();
    let mut push = shard.begin(PushHeader { chunks_total: 3, ..header(0, 1, 0) }, NOW).unwrap();
    let gradient = [1.0; 152];
    let run = |chunks, elements: usize| EncodedRun { chunks, ..chunk(&gradient[..elements]) };
    let mut refused = |sent: EncodedRun<'_>| push.take(&sent).unwrap_err();
    assert!(matches!(refused(run(4, 152)), Error::Kind { id: 3, .. }));
    assert!(matches!(refused(run(5, 152)), Error::NoSuchChunk { id: 4, .. }));
    let beyond = EncodedRun { first: u32::MAX, ..run(2, 64) };
    assert!(matches!(refused(beyond), Error::NoSuchChunk { .. }));
    assert!(matches!(refused(run(u32::MAX, 64)), Error::NoSuchChunk { .. }));
    assert!(matches!(refused(run(3, 149)), Error::Encoded { id: 0, .. }));
    let spans = [crate::span::Span::new(0, 64)];
    let partial = EncodedRun { spans: &spans, ..run(2, 64) };
    assert!(matches!(refused(partial), Error::Run { chunks: 2, .. }));
    assert_eq!(all_weights(&shard), [0.0; 152]);
}
