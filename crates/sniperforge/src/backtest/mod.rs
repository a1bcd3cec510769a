//! Research: recorded bars through the same engine, and the tear sheet.
//!
//! A tape is turned into the events that a live market would send, the engine decides with the same code and the
//! same review, and [`sniper_core::sim::SimVenue`] takes its orders. Nothing here may decide a trade, look ahead,
//! or compute across a hole in the tape; see [`tape`] for the order of things and [`metrics`] for each figure.
//!
//! ```no_run
//! use clap::Parser;
//! use sniperforge::backtest::{self, BacktestArgs};
//!
//! #[derive(Parser)]
//! struct Cli {
//!     #[command(flatten)]
//!     args: BacktestArgs,
//! }
//!
//! let cli = Cli::parse_from(["study", "--data", "recordings", "--symbol", "SOLUSDT", "--interval", "1h"]);
//! let report = backtest::run(&cli.args)?;
//! println!("{:?}", report.portfolio.metrics.sharpe);
//! # Ok::<(), backtest::BacktestError>(())
//! ```

mod args;
pub mod bars;
mod calendar;
mod decimal;
mod error;
pub mod metrics;
mod report;
mod strategies;
mod summary;
mod table;
pub mod tape;

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use sniper_core::strategy::StrategyKind;

pub use args::BacktestArgs;
pub use decimal::DecimalError;
pub(crate) use decimal::price as price_from_decimal;
pub use error::{BacktestError, Problem};
pub use report::plotly_js_gz;
pub use summary::{BacktestReport, RunReport};

use args::Plan;
use bars::Bars;
use summary::Study;

/// The name under which all strategies together are reported.
pub const PORTFOLIO: &str = "portfolio";

/// Runs what the command line asks for and writes the tear sheet, if one is wanted.
///
/// # Errors
///
/// See [`BacktestError`]; a report is written whole or not at all.
pub fn run(args: &BacktestArgs) -> Result<BacktestReport, BacktestError> {
    let plan = Plan::new(args)?;
    let kinds = strategies::chosen(&args.strategy)?;
    if let Some(path) = &args.report {
        report::check_writable(path)?;
    }
    let file = plan.file()?;
    say(format_args!("reading {}", file.display()));
    let bars = bars::load(&file, &plan.tape)?;
    let study = study(&plan, &bars, &kinds)?;
    let summary = study.report();
    if let Some(path) = &args.report {
        report::write(path, &study, &summary)?;
        say(format_args!("tear sheet written to {}", path.display()));
    }
    Ok(summary)
}

/// The `backtest` command: runs and prints, as one JSON document or as a table.
///
/// # Errors
///
/// As [`run`]; and when standard output cannot be written.
pub fn command(args: &BacktestArgs, json: bool) -> Result<(), BacktestError> {
    let report = run(args)?;
    let mut text = if json {
        serde_json::to_string_pretty(&report).map_err(|e| BacktestError::Print(e.into()))?
    } else {
        table::render(&report)
    };
    text.push('\n');
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(BacktestError::Print(error))
        }
        _ => Ok(()),
    }
}

/// One run per strategy, then all of them on one portfolio.
fn study<'a>(
    plan: &'a Plan,
    bars: &'a Bars,
    kinds: &[StrategyKind],
) -> Result<Study<'a>, BacktestError> {
    let passes = if kinds.len() == 1 { 1 } else { kinds.len() + 1 };
    let mut progress = Progress::new(bars.candles.len() * passes);
    let mut runs = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let name = strategies::name_of(kind);
        progress.next(name);
        let enrolled = strategies::enrol(std::slice::from_ref(kind), plan.world.cash);
        let mut run = tape::run(bars, &plan.world, enrolled, &mut progress)?;
        if matches!(kind, StrategyKind::Arbitrage(_)) {
            run.notes
                .push("a recording has one price, so there is nothing to arbitrage".to_owned());
        }
        runs.push((name, run));
    }
    let portfolio = match runs.as_slice() {
        // One strategy with all the cash is its own portfolio.
        [(_, only)] => only.clone(),
        _ => {
            progress.next(PORTFOLIO);
            let enrolled = strategies::enrol(kinds, plan.world.cash);
            tape::run(bars, &plan.world, enrolled, &mut progress)?
        }
    };
    progress.finish();
    Ok(Study { world: &plan.world, interval: &plan.interval_text, bars, runs, portfolio })
}

/// A tape in memory that strategies are run over again and again: what a measurement needs.
pub(crate) struct Trial {
    plan: Plan,
    bars: Bars,
}

impl Trial {
    /// Reads the tape that the command line asks for.
    pub(crate) fn open(args: &BacktestArgs) -> Result<Self, BacktestError> {
        let plan = Plan::new(args)?;
        let bars = bars::load(&plan.file()?, &plan.tape)?;
        Ok(Self { plan, bars })
    }

    pub(crate) const fn bars(&self) -> &Bars {
        &self.bars
    }

    /// One strategy, or all, over the whole tape.
    pub(crate) fn run(&self, strategy: &str) -> Result<tape::Run, BacktestError> {
        let kinds = strategies::chosen(strategy)?;
        let enrolled = strategies::enrol(&kinds, self.plan.world.cash);
        tape::run(&self.bars, &self.plan.world, enrolled, &mut ())
    }
}

/// Tells the person at the terminal; a result is never told this way.
fn say(text: std::fmt::Arguments<'_>) {
    // When even standard error is closed there is nobody to tell.
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// A bar on standard error, when that is a terminal.
struct Progress {
    bar: ProgressBar,
    before: u64,
    last: u64,
}

impl Progress {
    fn new(total: usize) -> Self {
        let total = total as u64;
        let bar = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg:>14} {bar:32} {percent:>3} % {per_sec}");
            let bar = ProgressBar::new(total);
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        } else {
            ProgressBar::hidden()
        };
        Self { bar, before: 0, last: 0 }
    }

    fn next(&mut self, name: &'static str) {
        self.before += self.last;
        self.last = 0;
        self.bar.set_message(name);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl tape::Watch for Progress {
    fn bars(&mut self, done: usize) {
        self.last = done as u64;
        self.bar.set_position(self.before + self.last);
    }
}
