//! `trade`: the engine on configured endpoints, on paper unless armed. What `demo` shares with it is here too.

use std::future::Future;
use std::io::{BufRead, IsTerminal, Write};
#[cfg(feature = "localnet")]
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sniper_core::engine::EngineConfig;
use sniper_core::event::{Command, Event, MarketEvent};
use sniper_core::gate::Policy;
use sniper_core::ids::{Address, MintId};
use sniper_core::launch::Program;
use sniper_core::market::{Market, Mint};
use sniper_core::sim::{SimSettings, SimVenue};
use sniper_core::strategy::StrategyKind;
use sniper_core::units::{Lamports, Timestamp, Usd};
use sniper_solana::clock::ChainClock;
use sniper_solana::feed::{FeedSettings, ReconnectionHandler, WebSocketManager};
use sniper_solana::fees::{FeeEstimator, Urgency};
use sniper_solana::rpc::{PoolSettings, RpcConnectionPool};
use sniper_solana::tx::{BlockhashCache, TransactionBuilder};
use sniper_store::journal::{Bounds, Owner};
use sniper_wallet::{Keystore, KillLatch, LocalSigner, PolicySigner, read_passphrase};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::arrays::Arrays;
use super::drift_probe::DriftProbe;
use super::endpoints::{Share, Wanted, keep_members};
use super::gate::{Gatekeeper, Ward};
use super::judge::Judge;
use super::landings::Landings;
use super::lookup::{self, Lookups};
use super::newcomers::Newcomers;
use super::one_key::OneKey;
use super::prices::{PriceSource, follow};
use super::publish::Publisher;
use super::replay::replay_tail;
use super::scout::{self, Find};
use super::session::{Orders, Session, Sources};
use super::start::{self, Opened};
use super::summary::RunSummary;
use super::tables::Tables;
use super::universe::{self, Universe};
use crate::cli::{LATCH, TradeArgs};
use crate::config::{Config, Prices};
use crate::dashboard;
use crate::telemetry::{LogRing, RunMode};

/// Everything a run is made of, whoever asked for it.
pub(super) struct Plan {
    pub(super) mode: &'static str,
    pub(super) run_mode: RunMode,
    pub(super) engine: EngineConfig,
    /// How urgent an ordinary order is; without it orders bid what they carry.
    pub(super) priority: Option<Urgency>,
    pub(super) endpoints: Wanted,
    pub(super) pool: PoolSettings,
    pub(super) universe: Universe,
    pub(super) lookups: Lookups,
    /// What the token gate accepts of mints that nobody vouches for.
    pub(super) gate: Policy,
    pub(super) prices: Prices,
    /// Whose new pools are looked at, if any.
    pub(super) launches: Option<Launches>,
    pub(super) folder: PathBuf,
    pub(super) journal: Bounds,
    pub(super) latch: PathBuf,
    pub(super) page: Option<dashboard::Options>,
    pub(super) run_for: Option<Duration>,
    pub(super) log: Option<LogRing>,
}

impl Plan {
    /// What trading has of each endpoint's budget: all but what looking at new pools takes.
    fn trading_share(&self) -> Share {
        self.launches.as_ref().map(|_| (3, 4))
    }
}

/// What looking at new pools has of it.
const LAUNCH_SHARE: Share = Some((1, 4));

/// New pools that are looked at.
#[derive(Clone, Debug)]
pub(super) struct Launches {
    programs: Vec<Program>,
    /// Slots after a launch in which a coin is bought.
    window: u64,
}

impl Launches {
    /// Those of `programs`, where a strategy of `engine` wants any.
    pub(super) fn of(engine: &EngineConfig, programs: Vec<Program>) -> Option<Self> {
        let windows = engine.strategies.iter().filter_map(|enrolled| match &enrolled.kind {
            StrategyKind::NewPool(params) => Some(u64::from(params.launch_slots)),
            _ => None,
        });
        let window = windows.max().filter(|_| !programs.is_empty())?;
        Some(Self { programs, window })
    }

    /// Looks at them on a thread of its own, with a quarter of each endpoint's budget.
    fn start(&self, plan: &Plan, judge: Judge, finds: mpsc::Sender<Find>) -> anyhow::Result<()> {
        scout::start(scout::Orders {
            endpoints: plan.endpoints.list(LAUNCH_SHARE),
            wanted: plan.endpoints.subscribe(),
            share: LAUNCH_SHARE,
            settings: plan.pool,
            programs: self.programs.clone(),
            judge,
            finds,
        })
        // It ends by itself when nobody takes finds any more, and holds nothing that must be closed.
        .map(drop)
    }
}

/// Whose money.
pub(super) enum Money {
    /// Nobody's: opening lamports and dollars, and how the simulated venue behaves.
    Paper { lamports: Lamports, cash: Usd, sim: SimSettings, owner: Address },
    /// That of a key.
    Chain(LocalSigner),
}

impl Money {
    /// Whose journal it makes: nobody's on paper, whoever's transactions are built.
    pub(super) fn key(&self) -> Address {
        match self {
            Self::Paper { .. } => Address::default(),
            Self::Chain(signer) => sniper_wallet::Signer::address(signer),
        }
    }
}

/// The journal's folder, in that of the data.
pub(crate) const JOURNAL: &str = "journal";

/// Runs the engine on configured endpoints.
///
/// # Errors
///
/// When it cannot start, or cannot go on safely.
pub fn trade(args: TradeArgs) -> anyhow::Result<RunSummary> {
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
        pool: PoolSettings { genesis: config.node.genesis_hash, ..PoolSettings::default() },
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
        folder: config.data_dir.join(mode),
        journal: Bounds { keep: config.journal_keep, ..Bounds::default() },
        latch: config.data_dir.join(LATCH),
        page: listen.map(|address| dashboard::Options {
            address,
            allow_remote: config.dashboard.allow_remote,
        }),
        run_for: args.run_for,
        log: Some(args.log.clone()),
    };
    on_one_thread(run(plan, money))
}

/// The whole hot path lives on this thread.
pub(super) fn on_one_thread<T: Send + 'static>(
    run: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // A task among the others: the loop would ask the system for news before it gave the main future its turn.
    let ended =
        runtime.context("start the event loop")?.block_on(async { tokio::spawn(run).await });
    ended.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(ended) => Err(ended).context("run the event loop"),
    })
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
pub(super) async fn run(plan: Plan, money: Money) -> anyhow::Result<RunSummary> {
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
    let tables = Tables::open(&plan.folder, plan.mode)?;
    let wallet = match &money {
        Money::Paper { .. } => String::new(),
        Money::Chain(signer) => sniper_wallet::Signer::address(signer).to_string(),
    };
    let publisher = Publisher::new(plan.run_mode, wallet, plan.log.clone());
    let view = publisher.view();
    let page_token = CancellationToken::new();
    // Before anything is opened on the chain: a taken port should be told at once.
    let page =
        plan.page.map(|options| dashboard::serve(options, view, page_token.clone())).transpose()?;
    if let Some(page) = &page {
        tracing::info!(url = page.url(), "dashboard");
    }

    let rpc = connected(&plan).await?;
    let owner = Owner { key: money.key(), genesis: rpc.genesis().to_bytes() };
    let _one = match &money {
        Money::Paper { .. } => None,
        Money::Chain(_) => Some(OneKey::take(&owner.key, &owner.genesis)?),
    };
    let opened = start::open(&journal, owner, plan.journal, &plan.engine, publisher, Some(tables))?;
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
        session.publish();
        tracing::info!(mode = plan.mode, "trading");
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
    let summary = finish(&plan, session, &journal, seconds).await;
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
        WebSocketManager::new(rpc.clone(), FeedSettings::default(), ReconnectionHandler::default());
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
    background.spawn(follow(client, source, prices_in));

    let stale = plan.engine.limits.market_age_max.millis();
    let stale = Duration::from_millis(u64::try_from(stale).unwrap_or_default());
    let window = plan.launches.as_ref().map_or(0, |launches| launches.window);
    let newcomers = Newcomers::new(window, wards_in, priced_in);
    let landings = Landings { rpc: rpc.clone(), clock, fees };
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
        plan.page.is_some(),
    );
    start::take_up_newcomers(&mut session, &plan.universe, &finds_in, background).await?;
    // Where nobody looks for new pools, nobody sends, and the session must not take that for an end.
    background.spawn(async move { finds_in.closed().await });
    Ok((session, Sources { feed, ends, prices, finds }, wires))
}

/// Pools of dollars and SOL alone: they price what is spent on a coin.
fn bridges(market: &Market) -> Vec<Address> {
    let is_money = |mint: &MintId| market.is_usd(*mint) || market.wrapped_sol() == Some(*mint);
    let bridges = market.pools().iter().filter(|pool| pool.spec.mints.iter().all(is_money));
    bridges.map(|pool| pool.spec.address).collect()
}

/// Compares, closes, and proves.
async fn finish(
    plan: &Plan,
    mut session: Session,
    journal: &Path,
    seconds: f64,
) -> anyhow::Result<RunSummary> {
    let mut reconciled = None;
    if let Orders::Chain(venue) = &session.orders {
        let found = start::balances(venue, session.landed()).await?;
        reconciled = Some(universe::difference(&session.desk, &found));
        universe::reconcile(&mut session.desk, &found)?;
    }
    session.desk.checkpoint()?;
    session.publish();
    let launches = plan.launches.as_ref().map(|_| session.newcomers.counts());
    let (engine, mut timers, publisher) = session.desk.close()?;
    let mut summary = RunSummary::new(plan.mode, seconds, &engine, &publisher, &mut timers);
    summary.launches = launches;
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
