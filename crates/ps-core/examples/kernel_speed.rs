//! How fast gradients are applied, and that denormal ones are no slower.
//!
//! `cargo run --release -p ps-core --example kernel_speed`
//!
//! Prints 10^9 parameters per second, the median of several runs: updates of one chunk,
//! checks included, with a gradient of ordinary size, one whose products with the rate would be
//! denormal, and one that is denormal itself. `many` is an ordinary update to each of 256 chunks in turn: 64 MiB of weights,
//! which no cache holds.
//!
//! Then the encodings of the wire, over 64 MiB of `f32` in chunks: 10^9 bytes of `f32` per second
//! that go in or come out, on one thread. `top-k` finds a hundredth of each chunk.

use std::error::Error;
use std::time::Instant;

use ps_core::TensorKind;
use ps_core::chunk::{Chunk, ELEMENTS_MAX, Update, UpdateBuffer};
use ps_core::correction::Correction;
use ps_kernels::encoding::{Encoding, TopK, kept};
use ps_kernels::optimizer::{NAMES, Optimizer};

const RUNS: usize = 9;
const UPDATES: usize = 256;
const RATE: f32 = 0.01;

/// Gradients of both signs around a magnitude.
fn gradient(magnitude: f32) -> Vec<u8> {
    let value = |index: usize| magnitude * (1.0 + (index % 97) as f32 / 97.0);
    (0..ELEMENTS_MAX)
        .map(|index| if index % 3 == 0 { -value(index) } else { value(index) })
        .flat_map(f32::to_le_bytes)
        .collect()
}

/// The median rate of `UPDATES` calls, in 10^9 parameters per second.
fn measure(mut call: impl FnMut(usize)) -> f64 {
    let mut rates: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            (0..UPDATES).for_each(&mut call);
            (UPDATES * ELEMENTS_MAX) as f64 / start.elapsed().as_secs_f64() / 1e9
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[RUNS / 2]
}

fn updates(optimizer: &Optimizer, chunks: usize, gradient: &[u8]) -> Result<f64, Box<dyn Error>> {
    let mut chunks = vec![Chunk::new(vec![1.0; ELEMENTS_MAX], optimizer)?; chunks];
    let (mut failure, mut spare) = (None, UpdateBuffer::default());
    let rate = measure(|number| {
        let position = number % chunks.len();
        let chunk = &mut chunks[position];
        let update = Update {
            spans: &[],
            values: gradient,
            pulled_version: chunk.version(),
            learning_rate: RATE,
            kind: TensorKind::Trainable,
            rules: &[],
        };
        let applied = chunk.apply(optimizer, Correction::Auto, &update, &mut spare);
        failure = applied.err().or(failure.take());
    });
    failure.map_or(Ok(rate), |error| Err(error.into()))
}

/// Encoding and decoding of all chunks in turn, and finding the largest values of each.
fn encodings() {
    let value = |index: usize| (index as f32 * 0.618).sin() * 1e-2;
    let mut values: Vec<f32> = (0..UPDATES * ELEMENTS_MAX).map(value).collect();
    let chunk = |number: usize| number * ELEMENTS_MAX..(number + 1) * ELEMENTS_MAX;
    let bytes = |parameters: f64| parameters * size_of::<f32>() as f64;
    println!("encoding    encode   decode");
    for encoding in Encoding::ALL {
        let length = encoding.encoded_bytes(ELEMENTS_MAX);
        let mut encoded = vec![0; UPDATES * length];
        let part = |number: usize| number * length..(number + 1) * length;
        let encode = measure(|n| encoding.encode(&values[chunk(n)], &mut encoded[part(n)]));
        let decode = measure(|n| encoding.decode(&encoded[part(n)], &mut values[chunk(n)]));
        println!("{encoding:10} {:7.2} {:8.2}", bytes(encode), bytes(decode));
    }
    let mut top_k = TopK::default();
    let mut found = 0;
    let count = kept(0.01, ELEMENTS_MAX);
    let select = measure(|n| found = top_k.select(&values[chunk(n)], count).len());
    println!("{:10} {:7.2} (finds {found} of {ELEMENTS_MAX})", "top-k", bytes(select));
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("optimizer   update  product  denormal    many");
    let [ordinary, small, denormal] = [1e-2, 1e-37, 1e-40].map(gradient);
    for name in NAMES {
        let optimizer = Optimizer::parse(name, None, Some(0.01))?;
        println!(
            "{name:10} {:7.2} {:8.2} {:9.2} {:7.2}",
            updates(&optimizer, 1, &ordinary)?,
            updates(&optimizer, 1, &small)?,
            updates(&optimizer, 1, &denormal)?,
            updates(&optimizer, 256, &ordinary)?,
        );
    }
    encodings();
    Ok(())
}
