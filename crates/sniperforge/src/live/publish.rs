//! From engine state to the picture that the page, Prometheus and summaries read.
//!
//! Built a few times a second, off the path of an order; the page never sees the engine itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Closed, Effect, ModeCause, StopCause};
use sniper_core::execution::State;
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::ledger::Account;
use sniper_core::order::{Outcome, Reason};
use sniper_core::risk::Mode;
use sniper_core::units::{Atoms, Bps, Lamports, Timestamp, Usd};

use crate::telemetry::{
    CashView, EndpointView, EquityCurve, EquityView, HealthView, LogRing, OpenOrderView,
    OrderCounts, PositionView, RiskMode, RunMode, StageTimers, StrategyView, TRADES_MAX, TradeView,
    View, now_ms, rss_mb, rss_peak_mb, token_amount,
};

/// Landed swaps by what they went through.
#[derive(Clone, Debug, Default)]
pub(super) struct SwapCounts {
    /// Swaps by kind of pool.
    pub(super) by_kind: BTreeMap<&'static str, u64>,
    /// Orders through more than one kind.
    pub(super) across: u64,
}

/// Keeps what the engine itself forgets: the curve, the last trades, the causes.
pub(super) struct Publisher {
    view: Arc<ArcSwap<View>>,
    mode: RunMode,
    wallet: String,
    log: Option<LogRing>,
    started: Instant,
    curve: EquityCurve,
    trades: VecDeque<TradeView>,
    counts: OrderCounts,
    kinds: SwapCounts,
    start: Option<Usd>,
    drawdown_max: Bps,
    risk_cause: String,
    /// The profit of a trade is told just before the end of its order.
    profit: Option<(OrderId, Usd)>,
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
            counts: OrderCounts::default(),
            kinds: SwapCounts::default(),
            start: None,
            drawdown_max: Bps::ZERO,
            risk_cause: String::new(),
            profit: None,
        }
    }

    /// Where the newest picture is found.
    pub(super) fn view(&self) -> Arc<ArcSwap<View>> {
        Arc::clone(&self.view)
    }

    /// Orders so far, by what became of them.
    pub(super) const fn counts(&self) -> OrderCounts {
        self.counts
    }

    pub(super) const fn swaps(&self) -> &SwapCounts {
        &self.kinds
    }

    /// The mode that holds now has another cause than its command says.
    pub(super) fn halted_by_the_disk(&mut self) {
        "the journal cannot be written".clone_into(&mut self.risk_cause);
    }

    /// Takes note of an effect.
    pub(super) fn note(&mut self, effect: &Effect, engine: &MultiStrategyEngine) {
        match effect {
            Effect::Submit(order) => {
                self.counts.submitted += 1;
                self.counts.unpriced += u64::from(order.is_unpriced());
            }
            Effect::Refused { .. } => self.counts.refused += 1,
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
            Effect::Alert(_) => {}
        }
    }

    fn note_end(&mut self, closed: &Closed, engine: &MultiStrategyEngine) {
        let counter = match &closed.outcome {
            Outcome::Filled { .. } => &mut self.counts.landed,
            Outcome::Reverted { .. } => &mut self.counts.reverted,
            Outcome::Expired => &mut self.counts.expired,
            Outcome::Rejected(_) => &mut self.counts.rejected,
        };
        *counter += 1;
        let Outcome::Filled { deltas, fee, .. } = &closed.outcome else { return };
        let order = &closed.order;
        let pools = order.legs().iter().filter_map(|leg| engine.market().pool(leg.hop.pool));
        let mut kinds: Vec<_> = pools.map(|pool| pool.live.kind()).collect();
        for kind in &kinds {
            *self.kinds.by_kind.entry(kind.name()).or_default() += 1;
        }
        kinds.dedup();
        self.kinds.across += u64::from(kinds.len() > 1);
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
        health: HealthView,
        endpoints: Vec<EndpointView>,
    ) {
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
            orders: self.counts,
            trades: self.trades.iter().cloned().collect(),
            refusals: engine.refusals().iter().map(|(name, n)| (name.to_string(), *n)).collect(),
            latency: timers.snapshot(),
            endpoints,
            rss_mb: rss_mb().unwrap_or_default(),
            rss_peak_mb: rss_peak_mb().unwrap_or_default(),
            log: self.log.as_ref().map(LogRing::tail).unwrap_or_default(),
        };
        self.view.store(Arc::new(view));
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

fn strategies(engine: &MultiStrategyEngine) -> Vec<StrategyView> {
    let books = (0_u8..).map(StrategyId).zip(engine.portfolio().books());
    books
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
    }
}
