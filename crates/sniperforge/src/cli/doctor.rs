//! `doctor`: whether everything that trading needs is there, each looked at for itself.

use std::time::Duration;

use sniper_wallet::Hardening;

use super::exit::Exit;
use super::output::report;
use super::{Global, parse_duration};
use crate::config::{Config, Sources};

/// Arguments of `doctor`.
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// How long endpoints are looked at, such as 6s or 30s: longer makes percentiles of more answers.
    #[arg(long = "for", value_name = "TIME", value_parser = looked_at, default_value = "12s")]
    span: Duration,
}

/// The shortest and longest time that endpoints are looked at: a few slots, and no load to speak of.
const SPAN: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(120)];

fn looked_at(text: &str) -> Result<Duration, String> {
    let [least, most] = SPAN;
    let span = parse_duration(text)?;
    if (least..=most).contains(&span) { Ok(span) } else { Err("from 3s to 2m".to_owned()) }
}

pub(super) fn doctor(
    args: &DoctorArgs,
    global: &Global,
    hardening: Hardening,
) -> anyhow::Result<Exit> {
    // What cannot be read cannot be looked into: that ends it with the configuration's own message and code.
    let config = Config::load(&Sources::of_process(global.config.clone()))?;
    let found = crate::doctor::examine(&config, hardening, args.span)?;
    report(global.json, &found, || found.table())?;
    Ok(if found.ok { Exit::Done } else { Exit::CheckFailed })
}
