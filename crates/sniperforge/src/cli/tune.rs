//! `tune`: settings measured on these endpoints and this machine, and kept where they help.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::exit::{Exit, UsageError};
use super::output::report;
use super::{Global, parse_duration};
use crate::config::{Config, ConfigError, Layers, Sources, TUNED_FILE, TunedFile};
use crate::tune::{PerformanceOptimizer, hold};

/// Arguments of `tune`.
#[derive(Clone, Debug, clap::Args)]
pub struct TuneArgs {
    /// About how long it measures, such as 60s or 5m: longer finds smaller differences. Trials that take longer run to
    /// their end.
    #[arg(long = "for", value_name = "TIME", value_parser = measured, default_value = "60s")]
    span: Duration,
    /// Only measure and print: write nothing.
    #[arg(long, conflicts_with = "reset")]
    dry_run: bool,
    /// Remove what was written, and measure nothing.
    #[arg(long)]
    reset: bool,
}

/// Arguments of `tune-hold`.
#[derive(Clone, Debug, clap::Args)]
pub struct HoldArgs {
    /// Where the parts are opened.
    folder: PathBuf,
}

/// The shortest and longest time.
const SPAN: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(3_600)];

fn measured(text: &str) -> Result<Duration, String> {
    let [least, most] = SPAN;
    let span = parse_duration(text)?;
    if (least..=most).contains(&span) { Ok(span) } else { Err("from 20s to 1h".to_owned()) }
}

pub(super) fn tune(args: &TuneArgs, global: &Global) -> anyhow::Result<Exit> {
    let sources = Sources::of_process(global.config.clone());
    if args.reset {
        return reset(&sources, global);
    }
    if Config::load(&sources)?.node.endpoints.is_empty() {
        let advice = "tune needs endpoints: name a file that has some with -c";
        return Err(UsageError(advice).into());
    }
    let found = PerformanceOptimizer::new(&sources, args.span)?.run(args.dry_run)?;
    report(global.json, &found, || found.text())?;
    Ok(Exit::Done)
}

/// Removes the layer, which may be what stands in the way of reading the configuration.
fn reset(sources: &Sources, global: &Global) -> anyhow::Result<Exit> {
    let layers = Layers::read_untuned(sources)?;
    let need = "what was tuned lies there";
    let missing = || ConfigError::Missing { key: "store.data_dir", need };
    let folder = layers.data_dir().ok_or_else(missing)?;
    let removed = TunedFile::remove(folder)?;
    let path = folder.join(TUNED_FILE).display().to_string();
    report(global.json, &json!({ "removed": removed.then_some(&path) }), || {
        if removed { format!("removed {path}") } else { format!("there is no {path}") }
    })?;
    Ok(Exit::Done)
}

/// What one process of the memory measurement does.
pub(super) fn tune_hold(args: &HoldArgs, global: &Global) -> anyhow::Result<Exit> {
    let config = Config::load(&Sources::of_process(global.config.clone()))?;
    let held = hold(&config, &args.folder)?;
    report(true, &held, String::new)?;
    Ok(Exit::Done)
}
