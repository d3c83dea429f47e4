//! The optimizer from received bytes, checks included, beside the same loop on plain slices; and what
//! copying costs.

use super::report::{self, Samples};
use ps_core::TensorKind;
use ps_core::chunk::{Chunk, ELEMENTS_MAX, Update, UpdateBuffer};
use ps_core::correction::Correction;
use ps_kernels::optimizer::Optimizer;
use std::hint::black_box;
use std::time::Instant;

const BYTES: usize = 64 << 20;
const ELEMENTS: usize = BYTES / size_of::<f32>();
const RATE: f32 = 0.01;

/// A plain optimizer over plain slices, as anybody would write it.
type Loop = fn(&mut [f32], &mut [f32], &mut [f32], &[f32]);

fn sgd(weights: &mut [f32], _: &mut [f32], _: &mut [f32], gradient: &[f32]) {
    for (weight, gradient) in weights.iter_mut().zip(gradient) {
        *weight -= RATE * gradient;
    }
}

fn momentum(weights: &mut [f32], first: &mut [f32], _: &mut [f32], gradient: &[f32]) {
    for ((weight, velocity), gradient) in weights.iter_mut().zip(first).zip(gradient) {
        *velocity = 0.9 * *velocity + gradient;
        *weight -= RATE * *velocity;
    }
}

fn adam(weights: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
    let states = first.iter_mut().zip(second);
    for ((weight, (first, second)), gradient) in weights.iter_mut().zip(states).zip(gradient) {
        *first = 0.9 * *first + 0.1 * gradient;
        *second = 0.999 * *second + 0.001 * gradient * gradient;
        *weight -= RATE * *first / (second.sqrt() + 1e-8);
    }
}

fn gradient() -> Vec<f32> {
    (0..ELEMENTS).map(|index| ((index % 97) as f32 - 48.0) / 1e4).collect()
}

/// Seconds of one call.
fn timed(call: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    call();
    begun.elapsed().as_secs_f64()
}

fn chunks(optimizer: &Optimizer) -> anyhow::Result<Vec<Chunk>> {
    let chunk = || Ok(Chunk::new(vec![1.0; ELEMENTS_MAX], optimizer)?);
    (0..ELEMENTS / ELEMENTS_MAX).map(|_| chunk()).collect()
}

fn update(chunks: &mut [Chunk], optimizer: &Optimizer, gradient: &[u8]) -> anyhow::Result<()> {
    let mut spare = UpdateBuffer::default();
    let parts = gradient.chunks(ELEMENTS_MAX * size_of::<f32>());
    for (chunk, values) in chunks.iter_mut().zip(parts) {
        let update = Update {
            spans: &[],
            values,
            pulled_version: chunk.version(),
            learning_rate: RATE,
            kind: TensorKind::Trainable,
        };
        chunk.apply(optimizer, Correction::Auto, &update, &mut spare)?;
    }
    Ok(())
}

/// Both ways in turn; the smallest median ratio is what counts.
pub(crate) fn measure(rounds: usize) -> anyhow::Result<()> {
    copy(rounds);
    report::head("the optimizer over 64 MiB, GB/s of gradient");
    let gradient = gradient();
    let received: Vec<u8> = gradient.iter().flat_map(|value| value.to_le_bytes()).collect();
    let loops: [(&str, Loop); 3] = [("sgd", sgd), ("momentum", momentum), ("adam", adam)];
    let mut smallest = Samples(vec![f64::INFINITY]);
    for (name, plain) in loops {
        let optimizer = Optimizer::parse(name, None, None)?;
        let mut chunks = chunks(&optimizer)?;
        let [mut weights, mut first, mut second] = [(); 3].map(|()| vec![1.0_f32; ELEMENTS]);
        let (mut ours, mut by_hand) = (Samples::default(), Samples::default());
        for round in 0..rounds + 1 {
            let hand = timed(|| plain(&mut weights, &mut first, &mut second, black_box(&gradient)));
            let begun = Instant::now();
            update(&mut chunks, &optimizer, black_box(&received))?;
            let own = begun.elapsed().as_secs_f64();
            // The first round touches memory for the first time.
            if round > 0 {
                by_hand.push(BYTES as f64 / 1e9 / hand);
                ours.push(BYTES as f64 / 1e9 / own);
            }
        }
        black_box((&weights, &first, &second));
        report::row(&format!("{name}, a plain loop"), &by_hand, None);
        report::row(&format!("{name}, chunks with all checks"), &ours, None);
        let ratio = ours.over(&by_hand);
        report::figure(&format!("{name}_over_loop"), &ratio);
        if ratio.median() < smallest.median() {
            smallest = ratio;
        }
    }
    report::figure("apply_over_loop", &smallest);
    Ok(())
}

fn copy(rounds: usize) {
    let (from, mut to) = (vec![1_u8; BYTES], vec![0_u8; BYTES]);
    let mut goodput = Samples::default();
    for _ in 0..rounds + 1 {
        let seconds = timed(|| to.copy_from_slice(black_box(&from)));
        goodput.push(BYTES as f64 / 1e9 / seconds);
        black_box(&to);
    }
    goodput.0.remove(0);
    report::head("one thread");
    report::row("memcpy of 64 MiB", &goodput, None);
}
