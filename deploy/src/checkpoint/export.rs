//! `psrun checkpoint export`: the weights of a checkpoint as a model that can be used.

use super::folder::{Folder, Problem, spec_of};
use super::{ExportArgs, Said};
use anyhow::{Context, bail};
use ps_core::checkpoint::Manifest;
use ps_core::keeping::Keep;
use ps_core::model_config::CONFIG_FILE;
use ps_core::model_file::{MODEL_FILE, header};
use ps_core::model_spec::ModelSpec;
use ps_core::schema::SCHEMA_FILE;
use ps_runtime::files::{Directory, FileStore, Replacement};

/// Writes the model's folder, with one chunk of the model in memory.
///
/// # Errors
/// The checkpoint is damaged, or the model cannot be written.
pub(super) fn run(
    folder: &Folder<'_>,
    args: &ExportArgs,
    said: &mut Said<'_>,
) -> anyhow::Result<()> {
    let number = folder.choose(args.number)?;
    let shown = args.out.display();
    if !args.overwrite && args.out.join(MODEL_FILE).exists() {
        bail!(
            "--out {shown}: there is a model already; replace it with --overwrite, or choose another folder"
        );
    }
    let location = folder.files.location();
    let advice = || {
        format!(
            "checkpoint {number} in {location}, of which nothing was exported: `psrun checkpoint verify {location}` says \
             which ones are whole, and --number N takes another"
        )
    };
    // Before anything is made or written.
    let manifest = folder.manifest(number).with_context(advice)?;
    let spec = spec_of(&manifest).with_context(advice)?;
    let out = Directory::open_for("--out", &args.out)?;
    let Some(_lock) = out.lock()? else {
        bail!("--out {shown}: a job writes there; choose another folder, or wait for its end");
    };
    let bytes = write(folder, &manifest, &spec, &out).map_err(|problem| match problem {
        Problem::Other(error) => error,
        problem if folder.is_gone(number) => anyhow::Error::from(problem).context(format!(
            "checkpoint {number} was removed while it was read, by a job that has newer ones: try again"
        )),
        problem => anyhow::Error::from(problem).context(advice()),
    })?;
    let (elements, described) = (spec.layout.elements(), manifest.model.is_some());
    writeln!(
        said.out,
        "checkpoint={number}; elements={elements}; bytes={bytes}; described={described};"
    )?;
    (said.tell)(&format!("checkpoint {number} is a model in {shown}"));
    for missing in missing(&manifest, &shown.to_string()) {
        (said.tell)(&missing);
    }
    Ok(())
}

/// Writes all files; the weights' last, once every byte of them was checked. How many bytes they are.
fn write(
    folder: &Folder<'_>,
    manifest: &Manifest,
    spec: &ModelSpec,
    out: &dyn FileStore,
) -> Result<u64, Problem> {
    let other = |error: std::io::Error| Problem::Other(error.into());
    let header =
        header(&spec.layout).context("making model.safetensors").map_err(Problem::Other)?;
    let mut model = Replacement::new(out, MODEL_FILE).map_err(other)?;
    model.write_at(0, &header).map_err(other)?;
    let mut place = header.len() as u64;
    for file in &manifest.files {
        folder.read(file, spec, |_, chunk| {
            // The machine is little-endian, as the file is: `chunk` checks it when it is compiled.
            let bytes: &[u8] = bytemuck::cast_slice(chunk.weights());
            model.write_at(place, bytes).map_err(other)?;
            place += bytes.len() as u64;
            Ok(())
        })?;
    }
    if let Some(description) = &manifest.model {
        let files = description.files().context("making config.json").map_err(Problem::Other)?;
        for (name, bytes) in &files {
            out.write(name, bytes).map_err(other)?;
        }
        if description.config.schema.is_none() {
            // That of the model that is replaced says nothing about this one.
            out.remove(SCHEMA_FILE).map_err(other)?;
        }
    }
    model.commit().map_err(other)?;
    Ok(place)
}

/// What somebody who wants to use the model has to know.
fn missing(manifest: &Manifest, out: &str) -> Vec<String> {
    let mut lines = Vec::new();
    match &manifest.model {
        None => lines.push(format!(
            "warning: weights alone, for --initial-model: the checkpoint was written by a psrun that did not write down what \
             they are a model of. `psrun evaluate`, `predict` and `serve` need {CONFIG_FILE} as well, and of a table \
             {SCHEMA_FILE}: copy both from the --out folder of the job to {out}, unless they are there"
        )),
        Some(model) if model.config.model.is_none() => lines.push(format!(
            "warning: nobody told the job which model this is, so that `psrun evaluate`, `predict` and `serve` cannot use it: \
             write its name into `model` of {out}/{CONFIG_FILE}, if it is one of psrun's"
        )),
        Some(model) if model.lacks_schema() => lines.push(format!(
            "warning: what was understood of the table is too long to be in a checkpoint: copy {SCHEMA_FILE} from the --out \
             folder of the job to {out}, or write it with `psrun data DATA --write-schema {out}/{SCHEMA_FILE}`"
        )),
        Some(_) => lines.push(format!("next: psrun evaluate --model {out} --data DIR")),
    }
    if manifest.state.settings.evaluation.keep == Keep::Best {
        lines.push(
            "these are the weights of the checkpoint; the best ones so far, which the job keeps, are in best.safetensors \
             beside it"
                .to_owned(),
        );
    }
    lines
}
