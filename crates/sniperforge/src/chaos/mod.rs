//! Bad days on purpose: the engine, its reads and its feed behind fault proxies in front of a local chain.
//!
//! A maintainer runs it by `cargo xtask chaos`; the command of the binary is hidden. Every scenario starts a chain of its
//! own with three ports and a [`FaultProxy`](sniper_localnet::proxy::FaultProxy) before each, breaks them, and tells one
//! figure and whether it is within its limit. Time is real: on a machine that is busy with other things, latencies say
//! more about those.
//!
//! | scenario | figure | limit |
//! |---|---|---|
//! | `reads_down`, `reads_slow`, `reads_stale`, `reads_lying` | p99 of reads with one of three endpoints bad, less the p99 of a good day, ms | 50 |
//! | `reads_true` | older states than asked for, heights above the truth and other chains believed meanwhile | 0 |
//! | `disconnects` | times that the state differed from a snapshot after all sockets were cut | 0 |
//! | `moved` | seconds until the feed is whole through an endpoint that is well, when those it listens to are gone | 10 |
//! | `storm` | requests sent for each that was wanted while every endpoint says 429 | 1.2 |
//! | `storm_recovery` | busiest tenth of a second after the storm, in times of what was wanted | 3 |
//! | `outage_safe` | orders while all endpoints are away | 0 |
//! | `outage_resumed` | seconds from their return until the engine trades again | 2 |
//! | `availability` | share of time with fresh data and a healthy endpoint, one endpoint after another being bad | 0.999 |
//!
//! A scenario also fails, whatever its figure, on what must not be: reads that fail by the hundredth, endpoints that do
//! not come back, an engine that does not say why it waits, a ledger that is not the chain's.

mod engine;
mod feed;
mod mixed;
mod reads;
mod stage;
mod storm;

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

/// Arguments of `chaos`.
#[derive(Clone, Debug, clap::Args)]
pub struct ChaosArgs {
    /// The short form: each scenario for seconds, as the tests run it.
    #[arg(long)]
    short: bool,
    /// These scenarios alone: reads, disconnects, storm, outage, availability; may be given more than once.
    #[arg(long, value_name = "NAME", value_parser = ["reads", "disconnects", "storm", "outage", "availability"])]
    only: Vec<String>,
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Of reads under one fault.
    phase: Duration,
    /// Times that all sockets are cut.
    disconnects: usize,
    /// Of the storm.
    storm: Duration,
    /// Of the outage.
    outage: Duration,
    /// Of the mixed run.
    mixed: Duration,
}

impl Scale {
    const FULL: Self = Self {
        phase: Duration::from_secs(15),
        disconnects: 1_000,
        storm: Duration::from_secs(15),
        outage: Duration::from_secs(30),
        mixed: Duration::from_secs(600),
    };
    const SHORT: Self = Self {
        phase: Duration::from_secs(3),
        disconnects: 30,
        storm: Duration::from_secs(3),
        outage: Duration::from_secs(3),
        mixed: Duration::from_secs(20),
    };
}

/// What one scenario showed.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// It held.
    pub ok: bool,
    /// What was measured.
    pub figure: f64,
    /// The unit of the figure.
    pub unit: &'static str,
    /// What the figure is held against.
    pub limit: f64,
    /// What else was seen.
    pub detail: String,
}

/// What all showed.
#[derive(Clone, Debug, Serialize)]
pub struct ChaosReport {
    /// One after the other.
    pub scenarios: Vec<Scenario>,
    /// Share of time, 0 to 1; `null` when that scenario was left out.
    pub availability: Option<f64>,
}

impl ChaosReport {
    /// Every scenario held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.scenarios.iter().all(|scenario| scenario.ok)
    }

    /// One line for each.
    #[must_use]
    pub fn table(&self) -> String {
        let line = |one: &Scenario| {
            let Scenario { name, ok, figure, unit, limit, detail } = one;
            let ok = if *ok { "ok  " } else { "FAIL" };
            format!("{ok}  {name:<15}  {figure:.4} {unit} (limit {limit})  {detail}\n")
        };
        self.scenarios.iter().map(line).collect()
    }
}

/// The scenario of availability alone: ten minutes, or without `full` twenty seconds.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn availability(full: bool) -> anyhow::Result<Scenario> {
    let args = ChaosArgs { short: !full, only: vec!["availability".to_owned()] };
    run(&args)?.scenarios.pop().context("the scenario told nothing")
}

/// Runs the scenarios, one after the other.
///
/// # Errors
///
/// When a chain or a proxy cannot be started, or the chain itself fails.
pub fn run(args: &ChaosArgs) -> anyhow::Result<ChaosReport> {
    let scale = if args.short { Scale::SHORT } else { Scale::FULL };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the event loop")?;
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut scenarios = Vec::new();
    let mut availability = None;
    runtime.block_on(async {
        if wanted("reads") {
            scenarios.extend(reads::run(scale).await.context("reads")?);
        }
        if wanted("disconnects") {
            scenarios.push(feed::disconnects(scale).await.context("disconnects")?);
            scenarios.push(feed::moved().await.context("moved")?);
        }
        if wanted("storm") {
            scenarios.extend(storm::run(scale).await.context("storm")?);
        }
        if wanted("outage") {
            scenarios.extend(engine::outage(scale).await.context("outage")?);
        }
        if wanted("availability") {
            let scenario = mixed::run(scale).await.context("availability")?;
            availability = Some(scenario.figure);
            scenarios.push(scenario);
        }
        anyhow::Ok(())
    })?;
    Ok(ChaosReport { scenarios, availability })
}
