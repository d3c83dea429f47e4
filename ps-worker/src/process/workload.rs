//! What the options make of this process's part in a job: a model on data, or a program.

use super::learning::BegunStream;
use super::on_thread::on_thread;
use crate::config::{Args, Role};
use crate::model_source::ModelSource;
use crate::program::UserProgram;
use crate::streams::{DataStreams, Records, StreamOptions};
use crate::train::{ModelWorkload, PassStreams, ServedSamples, Workload, WorkloadKind};
use ps_cli::orphans::Children;
use ps_core::{DataDescription, DataKind};
use ps_data::{StreamOpener, StreamSource, load_stream, stream_files};
use ps_runtime::Outside;
use ps_runtime::advertise::advertised;
use ps_runtime::files::{Directory, Files};
use ps_runtime::transport;
use std::sync::Arc;

/// A program of the user's that does the work, told of model and data what we were told.
pub(super) fn program(args: &Args, children: Children) -> Workload {
    let (command, variables) = (args.program.clone(), args.variables.clone());
    let grace = args.process.stop_times().program;
    let program = UserProgram::new(command, variables, grace, children);
    let data = DataDescription { kind: DataKind::Program, ..DataDescription::default() };
    Workload { data, kind: WorkloadKind::Program(Box::new(program)) }
}

/// With --pipe or --stream: a worker's training stream, begun, with what it is; and an evaluator's
/// test stream, read into `source`.
///
/// No process reads the stream of another: a FIFO's bytes come to one reader only, and worker and
/// evaluator may be on one host.
pub(super) async fn streams(
    args: &Args,
    source: &mut ModelSource,
    begun: Option<BegunStream>,
) -> anyhow::Result<Option<(DataStreams, DataDescription)>> {
    let read = &args.model.read;
    let Some(data) = args.model.data.as_ref().filter(|_| read.is_streamed()) else {
        return Ok(None);
    };
    let table = source.data().schema.clone().filter(|_| source.knows_table());
    if args.role == Role::Evaluator {
        if let Some(stem) = read.test_stem() {
            let test = load_stream(read.stream(stem, table)).await?;
            source.set_test(test, read.classes)?;
        }
        return Ok(None);
    }
    // Nobody sees them in a stream before it has been read: then the evaluator's test data tell.
    let outputs = read.classes.or_else(|| source.outputs_seen()).unwrap_or(0);
    let place = args.place.place().map_err(anyhow::Error::msg)?;
    let records = if read.sharded { Records::OfMachine(place) } else { Records::Shared };
    let (task, outputs) = (source.data().task, u32::try_from(outputs).unwrap_or(u32::MAX));
    let ids = source.data().ids.clone();
    let begun = match begun {
        Some((mut streams, stream)) => {
            streams.set_schema(table.clone());
            (streams, stream.known(table))
        }
        None => {
            let files = match read.pipe {
                true => read.stream(data, table),
                false => StreamSource { schema: table, ..stream_files(&read.source(Some(data)))? },
            };
            let mut streams = StreamOpener::new(files);
            let first = streams.open()?;
            (streams, first)
        }
    };
    let (shift, shuffle) = (read.augment_shift, read.shuffle_samples());
    let patience = read.load_timeout();
    let options = StreamOptions { records, ids, task, outputs, shift, shuffle, patience };
    let (streams, mut description) = DataStreams::new(begun, options).await?;
    source.objective().clone_into(&mut description.objective);
    Ok(Some((streams, description)))
}

/// The model of this process, and what the job does with its data.
pub(super) async fn model(
    args: &Args,
    mut source: ModelSource,
    streams: Option<(DataStreams, DataDescription)>,
    outside: &Outside,
) -> anyhow::Result<Workload> {
    let open = |folder| Directory::open_for("--keep-in", folder).map(|it| Arc::new(it) as Files);
    let keeps = args.keep_in.as_deref().map(open).transpose()?;
    if args.model.read.is_streamed() {
        return Ok(streamed(args, source, streams, keeps));
    }
    let kind = if args.model.read.sharded { DataKind::Sharded } else { DataKind::Replicated };
    let mut data = source.description(kind);
    let mut served = None;
    if let Some(address) = &args.serve_samples {
        let (incoming, address) = transport::listen(address).await?;
        (outside.metrics)(&format!("role=evaluator; serving_samples={address};"));
        data.served_at = Some(advertised(args.advertise.as_deref(), &address.to_string()));
        served = Some(ServedSamples { incoming, samples: source.data().clone() });
    }
    if kind == DataKind::Replicated {
        source = on_thread(move || {
            source.prepare()?;
            Ok(source)
        })
        .await?;
    }
    let loader = source.loader();
    let mut model = built_from(source);
    (model.served, model.loader, model.keeps) = (served, loader, keeps);
    Ok(Workload { data, kind: WorkloadKind::Model(model) })
}

fn streamed(
    args: &Args,
    source: ModelSource,
    streams: Option<(DataStreams, DataDescription)>,
    keeps: Option<Files>,
) -> Workload {
    if args.serve_samples.is_some() {
        tracing::warn!(
            "--serve-samples: a stream cannot be served; the training records that this host has \
             of its own are not trained on"
        );
    }
    let (streams, data) = match streams {
        Some((streams, data)) => (Some(Box::new(streams) as Box<dyn PassStreams>), data),
        None => (None, source.description(DataKind::Streamed)),
    };
    let mut model = built_from(source);
    (model.streams, model.keeps) = (streams, keeps);
    Workload { data, kind: WorkloadKind::Model(model) }
}

fn built_from(source: ModelSource) -> ModelWorkload {
    let about = source.about().clone();
    let mut model =
        ModelWorkload::new(Arc::new(move |agreed| Ok(Box::new(source.for_job(agreed)?))));
    model.about = Some(Box::new(about));
    model
}
