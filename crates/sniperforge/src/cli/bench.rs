//! `bench`: what this machine and these endpoints can do.

use std::time::Duration;

use super::exit::{Exit, UsageError};
use super::output::report;
use super::{Global, parse_duration};
use crate::bench::Group;
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
    /// Measure a local chain that is started for it, one of whose endpoints is late now and then, and hold limits.
    #[arg(long)]
    local: bool,
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
    if node.as_ref().is_some_and(|node| node.endpoints.is_empty()) {
        let advice = "bench needs endpoints: name a file that has some with -c, or use --local";
        return Err(UsageError(advice).into());
    }
    let found = crate::bench::run(&args.groups, args.span, node.as_ref())?;
    report(global.json, &found, || found.table())?;
    Ok(if found.holds() { Exit::Done } else { Exit::CheckFailed })
}
