//! Options about data that do not go together.

use std::path::Path;

use super::DataArgs;
use ps_data::limits::{CLASSES_MAX, CONTEXT_MAX, SHUFFLE_SAMPLES_MAX};
use ps_data::{Format, Wrapper};

impl DataArgs {
    /// What the program's own data contradict, in one sentence.
    ///
    /// # Errors
    /// Options about files that psrun reads.
    pub fn check_own(&self) -> Result<(), String> {
        let given = [
            ("--stream", self.stream),
            ("--pipe", self.pipe),
            ("--test-pipe", self.test_pipe),
            ("--validation", self.validation.is_some()),
            ("--validation-split", self.validation_split.is_some()),
            ("--schema", self.schema.is_some()),
            ("--format", self.format != Format::Auto),
            ("--classes", self.classes.is_some()),
            ("--schema-samples", self.schema_samples.is_some()),
            ("--shuffle-buffer", self.shuffle_buffer.is_some()),
            ("--wrapper", self.wrapper != Wrapper::None),
            ("--ignore-files", !self.ignore_files.is_empty()),
        ];
        let given = given.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option);
        match given.or_else(|| self.table.about_columns()) {
            Some(option) => Err(format!(
                "{option} with --dataset: the program reads its data itself; leave out one of them"
            )),
            None => Ok(()),
        }
    }

    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn check(&self, data: Option<&Path>) -> Result<(), String> {
        if self.classes.is_some_and(|classes| !(1..=CLASSES_MAX).contains(&classes)) {
            return Err(format!("--classes: expected 1 to {CLASSES_MAX}"));
        }
        if !(1..=CONTEXT_MAX).contains(&self.context) {
            return Err(format!("--context {}: expected 1 to {CONTEXT_MAX}", self.context));
        }
        if data.is_none() && self.test.is_some() && !self.sharded {
            return Err(
                "--test without --data: there is nothing to train on; give --data DIR too \
                        (or --sharded, if this worker's share is empty)"
                    .to_owned(),
            );
        }
        if self.test_pipe && self.test.is_none() {
            return Err("--test-pipe without --test: give the stem of the FIFO's name, to which \
                        `_0` is added"
                .to_owned());
        }
        if self.test_pipe && !self.pipe {
            return Err("--test-pipe without --pipe: columns of files are standardised with the \
                        whole training set, those of a stream cannot be: let both come the same way"
                .to_owned());
        }
        self.table.check()?;
        self.check_schema()?;
        self.check_validation(data)?;
        self.check_stream(data)?;
        self.check_pipe(data)
    }

    fn check_schema(&self) -> Result<(), String> {
        match self.schema_samples {
            Some(samples) if !self.is_streamed() || self.schema.is_some() => Err(format!(
                "--schema-samples {samples}: only with --stream or --pipe, and without --schema: other tables are learnt from \
                 whole"
            )),
            _ => Ok(()),
        }
    }

    fn check_validation(&self, data: Option<&Path>) -> Result<(), String> {
        if data.is_none() && self.validation.is_some() {
            return Err("--validation without --data: its files belong to a training set; give --data DIR too, or \
                        hold samples out with --validation-split"
                .to_owned());
        }
        if self.validation.is_some() && self.test_pipe {
            return Err("--validation with --test-pipe: test data that come through a FIFO are the only ones; give \
                        the test data as files, too"
                .to_owned());
        }
        let Some(share) = self.validation_split else {
            return Ok(());
        };
        if !(share > 0.0 && share < 1.0) {
            return Err(format!(
                "--validation-split {share}: expected a share above 0 and below 1"
            ));
        }
        if self.validation.is_some() {
            return Err("--validation-split with --validation: each names the validation set; give one of them"
                .to_owned());
        }
        let partly = [
            ("--stream", self.stream, "the samples of a stream are not in memory"),
            ("--pipe", self.pipe, "the samples of a FIFO are not in memory"),
            (
                "--sharded",
                self.sharded,
                "each process has other samples, and the evaluator not all",
            ),
        ];
        match partly.into_iter().find(|(_, is_given, _)| *is_given) {
            Some((option, _, why)) => Err(format!(
                "--validation-split with {option}: {why}, so that nobody could hold out the same ones; give files \
                 with --validation"
            )),
            None => Ok(()),
        }
    }

    fn check_pipe(&self, data: Option<&Path>) -> Result<(), String> {
        if !self.pipe {
            return Ok(());
        }
        if data.is_none() {
            return Err(
                "--pipe without --data: give the stem of the FIFOs' names, to which `_0`, \
                        `_1` .. are added"
                    .to_owned(),
            );
        }
        match (self.format, self.wrapper) {
            (Format::Idx, _) => Err("--pipe with --format idx: images and labels are two files, \
                                     which one stream cannot hold; use csv or recordio-protobuf"
                .to_owned()),
            (Format::Auto, Wrapper::Recordio) => Err("--pipe with --wrapper recordio: what is in \
                                                      the wrapper cannot be seen from its first \
                                                      bytes; name it with --format csv or \
                                                      --format recordio-protobuf"
                .to_owned()),
            _ => Ok(()),
        }
    }

    fn check_stream(&self, data: Option<&Path>) -> Result<(), String> {
        if self.stream && self.pipe {
            return Err(
                "--stream with --pipe: files are read anew in every pass, FIFOs are written \
                        anew; give the one that --data is"
                    .to_owned(),
            );
        }
        if self.stream && data.is_none() {
            return Err("--stream without --data: give the folder of the training files; the \
                        bundled digits are in memory anyway"
                .to_owned());
        }
        match self.shuffle_buffer {
            Some(samples) if !self.stream => Err(format!(
                "--shuffle-buffer {samples} without --stream: samples in memory are shuffled as a \
                 whole, and those of FIFOs keep their order; leave it out, or give --stream"
            )),
            Some(samples) if !(1..=SHUFFLE_SAMPLES_MAX).contains(&samples) => {
                Err(format!("--shuffle-buffer {samples}: expected 1 to {SHUFFLE_SAMPLES_MAX}"))
            }
            _ => Ok(()),
        }
    }
}
