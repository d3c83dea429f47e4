//! `psrun predict`: what a trained model says of some samples.

use crate::prediction::PredictionFormat;
use crate::target::Target;
use crate::used_model::{ModelFolderArgs, samples};
use anyhow::{Context, bail};
use clap::Args;
use ps_core::schema::Schema;
use ps_data::{Inputs, KeptColumn, SchemaReader, unused_columns};
use ps_worker::model::Models;
use ps_worker::trained_model::TrainedModel;
use serde_json::{Map, Value};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the probabilities of a sample are called in JSON.
const PROBABILITIES: &str = "probabilities";

/// Samples that are computed at once.
const BATCH_SAMPLES: usize = 256;

/// A model, and samples.
#[derive(Args, Clone, Debug)]
pub struct PredictArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelFolderArgs,
    /// File or folder of samples, with labels or without; of a folder with several sets, the test set. `-` is a table on
    /// standard input. With --dataset, what that takes it for, if anything.
    #[arg(long, value_name = "DIR", required_unless_present = "dataset")]
    pub data: Option<PathBuf>,
    /// Where to write: CSV, or JSON lines where the name ends in .jsonl [default: CSV on standard output].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Columns of a table that are written along, by name or number; those that training ignored always are.
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    pub keep: Vec<String>,
}

/// Predicts, and says how many samples there were.
///
/// # Errors
/// The model cannot be used, the data are not as those that it was trained on, or nothing can be written.
pub fn run(models: &Models, args: &PredictArgs) -> anyhow::Result<u64> {
    let model = args.model.open(models)?;
    let target = Target::open(args.out.as_deref())?;
    let out = target.writer()?;
    let is_jsonl =
        args.out.as_ref().is_some_and(|out| out.extension().is_some_and(|it| it == "jsonl"));
    let says = PredictionFormat::new(&model);
    let format = if is_jsonl {
        Rows::Jsonl(out)
    } else {
        Rows::Csv(Box::new(csv::Writer::from_writer(out)))
    };
    let (keep, samples) = (Vec::new(), 0);
    let mut predictor = Predictor { model, says, rows: format, keep, has_header: false, samples };
    let schema = predictor.model.schema().cloned().filter(|_| args.model.dataset.dataset.is_none());
    match (schema, &args.data) {
        (Some(schema), Some(data)) => predictor.table(args, data, &schema)?,
        _ => predictor.samples(models, args)?,
    }
    predictor.header()?;
    predictor.rows.flush().context("writing predictions")?;
    let samples = predictor.samples;
    target.keep()?;
    Ok(samples)
}

enum Rows {
    Csv(Box<csv::Writer<Box<dyn Write>>>),
    Jsonl(Box<dyn Write>),
}

impl Rows {
    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Csv(csv) => csv.flush(),
            Self::Jsonl(lines) => lines.flush(),
        }
    }
}

struct Predictor {
    model: TrainedModel,
    says: PredictionFormat,
    rows: Rows,
    /// Names of what is written along.
    keep: Vec<String>,
    has_header: bool,
    samples: u64,
}

impl Predictor {
    /// The lines of a table, as they come.
    fn table(
        &mut self,
        args: &PredictArgs,
        data: &Path,
        schema: &Arc<Schema>,
    ) -> anyhow::Result<()> {
        let kept = kept(args, schema)?;
        // What we write has a name of its own.
        let own_names = self.says.columns();
        let free = |name: String| match own_names.contains(&name) || name == PROBABILITIES {
            true => format!("{name}_"),
            false => name,
        };
        let name = |column: &KeptColumn| match column {
            KeptColumn::Known(at) => schema.column_name(*at),
            KeptColumn::Named(name) => name.clone(),
        };
        self.keep = kept.iter().map(|column| free(name(column))).collect();
        if data == Path::new("-") {
            let name = Path::new("(standard input)");
            let reader = SchemaReader::of_reader(name, std::io::stdin(), schema.clone(), false)?;
            return self.lines(reader, kept);
        }
        for file in args.model.table_files(data)? {
            check_other(args.out.as_deref(), &file)?;
            self.lines(SchemaReader::open(&file, schema.clone(), false)?, kept.clone())?;
        }
        Ok(())
    }

    fn lines(&mut self, mut reader: SchemaReader, kept: Vec<KeptColumn>) -> anyhow::Result<()> {
        reader.keep(kept);
        let (mut along, before) = (Vec::with_capacity(BATCH_SAMPLES), self.samples);
        loop {
            let mut inputs = Inputs::from(Vec::with_capacity(BATCH_SAMPLES * reader.width()));
            along.clear();
            while along.len() < BATCH_SAMPLES && reader.next_sample(&mut inputs)? {
                along.push(reader.kept().to_vec());
            }
            if along.is_empty() {
                reader.tell_unknown(self.samples - before);
                return Ok(());
            }
            self.batch(inputs, &along)?;
        }
    }

    /// Samples of another format, which are read into memory.
    fn samples(&mut self, models: &Models, args: &PredictArgs) -> anyhow::Result<()> {
        let data = args.data.as_deref();
        if !args.keep.is_empty() || data == Some(Path::new("-")) {
            bail!(
                "--keep and --data -: only for a table, and a model that was trained on one (with schema.json)"
            );
        }
        let samples = samples(models, &args.model, data, self.model.shape())?;
        data.map_or(Ok(()), |data| check_other(args.out.as_deref(), data))?;
        let numbers: Vec<u64> = (0..samples.len() as u64).collect();
        for batch in numbers.chunks(BATCH_SAMPLES) {
            let (inputs, _) = samples.gather(batch)?;
            self.batch(inputs, &vec![Vec::new(); batch.len()])?;
        }
        Ok(())
    }

    /// Ahead of the first sample, or of the end: not where nothing can be predicted.
    fn header(&mut self) -> anyhow::Result<()> {
        let is_first = !std::mem::replace(&mut self.has_header, true);
        if let Rows::Csv(csv) = &mut self.rows
            && is_first
        {
            let names = self.keep.iter().cloned().chain(self.says.columns());
            csv.write_record(names).context("writing predictions")?;
        }
        Ok(())
    }

    fn batch(&mut self, inputs: Inputs, along: &[Vec<String>]) -> anyhow::Result<()> {
        let predictions = self.model.predictions(inputs, along.len())?;
        self.header()?;
        for (row, along) in predictions.chunks_exact(self.says.outputs().max(1)).zip(along) {
            self.samples += 1;
            match &mut self.rows {
                Rows::Csv(csv) => {
                    let values = along.iter().cloned().chain(self.says.values(row));
                    csv.write_record(values).context("writing predictions")?;
                }
                Rows::Jsonl(lines) => {
                    let along = along.iter().cloned().map(Value::from);
                    let mut line: Map<String, Value> =
                        self.keep.iter().cloned().zip(along).collect();
                    line.extend(self.says.fields(row));
                    writeln!(lines, "{}", Value::Object(line)).context("writing predictions")?;
                }
            }
        }
        Ok(())
    }
}

/// Refuses to replace what is read.
fn check_other(out: Option<&Path>, data: &Path) -> anyhow::Result<()> {
    let place = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    match out {
        Some(out) if data.is_file() && place(out).is_some_and(|it| Some(it) == place(data)) => {
            bail!(
                "--out {}: these are the samples, which would be replaced; choose another name",
                out.display()
            )
        }
        _ => Ok(()),
    }
}

/// The columns that are written along. A name that the training files do not have may be one of the new file's.
fn kept(args: &PredictArgs, schema: &Schema) -> anyhow::Result<Vec<KeptColumn>> {
    let count = schema.columns.len();
    let mut kept: Vec<_> = unused_columns(schema).into_iter().map(KeptColumn::Known).collect();
    for name in &args.keep {
        let named = (0..count).find(|at| schema.column_name(*at) == *name);
        let number = name.parse::<usize>().ok();
        let column = match (named, number) {
            (Some(at), _) => KeptColumn::Known(at),
            (None, Some(number)) if (1..=count).contains(&number) => KeptColumn::Known(number - 1),
            (None, None) if schema.header => KeptColumn::Named(name.clone()),
            _ => {
                let names: Vec<String> = (0..count).map(|at| schema.column_name(at)).collect();
                bail!(
                    "--keep {name}: no such column; the training files have {}",
                    names.join(", ")
                );
            }
        };
        if !kept.contains(&column) {
            kept.push(column);
        }
    }
    Ok(kept)
}
