//! `kill` and `clear-kill`: the latch that stops all signing.

use anyhow::Context;
use serde::Serialize;
use sniper_wallet::{ClearToken, KillLatch};

use super::{Exit, Global, output};
use crate::config::Config;

/// Name of the latch in the data folder.
pub(crate) const LATCH: &str = "KILL";

/// Arguments of `kill`.
#[derive(Clone, Debug, clap::Args)]
pub struct KillArgs {
    /// Why, for whoever finds it latched.
    #[arg(long, default_value = "by the operator")]
    reason: String,
}

/// Arguments of `clear-kill`.
#[derive(Clone, Debug, clap::Args)]
pub struct ClearKillArgs {
    /// What the first step printed. Without it, this is the first step.
    #[arg(value_name = "TOKEN")]
    token: Option<String>,
}

#[derive(Serialize)]
struct Latched {
    latch: String,
    engaged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Engages the latch: a running instance signs nothing more and sees it within a tenth of a second; none starts.
pub(super) fn kill(args: &KillArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    let latch = KillLatch::open(config.data_dir.join(LATCH));
    latch.engage(&args.reason).context("engage the kill latch")?;
    let report = latched(&latch, None);
    output::report(global.json, &report, || {
        format!(
            "killed: nothing is signed while {} is there; clear-kill opens it again",
            report.latch
        )
    })?;
    Ok(Exit::Done)
}

/// Clears the latch in two steps: the first prints a token, the second takes it.
pub(super) fn clear_kill(
    args: &ClearKillArgs,
    config: &Config,
    global: &Global,
) -> anyhow::Result<Exit> {
    let latch = KillLatch::open(config.data_dir.join(LATCH));
    let cause = latch.cause().unwrap_or_default();
    match &args.token {
        None => {
            let token = latch.request_clear()?.to_string();
            let report = latched(&latch, Some(token.clone()));
            output::report(global.json, &report, || {
                format!(
                    "killed ({cause}). To clear it, within ten minutes: sniperforge clear-kill {token}"
                )
            })?;
        }
        Some(token) => {
            latch.confirm_clear(&ClearToken::new(token))?;
            let report = latched(&latch, None);
            output::report(global.json, &report, || {
                "cleared. An instance that was running stays killed: start it again".to_owned()
            })?;
        }
    }
    Ok(Exit::Done)
}

fn latched(latch: &KillLatch, token: Option<String>) -> Latched {
    Latched { latch: latch.path().display().to_string(), engaged: latch.is_engaged(), token }
}
