//! The options that say how data are to be read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;

use crate::data::limits::{CLASSES_MAX, STREAM_PATIENCE_S};
use crate::data::{DataSource, Format, LabelColumn, StreamSource, Wrapper};

/// Where the test data are, and how all data are written.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct DataArgs {
    /// Directory or file of the test data, when it is not the one of --data.
    #[arg(long, env = "PS_TEST", value_name = "DIR")]
    pub test: Option<PathBuf>,
    /// How the data are written; auto looks at names and first bytes.
    #[arg(long, env = "PS_FORMAT", value_enum, default_value = "auto")]
    pub format: Format,
    /// What is around each file: recordio for SageMaker's RecordWrapperType RecordIO.
    #[arg(long, env = "PS_WRAPPER", value_enum, default_value = "none")]
    pub wrapper: Wrapper,
    /// The label's column in CSV: last, a number from 1, or a name in the header.
    #[arg(long, env = "PS_LABEL", default_value = "last", value_name = "COLUMN")]
    pub label: LabelColumn,
    /// Number of classes [default: one more than the largest label; with --pipe, of the
    /// test data's labels].
    #[arg(long, env = "PS_CLASSES", value_name = "N")]
    pub classes: Option<usize>,
    /// The training data here are this worker's own share: others have others, of any number, and
    /// a share without any sample is legal. Every member of the job needs this option then.
    #[arg(long, env = "PS_SHARDED", value_parser = BoolishValueParser::new())]
    pub sharded: bool,
    /// --data is the stem of FIFOs, one for each pass: DATA_0, DATA_1, ..
    #[arg(long, env = "PS_PIPE", value_parser = BoolishValueParser::new())]
    pub pipe: bool,
    /// --test is the stem of a FIFO, TEST_0: read once, by the process that evaluates.
    #[arg(long, env = "PS_TEST_PIPE", value_parser = BoolishValueParser::new())]
    pub test_pipe: bool,
}

impl DataArgs {
    /// The options that were given, as arguments for a process that takes the same.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        if let Some(test) = &self.test {
            args.push(format!("--test={}", test.display()));
        }
        if self.format != Format::default() {
            args.push(format!("--format={}", self.format.name()));
        }
        if self.wrapper != Wrapper::default() {
            args.push(format!("--wrapper={}", self.wrapper.name()));
        }
        if self.label != LabelColumn::default() {
            args.push(format!("--label={}", self.label));
        }
        if let Some(classes) = self.classes {
            args.push(format!("--classes={classes}"));
        }
        let flags =
            [("--sharded", self.sharded), ("--pipe", self.pipe), ("--test-pipe", self.test_pipe)];
        args.extend(flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned()));
        args
    }

    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn check(&self, data: Option<&Path>) -> Result<(), String> {
        if self.classes.is_some_and(|classes| !(1..=CLASSES_MAX).contains(&classes)) {
            return Err(format!("--classes: expected 1 to {CLASSES_MAX}"));
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

    /// The files to read; what comes through FIFOs is not among them.
    pub fn source(&self, data: Option<&Path>) -> DataSource {
        let test = self.test.as_ref().filter(|_| self.test_stem().is_none());
        DataSource {
            train: data.filter(|_| !self.pipe).map(Path::to_owned),
            test: test.cloned(),
            format: self.format,
            wrapper: self.wrapper,
            label: self.label.clone(),
            classes: self.classes,
            sharded: self.sharded || self.pipe,
        }
    }

    /// The stem of the test data's FIFO, if they come through one.
    pub fn test_stem(&self) -> Option<&Path> {
        self.test.as_deref().filter(|_| self.test_pipe)
    }

    /// Streams with this stem.
    pub fn stream(&self, stem: &Path) -> StreamSource {
        StreamSource {
            stem: stem.to_owned(),
            format: self.format,
            wrapper: self.wrapper,
            label: self.label.clone(),
            patience: Duration::from_secs(STREAM_PATIENCE_S),
        }
    }
}
