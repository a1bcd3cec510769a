//! `trade`: the engine on configured endpoints, on paper unless armed. What `demo` shares with it is here too.

use std::future::Future;
use std::io::{BufRead, IsTerminal, Write};
#[cfg(feature = "localnet")]
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sniper_core::event::{Command, Event, MarketEvent};
use sniper_core::ids::{Address, MintId};
use sniper_core::market::{Market, Mint};
use sniper_core::sim::{SimSettings, SimVenue};
use sniper_core::units::Timestamp;
use sniper_solana::clock::ChainClock;
use sniper_solana::feed::{ReconnectionHandler, WebSocketManager};
use sniper_solana::fees::FeeEstimator;
use sniper_solana::rpc::RpcConnectionPool;
use sniper_solana::tx::{BlockhashCache, TransactionBuilder};
use sniper_store::failpoint::{Point, pass};
use sniper_store::journal::Owner;
use sniper_wallet::{Keystore, KillLatch, PolicySigner, read_passphrase};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::arrays::Arrays;
use super::checkup::Checkup;
use super::control;
use super::drift_probe::DriftProbe;
use super::elsewhere;
use super::endpoints::{Wanted, keep_members};
use super::gate::{Gatekeeper, Ward};
use super::judge::Judge;
use super::landings::Landings;
use super::lookup::{self, Lookups};
use super::newcomers::Newcomers;
use super::one_key::OneKey;
use super::plan::{Launches, Money, Plan};
use super::prices::{PriceSource, follow};
use super::publish::Publisher;
use super::replay::replay_tail;
use super::session::{Orders, Session, Sources};
use super::start::{self, Opened};
use super::summary::RunSummary;
use super::tables::Tables;
use super::universe::{self, Universe};
use crate::cli::{LATCH, TradeArgs};
use crate::config::Config;
use crate::dashboard;
use crate::telemetry::baselines::Baselines;
use crate::telemetry::sentinel::Sentinel;
use crate::telemetry::{METRICS_FILE, MetricsFile, RunMode};
use crate::threads::{Ready, on_one_thread};

/// The journal's folder, in that of the data.
pub(crate) const JOURNAL: &str = "journal";

/// Runs the engine on configured endpoints.
///
/// # Errors
///
/// When it cannot start, or cannot go on safely.
pub fn trade(args: TradeArgs) -> anyhow::Result<RunSummary> {
    on_one_thread(|ready| async move {
        let (plan, money) = prepared(args)?;
        run(plan, money, ready).await
    })
}

fn prepared(args: TradeArgs) -> anyhow::Result<(Plan, Money)> {
    let config = &args.config;
    let armed = if args.live { Some(config.require_armed()?) } else { None };
    let money = match &armed {
        None => paper(config),
        Some(arming) => {
            challenge(&arming.public_key)?;
            let keystore = Keystore::at(&config.wallet.keystore);
            let signer = keystore.unlock(&read_passphrase(&args.passphrase)?)?;
            let held = sniper_wallet::Signer::address(&signer);
            ensure!(
                held == arming.public_key,
                "the key file holds {held}, the configuration names {}: check wallet.public_key",
                arming.public_key
            );
            Money::Chain(signer)
        }
    };
    let (mode, run_mode) =
        if args.live { ("live", RunMode::Live) } else { ("paper", RunMode::Paper) };
    let listen = config.dashboard.listen.filter(|_| !args.headless);
    let engine = config.engine(armed.as_ref());
    let plan = Plan {
        mode,
        run_mode,
        launches: Launches::of(&engine, config.trading.launch_programs.clone()),
        engine,
        priority: config.priority,
        endpoints: Wanted::new(config.node.endpoints.clone(), args.reload.clone()),
        pool: config.tuning.pool(config.node.genesis_hash),
        universe: Universe {
            pools: config.trading.pools.clone(),
            usd_mints: config.trading.usd_mints.clone(),
            symbols: config.trading.symbols.clone(),
            trusted: config.trading.trusted_mints.clone(),
        },
        lookups: Lookups {
            named: config.trading.lookup_tables.clone(),
            make: config.trading.make_lookup_table,
        },
        gate: config.trading.gate.clone(),
        prices: config.prices.clone(),
        jupiter: config.jupiter.clone(),
        jito: config.jito.clone(),
        folder: config.data_dir.join(mode),
        journal: config.tuning.journal(config.journal_keep),
        compare: config.trading.compare,
        latch: config.data_dir.join(LATCH),
        page: listen.map(|address| dashboard::Options {
            address,
            allow_remote: config.dashboard.allow_remote,
            cached_answers: config.tuning.cached_answers,
        }),
        run_for: args.run_for,
        log: Some(args.log.clone()),
        log_lines: config.log_lines,
        tuning: config.tuning,
        performance: config.performance.clone(),
        performance_folder: config.data_dir.clone(),
        trades: None,
    };
    Ok((plan, money))
}

fn paper(config: &Config) -> Money {
    let sim = &config.sim;
    let millis = i64::try_from(sim.latency.as_millis()).unwrap_or(i64::MAX);
    let latency = Timestamp::from_millis(millis);
    Money::Paper {
        // Without a key of the operator's, transactions are built for nobody's.
        owner: config.wallet.public_key.unwrap_or_default(),
        lamports: sim.lamports,
        cash: sim.cash,
        sim: SimSettings {
            seed: sim.seed,
            latency,
            landing: sim.landing_odds,
            ..SimSettings::default()
        },
    }
}

/// Live trading starts only when a person at a terminal types what is at stake.
fn challenge(key: &Address) -> anyhow::Result<()> {
    let input = std::io::stdin();
    ensure!(
        input.is_terminal(),
        "live trading is armed by a person at a terminal; standard input is none"
    );
    let wanted: String = key.to_string().chars().take(6).collect();
    eprint!("LIVE trading with real money of {key}. Type its first six characters to arm: ");
    std::io::stderr().flush().context("ask at the terminal")?;
    let mut typed = String::new();
    input.lock().read_line(&mut typed).context("read from the terminal")?;
    ensure!(typed.trim() == wanted, "not armed: that was not {wanted}");
    Ok(())
}

/// One run, from the first connection to the proven end.
pub(super) async fn run(mut plan: Plan, money: Money, ready: Ready) -> anyhow::Result<RunSummary> {
    let trades = plan.trades.take();
    std::fs::create_dir_all(&plan.folder).with_context(|| {
        format!("make the data folder {}: check that its parent is writable", plan.folder.display())
    })?;
    let journal = plan.folder.join(JOURNAL);
    let latch = KillLatch::open(&plan.latch);
    ensure!(
        !latch.is_engaged(),
        "killed: nothing is signed until a person clears the kill latch {} in two steps, with clear-kill",
        latch.path().display()
    );
    let Stop { politely, at_once } = stop_signals()?;
    let wallet = match &money {
        Money::Paper { .. } => String::new(),
        Money::Chain(signer) => sniper_wallet::Signer::address(signer).to_string(),
    };
    let mut publisher = Publisher::new(plan.run_mode, wallet, plan.log.clone());
    let tables = Tables::open(&plan.folder, plan.mode, plan.tables(), publisher.metrics())?;
    if let Some(log) = &plan.log {
        tables.take_log(log);
    }
    let baselines = Baselines::of_engine(plan.performance.baselines.as_deref())?;
    publisher.expect(&baselines);
    if let Some(metrics) = &plan.performance.metrics {
        let folder = &plan.performance_folder;
        match MetricsFile::start(folder, plan.mode, metrics.bounds) {
            Ok(file) => publisher.write_to(file, metrics.every),
            // Figures are no reason not to trade.
            Err(error) => {
                let file = folder.join(METRICS_FILE).display().to_string();
                tracing::warn!(file, %error, "no metrics are written in this run: check that it is writable");
            }
        }
    }
    #[cfg(feature = "otel")]
    if let Some(otlp) = &plan.performance.otlp {
        publisher.send_to(otlp);
    }
    let view = publisher.view();
    let page_token = CancellationToken::new();
    // Before anything is opened on the chain: a taken port should be told at once.
    let page = match plan.page {
        Some(options) => {
            let tables = Some(tables.path().to_owned());
            Some(dashboard::serve_with_tables(options, view, tables, page_token.clone())?)
        }
        None => None,
    };
    if let Some(page) = &page {
        tracing::info!(url = page.url(), "dashboard");
    }

    let rpc = connected(&plan).await?;
    let owner = Owner { key: money.key(), genesis: rpc.genesis().to_bytes() };
    let _one = match &money {
        Money::Paper { .. } => None,
        Money::Chain(_) => Some(OneKey::take(&owner.key, &owner.genesis)?),
    };
    let mut opened =
        start::open(&journal, owner, plan.journal, &plan.engine, publisher, Some(tables))?;
    opened.desk.timers.sentinel = Sentinel::new(&baselines, &plan.folder).map(Box::new);
    drop(baselines);
    let mut background = Background::default();
    background.spawn(rpc.clone().monitor());
    background.spawn(rpc.clone().keep_lines());
    background.spawn(plan.endpoints.follow());
    let (wanted, share) = (plan.endpoints.subscribe(), plan.trading_share());
    background.spawn(keep_members(rpc.clone(), wanted, share));
    let (mut session, mut sources, wires) =
        assemble(&plan, money, rpc, opened, latch, &mut background).await?;

    let traded = async {
        start::resolve(&mut session, &mut sources, wires).await?;
        start::release(&mut session)?;
        pass(Point::TradeBefore);
        session.publish();
        tracing::info!(mode = plan.mode, "trading");
        ready.tell();
        // Nobody may be listening.
        trades.map(|told| told.send(()).ok());
        let started = Instant::now();
        session.trade(&mut sources, ended(plan.run_for, politely)).await?;
        let seconds = started.elapsed().as_secs_f64();
        session.wind_down(&mut sources).await?;
        anyhow::Ok(seconds)
    };
    let seconds = tokio::select! {
        seconds = traded => seconds?,
        // What is in flight may have nobody left who could tell how it ends.
        Ok(()) = at_once => bail!(
            "stopped at once, as asked twice: orders in flight are in the journal, and the next start asks the chain \
             about them"
        ),
    };
    let summary = finish(&plan, session, &mut sources, &journal, seconds).await;
    page_token.cancel();
    if let Some(page) = page {
        page.wait();
    }
    summary
}

async fn connected(plan: &Plan) -> anyhow::Result<RpcConnectionPool> {
    let endpoints = plan.endpoints.list(plan.trading_share());
    Ok(RpcConnectionPool::connect(endpoints, plan.pool).await?)
}

/// Tasks that end with the run.
#[derive(Default)]
pub(super) struct Background(Vec<tokio::task::JoinHandle<()>>);

impl Background {
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + 'static + Send) {
        self.0.push(tokio::spawn(task));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

pub(super) async fn assemble(
    plan: &Plan,
    money: Money,
    rpc: RpcConnectionPool,
    opened: Opened,
    latch: KillLatch,
    background: &mut Background,
) -> anyhow::Result<(Session, Sources, Vec<super::replay::Wire>)> {
    let Opened { mut desk, wires, .. } = opened;
    let watches = universe::announce(&mut desk, &rpc, &plan.universe).await?;
    let blockhash = BlockhashCache::new(rpc.clone());
    blockhash.refresh().await.context("read a blockhash")?;
    background.spawn(blockhash.clone().run());

    let (ends_in, ends) = mpsc::channel(256);
    let orders = match money {
        Money::Paper { lamports, cash, sim, owner } => {
            start::fund_paper(&mut desk, lamports, cash)?;
            let mut venue = SimVenue::new(sim)?;
            let mut builder = TransactionBuilder::new(owner);
            for mint in desk.engine().market().mints().iter().skip(1) {
                builder.add_mint(&mint.spec);
            }
            for pool in desk.engine().market().pools() {
                builder.add_pool(&pool.spec)?;
                venue.observe(&MarketEvent::Pool(Box::new(pool.spec.clone())));
            }
            for table in lookup::read(&rpc, &plan.lookups, &plan.folder).await? {
                builder.add_table(table);
            }
            Orders::Paper(Box::new(venue), builder)
        }
        Money::Chain(signer) => {
            let signer = PolicySigner::new(signer, KillLatch::open(latch.path()));
            if !desk.engine().orders().expects_forks() {
                desk.step(Event::Command(Command::ExpectForks))?;
            }
            let mut venue = start::venue(&desk, &rpc, signer, &blockhash)?;
            start::fund_from_chain(&mut desk, &rpc, &venue, plan).await?;
            for table in lookup::read(&rpc, &plan.lookups, &plan.folder).await? {
                venue.add_table(table);
            }
            if let Some(jito) = &plan.jito {
                venue.land_through(elsewhere::engines(jito, background)?);
            }
            background.spawn(venue.tracker().clone().run(ends_in.clone()));
            Orders::Chain(Box::new(venue))
        }
    };
    let most = plan.engine.limits.compute_unit_price;
    let board = orders.builder().fees();
    let fees =
        plan.priority.map(|urgency| FeeEstimator::new(rpc.clone(), board.clone(), urgency, most));
    if let Some(fees) = &fees {
        background.spawn(fees.clone().run());
    }
    let clock = ChainClock::new(rpc.clone());
    background.spawn(clock.clone().run());
    // On paper nobody sends on it, and the session must not take that for an end.
    background.spawn(async move {
        ends_in.closed().await;
    });

    let arrays = Arrays::new(&watches);
    for event in arrays.unheard(desk.engine().market()) {
        desk.step(Event::Market(event))?;
    }
    let mut manager =
        WebSocketManager::new(rpc.clone(), plan.tuning.feed(), ReconnectionHandler::default());
    let feed = manager.start_optimized_feeds(watches.clone())?;

    let (prices_in, prices) = mpsc::channel(256);
    let market = desk.engine().market();
    // Those of configured pools alone: an earlier run's coins are taken up one by one where something of them is held.
    let is_configured = |(id, _): &(MintId, &Mint)| {
        let pools = market.pools().iter().filter(|pool| pool.spec.mints.contains(id));
        pools.map(|pool| pool.spec.address).any(|pool| plan.universe.pools.contains(&pool))
    };
    let numbered = || (0_u16..).map(MintId).zip(market.mints()).skip(1).filter(is_configured);
    let priced = numbered().map(|(id, m)| (id, m.spec.address, m.spec.decimals)).collect();
    let (priced_in, priced) = watch::channel(priced);
    let judged = |(id, mint): &(MintId, &Mint)| !market.may_be_bought(*id) || mint.gate.is_some();
    let ward = |(id, m): (MintId, &Mint)| Ward { id, mint: m.spec.address, launched: None };
    let (wards_in, wards) = watch::channel(numbered().filter(judged).map(ward).collect());
    let judge = Judge {
        rpc: rpc.clone(),
        wanted: plan.universe.clone(),
        policy: plan.gate.clone(),
        owner: orders.builder().owner(),
        tables: desk.tables(),
    };
    let (finds_in, finds) = mpsc::channel(256);
    if let Some(launches) = &plan.launches {
        let wanted = Universe { pools: bridges(market), ..plan.universe.clone() };
        let judge = Judge { wanted, ..judge.clone() };
        launches.start(plan, judge, finds_in.clone())?;
    }
    let gatekeeper = Gatekeeper { judge, wards, events: prices_in.clone() };
    background.spawn(gatekeeper.keep());
    let source =
        PriceSource { url: plan.prices.url.clone(), every: plan.prices.every, mints: priced };
    let (rpc_of_probe, builder) = (rpc.clone(), orders.builder().clone());
    let probe = DriftProbe::new(rpc_of_probe, builder, market, &watches, prices_in.clone());
    background.spawn(probe.keep());
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(3))
        .build()
        .context("prepare to ask for prices")?;
    background.spawn(follow(client, source, prices_in, desk.publisher.metrics()));

    let stale = plan.engine.limits.market_age_max.millis();
    let stale = Duration::from_millis(u64::try_from(stale).unwrap_or_default());
    let window = plan.launches.as_ref().map_or(0, |launches| launches.window);
    let newcomers = Newcomers::new(window, wards_in, priced_in);
    let landings = Landings { rpc: rpc.clone(), clock, fees };
    let (offers_in, offers) = mpsc::channel(16);
    // On paper nothing would come of it: fills are those of the pools that are followed.
    let asked = plan.jupiter.as_ref().filter(|_| matches!(orders, Orders::Chain(_)));
    let asked = asked.map(|jupiter| elsewhere::open(jupiter, &rpc, offers_in)).transpose()?;
    let mut session = Session::new(
        desk,
        orders,
        rpc,
        manager,
        arrays,
        blockhash,
        latch,
        stale,
        newcomers,
        landings,
        asked,
        Checkup::new(plan.compare),
        plan.page.is_some(),
    );
    start::take_up_newcomers(&mut session, &plan.universe, &finds_in, background).await?;
    // Where nobody looks for new pools, nobody sends, and the session must not take that for an end.
    background.spawn(async move { finds_in.closed().await });
    let (control, asked) = match control::listen(&plan.folder) {
        Ok((control, asked)) => (Some(control), asked),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "nobody can operate this instance: it has no control socket");
            (None, mpsc::channel(1).1)
        }
    };
    Ok((session, Sources { feed, ends, prices, finds, offers, asked, _control: control }, wires))
}

/// Pools of dollars and SOL alone: they price what is spent on a coin.
fn bridges(market: &Market) -> Vec<Address> {
    let is_money = |mint: &MintId| market.is_usd(*mint) || market.wrapped_sol() == Some(*mint);
    let bridges = market.pools().iter().filter(|pool| pool.spec.mints.iter().all(is_money));
    bridges.map(|pool| pool.spec.address).collect()
}

/// How long a run that has ended waits for a difference to become final or be explained.
const SETTLE_MAX: Duration = Duration::from_secs(90);

/// Compares, closes, and proves.
async fn finish(
    plan: &Plan,
    mut session: Session,
    sources: &mut Sources,
    journal: &Path,
    seconds: f64,
) -> anyhow::Result<RunSummary> {
    let mut reconciled = None;
    if let Some(mut found) = start::held(&session.orders, session.landed()).await? {
        if !universe::agrees(&session.desk, &found.value) {
            // A block may have been abandoned, or somebody has sent something: what is final is so.
            let settled = async {
                session.drain_all(sources).await?;
                session.compare_now(sources, found.slot).await
            };
            // What nobody can tell is left to the next start.
            if let Ok(settled) = tokio::time::timeout(SETTLE_MAX, settled).await {
                settled?;
            }
            found = start::held(&session.orders, session.landed()).await?.unwrap_or(found);
        }
        reconciled = Some(universe::difference(&session.desk, &found.value));
        universe::reconcile(&mut session.desk, &found.value)?;
    }
    let explained = session.checkup.explained();
    session.desk.checkpoint()?;
    session.publish();
    let launches = plan.launches.as_ref().map(|_| session.newcomers.counts());
    let (engine, mut timers, publisher) = session.desk.close()?;
    let mut summary = RunSummary::new(plan.mode, seconds, &engine, &publisher, &mut timers);
    summary.launches = launches;
    summary.explained = explained;
    drop(engine);
    if let Some(found) = reconciled {
        summary.reconciled(found);
    }
    let replayed = replay_tail(journal)?;
    summary.replay_matches = replayed.matches();
    summary.effects_hash = replayed.effects_hash;
    summary.journal = Some(journal.display().to_string());
    Ok(summary)
}

/// Done when the time is up, or at Ctrl-C or SIGTERM.
async fn ended(run_for: Option<Duration>, stop: mpsc::Receiver<()>) {
    let mut stop = stop;
    match run_for {
        Some(time) => {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                _ = stop.recv() => {}
            }
        }
        None => drop(stop.recv().await),
    }
}

/// What asks a run to stop.
struct Stop {
    /// The first signal: no new orders, those in flight are followed to their end.
    politely: mpsc::Receiver<()>,
    /// The second.
    at_once: oneshot::Receiver<()>,
}

/// Watches for Ctrl-C and SIGTERM from the very start, so that neither ends a run halfway.
fn stop_signals() -> anyhow::Result<Stop> {
    let (told, politely) = mpsc::channel(1);
    let (again, at_once) = oneshot::channel();
    let mut terminate = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watch for Ctrl-C")?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "Ctrl-C",
            }
        };
        let signal = next().await;
        tracing::info!(signal, "stopping; once more stops without following the orders in flight");
        // Nobody listens any more when the run has ended by itself.
        told.send(()).await.ok();
        next().await;
        again.send(()).ok();
    });
    Ok(Stop { politely, at_once })
}

/// Where a page on this machine is served.
#[cfg(feature = "localnet")]
pub(super) fn on_loopback(port: u16) -> dashboard::Options {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}
