//! The trading flow as `profile` times it: a session like that of `demo`, cut into blocks with the machine's floor beside
//! each.
//!
//! Nothing is replaced. The four strategies trade as they do, and a fifth, whose mind alone is simple, wants something
//! whenever a pool moves and nothing of its is in flight, so that a profile of a hundred trades takes no hour. Its orders
//! are sized, quoted, reviewed, built, signed, written down, sent and confirmed like any other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{Event, MarketEvent};
use sniper_core::ids::MintId;
use sniper_core::order::{Intent, Reason};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::{Limits, Mode};
use sniper_core::strategy::{Context, Strategy, StrategyKind};
use sniper_core::units::{Bps, Timestamp, Usd};
use sniper_solana::rpc::RpcConnectionPool;
use sniper_store::journal::{Journal, Owner};
use sniper_wallet::{KillLatch, Signer as _};

use super::child::LocalChain;
use super::demo;
use super::desk::Desk;
use super::plan::{Money, Plan};
use super::publish::Publisher;
use super::start::{self, Opened};
use super::tables::Tables;
use super::trade::{Background, JOURNAL, assemble};
use crate::cli::{CheckFailed, TimedOut};
use crate::telemetry::floor::{Floor, FloorTimes};
use crate::telemetry::stage::{Listener, shown};
use crate::telemetry::{
    OrderCounts, PageMeter, Stage, StageSummary,
    compare::{median, middle},
};
use crate::threads::{Ready, on_one_thread};

/// Blocks that a profile is cut into at most.
const BLOCKS: u64 = 40;
/// Trades before the first that counts.
const WARM: u64 = 10;
/// Looks at the floor beside each block.
const FLOORS: usize = 3;
/// Without a trade for this long, nothing more is to be expected.
const SILENCE: Duration = Duration::from_secs(60);

/// What is to be profiled.
pub(crate) struct Wanted {
    /// Trades that count.
    pub(crate) iterations: u64,
    /// Seed of the local market.
    pub(crate) seed: u64,
    /// Time from block to block, in milliseconds.
    pub(crate) slot_ms: u64,
}

/// What a profile has recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) iterations: u64,
    pub(crate) slot_ms: u64,
    pub(crate) seconds: f64,
    pub(crate) stages: Vec<RecordedStage>,
    /// The floor beside each block.
    pub(crate) floors: Vec<FloorTimes>,
    pub(crate) orders: OrderCounts,
    pub(crate) rss_mb: f64,
    pub(crate) rss_peak_mb: f64,
    /// Trades of the pass in which pages were counted.
    pub(crate) paged: u64,
}

/// A stage as it was recorded.
#[derive(Debug)]
pub(crate) struct RecordedStage {
    pub(crate) stage: Stage,
    /// Over all times.
    pub(crate) summary: StageSummary,
    /// The middle of each block, in nanoseconds; none where it had none.
    pub(crate) blocks_ns: Vec<Option<f64>>,
    /// Pages that were touched first in the pass that counts them.
    pub(crate) pages: u64,
}

/// Times of the block under way.
#[derive(Debug, Default)]
struct Block(Vec<Vec<f64>>);

/// Takes every time, and counts the trades.
struct Recorder {
    block: Arc<Mutex<Block>>,
    landed: Arc<AtomicU64>,
}

impl Listener for Recorder {
    fn timed(&mut self, stage: Stage, ns: u64) {
        if stage == Stage::FullTrade {
            self.landed.fetch_add(1, Ordering::Relaxed);
        }
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = block.0.get_mut(stage as usize) {
            times.push(shown(ns));
        }
    }
}

impl Block {
    fn new() -> Self {
        Self(vec![Vec::new(); Stage::ALL.len()])
    }
}

/// Takes turns in buying for ten dollars and selling what it holds, on whatever pool has moved.
struct OnEveryMove;

impl Strategy for OnEveryMove {
    fn name(&self) -> &'static str {
        "on_every_move"
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        let Event::Market(MarketEvent::Account { pool, .. }) = event else { return };
        if cx.mode != Mode::Run || !cx.market.is_whole() {
            return;
        }
        let Some(pool) = cx.market.pool(*pool).filter(|pool| pool.live.is_settled()) else {
            return;
        };
        let Some(pair) = cx.market.pair(pool.pair) else { return };
        let is_traded = |mint: MintId| cx.market.is_usd(mint);
        if !is_traded(pair.quote) || cx.is_pending(pair.base) {
            return;
        }
        let slippage = Bps::capped(100);
        let wanted = if cx.position(pair.base).is_some() {
            cx.sell_all(pool.pair, slippage, Reason::TimeStop)
        } else {
            let value = cx.size(pair.quote, Usd::dollars(10));
            cx.buy(pool.pair, value, slippage, Reason::TrendEntry)
        };
        intents.extend(wanted);
    }

    fn digest(&self, _: &mut Digest) {}
}

/// The strategies of the demo and the one that orders; limits are such that none ends the run.
fn engine(base: EngineConfig) -> (EngineConfig, Vec<Box<dyn Strategy>>) {
    let allowance = Allowance { budget: Usd::dollars(250), loss_limit: Usd::dollars(1_000_000) };
    let kinds: Vec<StrategyKind> = base.strategies.into_iter().map(|e| e.kind).collect();
    let mut strategies: Vec<Box<dyn Strategy>> = kinds.iter().map(StrategyKind::build).collect();
    strategies.push(Box::new(OnEveryMove));
    // The header names a kind per seat; the last one has none of its own, and this journal is never replayed.
    let last = kinds.first().cloned();
    let enrolled = kinds.into_iter().chain(last).map(|kind| Enrolled { kind, allowance });
    let limits = Limits {
        orders_per_minute_max: 1_024,
        duplicate_window: Timestamp::ZERO,
        losses_in_row_max: 0,
        daily_loss_max: Usd::dollars(1_000_000),
        drawdown_max: Bps::capped(9_999),
        ..base.limits
    };
    (EngineConfig { limits, strategies: enrolled.collect(), ..base }, strategies)
}

/// Trades on a local chain until enough trades have landed.
pub(crate) fn record(
    wanted: Wanted,
    told: impl Fn(u64) + Send + 'static,
) -> anyhow::Result<Recorded> {
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let folder = scratch.path().to_owned();
    on_one_thread(|ready| async move {
        let signer = demo::wallet(&folder)?;
        let (seed, slot_ms) = (wanted.seed.to_string(), wanted.slot_ms.to_string());
        let args = ["--port", "0", "--port", "0", "--seed", &seed, "--slot-ms", &slot_ms];
        let (chain, announced) = LocalChain::start_with(&args)?;
        let plan = demo::plan_for(&announced, folder)?;
        demo::fund(&plan, &signer, &announced).await?;
        let recorded = session(plan, signer, &wanted, told, ready).await;
        drop(chain);
        recorded
    })
}

async fn session(
    mut plan: Plan,
    signer: sniper_wallet::LocalSigner,
    wanted: &Wanted,
    told: impl Fn(u64) + Send,
    ready: Ready,
) -> anyhow::Result<Recorded> {
    let iterations = wanted.iterations;
    let (engine, strategies) = engine(plan.engine.clone());
    plan.engine = engine;
    let rpc = RpcConnectionPool::connect(plan.endpoints.list(None), plan.pool).await?;
    let owner = Owner { key: signer.address(), genesis: rpc.genesis().to_bytes() };
    let (mut file, _) = Journal::open(plan.folder.join(JOURNAL), owner)?;
    file.ready_ahead();
    let engine = MultiStrategyEngine::with_strategies(plan.engine.clone(), strategies)?;
    let publisher = Publisher::new(plan.run_mode, String::new(), None);
    let tables = Tables::open(&plan.folder, plan.mode, plan.tables(), publisher.metrics())?;
    let mut desk = Desk::new(engine, file, Digest::default(), publisher, Some(tables));
    desk.write_header(&plan.engine)?;
    let mut background = Background::default();
    background.spawn(rpc.clone().monitor());
    background.spawn(rpc.clone().keep_lines());
    let latch = KillLatch::open(&plan.latch);
    let opened = Opened { desk, wires: Vec::new() };
    let (mut session, mut sources, wires) =
        assemble(&plan, Money::Chain(signer), rpc, opened, latch, &mut background).await?;
    start::resolve(&mut session, &mut sources, wires).await?;
    start::release(&mut session)?;

    let mut floor = Floor::new(&plan.folder).context("measure what this machine can do")?;
    let (block, landed) = (Arc::new(Mutex::new(Block::new())), Arc::new(AtomicU64::new(0)));
    let recorder = Recorder { block: Arc::clone(&block), landed: Arc::clone(&landed) };
    session.desk.timers.listener = Some(Box::new(recorder));
    ready.tell();
    session.trade(&mut sources, reached(&landed, WARM)).await?;
    still_trades(&landed, WARM)?;
    take(&block);

    let blocks = BLOCKS.min(iterations.div_euclid(2)).max(1);
    let (mut all, mut floors) = (Vec::new(), Vec::new());
    let (started, begun) = (Instant::now(), landed.load(Ordering::Relaxed));
    for nth in 1..=blocks {
        let goal = begun + iterations * nth / blocks;
        session.trade(&mut sources, reached(&landed, goal)).await?;
        still_trades(&landed, goal)?;
        all.push(take(&block));
        floors.push(beside(&mut floor)?);
        told(landed.load(Ordering::Relaxed).saturating_sub(begun).min(iterations));
    }
    let seconds = started.elapsed().as_secs_f64();
    let done = landed.load(Ordering::Relaxed).saturating_sub(begun);

    // Counting pages takes time at the end of every stage, so nothing is timed any more.
    session.desk.timers.meter = PageMeter::start().map(Box::new);
    let (from, paged) = (landed.load(Ordering::Relaxed), (iterations / 5).clamp(5, 40));
    session.trade(&mut sources, reached(&landed, from + paged)).await?;
    let paged = landed.load(Ordering::Relaxed).saturating_sub(from);
    let pages = session.desk.timers.meter.take().map(|meter| meter.pages()).unwrap_or_default();

    session.desk.timers.listener = None;
    session.wind_down(&mut sources).await?;
    let (_, _, publisher) = session.desk.close()?;
    let stages = Stage::ALL.into_iter().zip(pages).filter_map(|(stage, pages)| {
        let mut times: Vec<f64> = Vec::new();
        let mut blocks_ns = Vec::with_capacity(all.len());
        for Block(block) in &mut all {
            let of = block.get_mut(stage as usize)?;
            blocks_ns.push((!of.is_empty()).then(|| middle(of)));
            times.append(of);
        }
        let summary = summary(&mut times)?;
        Some(RecordedStage { stage, summary, blocks_ns, pages })
    });
    Ok(Recorded {
        iterations: done,
        slot_ms: wanted.slot_ms,
        seconds,
        stages: stages.collect(),
        floors,
        orders: publisher.counts(),
        rss_mb: crate::telemetry::rss_mb().unwrap_or_default(),
        rss_peak_mb: crate::telemetry::rss_peak_mb().unwrap_or_default(),
        paged,
    })
}

/// Done when so many trades have landed, or when none does any more. It is asked at every turn of the loop, and a landing
/// makes one.
fn reached(landed: &Arc<AtomicU64>, goal: u64) -> impl Future<Output = ()> + use<> {
    let landed = Arc::clone(landed);
    let mut silence = Box::pin(tokio::time::sleep(SILENCE));
    let mut seen = landed.load(Ordering::Relaxed);
    std::future::poll_fn(move |cx| {
        let now = landed.load(Ordering::Relaxed);
        if now >= goal {
            return Poll::Ready(());
        }
        if now != seen {
            seen = now;
            silence.as_mut().reset(tokio::time::Instant::now() + SILENCE);
        }
        silence.as_mut().poll(cx)
    })
}

fn still_trades(landed: &AtomicU64, goal: u64) -> anyhow::Result<()> {
    if landed.load(Ordering::Relaxed) >= goal {
        return Ok(());
    }
    let what = format!("the next of {goal} trades on the local chain");
    Err(TimedOut { what, seconds: SILENCE.as_secs() }.into())
}

fn take(block: &Mutex<Block>) -> Block {
    let mut block = block.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *block, Block::new())
}

/// The floor right now: the middle of a few looks.
fn beside(floor: &mut Floor) -> anyhow::Result<FloorTimes> {
    let (mut compute, mut disk) = (Vec::new(), Vec::new());
    for _ in 0..FLOORS {
        let FloorTimes { compute_ns, disk_ns } = floor.measure()?;
        compute.push(compute_ns);
        disk.push(disk_ns);
    }
    let times = FloorTimes { compute_ns: median(&mut compute), disk_ns: median(&mut disk) };
    if times.compute_ns <= 0.0 || times.disk_ns <= 0.0 {
        let what = "the machine's clock does not move: no time can be trusted".to_owned();
        return Err(CheckFailed { what }.into());
    }
    Ok(times)
}

/// The exact quantiles of times in nanoseconds; none without any.
fn summary(times: &mut [f64]) -> Option<StageSummary> {
    times.sort_by(f64::total_cmp);
    let at = |thousandths: usize| {
        let rank = (times.len() * thousandths).div_ceil(1_000).max(1);
        times.get(rank - 1).map(|ns| ns / 1e3)
    };
    Some(StageSummary {
        count: u64::try_from(times.len()).unwrap_or(u64::MAX),
        p50: at(500)?,
        p95: at(950)?,
        p99: at(990)?,
        max: at(1_000)?,
        total: times.iter().sum::<f64>() / 1e3,
    })
}
