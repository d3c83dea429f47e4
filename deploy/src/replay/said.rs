//! What is told of journals that were replayed: in lines for machines, and in words.

use super::Replayed;
use super::folder::{Journals, ShardJournal, origin_words};
use ps_core::chunk::NonFinite;
use ps_core::digits::digits;
use ps_core::ids::ChunkId;
use ps_core::replayed::{Findings, JumpedLoss, RefusedPush, ReplayedPush, StandingOut};

/// What is about to be read.
pub(super) fn beginning(journals: &Journals) -> String {
    let Some(base) = journals.bases().next() else { return String::new() };
    let (shards, spec) = (journals.shards.len(), journals.spec());
    format!(
        "job {}: {} tensors with {} elements on {shards} servers, which began with {}; from what shard 0 was as base {}",
        base.job,
        spec.layout.tensors().len(),
        spec.layout.elements(),
        origin_words(base.origin()),
        base.number
    )
}

/// A shard's line.
pub(super) fn shard_line(journal: &ShardJournal, replayed: &Replayed) -> String {
    let (read, counts) = (replayed.read, replayed.counts);
    format!(
        "shard={}; base={}; segments={}; bytes={}; torn_bytes={}; pushes={}; chunks={}; refused={}; torn={};",
        journal.shard(),
        journal.stored().base().number,
        read.segments,
        read.bytes,
        read.torn_bytes,
        counts.pushes,
        counts.chunks,
        counts.refused,
        replayed.torn
    )
}

/// The line of all shards.
pub(super) fn all_line(journals: &Journals, all: &Replayed) -> String {
    format!(
        "replayed_pushes={}; replayed_chunks={}; refused_chunks={}; shards={}; torn={}; ended={};",
        all.counts.pushes,
        all.counts.chunks,
        all.counts.refused,
        journals.shards.len(),
        all.torn,
        journals.are_ended()
    )
}

/// How much there was, in words.
pub(super) fn end(journals: &Journals, all: &Replayed) -> String {
    let mut words = format!(
        "{} pushes were replayed from {}, {:.1} MiB",
        all.counts.pushes,
        journals.folder.display(),
        all.read.bytes as f64 / (1 << 20) as f64
    );
    if all.read.torn_bytes > 0 {
        words += &format!(
            "; {} bytes at the ends of files are no whole batch, as a server's death leaves them: nothing in them was acknowledged",
            all.read.torn_bytes
        );
    }
    if !journals.are_ended() {
        words += "; nothing says that the job was over: this is as far as its servers had come";
    }
    words
}

/// What stood out, each as a line for machines and in words.
pub(super) fn findings(journals: &Journals, findings: &Findings) -> Vec<(String, String)> {
    let mut told = Vec::new();
    if let Some(refused) = &findings.refused {
        told.push(refused_push(journals, refused));
    }
    if let Some(jump) = &findings.jump {
        told.push(jumped_loss(jump));
    }
    told
}

fn refused_push(journals: &Journals, refused: &RefusedPush) -> (String, String) {
    let (at, chunk) = (&refused.at, refused.chunk);
    let tensors = tensors(journals, chunk);
    let (what, was) = match refused.why {
        NonFinite::Gradient => ("gradient", "its gradient was NaN or infinite"),
        NonFinite::Result => ("result", "it would have made a weight NaN or infinite"),
    };
    let line = format!(
        "{} first_nonfinite_shard={}; first_nonfinite_chunk={chunk}; first_nonfinite_tensors={}; first_nonfinite_what={what};{}",
        fields("first_nonfinite", &at.push),
        at.shard,
        tensors.join(","),
        after_fields("first_nonfinite", at)
    );
    let words = format!(
        "the first push that was not finite: {}; {was} in chunk {chunk} ({}) of shard {}, which refused it and stayed as it was; {}",
        words(&at.push),
        tensors.join(", "),
        at.shard,
        after_words(at)
    );
    (line, words)
}

fn jumped_loss(found: &JumpedLoss) -> (String, String) {
    let (at, jump) = (&found.at, &found.jump);
    let number = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), digits);
    let line = format!(
        "{} loss_jump_shard={}; loss_jump_median={}; loss_jump_limit={};{}",
        fields("loss_jump", &at.push),
        at.shard,
        number(jump.median),
        number(jump.limit),
        after_fields("loss_jump", at)
    );
    let held_against = match (jump.median, jump.limit) {
        (Some(median), Some(limit)) => {
            format!(
                "those before it had a median of {}, and up to {} is no jump",
                digits(median),
                digits(limit)
            )
        }
        _ => "there was none before it".to_owned(),
    };
    let words = format!(
        "the first loss that jumped: {}; {held_against}; {}",
        words(&at.push),
        after_words(at)
    );
    (line, words)
}

/// The tensors that a chunk has elements of.
fn tensors(journals: &Journals, chunk: ChunkId) -> Vec<&str> {
    let spec = journals.spec();
    let places = spec.layout.tensors_in(&spec.partition().elements(chunk));
    spec.layout.tensors()[places].iter().map(|tensor| tensor.name.as_str()).collect()
}

fn fields(of: &str, push: &ReplayedPush) -> String {
    let ReplayedPush { id, clock, staleness, loss } = push;
    format!(
        "{of}_worker={}; {of}_incarnation={}; {of}_clock={clock}; {of}_staleness={staleness}; {of}_loss={};",
        id.worker,
        id.incarnation,
        known(*loss)
    )
}

fn after_fields(of: &str, at: &StandingOut) -> String {
    let Some((push, change)) = &at.after else { return String::new() };
    let of = format!("{of}_after");
    format!(" {} {of}_change={};", fields(&of, push), digits(*change))
}

fn words(push: &ReplayedPush) -> String {
    let ReplayedPush { id, clock, staleness, loss } = push;
    format!("worker {}, clock {clock}, staleness {staleness}, loss {}", id.worker, known(*loss))
}

fn after_words(at: &StandingOut) -> String {
    match &at.after {
        None => "it was computed from weights that no push of this journal had changed".to_owned(),
        Some((push, change)) => format!(
            "of the newest pushes in the weights that it was computed from, that of {} had changed them most, by {}",
            words(push),
            digits(*change)
        ),
    }
}

/// A loss; of a push that was begun before what the journal stands on nobody knows it.
fn known(loss: Option<f32>) -> String {
    loss.map_or_else(|| "unknown".to_owned(), |loss| digits(f64::from(loss)))
}
