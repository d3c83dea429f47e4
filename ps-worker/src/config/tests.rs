use super::*;
use clap::CommandFactory;
use ps_core::schema::{Column, ColumnUse, Schema};
use ps_data::ColumnChoice;

fn check(args: &[&str]) -> Result<(), String> {
    let args = std::iter::once("ps-worker").chain(args.iter().copied());
    Args::try_parse_from(args).map_err(|error| error.to_string())?.check()
}

/// The command line of a process with a master that is told of model and data what this one is.
fn passed_on(line: &[&str]) -> Vec<String> {
    let matches = Args::command().get_matches_from(line);
    let given = given(ModelArgs::augment_args(Command::new("model")), &matches);
    let options = given.into_iter().map(|option| {
        let (name, value) = (option.name, option.value.into_string().unwrap());
        if value == "true" { format!("--{name}") } else { format!("--{name}={value}") }
    });
    let start = ["ps-worker", "--master", "a:1"].map(str::to_owned);
    start.into_iter().chain(options).collect()
}

#[test]
fn contradictions_are_named() {
    assert!(check(&[]).unwrap_err().contains("--ps"));
    assert!(check(&["--ps", "a:1"]).is_ok());
    assert!(check(&["--ps", "a:1", "--role", "evaluator"]).unwrap_err().contains("--master"));
    assert!(check(&["--master", "a:1", "--lr", "1"]).unwrap_err().contains("--lr"));
    assert!(check(&["--master", "a:1", "--out", "o"]).unwrap_err().contains("--out"));
    let outside = ["--ps", "a:1", "--worker-index", "2", "--workers", "2"];
    assert!(check(&outside).unwrap_err().contains("--worker-index 2"));
    assert!(check(&["--ps", "a:1", "--optimizer", "x"]).unwrap_err().contains("sgd"));
}

#[test]
fn options_of_the_data_are_passed_on_and_checked() {
    let data = ["--data", "d", "--test", "t", "--format", "csv", "--wrapper", "recordio"];
    let more = [
        "--label",
        "2",
        "--classes",
        "7",
        "--sharded",
        "--pipe",
        "--augment-shift",
        "2",
        "--context",
        "9",
    ];
    let all: Vec<&str> =
        ["ps-worker", "--master", "a:1"].into_iter().chain(data).chain(more).collect();
    let args = Args::try_parse_from(&all).unwrap();
    args.check().unwrap();
    let again = Args::try_parse_from(passed_on(&all)).unwrap();
    assert_eq!(again.model.read.source(None), args.model.read.source(None));
    assert_eq!(again.model.read.augment_shift, 2);
    assert_eq!(again.model.read.source(None).table.labels, [ColumnChoice::Number(2)]);

    let says = |args: &[&str], part: &str| {
        let args: Vec<&str> = ["--ps", "a:1"].iter().chain(args).copied().collect();
        let problem = check(&args).unwrap_err();
        assert!(problem.contains(part), "`{problem}` does not contain `{part}`");
    };
    says(&["--test", "t"], "--test without --data");
    says(&["--pipe"], "--pipe without --data");
    says(&["--pipe", "--data", "d", "--format", "idx"], "--format idx");
    says(&["--pipe", "--data", "d", "--wrapper", "recordio"], "--format csv");
    says(&["--classes", "0"], "1 to 65536");
    says(&["--context", "0"], "1 to 65536");
    says(&["--pipe", "--data", "d"], "--pipe needs a --master");
    says(&["--stream", "--data", "d"], "--stream needs a --master");
    says(&["--stream"], "--stream without --data");
    says(&["--stream", "--pipe", "--data", "d"], "--stream with --pipe");
    says(&["--shuffle-buffer", "9", "--data", "d"], "--shuffle-buffer 9 without --stream");
    let none = ["--stream", "--data", "d", "--shuffle-buffer", "0"];
    says(&none, "--shuffle-buffer 0: expected 1 to");
}

#[test]
fn options_of_streams_of_files_are_passed_on() {
    let given = ["--master", "a:1", "--data", "d", "--stream", "--shuffle-buffer", "7"];
    check(&given).unwrap();
    let read = |args: &[&str]| {
        let args = std::iter::once("ps-worker").chain(args.iter().copied());
        Args::try_parse_from(args).unwrap().model
    };
    let passed = passed_on(&[&["ps-worker"], &given[..]].concat());
    assert!(passed.contains(&"--stream".to_owned()), "{passed:?}");
    assert!(passed.contains(&"--shuffle-buffer=7".to_owned()), "{passed:?}");
    let source = read(&given).read.source(None);
    assert!(source.streamed && !source.sharded);
    let waiting = |args: &[&str]| read(args).read.shuffle_samples();
    assert_eq!(waiting(&given), Some(7));
    assert_eq!(waiting(&given[..5]), Some(4_096));
    assert_eq!(waiting(&["--stream", "--shuffle-buffer", "1"]), None);
    assert_eq!(waiting(&["--pipe"]), None);
}

#[test]
fn options_for_shares_are_checked() {
    let share = ["--sharded", "--data", "d"];
    let with = |more: &[&'static str]| [&share, more].concat();
    assert!(check(&with(&["--ps", "a:1"])).unwrap_err().contains("--master"));
    assert!(check(&with(&["--master", "a:1"])).is_ok());
    assert!(check(&["--master", "a:1", "--sharded"]).unwrap_err().contains("--data"));
    let serve = ["--master", "a:1", "--serve-samples", "127.0.0.1:0"];
    assert!(check(&with(&serve)).unwrap_err().contains("--role evaluator"));
    let evaluator = with(&[&serve[..], &["--role", "evaluator"]].concat());
    assert!(check(&evaluator).is_ok());
    let whole = [&serve[..], &["--role", "evaluator"]].concat();
    assert!(check(&whole).unwrap_err().contains("--sharded"));
    let advertise = with(&["--master", "a:1", "--advertise", "h:1"]);
    assert!(check(&advertise).unwrap_err().contains("--serve-samples"));
    let passed = passed_on(&[&["ps-worker"], &evaluator[..]].concat());
    assert!(passed.contains(&"--sharded".to_owned()));
}

#[test]
fn a_program_is_told_model_and_device_also_where_nobody_named_them() {
    let line = ["ps-worker", "--master", "a:1", "--context", "9", "--", "true"];
    let args = Args::read(line.map(OsString::from).into()).unwrap();
    let told =
        |name: &str| args.variables.iter().find(|(it, _)| it == name).map(|(_, value)| value);
    assert_eq!(told("PS_MODEL").unwrap(), "mlp");
    assert_eq!(told("PS_DEVICE").unwrap(), "auto");
    assert_eq!(told("PS_CONTEXT").unwrap(), "9");
    assert_eq!(told("PS_CLASSES"), None);
}

#[test]
fn options_of_validation_and_evaluation_are_checked() {
    let with = |line: &str| check(&line.split_whitespace().collect::<Vec<_>>());
    let says = |line: &str, part: &str| {
        let problem = with(line).unwrap_err();
        assert!(problem.contains(part), "`{problem}` does not contain `{part}`");
    };
    for share in ["0", "1", "-0.5", "nan", "2"] {
        let line = format!("--ps a:1 --validation-split={share}");
        says(&line, "expected a share above 0 and below 1");
    }
    with("--ps a:1 --validation-split 0.2 --validation-seed 7").unwrap();
    says("--master a:1 --data d --validation-split 0.2 --stream", "with --stream");
    says("--master a:1 --data d --validation-split 0.2 --pipe", "with --pipe");
    says("--master a:1 --data d --validation-split 0.2 --sharded", "with --sharded");
    says("--master a:1 --validation-split 0.2 -- true", "with a program");
    says("--ps a:1 --data d --validation v --validation-split 0.2", "give one of them");
    says("--ps a:1 --validation v", "--validation without --data");
    says("--master a:1 --data d --pipe --test t --test-pipe --validation v", "--test-pipe");
    for option in ["--keep best", "--early-stop-after 3", "--evaluate-every 9"] {
        says(&format!("--ps a:1 {option}"), &format!("{option} needs a --master"));
    }
    with("--ps a:1 --keep last").unwrap();
    with("--master a:1 --role evaluator --keep-in o").unwrap();
    says("--master a:1 --keep-in o", "--role evaluator");
    let line = "ps-worker --master a:1 --data d --validation-split 0.2 --validation-seed 7";
    let line: Vec<&str> = line.split_whitespace().collect();
    let [args, again] = [Args::try_parse_from(&line), Args::try_parse_from(passed_on(&line))]
        .map(|args| args.unwrap().model.read.source(None));
    assert_eq!(args.held_out, Some(ps_data::HeldOut { share: 0.2, seed: 7 }));
    assert_eq!(args, again);
}

#[test]
fn regression_options_that_say_what_a_schema_says_do_not_contradict_it() {
    let column = |name: &str, usage| Column {
        name: name.to_owned(),
        usage,
        missing: 0,
        texts_are_missing: false,
    };
    let text = |text: &str| text.to_owned();
    let schema = Schema {
        version: 1,
        header: true,
        delimiter: ',',
        decimal: '.',
        missing: Vec::new(),
        samples: 9,
        columns: vec![
            column("age", ColumnUse::Numeric { mean: 1.0, deviation: 2.0 }),
            column("town", ColumnUse::Embedded { categories: vec![text("Ulm")] }),
            column("weight", ColumnUse::Ignored),
            column("kind", ColumnUse::Class { classes: vec![text("a"), text("b")] }),
        ],
    };
    let says = |option: &str| {
        let args: Vec<&str> =
            ["ps-worker", "--ps", "a:1"].into_iter().chain(option.split(' ')).collect();
        Args::try_parse_from(args).unwrap().model.read.table.contradiction(&schema)
    };
    for same in ["--ignore weight", "--ignore 3", "--numeric age", "--categorical town"] {
        assert_eq!(says(same), None, "{same}");
    }
    for same in ["--embed all", "--embed town", "--label kind", "--header yes"] {
        assert_eq!(says(same), None, "{same}");
    }
    assert_eq!(says("--ignore age"), Some("--ignore"));
    assert_eq!(says("--ignore weight,none-such"), Some("--ignore"));
    assert_eq!(says("--numeric town"), Some("--numeric"));
    assert_eq!(says("--categorical age"), Some("--categorical"));
    assert_eq!(says("--embed none"), Some("--embed"));
    assert_eq!(says("--embed age"), Some("--embed"));
}
