//! The options of `psrun train`. In a SageMaker job each is a hyperparameter of the same name.

use crate::job_args::JobArgs;
use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;

/// The part of one host in a job that a launcher has started on several.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub host: HostArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub job: JobArgs,
}

/// Where what runs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Hosts")]
pub struct HostArgs {
    /// Run a worker on the master's host, too.
    #[arg(long, env = "PS_MASTER_TRAINS")]
    pub master_trains: bool,
    /// Instance groups whose hosts have servers; the first of them is the master's [default: all].
    #[arg(long, env = "PS_SERVER_GROUPS", value_name = "NAMES", value_delimiter = ',')]
    pub server_groups: Vec<String>,
    /// Instance groups whose hosts have workers [default: all].
    #[arg(long, env = "PS_WORKER_GROUPS", value_name = "NAMES", value_delimiter = ',')]
    pub worker_groups: Vec<String>,
    /// Where the master listens on its host.
    #[arg(long, env = "PS_MASTER_PORT", default_value_t = 2222, value_name = "PORT")]
    pub master_port: u16,
    /// Where servers listen, and nowhere else [default: the launcher's port, or any free one].
    #[arg(long, env = "PS_SERVER_PORT", value_name = "PORT")]
    pub server_port: Option<u16>,
    /// Seconds that the other hosts' names may take to resolve, and then the master to answer.
    #[arg(long, env = "PS_RESOLVE_TIMEOUT_S", default_value_t = 900, value_name = "S")]
    pub resolve_timeout_s: u64,
    /// Folder for the model and the report [default: the launcher's].
    #[arg(long, env = "PS_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder for checkpoints [default: the launcher's].
    #[arg(long, env = "PS_CHECKPOINTS", value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    /// Address of this host to listen on, for several hosts on one machine [default: all, of IPv6, too,
    /// where there is such].
    #[arg(long, env = "PS_LISTEN_HOST", hide = true)]
    pub listen_host: Option<IpAddr>,
    /// Print what was understood and what would be started, and start nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::workers_per_instance::WorkersPerInstance;
    use ps_cli::layers::Layer;
    use ps_cli::process::parse_with;

    fn parse(values: &[(&str, &str)], flags: &[&str]) -> Result<TrainArgs, String> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let layer = Layer { source: "hyperparameters".into(), values: values.collect() };
        let line = ["psrun", "train"].iter().chain(flags).map(Into::into);
        let parsed = parse_with::<Cli>(line, &[layer]).map_err(|error| error.to_string())?;
        match parsed.args.command {
            Command::Train(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_become_options_and_flags_win() {
        let values = [
            ("lr", "0.5"),
            ("batch_size", "16"),
            ("staleness-bound", "none"),
            ("master_trains", "True"),
            ("server-groups", "a,b"),
            ("hidden", "64,32"),
            ("resolve_timeout_s", "3"),
            ("model_option", "rows=200,widths=64,32"),
            ("workers_per_instance", "2.0"),
        ];
        let args = parse(&values, &["--lr=0.25"]).unwrap();
        assert_eq!((args.job.training.lr, args.job.training.batch_size), (Some(0.25), Some(16)));
        assert_eq!(args.job.training.staleness_bound.as_deref(), Some("none"));
        assert!(args.host.master_trains);
        assert_eq!(args.host.server_groups, ["a", "b"]);
        assert_eq!(args.job.model.shape.hidden.as_deref(), Some("64,32"));
        assert_eq!(args.host.resolve_timeout_s, 3);
        let options = args.job.model.shape.options().unwrap();
        assert_eq!((options["rows"].as_str(), options["widths"].as_str()), ("200", "64,32"));
        assert_eq!(args.job.workers.workers_per_instance, WorkersPerInstance::Count(2));
        assert!(!parse(&[("master-trains", "false")], &[]).unwrap().host.master_trains);
        assert!(
            parse(&[("master-trains", "false")], &["--master-trains"]).unwrap().host.master_trains
        );
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let values = [
            ("batch_sise", "16"),
            ("epochs", "3"),
            ("lr", "fast"),
            ("passes", "-1"),
            ("master_trains", "perhaps"),
            ("seed", "7"),
        ];
        let error = parse(&values, &[]).unwrap_err();
        for words in [
            "`batch_sise`: no such option; the nearest is `batch-size`",
            "`epochs`: no such option; the nearest is `passes`",
            "`lr`: invalid value 'fast'",
            "`passes`: ",
            "`master_trains`: expected true or false, found `perhaps`",
        ] {
            assert!(error.contains(words), "no {words}: {error}");
        }
        assert!(!error.contains("seed"), "{error}");
    }

    #[test]
    fn what_is_about_one_call_is_no_hyperparameter() {
        for name in ["help", "dry-run", "exit-with-parent", "listen-host"] {
            assert!(
                parse(&[(name, "true")], &[]).unwrap_err().contains("no such option"),
                "{name}"
            );
        }
    }
}
