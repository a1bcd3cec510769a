//! The command line: what a person typed, turned into what each command needs.
//!
//! Every command reports on standard output, as aligned text or with `--json` as one JSON document; logs and errors go
//! to standard error. Nothing is ever asked without a terminal. A command that fails says once what happened, where
//! and what to do, and ends with one of the codes of [`Exit`].

mod args;
mod bench;
mod config;
mod db;
mod doctor;
mod exit;
#[cfg(feature = "localnet")]
mod fault_proxy;
mod history;
mod journal;
mod kill;
#[cfg(feature = "localnet")]
mod localnet;
mod orders;
mod output;
#[cfg(feature = "localnet")]
mod profile;
mod quote;
mod run;
mod scan;
mod status;
mod tune;
mod verify;
mod wallet;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::threads::aside;

pub use args::{DemoArgs, ReplayArgs, TradeArgs, TradeFlags, parse_duration};
pub use exit::{CheckFailed, Exit, NoInstance, TimedOut, exit_of};
pub(crate) use kill::LATCH;

use crate::backtest::BacktestArgs;

/// A trading engine for Solana's decentralised exchanges. Paper by default.
#[derive(Debug, Parser)]
#[command(
    name = "sniperforge",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Global {
    /// Configuration file; may be given more than once, and a later one wins.
    #[arg(short, long = "config", global = true, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Report as one JSON document on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// What is logged to standard error: error, warn, info, debug, trace, or pairs such as info,sniper_solana=debug.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trade with every strategy on a local chain, and prove afterwards what was done.
    #[cfg(feature = "localnet")]
    Demo(DemoArgs),
    /// Run the engine on configured endpoints: on paper unless armed with --live.
    Trade(TradeFlags),
    /// Run recorded bars through the same engine and write a tear sheet.
    Backtest(BacktestArgs),
    /// Run a journal through the engine again and compare every effect.
    Replay(ReplayArgs),
    /// Look at a journal: whether it holds, what it says, and what of it leaves for other programs.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Run the local chain on its own.
    #[cfg(feature = "localnet")]
    Localnet(localnet::LocalnetArgs),
    /// Stand in front of a node and break its answers, as a script says.
    #[cfg(feature = "localnet")]
    FaultProxy(fault_proxy::FaultProxyArgs),
    /// Break everything around the engine, and measure how it bears it: what `cargo xtask chaos` runs.
    #[cfg(feature = "localnet")]
    #[command(hide = true)]
    Chaos(crate::chaos::ChaosArgs),
    /// Name the places at which this build can be told to die: what `cargo xtask crash` asks.
    #[cfg(feature = "failpoints")]
    #[command(hide = true)]
    FailPoints,
    /// The best way through the configured pools for an amount, worked out here.
    Quote(quote::QuoteArgs),
    /// All pools of the exchanges, looked at as they change.
    Scan(scan::ScanArgs),
    /// Measure what this machine and these endpoints can do.
    Bench(bench::BenchArgs),
    /// Time every stage of a trade on a local chain, and compare with baselines.
    #[cfg(feature = "localnet")]
    Profile(profile::ProfileArgs),
    /// Try settings on these endpoints and this machine, one at a time, and keep what helps beyond noise.
    Tune(tune::TuneArgs),
    /// Open journal and tables in a folder, and tell what they hold in memory: what `tune` starts.
    #[command(hide = true)]
    TuneHold(tune::HoldArgs),
    /// Run reference vectors of exchanges against our own decoding, quotes and instructions.
    Verify(verify::VerifyArgs),
    /// Show what a running instance does.
    Status(status::StatusArgs),
    /// Positions reduced, newest first, or their sums by day, strategy or token: from the tables.
    Trades(history::TradesArgs),
    /// What each strategy holds: from the tables.
    Positions(history::PositionsArgs),
    /// The last lines of the log, newest first: from the tables.
    Logs(history::LogsArgs),
    /// The tables: their schema, how fast they answer, and what of them leaves for other programs.
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Place, show and cancel orders that stand in a running instance until their moment comes; or page through all that
    /// were ever sent.
    Orders(Box<orders::OrdersArgs>),
    /// Order nothing more in a running instance; what is in flight is followed.
    Pause(orders::At),
    /// Let a paused instance go on.
    Resume(orders::At),
    /// Stop all signing at once, here and in every instance on this data folder.
    Kill(kill::KillArgs),
    /// Allow signing again, in two steps.
    ClearKill(kill::ClearKillArgs),
    /// Make, show or import the encrypted key.
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
    /// Write a configuration file with every key explained.
    NewConfig(config::NewConfigArgs),
    /// Print the configuration that holds and where each value comes from, without secrets.
    ShowConfig,
    /// Check that this machine, the configuration and every endpoint are ready, and measure the endpoints.
    Doctor(doctor::DoctorArgs),
}

/// Runs what the process was asked to.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match aside(Cli::try_parse) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors. Nobody is left to tell when they cannot be printed.
            error.print().ok();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    match run::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::complain(&error);
            exit_of(&error).into()
        }
    }
}
