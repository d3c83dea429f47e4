//! All ways to train one model, in turn.

use super::trained::BATCH;
use anyhow::Context;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// One way to train: a process that trains when it is asked.
struct Way {
    name: &'static str,
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    rates: Vec<f64>,
    /// What its last answer said beside the rate.
    rest: Vec<f64>,
}

impl Drop for Way {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Way {
    fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = process.stdin.take().context("no input")?;
        let answers = BufReader::new(process.stdout.take().context("no output")?);
        Ok(Self { name, process, ask, answers, rates: Vec::new(), rest: Vec::new() })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line)?;
        anyhow::ensure!(read > 0, "the process that trains as `{}` has ended", self.name);
        Ok(line.trim().to_owned())
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        writeln!(self.ask)?;
        let line = self.line()?;
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        let numbers = numbers.with_context(|| format!("`{}` answered `{line}`", self.name))?;
        let (rate, rest) = numbers.split_first().context("an empty answer")?;
        self.rates.push(*rate);
        self.rest = rest.to_vec();
        Ok(())
    }
}

/// This program in another role, with one compute thread from its beginning.
pub(crate) fn role(words: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("role").args(words).envs(ps_worker::threads::environment(1));
    Ok(command)
}

/// Trains a model in all ways, in turn.
pub(crate) fn measure(model: &str, rounds: usize) -> anyhow::Result<()> {
    let mut servers = Vec::new();
    let mut ways = vec![Way::start("alone", &mut role(&["alone", model])?)?];
    for (name, depth) in [("exchange", "0"), ("pipelined", "1")] {
        let mut server = Way::start("server", &mut role(&["server"])?)?;
        let address = server.line()?;
        servers.push(server);
        ways.push(Way::start(name, &mut role(&["worker", model, depth, &address])?)?);
    }
    if let Some(python) = std::env::var_os("PS_BENCH_TORCH") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compute/peer.py");
        let mut command = Command::new(python);
        ways.push(Way::start("torch", command.args([script, model]).env("OMP_NUM_THREADS", "1"))?);
    }
    for way in &mut ways {
        let ready = way.line()?;
        anyhow::ensure!(ready == "ready", "`{}` said `{ready}`", way.name);
    }
    // The first turn warms up.
    for round in 0..=rounds {
        for way in &mut ways {
            way.turn()?;
            if round == 0 {
                way.rates.clear();
            }
        }
    }
    report(model, &ways);
    Ok(())
}

fn report(model: &str, ways: &[Way]) {
    eprintln!("{model}, batches of {BATCH}, samples/s: median (least-most)");
    for way in ways {
        let (median, least, most) = spread(&way.rates);
        let rest = way.rest.as_slice();
        let [forward, backward, peak] = rest else { continue };
        let passes = if forward.is_nan() {
            String::new()
        } else {
            let other = 1.0 - forward - backward;
            format!(", forward {forward:.2}, backward {backward:.2}, other {other:.2} of a step")
        };
        eprintln!(
            "  {:10} {median:8.0} ({least:.0}-{most:.0}), peak {peak:.0} MiB{passes}",
            way.name
        );
    }
    let name = model.trim_end_matches("-tiny");
    let find = |wanted: &str| ways.iter().find(|way| way.name == wanted);
    let ratio = |what: String, over: &str, under: &str| {
        let (Some(over), Some(under)) = (find(over), find(under)) else { return };
        let pairs = over.rates.iter().zip(&under.rates).map(|(over, under)| over / under);
        let (median, least, most) = spread(&pairs.collect::<Vec<_>>());
        println!("{what}={median:.3}; least={least:.3}; most={most:.3};");
    };
    ratio(format!("{name}_over_torch"), "alone", "torch");
    let prefix = if model == "mlp" { String::new() } else { format!("{name}_") };
    ratio(format!("{prefix}exchange_efficiency_unpipelined"), "exchange", "alone");
    ratio(format!("{prefix}exchange_efficiency"), "pipelined", "alone");
}

/// Median, least and most.
pub(crate) fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.last()) {
        (Some(least), Some(most)) => (sorted[sorted.len() / 2], *least, *most),
        _ => (f64::NAN, f64::NAN, f64::NAN),
    }
}
