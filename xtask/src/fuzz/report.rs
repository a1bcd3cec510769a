//! What libFuzzer says at its end, and how it is shown.

use std::fmt::Write as _;
use std::path::PathBuf;

/// What came of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Inputs that ran.
    pub executions: u64,
    /// Of these, per second.
    pub per_second: u64,
    /// Inputs that each reach something of their own, the seeds included.
    pub corpus: u64,
    /// Edges of the code that some input reached.
    pub edges: u64,
    /// Inputs that broke a law, hung or ate the memory.
    pub crashes: Vec<PathBuf>,
}

/// Reads a run's log. A run that ends with a crash prints no rate: it stays at zero.
#[must_use]
pub fn parse_log(log: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in log.lines() {
        if let Some(number) = stat(line, "stat::number_of_executed_units:") {
            outcome.executions = number;
        } else if let Some(number) = stat(line, "stat::average_exec_per_sec:") {
            outcome.per_second = number;
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            outcome.crashes.push(PathBuf::from(path.trim()));
        } else if line.starts_with('#')
            && let Some((_, rest)) = line.split_once("cov: ")
        {
            let number = rest.split_whitespace().next().and_then(|word| word.parse().ok());
            outcome.edges = number.unwrap_or(outcome.edges);
        }
    }
    outcome
}

fn stat(line: &str, name: &str) -> Option<u64> {
    line.strip_prefix(name)?.trim().parse().ok()
}

/// One line a target, and the path of every input that crashed below it.
#[must_use]
pub fn table(rows: &[(&str, &Outcome)]) -> String {
    let mut out = String::new();
    let line = |out: &mut String, cells: [&str; 6]| {
        let [name, numbers @ ..] = cells;
        write!(out, "{name:<18}").ok();
        for number in numbers {
            write!(out, "{number:>13}").ok();
        }
        out.push('\n');
    };
    line(&mut out, ["target", "executions", "per second", "corpus", "edges", "crashes"]);
    for (name, outcome) in rows {
        let crashes = u64::try_from(outcome.crashes.len()).unwrap_or(u64::MAX);
        let numbers =
            [outcome.executions, outcome.per_second, outcome.corpus, outcome.edges, crashes];
        let [a, b, c, d, e] = numbers.map(|number| number.to_string());
        line(&mut out, [name, &a, &b, &c, &d, &e]);
        for crash in &outcome.crashes {
            writeln!(out, "  crash: {}", crash.display()).ok();
        }
    }
    out
}
