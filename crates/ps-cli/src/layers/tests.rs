use super::*;
use clap::{CommandFactory, FromArgMatches, Parser};

#[derive(Parser, Debug)]
#[command(name = "program")]
struct Options {
    #[arg(long, env = "PS_UNIT_PASSES", default_value_t = 1)]
    passes: u64,
    #[arg(long, env = "PS_UNIT_MUST", requires = "config")]
    must: String,
    #[arg(long)]
    config: Option<String>,
    #[arg(long, env = "PS_UNIT_SERVERS", value_delimiter = ',')]
    servers: Vec<String>,
    #[arg(long, env = "PS_UNIT_TRAINS")]
    trains: bool,
    #[arg(long, env = "PS_UNIT_LR", value_name = "RATE")]
    lr: Option<f64>,
    #[arg(long, env = "PS_UNIT_BATCH_SIZE")]
    batch_size: Option<u64>,
    #[arg(long, env = "PS_UNIT_HIDDEN", hide = true)]
    listen_host: Option<String>,
    #[arg(long)]
    dry_run: bool,
    #[arg(long, env = "PS_UNIT_PAIRS", value_name = "NAME=VALUE")]
    pairs: Vec<String>,
}

fn parse_all(args: Vec<OsString>, layers: &[Layer]) -> Result<Options, String> {
    let command = apply(Options::command(), &args, layers)?;
    let matches = command.try_get_matches_from(args).map_err(|error| error.to_string())?;
    Options::from_arg_matches(&matches).map_err(|error| error.to_string())
}

fn parse(file: &str, args: &[&str]) -> Result<Options, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("job.toml");
    std::fs::write(&path, file).unwrap();
    let config = format!("--config={}", path.display());
    let args = ["program", &config].into_iter().chain(args.iter().copied());
    parse_all(args.map(OsString::from).collect(), &[])
}

fn launched(values: &[(&str, &str)], flags: &[&str]) -> Result<Options, String> {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let layer = Layer { source: "hyperparameters".into(), values: values.collect() };
    let must = Layer { source: "channels".into(), values: vec![("must".into(), "x".into())] };
    let args = std::iter::once("program").chain(flags.iter().copied());
    parse_all(args.map(OsString::from).collect(), &[must, layer])
}

/// Found by users of SageMaker: tuning jobs write whole numbers as `10.0`.
#[test]
fn regression_a_whole_number_may_be_written_as_python_does() {
    for text in ["10.0", "10", "1e1", "10."] {
        assert_eq!(launched(&[("passes", text)], &[]).unwrap().passes, 10, "{text}");
    }
    assert_eq!(launched(&[("lr", "10.0")], &[]).unwrap().lr, Some(10.0));
    for text in ["10.5", "1e300", "inf", "-10.0"] {
        let error = launched(&[("passes", text)], &[]).unwrap_err();
        assert!(error.contains(text), "{text}: {error}");
    }
}

#[test]
fn an_option_in_two_spellings_has_one_value() {
    let two = |a, b| launched(&[("batch_size", a), ("batch-size", b)], &[]);
    assert_eq!(two("16", "16").unwrap().batch_size, Some(16));
    let error = two("16", "32").unwrap_err();
    assert!(error.contains("`batch_size` and `batch-size` are the same option"), "{error}");
    let error = parse("must = 'x'\nbatch_size = 1\nbatch-size = 2", &[]).unwrap_err();
    assert!(error.contains("are the same option, set to"), "{error}");
    let section = parse("must = 'x'\nbatch_size = 1\n[program]\nbatch-size = 2", &[]).unwrap();
    assert_eq!(section.batch_size, Some(2));
}

/// Options of one's own model are pairs.
#[test]
fn a_table_may_be_the_value_of_an_option() {
    for file in [
        "must = 'x'\npairs = { a = 1, b = [2, 3] }",
        "must = 'x'\npairs = ['a=1', 'b=2', 3]",
        "must = 'x'\n[pairs]\na = 1\nb = '2,3'",
    ] {
        assert_eq!(parse(file, &[]).unwrap().pairs, ["a=1,b=2,3"], "{file}");
    }
    assert!(parse("must = 'x'\n[servers]\na = 1", &[]).unwrap_err().contains("[servers]"));
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let options = parse("passes = 5\nmust = 'x'\nservers = ['a', 'b']", &[]).unwrap();
    assert_eq!((options.passes, options.must.as_str()), (5, "x"));
    assert_eq!(options.servers, ["a", "b"]);
    assert!(options.config.is_some());
    let options = parse("passes = 5\nmust = 'x'", &["--passes", "7"]).unwrap();
    assert_eq!(options.passes, 7);
    assert_eq!(parse("must = 'x'", &[]).unwrap().passes, 1);
}

#[test]
fn mistakes_in_the_file_are_named() {
    assert!(parse("pases = 5", &[]).unwrap_err().contains("`pases`"));
    assert!(parse("passes 5", &[]).unwrap_err().contains("job.toml"));
    assert!(parse("passes = 'many'\nmust = 'x'", &[]).unwrap_err().contains("many"));
}

#[test]
fn a_program_takes_its_own_section_and_what_is_for_all() {
    let file = "must = 'x'\npasses = 5\n[program]\npasses = 6\n[ps-server]\npath = 'y'";
    let options = parse(file, &[]).unwrap();
    assert_eq!((options.passes, options.must.as_str()), (6, "x"));
    let error = parse("must = 'x'\n[program]\npases = 6", &[]).unwrap_err();
    assert!(error.contains("`pases`") && error.contains("nearest is `passes`"), "{error}");
    let error = parse("must = 'x'\n[progam]\npasses = 6", &[]).unwrap_err();
    assert!(error.contains("[progam]") && error.contains("ps-worker"), "{error}");
    let error = parse("must = 'x'\n[ps-server]\npasses = 6", &[]).unwrap_err();
    assert!(error.contains("for ps-server, none is for program"), "{error}");
}

#[test]
fn values_become_options_and_flags_win() {
    let values = [
        ("lr", "0.5"),
        ("batch_size", "16"),
        ("trains", "True"),
        ("servers", "a,b"),
        ("must", "y"),
    ];
    let options = launched(&values, &["--lr=0.25"]).unwrap();
    assert_eq!((options.lr, options.batch_size), (Some(0.25), Some(16)));
    assert_eq!((options.must.as_str(), options.trains), ("y", true));
    assert_eq!(options.servers, ["a", "b"]);
    assert!(!launched(&[("trains", "false")], &[]).unwrap().trains);
    assert!(launched(&[("trains", "false")], &["--trains"]).unwrap().trains);
}

#[test]
fn all_mistakes_are_named_at_once() {
    let values = [
        ("batch_sise", "16"),
        ("epochs", "3"),
        ("lr", "fast"),
        ("passes", "-1"),
        ("trains", "perhaps"),
        ("must", "7"),
    ];
    let error = launched(&values, &[]).unwrap_err();
    for words in [
        "hyperparameters: `batch_sise`: no such option; the nearest is `batch-size`",
        "`epochs`: no such option; the nearest is `passes`",
        "`lr`: invalid value 'fast' for '--lr <RATE>'",
        "`passes`: ",
        "`trains`: expected true or false, found `perhaps`",
    ] {
        assert!(error.contains(words), "no {words}: {error}");
    }
    assert!(!error.contains("must"), "{error}");
}

#[test]
fn what_is_about_one_call_is_in_no_layer() {
    for name in ["help", "dry-run", "listen-host"] {
        assert!(launched(&[(name, "true")], &[]).unwrap_err().contains("no such option"), "{name}");
    }
}
