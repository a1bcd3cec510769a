//! `localnet`: the local chain as a process of its own.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use sniper_localnet::{Faults, LocalnetConfig, PortConfig, Ready};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot::{Receiver, channel};

use super::output::{aligned, print};
use super::{Global, parse_duration};

/// Arguments of `localnet`.
#[derive(Debug, clap::Args)]
pub struct LocalnetArgs {
    /// Port of JSON-RPC and PubSub; the one above it serves PubSub too, and 0 picks a free one. May be given more than
    /// once: all ports serve the same chain.
    #[arg(long = "port", value_name = "PORT", default_value = "8899")]
    ports: Vec<u16>,
    /// Seed of what the agents do.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Time from block to block, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    slot_ms: u64,
    /// Bars (CSV or CSV.zst) that move the price of SOL, in the place of a random process.
    #[arg(long, value_name = "FILE")]
    tape: Option<PathBuf>,
    /// How many bars of the tape are played in a second.
    #[arg(long, value_name = "N", default_value_t = 1.0, requires = "tape")]
    bars_per_second: f64,
    /// Let nobody trade but whoever connects.
    #[arg(long)]
    no_agents: bool,
    /// Further pools of several exchanges to look at; they change by themselves and cannot be traded on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pools: usize,
    /// Let somebody launch a new coin, with a pool to trade it on, every so often: `5s`, `500ms`. Some are sound, others
    /// have one thing wrong with them; `localnet_info` tells which.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    launch_every: Option<Duration>,
    /// End when standard input closes: a child of this kind never outlives its parent.
    #[arg(long)]
    until_stdin_closes: bool,
}

impl LocalnetArgs {
    fn config(&self) -> LocalnetConfig {
        LocalnetConfig {
            ports: self
                .ports
                .iter()
                .map(|port| PortConfig { port: *port, faults: Faults::default() })
                .collect(),
            slot_time: Duration::from_millis(self.slot_ms),
            seed: self.seed,
            agents: !self.no_agents,
            tape: self.tape.clone(),
            tape_bars_per_second: self.bars_per_second,
            pools: self.pools,
            launch_every: self.launch_every,
            ..LocalnetConfig::default()
        }
    }
}

/// Serves until a signal, and prints once where it is found: on one line with `--json`, for a parent that reads it.
pub(super) fn localnet(args: &LocalnetArgs, global: &Global) -> anyhow::Result<()> {
    let closing = args.until_stdin_closes.then(stdin_closes).transpose()?;
    let mut printed = Ok(());
    sniper_localnet::run_blocking(args.config(), ended(closing), |ready| {
        printed = announce(ready, global)
    })?;
    printed
}

/// Tells when standard input has closed.
fn stdin_closes() -> anyhow::Result<Receiver<()>> {
    let (closed, closing) = channel();
    let watch = move || {
        // Whatever is sent is of no interest, and an unreadable input is a closed one.
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
        closed.send(()).ok();
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(watch)
        .context("watch standard input")?;
    Ok(closing)
}

/// Waits for Ctrl-C, SIGTERM, or the parent's end.
pub(super) async fn ended(closing: Option<Receiver<()>>) {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(error) => {
                tracing::error!(%error, "SIGTERM cannot be watched");
                pending().await
            }
        }
    };
    let closed = async {
        match closing {
            Some(closing) => drop(closing.await),
            None => pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
        () = closed => {}
    }
}

fn announce(ready: &Ready, global: &Global) -> anyhow::Result<()> {
    if global.json {
        return print(&format!("{}\n", serde_json::to_string(ready)?));
    }
    let mut rows = Vec::new();
    for (rpc, ws) in ready.rpc_urls.iter().zip(&ready.ws_urls) {
        rows.push(("endpoint", format!("{rpc}  {ws}")));
    }
    rows.push(("prices", ready.price_url.clone()));
    rows.push(("genesis hash", ready.genesis_hash.clone()));
    rows.push(("block every", format!("{} ms", ready.slot_millis)));
    for mint in &ready.mints {
        rows.push(("mint", format!("{}  {}", mint.address, mint.symbol)));
    }
    for pool in &ready.pools {
        rows.push(("pool", format!("{}  {}", pool.address, pool.program)));
    }
    for pool in &ready.whirlpools {
        rows.push(("pool", format!("{}  {}", pool.address, pool.program)));
    }
    print(&aligned(rows))
}
