//! `scan`: all pools of the exchanges, looked at as they change.

use std::io::IsTerminal as _;
use std::time::Duration;

use sniper_core::ids::Address;
use sniper_solana::rpc::EndpointConfig;
use sniper_solana::scan::Program;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Exit, UsageError};
use super::output::report;
use super::{Global, parse_duration};
use crate::config::{Config, ConfigError, pubsub_of};
use crate::scan;

/// Requests a second to a node of this machine, which need not be spared.
const LOCAL_RATE: u32 = 1_000;

/// Arguments of `scan`.
#[derive(Debug, clap::Args)]
pub struct ScanArgs {
    /// How long to scan, such as 20s; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    run_for: Option<Duration>,
    /// Scan at this node instead of the configured ones. Its subscriptions are looked for at the next port, or at the
    /// same address where none is written.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Requests a second to the node of --url: 10, or as many as it takes on this machine.
    #[arg(long, value_name = "N", requires = "url", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests_per_second: Option<u32>,
    /// Only pools of this exchange; may be given more than once.
    #[arg(long = "kind", value_enum, value_name = "KIND")]
    kinds: Vec<Kind>,
    /// Only pools with this mint on either side.
    #[arg(long, value_name = "MINT")]
    mint: Option<Address>,
    /// How many pools are shown.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    top: u16,
}

/// Exchanges that can be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Raydium CPMM.
    Cpmm,
    /// Raydium AMM v4.
    AmmV4,
    /// Orca Whirlpool.
    Whirlpool,
    /// Raydium CLMM.
    Clmm,
    /// Meteora DLMM.
    Dlmm,
    /// PumpSwap.
    PumpSwap,
    /// pump.fun's bonding curves that still sell.
    PumpCurve,
}

impl Kind {
    fn program(self) -> Program {
        match self {
            Self::Cpmm => Program::Cpmm,
            Self::AmmV4 => Program::AmmV4,
            Self::Whirlpool => Program::Whirlpool,
            Self::Clmm => Program::Clmm,
            Self::Dlmm => Program::Dlmm,
            Self::PumpSwap => Program::PumpSwap,
            Self::PumpCurve => Program::PumpCurve,
        }
    }
}

pub(super) fn scan(args: &ScanArgs, config: Config, global: &Global) -> anyhow::Result<Exit> {
    let (endpoints, genesis) = match &args.url {
        Some(url) => (vec![endpoint(url, args.requests_per_second)?], None),
        None => (config.node.endpoints, config.node.genesis_hash),
    };
    if endpoints.is_empty() {
        return Err(ConfigError::Missing {
            key: "node.endpoints",
            need: "a scan needs a Solana node: name one there, or with --url",
        }
        .into());
    }
    let mut programs: Vec<Program> = args.kinds.iter().map(|kind| kind.program()).collect();
    programs.sort_unstable();
    programs.dedup();
    if programs.is_empty() {
        programs = Program::ALL.to_vec();
    }
    let settings = scan::Settings {
        endpoints,
        genesis,
        programs,
        mint: args.mint,
        symbols: config.trading.symbols,
        run_for: args.run_for,
        top: args.top.into(),
        live: !global.json && std::io::stdout().is_terminal(),
    };
    let live = settings.live;
    // One thread, so that one heap holds what waits while everything is read.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(scan::run(settings, ended()))?;
    if live {
        // The report takes the place of the screen.
        super::output::print("\x1b[H\x1b[J")?;
    }
    report(global.json, &done, || done.to_string())?;
    Ok(Exit::Done)
}

/// The node of an address. Nothing repeats the address: it may hold a key.
fn endpoint(text: &str, rate: Option<u32>) -> anyhow::Result<EndpointConfig> {
    let wrong = || UsageError("--url: write the address of a node, such as http://127.0.0.1:8899");
    let http = reqwest::Url::parse(text).map_err(|_| wrong())?;
    let fits = ["http", "https"].contains(&http.scheme()) && http.has_host();
    let ws = pubsub_of(&http).filter(|_| fits).ok_or_else(wrong)?;
    let local = matches!(http.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let rate = rate.unwrap_or(if local { LOCAL_RATE } else { 10 });
    Ok(EndpointConfig::new("node", http.as_str(), ws.as_str(), rate)?)
}

/// Waits for Ctrl-C or SIGTERM.
async fn ended() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(error) => {
                tracing::error!(%error, "SIGTERM cannot be watched");
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
