//! Lives through hostile worlds: `cargo xtask simulate` builds and runs this. Exit code 6 where a law was broken, or a
//! planted bug was not found.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "it measures how long worlds take, and writes a document of its own"
)]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;
use sniper_core::digest::Digest;
use sniper_core::sim::world::{Bug, Fault, Found, Options, run, shrink};

/// What was asked for does not exist.
const USAGE: u8 = 2;
/// A law was broken, or a bug not found.
const FAILED_CHECK: u8 = 6;
/// A planted bug must show within so many worlds.
const PLANTED_SEEDS: u64 = 10_000;
/// Of so many worlds one is lived through twice.
const TWICE: u64 = 50;

#[derive(Default)]
struct Args {
    seeds: u64,
    first: u64,
    planted: bool,
    json: bool,
    options: Options,
}

/// What worlds came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    events: u64,
    orders: u64,
    micros: u64,
    refused: u64,
    faults: Vec<u64>,
    violations: u64,
    first_bad: Option<u64>,
    differ: Option<u64>,
    /// Of all that happened in all worlds, in whatever order they were lived through: two processes must tell the same.
    logs: u64,
    /// A few of them, with what was broken.
    bad: Vec<(u64, String)>,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.orders += other.orders;
        self.micros += other.micros;
        self.refused += other.refused;
        self.faults.resize(Fault::ALL.len(), 0);
        for (sum, count) in self.faults.iter_mut().zip(&other.faults) {
            *sum += count;
        }
        self.violations += other.violations;
        self.first_bad = [self.first_bad, other.first_bad].into_iter().flatten().min();
        self.logs = self.logs.wrapping_add(other.logs);
        self.differ = [self.differ, other.differ].into_iter().flatten().min();
        let room = 20_usize.saturating_sub(self.bad.len());
        self.bad.extend(other.bad.iter().take(room).cloned());
    }
}

fn main() -> ExitCode {
    let args = match args(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("simulate: {problem}");
            return ExitCode::from(USAGE);
        }
    };
    if args.planted { planted(&args) } else { worlds(&args) }
}

fn args(mut given: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args { seeds: 1_000, ..Args::default() };
    let mut one = false;
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{name} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text:?} is no number"));
        match name.as_str() {
            "--seeds" => args.seeds = number(value()?)?,
            "--seed" => {
                args.first = number(value()?)?;
                one = true;
            }
            "--trace" => args.options.trace = true,
            "--planted" => args.planted = true,
            "--json" => args.json = true,
            "--bug" => {
                let name = value()?;
                let bug = Bug::ALL.iter().find(|bug| bug.name() == name);
                args.options.bug = Some(*bug.ok_or_else(|| format!("no bug is called {name}"))?);
            }
            "--without" => {
                for name in value()?.split(',').filter(|name| !name.is_empty()) {
                    let fault = Fault::ALL.iter().find(|fault| fault.name() == name);
                    let fault = fault.ok_or_else(|| format!("no fault is called {name}"))?;
                    args.options.without.push(*fault);
                }
            }
            "--until-micros" => {
                let until: u64 = number(value()?)?;
                args.options.until = i64::try_from(until).ok();
            }
            other => return Err(format!("{other} is not known")),
        }
    }
    if one && args.options.trace {
        args.seeds = 1;
    }
    Ok(args)
}

/// Lives through all worlds, on every core that there is; stops early where `enough` says so.
fn live(args: &Args, options: &Options, seeds: u64, enough: impl Fn(&Sum) -> bool + Sync) -> Sum {
    let (next, total) = (AtomicU64::new(args.first), Mutex::new(Sum::default()));
    let end = args.first.saturating_add(seeds);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let one = world(seed, options);
                    let Ok(mut total) = total.lock() else { return };
                    total.add(&one);
                    if enough(&total) {
                        next.store(end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    total.into_inner().unwrap_or_default()
}

fn world(seed: u64, options: &Options) -> Sum {
    let outcome = run(seed, options);
    let again = seed.is_multiple_of(TWICE) && run(seed, options).hash != outcome.hash;
    let is_bad = outcome.violation.is_some();
    Sum {
        seeds: 1,
        events: outcome.events,
        orders: outcome.orders,
        micros: u64::try_from(outcome.micros).unwrap_or(0),
        refused: u64::from(outcome.refused),
        faults: outcome.faults,
        violations: u64::from(is_bad || again),
        first_bad: (is_bad || again).then_some(seed),
        differ: again.then_some(seed),
        logs: mixed(seed, outcome.hash),
        bad: outcome.violation.map(|why| (seed, why)).into_iter().collect(),
    }
}

/// A world's log, such that which world had it counts when logs are summed up.
fn mixed(seed: u64, log: u64) -> u64 {
    let mut digest = Digest::default();
    digest.add(&(seed, log));
    digest.value().first_chunk().copied().map_or(0, u64::from_le_bytes)
}

fn worlds(args: &Args) -> ExitCode {
    let started = Instant::now();
    let quiet = Options { trace: false, ..args.options.clone() };
    let sum = live(args, &quiet, args.seeds, |_| false);
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        println!("{:#}", report(&sum, seconds));
    } else {
        print!("{}", table(&sum, seconds));
    }
    for (seed, why) in &sum.bad {
        eprintln!("world {seed}: {why}");
    }
    if let Some(seed) = sum.differ {
        eprintln!("world {seed} is not the same twice");
    }
    if args.options.trace && args.seeds == 1 && sum.first_bad.is_none() {
        let outcome = run(args.first, &args.options);
        outcome.story.iter().for_each(|line| eprintln!("{line}"));
    }
    let Some(seed) = sum.first_bad else { return ExitCode::SUCCESS };
    if let Some(found) = shrink(seed, &args.options) {
        tell(&found);
    }
    ExitCode::from(FAILED_CHECK)
}

/// The story of a broken law, and how to see it again.
fn tell(found: &Found) {
    let Found { seed, options, outcome } = found;
    let mut command = format!("cargo xtask simulate --seed {seed} --trace");
    if let Some(bug) = options.bug {
        command += &format!(" --bug {}", bug.name());
    }
    if !options.without.is_empty() {
        let names: Vec<&str> = options.without.iter().map(|fault| fault.name()).collect();
        command += &format!(" --without {}", names.join(","));
    }
    if let Some(until) = options.until {
        command += &format!(" --until-micros {until}");
    }
    eprintln!("world {seed}, made as small as it could be:");
    outcome.story.iter().for_each(|line| eprintln!("{line}"));
    eprintln!("{}", outcome.violation.as_deref().unwrap_or("no law is broken"));
    eprintln!("again: {command}");
}

fn planted(args: &Args) -> ExitCode {
    let started = Instant::now();
    let (mut total, mut rows, mut missed) = (Sum::default(), Vec::new(), 0);
    for bug in Bug::ALL.iter().filter(|bug| args.options.bug.is_none_or(|one| one == **bug)) {
        let options = Options { bug: Some(*bug), trace: false, ..args.options.clone() };
        let seeds = PLANTED_SEEDS.max(args.seeds);
        let sum = live(args, &options, seeds, |sum| sum.first_bad.is_some());
        let found = sum.first_bad.map(|seed| (seed, run(seed, &options).violation));
        missed += u64::from(found.is_none());
        if !args.json {
            match &found {
                Some((seed, why)) => println!(
                    "{:<22} found in world {seed:<6} {}",
                    bug.name(),
                    why.as_deref().unwrap_or_default()
                ),
                None => println!("{:<22} NOT FOUND in {seeds} worlds", bug.name()),
            }
        }
        let seed = found.as_ref().map(|(seed, _)| *seed);
        rows.push(json!({"bug": bug.name(), "seed": seed, "why": found.and_then(|found| found.1)}));
        total.add(&Sum { violations: 0, first_bad: None, ..sum });
    }
    let seconds = started.elapsed().as_secs_f64();
    let mut document = report(&total, seconds);
    document["violations"] = json!(missed);
    document["planted"] = json!(rows);
    if args.json {
        println!("{document:#}");
    } else {
        println!(
            "{} of {} planted bugs found in {seconds:.1} s",
            rows.len() as u64 - missed,
            rows.len()
        );
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED_CHECK) }
}

fn sim_seconds(sum: &Sum) -> f64 {
    std::time::Duration::from_micros(sum.micros).as_secs_f64()
}

fn report(sum: &Sum, seconds: f64) -> serde_json::Value {
    let faults = Fault::ALL.iter().zip(&sum.faults);
    let faults: serde_json::Map<String, serde_json::Value> =
        faults.map(|(fault, count)| (fault.name().to_owned(), json!(count))).collect();
    json!({
        "seeds": sum.seeds,
        "events": sum.events,
        "orders": sum.orders,
        "faults": faults,
        "violations": sum.violations,
        "first_bad_seed": sum.first_bad,
        "refused_journals": sum.refused,
        "logs": format!("{:016x}", sum.logs),
        "seconds": seconds,
        "sim_seconds": sim_seconds(sum),
        "times_real": sim_seconds(sum) / seconds.max(1e-9),
    })
}

fn table(sum: &Sum, seconds: f64) -> String {
    let mut text = String::new();
    let faults: u64 = sum.faults.iter().sum();
    // Writing into a string cannot fail.
    writeln!(text, "worlds      {:>14}", sum.seeds).ok();
    writeln!(text, "events      {:>14}", sum.events).ok();
    writeln!(text, "orders      {:>14}", sum.orders).ok();
    writeln!(text, "faults      {faults:>14}").ok();
    for (fault, count) in Fault::ALL.iter().zip(&sum.faults) {
        writeln!(text, "  {:<20} {count:>12}", fault.name()).ok();
    }
    writeln!(text, "violations  {:>14}", sum.violations).ok();
    writeln!(text, "logs      {:016x}", sum.logs).ok();
    writeln!(text, "sim seconds {:>14.0}", sim_seconds(sum)).ok();
    writeln!(text, "seconds     {seconds:>14.1}").ok();
    writeln!(text, "times real  {:>14.0}", sim_seconds(sum) / seconds.max(1e-9)).ok();
    text
}
