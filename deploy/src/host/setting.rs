//! Who launched us, and what that makes of this host: SageMaker's way of saying it, or TensorFlow's.

use super::layout::{Layout, Wishes};
use super::options::HostArgs;
use super::{address, code};
use crate::contract::channels::ChannelOptions;
use crate::contract::environment::{self, Contract, Variables};
use crate::contract::hyperparameters::PARAMETER_SERVER_SWITCH;
use crate::contract::program::Program;
use crate::contract::tf_config::Cluster;
use crate::contract::{Error, channels};
use crate::workers_per_instance::WorkersPerInstance;
use std::path::PathBuf;

/// What a launcher has left for us.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A SageMaker container, or the sagemaker-training toolkit.
    SageMaker(Box<Contract>, ChannelOptions),
    /// `TF_CONFIG`, from Kubeflow's TFJob or anybody else.
    TensorFlow(Cluster),
}

/// One host of a job, whoever launched it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What this host does.
    pub layout: Layout,
    /// Where the master listens.
    pub master_port: u16,
    /// Where a server here listens, where somebody says so; else at any free port.
    pub server_port: Option<u16>,
    /// Hosts whose names must resolve before anybody is started.
    pub wait_for: Vec<String>,
    /// Where the model goes.
    pub out: PathBuf,
    /// Where checkpoints go, if anywhere.
    pub checkpoints: Option<PathBuf>,
}

impl Site {
    /// Where the master is.
    pub fn master(&self) -> String {
        address::join(&self.layout.master_host, self.master_port)
    }
}

/// The variables of this process that are text.
pub fn variables() -> Variables {
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.collect()
}

impl Setting {
    /// What the launcher says; nothing where there is none.
    ///
    /// # Errors
    /// It says something that cannot be understood, in words.
    pub fn read(variables: &Variables) -> Result<Option<Self>, Error> {
        if let Some(contract) = environment::read(variables)? {
            let options = channels::options(&contract.channels)?;
            return Ok(Some(Self::SageMaker(Box::new(contract), options)));
        }
        match variables.get("TF_CONFIG").filter(|text| !text.trim().is_empty()) {
            Some(text) => {
                let machine = rustix::system::uname();
                let machine = machine.nodename().to_string_lossy();
                Ok(Some(Self::TensorFlow(Cluster::read(text, &machine)?)))
            }
            None => Ok(None),
        }
    }

    /// The program that workers run instead of a model, as a line, and what people should know of
    /// the choice.
    pub fn program(&self, variables: &Variables) -> (Option<String>, Vec<String>) {
        match self {
            Self::SageMaker(contract, _) => Program::named(contract, variables),
            Self::TensorFlow(_) => (None, Vec::new()),
        }
    }

    /// Finds that program, wherever its code was left, for a host with so many GPUs; may wait for a network.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn find_program(
        &self,
        line: &str,
        variables: &Variables,
        gpus: u32,
    ) -> Result<Program, Error> {
        match self {
            Self::SageMaker(contract, _) => {
                let base = environment::base(variables);
                let fetch = |place: &str| code::fetch(place, &base, variables);
                Program::find(line, contract, variables, gpus, fetch)
            }
            Self::TensorFlow(_) => Err(Error("TF_CONFIG names no program".to_owned())),
        }
    }

    /// The job's id, if the launcher names the job.
    pub fn job(&self) -> Option<&str> {
        match self {
            Self::SageMaker(contract, _) => contract.job.as_deref(),
            Self::TensorFlow(_) => None,
        }
    }

    /// What this host is called.
    pub fn host(&self) -> &str {
        match self {
            Self::SageMaker(contract, _) => &contract.resources.current_host,
            Self::TensorFlow(cluster) => cluster.host(),
        }
    }

    /// What is to be known before anything runs, for the log.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::SageMaker(_, options) => &options.notes,
            Self::TensorFlow(_) => &[],
        }
    }

    /// A model of ours needs to know what it is trained on.
    ///
    /// # Errors
    /// It could be one of several channels.
    pub fn check_channels(&self) -> Result<(), String> {
        match self {
            Self::SageMaker(_, options) => options.ambiguity.clone().map_or(Ok(()), Err),
            Self::TensorFlow(_) => Ok(()),
        }
    }

    /// A job of several hosts that was not launched with parameter servers would be as many jobs as
    /// it has hosts.
    ///
    /// # Errors
    /// What to set.
    pub fn check_switch(&self) -> Result<(), String> {
        let Self::SageMaker(contract, _) = self else {
            return Ok(());
        };
        let hosts = contract.resources.hosts.len();
        if hosts == 1 || contract.has_parameter_servers() {
            return Ok(());
        }
        Err(format!(
            "the job has {hosts} hosts and {PARAMETER_SERVER_SWITCH} is not true: set the \
             hyperparameter {PARAMETER_SERVER_SWITCH}=True (the SDK's generic Estimator and \
             ModelTrainer need that, they ignore distribution=), or give a framework estimator \
             distribution={{'parameter_server': {{'enabled': True}}}}"
        ))
    }

    /// This host's part.
    ///
    /// # Errors
    /// An option that names what is not there, or a host with nothing to do, in words.
    pub fn site(
        &self,
        args: &HostArgs,
        workers: WorkersPerInstance,
        gpus: u32,
    ) -> Result<Site, String> {
        if workers == WorkersPerInstance::Auto {
            self.check_alike()?;
        }
        let mut site = self.site_of_one_each(args)?;
        site.layout = site.layout.with_workers_each(workers.count(gpus))?;
        Ok(site)
    }

    /// All hosts must know how many workers each has: one that counts its own GPUs knows the others' if they
    /// are like it.
    fn check_alike(&self) -> Result<(), String> {
        let unknown = match self {
            Self::SageMaker(contract, _) => {
                let types: Vec<&str> =
                    contract.resources.instance_types.iter().map(String::as_str).collect();
                (types.len() > 1)
                    .then(|| format!("the hosts are of several types ({})", types.join(", ")))
            }
            Self::TensorFlow(_) => {
                Some("TF_CONFIG does not say what GPUs other hosts have".to_owned())
            }
        };
        let why = |why| {
            format!("workers-per-instance auto: {why}; give the number of workers of each host")
        };
        unknown.map_or(Ok(()), |unknown| Err(why(unknown)))
    }

    /// This host's part with one worker on each host that has any.
    fn site_of_one_each(&self, args: &HostArgs) -> Result<Site, String> {
        match self {
            Self::SageMaker(contract, _) => {
                let wishes = Wishes {
                    master_trains: args.master_trains,
                    server_groups: args.server_groups.clone(),
                    worker_groups: args.worker_groups.clone(),
                };
                let resources = &contract.resources;
                let layout = Layout::new(resources, &wishes)?;
                let checkpoints = args.checkpoints.clone().or_else(|| {
                    let folder = contract.checkpoints.clone();
                    std::fs::create_dir_all(&folder).is_ok().then_some(folder)
                });
                let others = resources.hosts.iter().filter(|host| **host != layout.host);
                Ok(Site {
                    wait_for: others.cloned().collect(),
                    layout,
                    master_port: args.master_port,
                    server_port: args.server_port,
                    out: args.out.clone().unwrap_or_else(|| contract.model.clone()),
                    checkpoints,
                })
            }
            Self::TensorFlow(cluster) => {
                let layout = cluster.layout(args.master_trains)?;
                // The master's addresses of servers are asked for again and again.
                let master = Some(layout.master_host.clone()).filter(|_| !layout.has_master);
                Ok(Site {
                    wait_for: master.into_iter().collect(),
                    layout,
                    master_port: cluster.master_port(),
                    server_port: args.server_port.or(cluster.server_port()),
                    out: args.out.clone().unwrap_or_else(|| PathBuf::from("out")),
                    checkpoints: args.checkpoints.clone(),
                })
            }
        }
    }
}
