//! The optimizer from received bytes, checks included, beside the same loop on plain slices; and what
//! copying costs.

use super::layouts;
use super::plain::{self, Loop, RATE};
use super::report::{self, Samples};
use ps_core::chunk::{Chunk, Update, UpdateBuffer};
use ps_core::correction::Correction;
use ps_core::ids::ShardId;
use ps_core::partition::{Partition, chunk_elements};
use ps_core::{Layout, TensorKind, TensorSpec};
use ps_kernels::optimizer::Optimizer;
use std::hint::black_box;
use std::time::Instant;

const COPIED_BYTES: usize = 64 << 20;

/// Bytes of gradient that one round applies at least.
const ROUND_BYTES: usize = 64 << 20;

const ELEMENT_BYTES: usize = size_of::<f32>();

/// Seconds of one call.
fn timed(call: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    call();
    begun.elapsed().as_secs_f64()
}

/// What the first of so many servers holds, in elements a chunk.
fn shard(tensors: Vec<TensorSpec>, servers: u32) -> anyhow::Result<Vec<usize>> {
    let layout = Layout::new(tensors)?;
    let partition = Partition::new(&layout, chunk_elements(layout.elements(), servers), servers);
    const FIRST: ShardId = 0;
    Ok(partition.chunks(FIRST).iter().map(ExactSizeIterator::len).collect())
}

fn update(chunks: &mut [Chunk], optimizer: &Optimizer, gradient: &[u8]) -> anyhow::Result<()> {
    let mut buffer = UpdateBuffer::default();
    let mut rest = gradient;
    for chunk in chunks {
        let (values, after) = rest.split_at(chunk.weights().len() * ELEMENT_BYTES);
        rest = after;
        let update = Update {
            spans: &[],
            values,
            pulled_version: chunk.version(),
            learning_rate: RATE,
            kind: TensorKind::Trainable,
            rules: &[],
        };
        chunk.apply(optimizer, Correction::Auto, &update, &mut buffer)?;
    }
    Ok(())
}

/// One optimizer on one shard, both ways in turn: GB/s of gradient.
fn both(
    chunks: &[usize],
    name: &str,
    plain: Loop,
    rounds: usize,
) -> anyhow::Result<(Samples, Samples)> {
    let elements: usize = chunks.iter().sum();
    let gradient: Vec<f32> =
        (0..elements).map(|index| ((index % 97) as f32 - 48.0) / 1e4).collect();
    let received: Vec<u8> = gradient.iter().flat_map(|value| value.to_le_bytes()).collect();
    let optimizer = Optimizer::parse(name, None, None)?;
    let chunk = |&elements: &usize| Chunk::new(vec![1.0; elements], &optimizer);
    let mut chunks = chunks.iter().map(chunk).collect::<Result<Vec<_>, _>>()?;
    let [mut weights, mut first, mut second] = [(); 3].map(|()| vec![1.0_f32; elements]);
    let times = ROUND_BYTES.div_ceil(received.len());
    let (mut ours, mut by_hand) = (Samples::default(), Samples::default());
    for round in 0..rounds + 1 {
        let hand = timed(|| {
            for _ in 0..times {
                plain(&mut weights, &mut first, &mut second, black_box(&gradient));
            }
        });
        let begun = Instant::now();
        for _ in 0..times {
            update(&mut chunks, &optimizer, black_box(&received))?;
        }
        let own = begun.elapsed().as_secs_f64();
        // The first round touches memory for the first time.
        if round > 0 {
            let gigabytes = (times * received.len()) as f64 / 1e9;
            by_hand.push(gigabytes / hand);
            ours.push(gigabytes / own);
        }
    }
    black_box((&weights, &first, &second));
    Ok((ours, by_hand))
}

/// Every optimizer on every shard; the smallest median ratio is what counts.
pub(crate) fn measure(rounds: usize) -> anyhow::Result<()> {
    copy(rounds);
    let loops: [(&str, Loop); 3] =
        [("sgd", plain::sgd), ("momentum", plain::momentum), ("adam", plain::adam)];
    let shards = [
        ("mlp_3", shard(layouts::mlp(), 3)?),
        ("resnet50_4", shard(layouts::resnet50(), 4)?),
        ("200m_8", shard(layouts::two(200_000_000), 8)?),
    ];
    let mut smallest = Samples(vec![f64::INFINITY]);
    for (place, chunks) in &shards {
        let mib = (chunks.iter().sum::<usize>() * ELEMENT_BYTES) as f64 / f64::from(1 << 20);
        report::head(&format!("the optimizer over {place}'s first shard, {mib:.1} MiB, gradient"));
        for (name, plain) in loops {
            let (ours, by_hand) = both(chunks, name, plain, rounds)?;
            report::row(&format!("{name}, a plain loop"), &by_hand, None);
            report::row(&format!("{name}, chunks with all checks"), &ours, None);
            let ratio = ours.over(&by_hand);
            report::figure(&format!("{place}_{name}_over_loop"), &ratio);
            if ratio.median() < smallest.median() {
                smallest = ratio;
            }
        }
    }
    report::figure("apply_over_loop", &smallest);
    Ok(())
}

fn copy(rounds: usize) {
    let (from, mut to) = (vec![1_u8; COPIED_BYTES], vec![0_u8; COPIED_BYTES]);
    let mut goodput = Samples::default();
    for _ in 0..rounds + 1 {
        let seconds = timed(|| to.copy_from_slice(black_box(&from)));
        goodput.push(COPIED_BYTES as f64 / 1e9 / seconds);
        black_box(&to);
    }
    goodput.0.remove(0);
    report::head("one thread");
    report::row("memcpy of 64 MiB", &goodput, None);
}
