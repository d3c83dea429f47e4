//! Data channels: inputdataconfig.json, and which options of a worker its channels become.

use super::{Error, content_type};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How a channel's data come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputMode {
    /// Files in a folder: copied before the start, or fetched while they are read.
    Files,
    /// A FIFO for each pass.
    Pipe,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Where its files are; the stem of its FIFOs in Pipe mode.
    pub path: PathBuf,
    /// How its data come.
    pub mode: InputMode,
    /// Whether each host has a share of its own, instead of everything.
    pub is_sharded: bool,
    /// What the user says that the files are.
    pub content_type: Option<String>,
    /// Whether records are wrapped in RecordIO.
    pub is_wrapped: bool,
}

/// Reads inputdataconfig.json, or a variable of the same content; `data` is the folder of channels.
///
/// # Errors
/// It is no object of objects.
pub fn read(what: &str, text: &str, data: &Path) -> Result<Vec<Channel>, Error> {
    let wrong = |message: String| Error::new(format!("reading {what}: {message}"));
    let value: Value = serde_json::from_str(text)
        .map_err(|error| wrong(format!("expected a JSON object of channels: {error}")))?;
    let expected = || wrong(format!("expected a JSON object of channels, found {value}"));
    let mut channels = Vec::new();
    for (name, about) in value.as_object().ok_or_else(expected)? {
        let word = |key: &str| about.get(key).and_then(Value::as_str).unwrap_or_default();
        let is = |key: &str, wanted: &str| word(key).eq_ignore_ascii_case(wanted);
        if !about.is_object() {
            return Err(wrong(format!("channel {name}: expected an object, found {about}")));
        }
        channels.push(Channel {
            path: data.join(name),
            mode: if is("TrainingInputMode", "Pipe") { InputMode::Pipe } else { InputMode::Files },
            is_sharded: is("S3DistributionType", "ShardedByS3Key"),
            content_type: Some(word("ContentType").to_owned()).filter(|word| !word.is_empty()),
            is_wrapped: is("RecordWrapperType", "RecordIO"),
            name: name.clone(),
        });
    }
    channels.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(channels)
}

impl Channel {
    /// A channel of which only the folder is known.
    pub fn folder(name: &str, path: &Path) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            mode: InputMode::Files,
            is_sharded: false,
            content_type: None,
            is_wrapped: false,
        }
    }
}

/// What the channels are to a worker: options by name, and what people should know of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelOptions {
    /// Options of a worker with their values.
    pub options: Vec<(&'static str, String)>,
    /// Lines for the log.
    pub notes: Vec<String>,
    /// Why nobody can say which channel is trained on, or how it is written: for a program to know, and a mistake where there is none.
    pub ambiguity: Option<String>,
}

/// Channels that we know, those with data first.
const KNOWN: [&str; 7] = ["training", "train", "test", "validation", "model", "code", "sm_drivers"];

fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// The channels by their role; those that are none of ours are named once.
///
/// # Errors
/// Two channels for the same thing, or test data without training data.
pub fn options(channels: &[Channel]) -> Result<ChannelOptions, Error> {
    let named = one_of(channels, ["training", "train"])?;
    let (test, validation) = (find(channels, "test"), find(channels, "validation"));
    let mut options = ChannelOptions::default();
    let others: Vec<&Channel> = channels.iter().filter(|it| !is_known(&it.name)).collect();
    // Whatever it is called: the only one there is.
    let only = Some(&others).filter(|others| named.is_none() && others.len() == 1).map(|it| it[0]);
    if let Some(only) = only {
        let name = &only.name;
        options
            .notes
            .push(format!("channel {name}: taken for the training data; call it `training`"));
    }
    if named.is_none() && others.len() > 1 {
        let names: Vec<&str> = others.iter().map(|channel| channel.name.as_str()).collect();
        options.ambiguity = Some(format!(
            "channels {}: none is called `training`, so nobody knows which is trained on: call one of them \
             `training`, and test data `test`",
            names.join(", ")
        ));
    }
    let train = named.or(only);
    // Alone it tells at the end how good the model is; beside a test channel, during training.
    let (test, validation) = if test.is_some() { (test, validation) } else { (validation, None) };
    match (train, test) {
        (Some(train), test) => {
            options.data(train, test);
            options.validation(validation)?;
        }
        (None, Some(test)) => {
            return Err(Error::new(format!(
                "channel {} has no channel `training` beside it: add one, or give it all data",
                test.name
            )));
        }
        (None, None) if options.ambiguity.is_some() => (),
        (None, None) => {
            let warning =
                "no data channel: training on the bundled digits; add a channel `training`";
            options.notes.push(warning.to_owned());
        }
    }
    if let Some(model) = find(channels, "model") {
        options.set("initial-model", model.path.display());
    }
    let foreign: Vec<&str> = others.iter().map(|channel| channel.name.as_str()).collect();
    if !foreign.is_empty() && train.is_some() && only.is_none() {
        let (foreign, known) = (foreign.join(", "), KNOWN[..5].join(", "));
        options.notes.push(format!("channels that are not read: {foreign}; read are {known}"));
    }
    Ok(options)
}

impl ChannelOptions {
    fn set(&mut self, name: &'static str, value: impl ToString) {
        self.options.push((name, value.to_string()));
    }

    /// The training channel, which may hold the test data as well.
    fn data(&mut self, train: &Channel, test: Option<&Channel>) {
        self.set("data", train.path.display());
        if let Some(test) = test {
            self.set("test", test.path.display());
            if test.mode == InputMode::Pipe {
                self.set("test-pipe", true);
            }
            self.note_shares(test);
        }
        if train.is_sharded {
            self.set("sharded", true);
        }
        if train.mode == InputMode::Pipe {
            self.set("pipe", true);
        }
        if train.is_wrapped {
            self.set("wrapper", "recordio");
        }
        match train.content_type.as_deref().map(content_type::options) {
            Some(Ok(options)) => self.options.extend(options),
            Some(Err(problem)) => {
                let name = &train.name;
                self.ambiguity.get_or_insert(format!("channel {name}: {problem}"));
            }
            None => (),
        }
    }
}

impl ChannelOptions {
    /// The channel that evaluations during training are on.
    fn validation(&mut self, channel: Option<&Channel>) -> Result<(), Error> {
        let Some(channel) = channel else {
            return Ok(());
        };
        if channel.mode == InputMode::Pipe {
            return Err(Error::new(
                "channel validation is in Pipe mode beside a channel test: it is read as files; give it the \
                 TrainingInputMode File or FastFile",
            ));
        }
        self.set("validation", channel.path.display());
        self.note_shares(channel);
        Ok(())
    }

    /// Says that a share is not all that there is to measure with.
    fn note_shares(&mut self, measured: &Channel) {
        if measured.is_sharded {
            let name = &measured.name;
            self.notes.push(format!(
                "channel {name} is ShardedByS3Key: only the first host's share is evaluated; \
                 make it FullyReplicated to evaluate all"
            ));
        }
    }
}

fn find<'a>(channels: &'a [Channel], name: &str) -> Option<&'a Channel> {
    channels.iter().find(|channel| channel.name == name)
}

fn one_of<'a>(channels: &'a [Channel], names: [&str; 2]) -> Result<Option<&'a Channel>, Error> {
    match names.map(|name| find(channels, name)) {
        [Some(_), Some(_)] => {
            let [first, second] = names;
            Err(Error::new(format!(
                "channels {first} and {second} are both there and mean the same: give one of them"
            )))
        }
        [first, second] => Ok(first.or(second)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(text: &str) -> Vec<Channel> {
        read("inputdataconfig.json", text, Path::new("/d")).unwrap()
    }

    fn options_of(text: &str) -> Vec<(&'static str, String)> {
        options(&channels(text)).unwrap().options
    }

    #[test]
    fn local_modes_short_form_is_a_replicated_folder() {
        let expected = Channel::folder("training", Path::new("/d/training"));
        assert_eq!(channels(r#"{"training":{"TrainingInputMode":"File"}}"#), [expected]);
        assert_eq!(options_of(r#"{"training":{}}"#), [("data", "/d/training".into())]);
        assert_eq!(channels("{}"), []);
    }

    #[test]
    fn the_services_form_is_understood() {
        let text = r#"{"train":{"ContentType":"application/x-recordio-protobuf",
            "TrainingInputMode":"Pipe","S3DistributionType":"ShardedByS3Key",
            "RecordWrapperType":"RecordIO"},
            "validation":{"TrainingInputMode":"FastFile","ContentType":"text/csv;label_size=1"},
            "model":{},"code":{}}"#;
        let expected = [
            ("data", "/d/train"),
            ("test", "/d/validation"),
            ("sharded", "true"),
            ("pipe", "true"),
            ("wrapper", "recordio"),
            ("format", "recordio-protobuf"),
            ("initial-model", "/d/model"),
        ];
        assert_eq!(options_of(text), expected.map(|(name, value)| (name, value.to_owned())));
        let pipe = r#"{"train":{},"test":{"TrainingInputMode":"Pipe"}}"#;
        let pipe = options(&channels(pipe)).unwrap();
        assert!(pipe.options.contains(&("test", "/d/test".into())), "{pipe:?}");
        assert!(pipe.options.contains(&("test-pipe", "true".into())), "{pipe:?}");
        let csv = options_of(r#"{"train":{"ContentType":"text/csv; label_size=1"}}"#);
        let expected = [("data", "/d/train"), ("format", "csv"), ("header", "no"), ("label", "1")];
        assert_eq!(csv, expected.map(|(name, value)| (name, value.to_owned())));
        let libsvm = options(&channels(r#"{"train":{"ContentType":"text/libsvm"}}"#)).unwrap();
        assert!(libsvm.ambiguity.unwrap().contains("channel train: content type text/libsvm"));
    }

    #[test]
    fn a_validation_channel_beside_a_test_channel_is_for_training() {
        let both = options_of(r#"{"train":{},"test":{},"validation":{}}"#);
        let expected = [("data", "/d/train"), ("test", "/d/test"), ("validation", "/d/validation")];
        assert_eq!(both, expected.map(|(name, value)| (name, value.to_owned())));
        let pipe = r#"{"train":{},"test":{},"validation":{"TrainingInputMode":"Pipe"}}"#;
        let error = options(&channels(pipe)).unwrap_err().to_string();
        assert!(
            error.contains("validation is in Pipe mode") && error.contains("FastFile"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_read_is_said() {
        let none = options(&[]).unwrap();
        assert!(none.options.is_empty() && none.notes[0].contains("digits"), "{none:?}");
        let more = options(&channels(r#"{"train":{},"sidekick":{},"code":{}}"#)).unwrap();
        assert_eq!(more.notes.len(), 1, "{more:?}");
        assert!(more.notes[0].contains("not read: sidekick"), "{more:?}");
    }

    /// Found by a user of SageMaker: a channel called `dataset` was left alone, and the bundled digits trained on.
    #[test]
    fn regression_the_only_channel_is_trained_on_and_of_several_nobody_knows() {
        let only = options(&channels(r#"{"dataset":{},"test":{},"model":{}}"#)).unwrap();
        assert!(only.options.contains(&("data", "/d/dataset".into())), "{only:?}");
        assert!(only.notes[0].contains("dataset: taken for the training data"), "{only:?}");
        assert_eq!(only.ambiguity, None);
        let several = options(&channels(r#"{"dataset":{},"labels":{}}"#)).unwrap();
        assert!(several.options.is_empty() && several.notes.is_empty(), "{several:?}");
        let why = several.ambiguity.unwrap();
        assert!(why.contains("channels dataset, labels") && why.contains("`training`"), "{why}");
    }

    #[test]
    fn contradictions_are_refused_in_words() {
        for (text, word) in [
            (r#"{"train":{},"training":{}}"#, "training and train"),
            (r#"{"test":{}}"#, "channel test"),
        ] {
            let error = options(&channels(text)).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        for text in ["[]", "{", r#"{"train":7}"#] {
            assert!(read("inputdataconfig.json", text, Path::new("/d")).is_err(), "{text}");
        }
    }
}
