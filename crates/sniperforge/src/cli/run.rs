//! From a parsed command line to the command.

use anyhow::Context;
use sniper_wallet::PassphraseSource;

use super::args::{TradeArgs, TradeFlags};
use super::exit::{Exit, UsageError};
use super::{
    Cli, Command, Global, bench, config, db, doctor, history, journal, kill, orders, output, quote,
    scan, status, tune, verify, wallet,
};
use crate::config::{Config, Reload, Sources};
use crate::telemetry::{Logging, init_logging};
#[cfg(feature = "localnet")]
use crate::telemetry::{MetricsCollector, SpanTimes, init_logging_with};
use crate::threads::aside;

pub(super) fn run(cli: Cli) -> anyhow::Result<Exit> {
    let global = cli.global;
    // Before any key, socket or thread: no core file may ever hold a secret.
    let hardening = sniper_wallet::harden_process();
    sniper_solana::install_crypto_provider();
    match cli.command {
        #[cfg(feature = "localnet")]
        Command::Demo(args) => {
            without_config(&global, "demo brings its own configuration; leave out -c")?;
            demo(args, &global)
        }
        Command::Trade(flags) => {
            let config = load(&global)?;
            let logging = engine_logging(&global, Some(&config))?;
            if !hardening.is_complete() {
                tracing::warn!(?hardening, "core dumps could not be switched off entirely");
            }
            trade(flags, config, &logging, &global)
        }
        Command::Backtest(args) => {
            without_config(&global, "backtest takes its settings from flags; leave out -c")?;
            let _logging = quiet_logging(&global)?;
            crate::backtest::command(&args, global.json)?;
            Ok(Exit::Done)
        }
        Command::Replay(args) => {
            without_config(&global, "replay takes its settings from the journal; leave out -c")?;
            let _logging = quiet_logging(&global)?;
            let summary = crate::live::replay(&args)?;
            output::report(global.json, &summary, || summary.to_string())?;
            Ok(if summary.matches() { Exit::Done } else { Exit::CheckFailed })
        }
        Command::Journal(command) => {
            without_config(&global, "journal takes its settings from the journal; leave out -c")?;
            let _logging = quiet_logging(&global)?;
            journal::journal(&command, &global)
        }
        #[cfg(feature = "localnet")]
        Command::Localnet(args) => {
            without_config(&global, "localnet takes its settings from flags; leave out -c")?;
            let _logging = engine_logging(&global, None)?;
            super::localnet::localnet(&args, &global)?;
            Ok(Exit::Done)
        }
        #[cfg(feature = "localnet")]
        Command::FaultProxy(args) => {
            without_config(&global, "fault-proxy takes its settings from flags; leave out -c")?;
            let _logging = quiet_logging(&global)?;
            super::fault_proxy::fault_proxy(&args, &global)?;
            Ok(Exit::Done)
        }
        #[cfg(feature = "localnet")]
        Command::Chaos(args) => {
            without_config(&global, "chaos brings its own configuration; leave out -c")?;
            let _logging = init_logging(false, global.log_level.as_deref().unwrap_or("error"))?;
            let report = crate::chaos::run(&args)?;
            output::report(global.json, &report, || report.table())?;
            Ok(if report.holds() { Exit::Done } else { Exit::CheckFailed })
        }
        #[cfg(feature = "failpoints")]
        Command::FailPoints => {
            let names = sniper_store::failpoint::Point::ALL.iter().map(|point| point.name());
            output::print(&names.map(|name| format!("{name}\n")).collect::<String>())?;
            Ok(Exit::Done)
        }
        Command::Quote(args) => {
            let config = load(&global)?;
            let _logging = quiet_logging(&global)?;
            quote::quote(&args, &config, &global)
        }
        Command::Scan(args) => {
            let config = load(&global)?;
            let _logging = quiet_logging(&global)?;
            scan::scan(&args, config, &global)
        }
        Command::Bench(args) => {
            let _logging = init_logging(false, global.log_level.as_deref().unwrap_or("error"))?;
            bench::bench(&args, &global)
        }
        #[cfg(feature = "localnet")]
        Command::Profile(args) => {
            without_config(&global, "profile brings its own configuration; leave out -c")?;
            let spans = SpanTimes::new(MetricsCollector::default());
            let level = global.log_level.as_deref().unwrap_or("error");
            let _logging = init_logging_with(false, level, Some(spans.clone()))?;
            super::profile::profile(args, &spans, &global)
        }
        Command::Tune(args) => {
            let _logging = init_logging(false, global.log_level.as_deref().unwrap_or("error"))?;
            tune::tune(&args, &global)
        }
        Command::TuneHold(args) => tune::tune_hold(&args, &global),
        Command::Verify(args) => {
            without_config(&global, "verify takes no settings; leave out -c")?;
            let _logging = quiet_logging(&global)?;
            verify::verify(&args, &global)
        }
        Command::Status(args) => status::status(&args, &load(&global)?, &global),
        Command::Trades(args) => history::trades(&args, &load(&global)?, &global),
        Command::Positions(args) => history::positions(&args, &load(&global)?, &global),
        Command::Logs(args) => history::logs(&args, &load(&global)?, &global),
        Command::Db(command) => {
            let _logging = quiet_logging(&global)?;
            db::db(&command, &load(&global)?, &global)
        }
        Command::Orders(args) => orders::orders(&args, &load(&global)?, &global),
        Command::Pause(at) => orders::pause(&at, &load(&global)?, &global),
        Command::Resume(at) => orders::resume(&at, &load(&global)?, &global),
        Command::Kill(args) => kill::kill(&args, &load(&global)?, &global),
        Command::ClearKill(args) => kill::clear_kill(&args, &load(&global)?, &global),
        Command::Wallet(command) => wallet::wallet(&command, &global).map(|()| Exit::Done),
        Command::NewConfig(args) => config::new_config(&args, &global).map(|()| Exit::Done),
        Command::ShowConfig => config::show_config(&global).map(|()| Exit::Done),
        Command::Doctor(args) => {
            let _logging = quiet_logging(&global)?;
            doctor::doctor(&args, &global, hardening)
        }
    }
}

#[cfg(feature = "localnet")]
fn demo(mut args: super::DemoArgs, global: &Global) -> anyhow::Result<Exit> {
    let logging = engine_logging(global, None)?;
    args.json = global.json;
    args.log = Some(logging.ring.clone());
    let summary = crate::live::demo(args)?;
    output::report(global.json, &summary, || summary.to_string())?;
    Ok(if summary.holds() { Exit::Done } else { Exit::CheckFailed })
}

fn trade(
    flags: TradeFlags,
    config: Config,
    logging: &Logging,
    global: &Global,
) -> anyhow::Result<Exit> {
    config.require_market()?;
    if flags.live {
        config.require_armed()?;
    }
    let prompt = format!("Passphrase for {}: ", config.wallet.keystore.display());
    let passphrase = flags
        .passphrase
        .source(config.wallet.passphrase_file.as_ref(), PassphraseSource::Terminal { prompt });
    let reload = Reload::of(Sources::of_process(global.config.clone()))?;
    let summary = crate::live::trade(TradeArgs {
        config,
        reload: Some(reload),
        live: flags.live,
        run_for: flags.run_for,
        headless: flags.headless,
        passphrase,
        json: global.json,
        log: logging.ring.clone(),
    })?;
    output::report(global.json, &summary, || summary.to_string())?;
    Ok(if summary.holds() { Exit::Done } else { Exit::CheckFailed })
}

fn load(global: &Global) -> anyhow::Result<Config> {
    Ok(aside(|| Config::load(&Sources::of_process(global.config.clone())))?)
}

fn without_config(global: &Global, advice: &'static str) -> anyhow::Result<()> {
    anyhow::ensure!(global.config.is_empty(), UsageError(advice));
    Ok(())
}

/// Logging of a command that runs for long: as asked, else as configured, else `info`.
fn engine_logging(global: &Global, config: Option<&Config>) -> anyhow::Result<Logging> {
    let configured = config.map(|config| config.log.level.to_string().to_lowercase());
    let level = global.log_level.clone().or(configured).unwrap_or_else(|| "info".to_owned());
    let json = config.is_some_and(|config| config.log.json);
    // While that thread lives, the heap that reading the command line has left is its own: the log's, which stays, gets
    // another, and who trades comes to use this one again.
    aside(|| init_logging(json, &level)).context("start logging")
}

/// Logging of a command that answers and ends: warnings alone, unless asked for more.
fn quiet_logging(global: &Global) -> anyhow::Result<Logging> {
    init_logging(false, global.log_level.as_deref().unwrap_or("warn")).context("start logging")
}
