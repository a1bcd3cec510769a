//! The session as it trades, under a strategy that orders whenever a pool moves: what a bench measures.
//!
//! Nothing is replaced but the strategy's mind: the pools, the feed, the journal, the review, the key, the sends and
//! the follow-up are those of [`super::trade()`].

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sniper_core::amm::AccountUpdate;
use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{Event, MarketEvent};
use sniper_core::gate::Policy;
use sniper_core::ids::{Address, PairId};
use sniper_core::order::{Intent, Reason};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::strategy::{
    Context, Strategy, StrategyKind, arbitrage, mean_reversion, momentum, trend,
};
use sniper_core::units::{Bps, Timestamp, Usd};
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
use sniper_store::journal::{Bounds, Journal, Owner};
use sniper_wallet::{KillLatch, LocalSigner};

use super::desk::Desk;
use super::endpoints::Wanted;
use super::lookup::Lookups;
use super::plan::{Money, Plan};
use super::publish::Publisher;
use super::start::{self, Opened};
use super::summary::RunSummary;
use super::tables::Tables;
use super::trade::{Background, JOURNAL, assemble};
use super::universe::Universe;
use crate::config::{Performance, Prices, Tuning};
use crate::telemetry::RunMode;
use crate::threads::{Ready, on_one_thread};

/// What a measured session is given.
pub struct Setup {
    /// Address of the node's JSON-RPC.
    pub http: String,
    /// Address of its subscriptions.
    pub ws: String,
    /// Address of the independent prices.
    pub prices: String,
    /// The pool that is traded.
    pub pool: Address,
    /// Its mint that is worth a dollar.
    pub dollars: Address,
    /// Whose money.
    pub signer: LocalSigner,
    /// One more strategy orders whenever the pool moves.
    pub orders: bool,
    /// Where the journal lies: its disk is part of what is measured.
    pub folder: PathBuf,
}

/// What a measured session did.
pub struct Measured {
    /// As of any run; its journal is not replayed.
    pub summary: RunSummary,
    /// Bytes of the journal at the end.
    pub journal_bytes: u64,
}

/// Buys for ten dollars whenever a pool's state account has settled the pool.
struct OnEveryState;

impl Strategy for OnEveryState {
    fn name(&self) -> &'static str {
        "on_every_state"
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        if let Event::Market(MarketEvent::Account { update: AccountUpdate::CpmmPool(_), .. }) =
            event
        {
            let bought = cx.buy(PairId(0), Usd::dollars(10), Bps::capped(50), Reason::TrendEntry);
            intents.extend(bought);
        }
    }

    fn digest(&self, _: &mut Digest) {}
}

/// The four strategies as they come, then the one that orders where that is wanted. Limits are set so that none ends the
/// measurement.
fn engine(orders: bool) -> (EngineConfig, Vec<Box<dyn Strategy>>) {
    let allowance = Allowance { budget: Usd::dollars(1_000), loss_limit: Usd::dollars(1_000_000) };
    let kinds = [
        StrategyKind::Trend(trend::Params::default()),
        StrategyKind::Momentum(momentum::Params::default()),
        StrategyKind::MeanReversion(mean_reversion::Params::default()),
        StrategyKind::Arbitrage(arbitrage::Params::default()),
    ];
    let mut strategies: Vec<Box<dyn Strategy>> = kinds.iter().map(StrategyKind::build).collect();
    if orders {
        strategies.push(Box::new(OnEveryState));
    }
    // The header names a kind per seat; the last one has none of its own, and this journal is never replayed.
    let last = kinds.first().filter(|_| orders).cloned();
    let enrolled = kinds.into_iter().chain(last).map(|kind| Enrolled { kind, allowance });
    let limits = Limits {
        orders_per_minute_max: 1_024,
        duplicate_window: Timestamp::ZERO,
        losses_in_row_max: 0,
        daily_loss_max: Usd::dollars(1_000_000),
        drawdown_max: Bps::capped(9_999),
        ..Limits::default()
    };
    let config = EngineConfig {
        limits,
        strategies: enrolled.collect(),
        candle_width: Timestamp::SECOND,
        equity_every: Timestamp::SECOND,
        operator: None,
    };
    (config, strategies)
}

/// Trades on a thread of its own kind, as `trade` does, until `until` is done.
///
/// # Errors
///
/// As [`super::trade()`].
pub fn run(
    setup: Setup,
    until: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Measured> {
    on_one_thread(|ready| session(setup, until, ready))
}

async fn session(
    setup: Setup,
    until: impl Future<Output = ()> + Send,
    ready: Ready,
) -> anyhow::Result<Measured> {
    let Setup { http, ws, prices, pool, dollars, signer, orders, folder } = setup;
    let (engine, strategies) = engine(orders);
    let plan = Plan {
        mode: "bench",
        run_mode: RunMode::Live,
        engine,
        priority: None,
        endpoints: Wanted::new(vec![EndpointConfig::new("bench", &http, &ws, 10_000)?], None),
        pool: PoolSettings::default(),
        universe: Universe {
            pools: vec![pool],
            usd_mints: vec![dollars],
            symbols: Vec::new(),
            trusted: Vec::new(),
        },
        lookups: Lookups::default(),
        gate: Policy::default(),
        prices: Prices { url: prices, every: Duration::from_millis(500) },
        jupiter: None,
        jito: None,
        launches: None,
        latch: folder.join("KILL"),
        performance_folder: folder.clone(),
        folder,
        journal: Bounds::default(),
        compare: Duration::from_secs(60),
        page: None,
        run_for: None,
        log: None,
        log_lines: 0,
        tuning: Tuning::default(),
        performance: Performance::default(),
        trades: None,
    };
    let rpc = RpcConnectionPool::connect(plan.endpoints.list(None), plan.pool).await?;
    let owner =
        Owner { key: sniper_wallet::Signer::address(&signer), genesis: rpc.genesis().to_bytes() };
    let (mut file, _) = Journal::open(plan.folder.join(JOURNAL), owner)?;
    file.ready_ahead();
    let engine = MultiStrategyEngine::with_strategies(plan.engine.clone(), strategies)?;
    let publisher = Publisher::new(plan.run_mode, String::new(), None);
    let tables = Tables::open(&plan.folder, plan.mode, plan.tables(), publisher.metrics())?;
    let mut desk = Desk::new(engine, file, Digest::default(), publisher, Some(tables));
    desk.write_header(&plan.engine)?;
    let opened = Opened { desk, wires: Vec::new() };

    let mut background = Background::default();
    background.spawn(rpc.clone().monitor());
    background.spawn(rpc.clone().keep_lines());
    let latch = KillLatch::open(&plan.latch);
    let (mut session, mut sources, wires) =
        assemble(&plan, Money::Chain(signer), rpc, opened, latch, &mut background).await?;
    start::resolve(&mut session, &mut sources, wires).await?;
    start::release(&mut session)?;
    ready.tell();
    let started = Instant::now();
    session.trade(&mut sources, until).await.context("trade")?;
    let seconds = started.elapsed().as_secs_f64();
    session.wind_down(&mut sources).await?;

    let journal_bytes = session.desk.journal().len_bytes();
    let (engine, mut timers, publisher) = session.desk.close()?;
    let summary = RunSummary::new(plan.mode, seconds, &engine, &publisher, &mut timers);
    Ok(Measured { summary, journal_bytes })
}
