//! From engine state to the picture that the page, Prometheus and summaries read.
//!
//! Built a few times a second, off the path of an order; the page never sees the engine itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Alert, Closed, Effect, ModeCause, StopCause};
use sniper_core::execution::State;
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::ledger::Account;
use sniper_core::order::{Outcome, Reason};
use sniper_core::portfolio::Book;
use sniper_core::risk::Mode;
use sniper_core::units::{Atoms, Bps, Lamports, Timestamp, Usd};

use super::tally::{SwapCounts, Tally};
use crate::telemetry::baselines::Baselines;
use crate::telemetry::sentinel::Finding;
use crate::telemetry::{
    CashView, Counted, EndpointView, EquityCurve, EquityView, Expected, Gauges, HealthView,
    LogRing, MetricsCollector, MetricsFile, OpenOrderView, OrderCounts, PerformanceView,
    PositionView, RegressionView, Resources, RiskMode, RunMode, StageTimers, StrategyLatency,
    StrategyView, TRADES_MAX, TradeView, View, WAYS_MAX, WaterfallView, expectations, now_ms,
    rss_mb, rss_peak_mb, token_amount,
};

/// Keeps what the engine itself forgets: the curve, the last trades, the causes.
pub(super) struct Publisher {
    view: Arc<ArcSwap<View>>,
    mode: RunMode,
    wallet: String,
    log: Option<LogRing>,
    started: Instant,
    curve: EquityCurve,
    trades: VecDeque<TradeView>,
    tally: Tally,
    start: Option<Usd>,
    drawdown_max: Bps,
    risk_cause: String,
    /// The profit of a trade is told just before the end of its order.
    profit: Option<(OrderId, Usd)>,
    metrics: MetricsCollector,
    gauges: Gauges,
    sampled: Option<Instant>,
    ways: VecDeque<WaterfallView>,
    baselines: BTreeMap<&'static str, Expected>,
    regressions: Vec<RegressionView>,
    file: Option<(MetricsFile, Duration, Instant)>,
    #[cfg(feature = "otel")]
    collector: Option<crate::telemetry::Collector>,
}

/// How often the machine is asked what is taken of it.
const SAMPLE: Duration = Duration::from_secs(5);

/// What a picture shows that the engine does not know.
pub(super) struct Around {
    pub(super) health: HealthView,
    pub(super) endpoints: Vec<EndpointView>,
    /// Rows and transactions of the tables so far.
    pub(super) queries: u64,
}

impl Publisher {
    /// Nothing to show yet.
    pub(super) fn new(mode: RunMode, wallet: String, log: Option<LogRing>) -> Self {
        Self {
            view: Arc::new(ArcSwap::from_pointee(View::default())),
            mode,
            wallet,
            log,
            started: Instant::now(),
            curve: EquityCurve::new(),
            trades: VecDeque::with_capacity(TRADES_MAX),
            tally: Tally::default(),
            start: None,
            drawdown_max: Bps::ZERO,
            risk_cause: String::new(),
            profit: None,
            metrics: MetricsCollector::default(),
            gauges: Gauges::default(),
            sampled: None,
            ways: VecDeque::new(),
            baselines: BTreeMap::new(),
            regressions: Vec::new(),
            file: None,
            #[cfg(feature = "otel")]
            collector: None,
        }
    }

    /// Where times of calls and queries are collected.
    pub(super) fn metrics(&self) -> MetricsCollector {
        self.metrics.clone()
    }

    /// What stages are expected to take.
    pub(super) fn expect(&mut self, baselines: &Baselines) {
        self.baselines = expectations(baselines);
    }

    /// Figures go to this file, so often.
    pub(super) fn write_to(&mut self, file: MetricsFile, every: Duration) {
        self.file = Some((file, every, Instant::now()));
    }

    /// Figures and ways of orders go to this collector.
    #[cfg(feature = "otel")]
    pub(super) fn send_to(&mut self, otlp: &crate::config::Otlp) {
        match crate::telemetry::Collector::start(&otlp.endpoint, otlp.every, self.view()) {
            Ok(collector) => self.collector = Some(collector),
            // Figures are no reason not to trade.
            Err(error) => tracing::warn!(%error, "nothing is sent to the collector in this run"),
        }
    }

    /// A line of figures is to be written.
    pub(super) fn is_line_due(&self) -> bool {
        self.file.as_ref().is_some_and(|(_, every, written)| written.elapsed() >= *every)
    }

    /// Takes note of the way of a trade that has landed.
    pub(super) fn note_way(&mut self, way: WaterfallView) {
        #[cfg(feature = "otel")]
        if let Some(collector) = &self.collector {
            collector.order(&way);
        }
        self.ways.truncate(WAYS_MAX.saturating_sub(1));
        self.ways.push_front(way);
    }

    /// Takes note of a stage that has become slower, or is as expected again.
    pub(super) fn note_finding(&mut self, finding: &Finding) {
        let stage = finding.stage.as_str();
        self.regressions.retain(|known| known.stage != stage);
        if let Some(change) = finding.change {
            let is_budget = finding.is_budget;
            self.regressions.push(RegressionView { stage, change, is_budget, since_ms: now_ms() });
        }
    }

    /// Where the newest picture is found.
    pub(super) fn view(&self) -> Arc<ArcSwap<View>> {
        Arc::clone(&self.view)
    }

    /// Orders so far, by what became of them.
    pub(super) const fn counts(&self) -> OrderCounts {
        self.tally.orders
    }

    pub(super) const fn swaps(&self) -> &SwapCounts {
        &self.tally.swaps
    }

    /// The mode that holds now has another cause than its command says.
    pub(super) fn halted_by_the_disk(&mut self) {
        "the journal cannot be written".clone_into(&mut self.risk_cause);
    }

    /// Takes note of an effect.
    pub(super) fn note(&mut self, effect: &Effect, engine: &MultiStrategyEngine) {
        match effect {
            Effect::Submit(order) => {
                self.tally.orders.submitted += 1;
                self.tally.orders.unpriced += u64::from(order.is_unpriced());
            }
            Effect::Refused { .. } => self.tally.orders.refused += 1,
            Effect::Closed(closed) => self.note_end(closed, engine),
            Effect::Trade(trade) => self.profit = Some((trade.order, trade.profit)),
            Effect::Mode { mode, cause } => {
                self.risk_cause =
                    if *mode == Mode::Run { String::new() } else { cause_text(*cause).to_owned() };
            }
            Effect::Equity(point) => {
                self.start.get_or_insert(point.equity);
                self.curve.push(point.at.millis(), point.equity);
            }
            Effect::Alert(Alert::RolledBack { order, .. }) => {
                self.tally.take_back(*order);
                let open = engine.orders().get(*order).map(|open| open.state);
                if let Some(State::Signed { signature, .. }) = open {
                    let name = bs58::encode(signature.0).into_string();
                    self.trades.retain(|trade| trade.signature != name);
                }
            }
            Effect::Alert(_) | Effect::Standing { .. } => {}
        }
    }

    fn note_end(&mut self, closed: &Closed, engine: &MultiStrategyEngine) {
        let pools = closed.order.legs().iter().filter_map(|leg| engine.market().pool(leg.hop.pool));
        let kinds = pools.map(|pool| pool.live.kind().name()).collect();
        let landed = engine.orders().provisional();
        let is_provisional = |id| landed.iter().any(|landing| landing.order.id() == id);
        self.tally.end(closed.order.id(), &closed.outcome, kinds, is_provisional);
        let Outcome::Filled { deltas, fee, .. } = &closed.outcome else { return };
        let order = &closed.order;
        let moved = |mint: MintId| {
            let atoms = deltas.iter().filter(|(m, _)| *m == mint).map(|(_, d)| d.unsigned_abs());
            amount(engine, mint, Atoms::new(atoms.sum()))
        };
        let what = if order.mint_in() == order.mint_out() {
            let names: Vec<String> =
                order.legs().iter().map(|l| symbol(engine, l.hop.mint_out)).collect();
            format!("{} > {}", symbol(engine, order.mint_in()), names.join(" > "))
        } else if engine.market().is_usd(order.mint_in()) {
            format!("BUY {}", moved(order.mint_out()))
        } else {
            format!("SELL {}", moved(order.mint_in()))
        };
        let pnl = self.profit.take().filter(|(id, _)| *id == order.id()).map(|(_, profit)| profit);
        self.push(TradeView {
            at_ms: closed.at.millis(),
            strategy: engine.strategy_name(order.strategy()).to_owned(),
            what,
            reason: reason(order.reason()).to_owned(),
            value: order.value(),
            fee: fee_value(engine, *fee),
            pnl,
            signature: closed
                .signature
                .map(|s| bs58::encode(s.0).into_string())
                .unwrap_or_default(),
        });
    }

    fn push(&mut self, trade: TradeView) {
        self.trades.truncate(TRADES_MAX.saturating_sub(1));
        self.trades.push_front(trade);
    }

    /// Makes a picture of everything and hands it to the readers.
    pub(super) fn publish(
        &mut self,
        engine: &MultiStrategyEngine,
        timers: &mut StageTimers,
        around: Around,
    ) {
        let _timed = crate::timed_scope!("publish");
        let rss = rss_mb().unwrap_or_default();
        self.sample(&around, rss);
        let performance = self.performance(engine, timers);
        let Around { health, endpoints, .. } = around;
        let risk = engine.risk_report();
        self.drawdown_max = self.drawdown_max.max(risk.drawdown);
        let now = engine.last().map_or(Timestamp::ZERO, |(_, at)| at);
        let equity = risk.equity.unwrap_or_default();
        let fees = engine
            .portfolio()
            .books()
            .iter()
            .fold(Usd::ZERO, |sum, book| sum.saturating_add(book.fees()));
        let view = View {
            version: env!("CARGO_PKG_VERSION"),
            mode: self.mode,
            risk: risk_mode(risk.mode),
            risk_cause: self.risk_cause.clone(),
            at_ms: now_ms(),
            uptime_s: self.started.elapsed().as_secs(),
            wallet: self.wallet.clone(),
            health,
            equity: EquityView {
                now: equity,
                start: self.start.unwrap_or(equity),
                peak: engine.peak_equity().max(equity),
                exposure: engine.portfolio().exposure(engine.market()),
                day_pnl: risk.day_profit,
                drawdown_bps: u32::from(risk.drawdown.get()),
                drawdown_max_bps: u32::from(self.drawdown_max.get()),
                fees,
            },
            curve: self.curve.points(),
            cash: cash(engine),
            positions: positions(engine),
            strategies: strategies(engine),
            open_orders: open_orders(engine, now),
            orders: self.tally.orders,
            trades: self.trades.iter().cloned().collect(),
            refusals: engine.refusals().iter().map(|(name, n)| (name.to_string(), *n)).collect(),
            performance,
            latency: timers.snapshot(),
            endpoints,
            rss_mb: rss,
            rss_peak_mb: rss_peak_mb().unwrap_or_default(),
            log: self.log.as_ref().map(LogRing::tail).unwrap_or_default(),
        };
        if self.is_line_due()
            && let Some((file, _, written)) = &mut self.file
        {
            *written = Instant::now();
            file.write(&view);
        }
        // Without a page nobody else looks, and a picture is some ten kilobytes.
        if Arc::strong_count(&self.view) > 1 {
            self.view.store(Arc::new(view));
        }
    }

    fn sample(&mut self, around: &Around, rss_mb: f64) {
        if self.sampled.is_some_and(|sampled| sampled.elapsed() < SAMPLE) {
            return;
        }
        self.sampled = Some(Instant::now());
        let requests = around.endpoints.iter().map(|endpoint| endpoint.requests).sum::<u64>();
        let others = self.metrics.apis().iter().map(|api| api.summary.count).sum::<u64>();
        let counted = Counted {
            // It never falls, for the rate's sake.
            trades: self.tally.orders.landed + self.tally.orders.landed_taken_back,
            api_calls: requests.saturating_add(others),
            queries: around.queries,
            events: around.health.events,
        };
        self.gauges.sample(self.started.elapsed(), counted, Resources::now(), now_ms(), rss_mb);
    }

    fn performance(
        &self,
        engine: &MultiStrategyEngine,
        timers: &mut StageTimers,
    ) -> PerformanceView {
        let (throughput, cpu_percent) = self.gauges.rates();
        let strategies = timers.by_strategy().into_iter().map(|(id, stages)| StrategyLatency {
            name: engine.strategy_name(id).to_owned(),
            stages,
        });
        PerformanceView {
            strategies: strategies.collect(),
            shapes: timers.shapes(),
            apis: self.metrics.apis(),
            queries: self.metrics.queries(),
            spans: self.metrics.spans(),
            throughput,
            resources: self.gauges.resources(),
            cpu_percent,
            memory: self.gauges.memory(),
            ways: self.ways.iter().cloned().collect(),
            baselines: self.baselines.clone(),
            regressions: self.regressions.clone(),
            metrics_lost: self.file.as_ref().map_or(0, |(file, ..)| file.lost()),
        }
    }
}

fn symbol(engine: &MultiStrategyEngine, mint: MintId) -> String {
    engine.market().mint(mint).map_or_else(|| "?".to_owned(), |m| m.spec.symbol.to_string())
}

fn amount(engine: &MultiStrategyEngine, mint: MintId, atoms: Atoms) -> String {
    let decimals = engine.market().mint(mint).map_or(0, |m| m.spec.decimals);
    format!("{} {}", token_amount(atoms.get(), decimals), symbol(engine, mint))
}

fn fee_value(engine: &MultiStrategyEngine, fee: Lamports) -> Usd {
    engine.market().value_up(MintId::SOL, Atoms::new(fee.get())).unwrap_or_default()
}

fn cash(engine: &MultiStrategyEngine) -> Vec<CashView> {
    let (market, ledger) = (engine.market(), engine.ledger());
    let mints = (0_u16..).map(MintId).zip(market.mints());
    mints
        .filter_map(|(id, mint)| {
            let held = u64::try_from(ledger.held(id)).ok().filter(|h| *h > 0)?;
            let reserved = u64::try_from(ledger.balance(id, Account::Reserved)).unwrap_or_default();
            // Native and wrapped SOL bear the same label; only one of them pays fees.
            let label = if id == MintId::SOL {
                "SOL (fees)".to_owned()
            } else {
                mint.spec.symbol.to_string()
            };
            Some(CashView {
                symbol: label,
                amount: token_amount(held, mint.spec.decimals),
                reserved: token_amount(reserved, mint.spec.decimals),
                value: market.value(id, Atoms::new(held)).unwrap_or_default(),
            })
        })
        .collect()
}

fn positions(engine: &MultiStrategyEngine) -> Vec<PositionView> {
    let market = engine.market();
    let books = (0_u8..).map(StrategyId).zip(engine.portfolio().books());
    books
        .flat_map(|(id, book)| book.positions().map(move |(mint, p)| (id, mint, *p)))
        .map(|(id, mint, position)| {
            let decimals = market.mint(mint).map_or(0, |m| m.spec.decimals);
            let value = market.value(mint, position.amount).unwrap_or(position.cost);
            PositionView {
                strategy: engine.strategy_name(id).to_owned(),
                symbol: symbol(engine, mint),
                amount: token_amount(position.amount.get(), decimals),
                cost: position.cost,
                value,
                pnl: value.saturating_sub(position.cost),
                opened_ms: position.opened.millis(),
            }
        })
        .collect()
}

/// Realised profit of a book plus what its positions would bring.
pub(super) fn strategy_profit(engine: &MultiStrategyEngine, id: StrategyId) -> Usd {
    let Some(book) = engine.portfolio().book(id) else { return Usd::ZERO };
    book.positions().fold(book.realised(), |sum, (mint, position)| {
        let value = engine.market().value(mint, position.amount).unwrap_or(position.cost);
        sum.saturating_add(value.saturating_sub(position.cost))
    })
}

/// Whoever has ordered nothing in the operator's name does not want to read of it.
pub(super) fn is_of_interest(engine: &MultiStrategyEngine, id: StrategyId, book: &Book) -> bool {
    let counts = &book.counts;
    engine.operator() != Some(id) || counts.submitted > 0 || counts.refused > 0
}

fn strategies(engine: &MultiStrategyEngine) -> Vec<StrategyView> {
    let books = (0_u8..).map(StrategyId).zip(engine.portfolio().books());
    books
        .filter(|(id, book)| is_of_interest(engine, *id, book))
        .map(|(id, book)| StrategyView {
            name: engine.strategy_name(id).to_owned(),
            budget: book.allowance().budget,
            used: book.used(),
            orders: book.counts.submitted,
            landed: book.counts.landed,
            reverted: book.counts.reverted,
            refused: book.counts.refused,
            pnl: strategy_profit(engine, id),
            stopped: match book.stopped() {
                None => String::new(),
                Some(StopCause::LossLimit) => "loss limit".to_owned(),
                Some(StopCause::Panicked) => "its code failed".to_owned(),
            },
        })
        .collect()
}

fn open_orders(engine: &MultiStrategyEngine, now: Timestamp) -> Vec<OpenOrderView> {
    let view = |open: &sniper_core::execution::OpenOrder| {
        let order = &open.order;
        let (state, signature) = match open.state {
            State::Submitted => ("reserved", String::new()),
            State::Signed { signature, .. } => ("signed", bs58::encode(signature.0).into_string()),
        };
        OpenOrderView {
            id: order.id().to_string(),
            strategy: engine.strategy_name(order.strategy()).to_owned(),
            pay: amount(engine, order.mint_in(), order.amount_in()),
            receive: amount(engine, order.mint_out(), order.min_out()),
            value: order.value(),
            state: state.to_owned(),
            age_ms: u64::try_from(now.saturating_sub(order.at()).millis()).unwrap_or_default(),
            signature,
        }
    };
    engine.orders().all().iter().map(view).collect()
}

const fn risk_mode(mode: Mode) -> RiskMode {
    match mode {
        Mode::Run => RiskMode::Run,
        Mode::ReduceOnly => RiskMode::ReduceOnly,
        Mode::Halt => RiskMode::Halt,
        Mode::Kill => RiskMode::Kill,
    }
}

const fn cause_text(cause: ModeCause) -> &'static str {
    match cause {
        ModeCause::Operator => "by the operator",
        ModeCause::DailyLoss => "the loss of the day reached its limit",
        ModeCause::Drawdown => "the fall from peak equity reached its limit",
        ModeCause::LedgerMismatch => "the ledger differs from the chain",
        ModeCause::UnsafeAccount => "a token account is in the hands of others",
    }
}

const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::TrendEntry => "trend_entry",
        Reason::TrendExit => "trend_exit",
        Reason::MomentumEntry => "momentum_entry",
        Reason::MomentumExit => "momentum_exit",
        Reason::ReversionEntry => "reversion_entry",
        Reason::ReversionExit => "reversion_exit",
        Reason::Arbitrage => "arbitrage",
        Reason::Stop => "stop",
        Reason::TimeStop => "time_stop",
        Reason::Unwind => "unwind",
        Reason::LaunchEntry => "launch_entry",
        Reason::TakeProfit => "take_profit",
        Reason::Unsafe => "unsafe",
        Reason::Limit => "limit",
        Reason::Operator => "operator",
    }
}
