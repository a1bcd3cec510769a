//! `bench`: what this machine and these endpoints can do.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{Exit, UsageError};
use super::output::report;
use super::{Global, parse_duration};
use crate::bench::{Group, Progress, Scale};
use crate::config::{Config, Sources};

/// Arguments of `bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// What to measure; all of it unless named.
    #[arg(value_enum, value_name = "GROUP")]
    groups: Vec<Group>,
    /// How long each group is measured, such as 10s or 1m.
    #[arg(long = "for", value_name = "TIME", value_parser = measured, default_value = "10s")]
    span: Duration,
    /// Measure a local chain that is started for it, one of whose endpoints is late now and then, and hold limits: what is done
    /// without configured endpoints.
    #[arg(long)]
    local: bool,
    /// The sizes that limits are set for, where they take minutes to make ready.
    #[arg(long)]
    full: bool,
    /// How long the memory of a trading instance is watched, such as 10m: by default as long as a group, or with --full ten
    /// minutes.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    growth: Option<Duration>,
    /// Write the report as a page of its own.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// The shortest and longest time of a group.
const SPAN: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(600)];

fn measured(text: &str) -> Result<Duration, String> {
    let [least, most] = SPAN;
    let span = parse_duration(text)?;
    if (least..=most).contains(&span) { Ok(span) } else { Err("from 3s to 10m".to_owned()) }
}

pub(super) fn bench(args: &BenchArgs, global: &Global) -> anyhow::Result<Exit> {
    let node = if args.local {
        let advice = "bench --local brings its own endpoints; leave out -c";
        anyhow::ensure!(global.config.is_empty(), UsageError(advice));
        None
    } else {
        Some(Config::load(&Sources::of_process(global.config.clone()))?.node)
    };
    let has_none = node.as_ref().is_some_and(|node| node.endpoints.is_empty());
    if has_none && !global.config.is_empty() {
        let advice = "these files name no endpoints; leave out -c to measure a local chain";
        return Err(UsageError(advice).into());
    }
    let node = node.filter(|_| !has_none);
    if let Some(path) = &args.html {
        // After minutes of work it would be a pity to learn that it cannot be written.
        crate::bench::check_writable(path)?;
    }
    // Drawn on a terminal alone.
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} measuring {msg}, {elapsed} so far");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    let scale = Scale { span: args.span, full: args.full, growth: args.growth };
    let found = crate::bench::run(&args.groups, scale, node.as_ref(), |progress| match progress {
        Progress::Begins(name) => bar.set_message(name),
        // What is known stays known when a run of an hour is cut off.
        Progress::Ended(line) => {
            bar.suspend(|| writeln!(std::io::stderr().lock(), "{line}").ok());
        }
    });
    bar.finish_and_clear();
    if let Some(path) = &args.html {
        crate::bench::write_html(&found, path)?;
    }
    report(global.json, &found, || found.table())?;
    Ok(if found.holds() { Exit::Done } else { Exit::CheckFailed })
}
