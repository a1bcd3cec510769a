//! `profile`: where the time of a trade goes, and whether that has become more.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use super::exit::Exit;
use super::output::report;
use crate::profile::{Request, run};
use crate::telemetry::SpanTimes;

/// Arguments of `profile`.
#[derive(Clone, Debug, clap::Args)]
pub struct ProfileArgs {
    /// Trades that are timed.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    iterations: u64,
    /// Seed of the local market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Time from block to block of the local chain, in milliseconds. The main network takes 400; a shorter time leaves ours
    /// a larger share, and the run takes less long.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(50..=2_000))]
    slot_ms: u64,
    /// Compare with these baselines in the place of those that this program carries.
    #[arg(long, value_name = "FILE")]
    baselines: Option<PathBuf>,
    /// Save what was measured as baselines; budgets are taken over from those compared with.
    #[arg(long, value_name = "FILE")]
    save_baselines: Option<PathBuf>,
    /// Write the report as a page of its own.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Draw where the time goes as a flame graph (SVG).
    #[arg(long, value_name = "FILE")]
    flamegraph: Option<PathBuf>,
}

pub(super) fn profile(
    args: ProfileArgs,
    spans: &SpanTimes,
    global: &Global,
) -> anyhow::Result<Exit> {
    let request = Request {
        iterations: args.iterations,
        seed: args.seed,
        slot_ms: args.slot_ms,
        baselines: args.baselines,
        save: args.save_baselines,
        html: args.html,
        flamegraph: args.flamegraph,
    };
    // Drawn on a terminal alone.
    let bar = ProgressBar::new(args.iterations);
    let style = ProgressStyle::with_template("{pos}/{len} trades {wide_bar} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let shown = bar.clone();
    let found = run(&request, spans, move |landed| shown.set_position(landed));
    bar.finish_and_clear();
    let found = found?;
    report(global.json, &found, || found.text())?;
    Ok(if found.holds() { Exit::Done } else { Exit::CheckFailed })
}
