//! How long reading a table takes: `read_table FILE`, for `tests/benches/tables.py`.
//!
//! `read_s` is what a model's user waits for, with a schema that is known: lines become numbers. `load_s` is what training
//! waits for: the schema is learnt first. `bytes` and `samples` say what was read.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ps_data::{DataSource, Inputs, SchemaReader, load};

fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).context("expected a file: read_table FILE")?;
    let path = Path::new(&file);
    let bytes = path.metadata().with_context(|| format!("looking at {}", path.display()))?.len();
    let began = Instant::now();
    let data = load(&DataSource::folder(path))?;
    let load_s = began.elapsed().as_secs_f64();
    let schema = data.schema.clone().context("expected a table")?;
    drop(data);
    let began = Instant::now();
    let mut reader = SchemaReader::open(path, schema, true)?;
    let (mut inputs, mut samples, mut sum) = (Inputs::default(), 0_u64, 0_f64);
    while reader.next_sample(&mut inputs)? {
        samples += 1;
        sum += inputs.features.drain(..).map(f64::from).sum::<f64>();
    }
    let read_s = began.elapsed().as_secs_f64();
    println!(
        "bytes={bytes}; samples={samples}; load_s={load_s:.6}; read_s={read_s:.6}; sum={sum:.3};"
    );
    Ok(())
}
