//! A view as a busy demo would publish it, and a page serving it, for the tests of the dashboard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sniper_core::ids::StrategyId;
use sniper_core::units::Usd;
use sniperforge::dashboard::{self, Running};
use sniperforge::telemetry::{
    CashView, EndpointView, EquityCurve, EquityView, Expected, FeedView, HealthView, LogLine,
    MetricsCollector, OpenOrderView, OrderCounts, PerformanceView, PositionView, Resources,
    RunMode, Stage, StageTimers, StrategyLatency, StrategyView, Throughput, TradeView, View,
    WaterfallView, now_ms,
};
use tokio_util::sync::CancellationToken;

/// A page in service, and the way to publish to it.
pub(crate) struct Page {
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: Running,
}

impl Page {
    pub(crate) fn start(view: View) -> Self {
        let view = Arc::new(ArcSwap::from_pointee(view));
        let shutdown = CancellationToken::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = dashboard::serve(address, Arc::clone(&view), shutdown.clone()).unwrap();
        Self { view, shutdown, running }
    }

    pub(crate) fn publish(&self, view: View) {
        self.view.store(Arc::new(view));
    }
}

const STRATEGIES: [&str; 4] = ["trend", "momentum", "mean_reversion", "arbitrage"];
const SIGNATURE: &str = "5KxQn7vYw2mB8sT4cZrJ6dLhF3gPaXeU9iNoVbWqRtYk1MzC7uSvD2xEfGhJkLmN";

fn micro(dollars: f64) -> Usd {
    Usd::new((dollars * 1e6) as i64)
}

/// A repeatable wobble between -1 and 1.
fn wobble(n: f64) -> f64 {
    (n * 0.9).sin() * 0.5 + (n * 0.23 + 1.0).sin() * 0.35 + (n * 2.7).cos() * 0.15
}

/// The picture after `second` seconds of a demo.
pub(crate) fn view(second: u64) -> View {
    let (at_ms, n) = (now_ms(), second as f64);
    let mut curve = EquityCurve::new();
    let worth = |t: f64| 10_000.0 + t * 0.045 + wobble(t / 9.0) * 2.4 + wobble(t / 2.0) * 0.5;
    let (mut peak, mut now) = (10_000.0_f64, 10_000.0);
    for t in 0..=second {
        now = worth(t as f64);
        peak = peak.max(now);
        curve.push(at_ms - (second - t) as i64 * 1_000, micro(now));
    }
    View {
        version: "0.1.0",
        mode: RunMode::Demo,
        at_ms,
        uptime_s: second,
        wallet: "7nYBm5mWq3PsbTqL1ZJhLxHrRhJ9bUq1yXk2sVdGfQeT".into(),
        health: health(second),
        equity: EquityView {
            now: micro(now),
            start: Usd::dollars(10_000),
            peak: micro(peak),
            exposure: micro(142.6 + wobble(n) * 3.0),
            day_pnl: micro(now - 10_000.0),
            drawdown_bps: ((peak - now) / peak * 1e4) as u32,
            drawdown_max_bps: 7,
            fees: micro(0.0311 + n * 1e-5),
        },
        curve: curve.points(),
        cash: cash(),
        positions: positions(at_ms, n),
        strategies: strategies(),
        open_orders: open_orders(),
        orders: OrderCounts {
            submitted: 44 + second / 3,
            landed: 41 + second / 3,
            reverted: 2,
            expired: 1,
            rejected: 0,
            refused: 118,
            unpriced: 0,
            ..OrderCounts::default()
        },
        trades: trades(at_ms),
        refusals: [
            ("stale_market", 11_u64),
            ("price_collar", 4),
            ("duplicate", 23),
            ("order_rate", 9),
            ("strategy_budget", 57),
            ("below_costs", 14),
        ]
        .map(|(reason, count)| (reason.to_owned(), count))
        .into(),
        performance: performance(second, at_ms),
        latency: timers(second).snapshot(),
        endpoints: endpoints(n),
        rss_mb: 18.4 + wobble(n) * 0.2,
        rss_peak_mb: 22.1,
        log: log(at_ms),
        ..View::default()
    }
}

fn health(second: u64) -> HealthView {
    let feed = |name: &str, age_ms, messages, reconnects| FeedView {
        name: name.into(),
        age_ms,
        stale: false,
        messages,
        reconnects,
        samples: messages,
        first: messages * 3 / 5,
        late_p50_us: 0.0,
        late_p95_us: 820.0,
        late_p99_us: 2_410.0,
        round_trip_us: 390.0,
    };
    HealthView {
        ok: true,
        problems: Vec::new(),
        feeds: vec![
            feed("accounts", 38 + second % 7 * 11, 9_214 + second * 31, 0),
            feed("slots", 204, 611 + second * 2, 0),
            feed("accounts (second)", 41, 9_213 + second * 31, 1),
        ],
        slot: 412 + second * 5 / 2,
        block_height: 405 + second * 5 / 2,
        blockhash_age_ms: 1_630,
        journal_events: 9_902 + second * 34,
        journal_bytes: 1_483_120 + second * 4_011,
        store_dropped: 0,
        events: 9_902 + second * 34,
    }
}

fn cash() -> Vec<CashView> {
    let row = |symbol: &str, amount: &str, reserved: &str, value| CashView {
        symbol: symbol.into(),
        amount: amount.into(),
        reserved: reserved.into(),
        value: micro(value),
    };
    vec![
        row("USDC", "8412.204113", "62.5", 8_412.2),
        row("SOL", "9.421801986", "0.000018723", 1_450.9),
        row("BONK", "662165.66634", "662165.66634", 2.41),
        row("JUP", "0.000004", "0", 0.0),
    ]
}

fn positions(at_ms: i64, n: f64) -> Vec<PositionView> {
    let row = |strategy: &str, symbol: &str, amount: &str, cost: f64, gain: f64, held_s: i64| {
        let value = cost * (1.0 + gain);
        PositionView {
            strategy: strategy.into(),
            symbol: symbol.into(),
            amount: amount.into(),
            cost: micro(cost),
            value: micro(value),
            pnl: micro(value - cost),
            opened_ms: at_ms - held_s * 1_000,
        }
    };
    vec![
        row("trend", "SOL", "0.324118402", 49.96, 0.004 + wobble(n / 7.0) * 0.01, 48),
        row("momentum", "SOL", "0.310022178", 47.80, -0.0013, 21),
        row("mean_reversion", "BONK", "2211408.11", 44.21, 0.0008, 7),
    ]
}

fn strategies() -> Vec<StrategyView> {
    let row = |name: &str, used, orders, landed, reverted, refused, pnl| StrategyView {
        name: name.into(),
        budget: Usd::dollars(500),
        used: micro(used),
        orders,
        landed,
        reverted,
        refused,
        pnl: micro(pnl),
        stopped: String::new(),
    };
    vec![
        row("trend", 49.96, 9, 9, 0, 31, 1.2214),
        row("momentum", 97.8, 12, 12, 0, 44, -0.4108),
        row("mean_reversion", 44.21, 8, 7, 0, 26, 0.0931),
        row("arbitrage", 0.0, 15, 13, 2, 17, 2.8806),
    ]
}

fn open_orders() -> Vec<OpenOrderView> {
    let row = |id: &str, strategy: &str, pay: &str, receive: &str, state: &str, age_ms| {
        let signature = if state == "reserved" { String::new() } else { SIGNATURE.into() };
        OpenOrderView {
            id: id.into(),
            strategy: strategy.into(),
            pay: pay.into(),
            receive: receive.into(),
            value: Usd::dollars(50),
            state: state.into(),
            age_ms,
            signature,
        }
    };
    vec![
        row("10418.0", "momentum", "50 USDC", "0.322907114 SOL", "sent", 612),
        row("10431.0", "arbitrage", "50 USDC", "50.061002 USDC", "signed", 41),
    ]
}

fn trades(at_ms: i64) -> Vec<TradeView> {
    (0..18_i64)
        .map(|i| {
            let strategy = STRATEGIES[(i * 7 % 4) as usize];
            let (what, reason, pnl) = match (strategy, i % 3) {
                ("arbitrage", _) => ("USDC > SOL > USDC", "arbitrage", Some(0.0612)),
                (_, 0) => ("BUY 0.324118402 SOL", "trend_entry", None),
                (_, 1) => ("SELL 0.310022178 SOL", "momentum_exit", Some(-0.2281)),
                _ => ("SELL 2211408.11 BONK", "reversion_exit", Some(0.0931)),
            };
            TradeView {
                at_ms: at_ms - i * 4_300,
                strategy: strategy.into(),
                what: what.into(),
                reason: reason.into(),
                value: micro(50.0 - (i % 5) as f64 * 0.71),
                fee: Usd::new(765),
                pnl: pnl.map(micro),
                signature: SIGNATURE.into(),
            }
        })
        .collect()
}

/// What a stage usually takes, in nanoseconds.
const TYPICAL_NS: [(Stage, u64); 14] = [
    (Stage::FeedDelivery, 41_000),
    (Stage::Step, 3_400),
    (Stage::Market, 900),
    (Stage::Strategy, 1_900),
    (Stage::SignalMa, 420),
    (Stage::Sizing, 300),
    (Stage::Quote, 700),
    (Stage::Risk, 900),
    (Stage::Build, 21_000),
    (Stage::Sign, 17_000),
    (Stage::Journal, 96_000),
    (Stage::Send, 31_000),
    (Stage::Confirm, 812_000_000),
    (Stage::FullTrade, 813_000_000),
];

fn timers(second: u64) -> StageTimers {
    let mut timers = StageTimers::new();
    for (stage, typical) in TYPICAL_NS {
        for i in 0..200 + second {
            let spread = 1.0 + wobble(i as f64) * 0.4 + if i % 90 == 0 { 3.0 } else { 0.0 };
            let took = Duration::from_nanos((typical as f64 * spread) as u64);
            timers.record_for(stage, StrategyId((i % 4) as u8), took);
            if stage == Stage::Strategy {
                timers.record(stage, took);
            }
        }
    }
    timers
}

fn performance(second: u64, at_ms: i64) -> PerformanceView {
    let metrics = MetricsCollector::default();
    for i in 0..40 + second {
        let spread = Duration::from_micros(900 + i * 7_919 % 500);
        metrics.record_api_latency("prices", spread * 9);
        metrics.record_query_time("tables.transaction", spread);
    }
    let mut timers = timers(second);
    let strategies = timers.by_strategy().into_iter().map(|(StrategyId(id), stages)| {
        StrategyLatency { name: STRATEGIES[usize::from(id)].into(), stages }
    });
    let us = Duration::from_micros;
    let way = |nth: u64| {
        let landed = 412_000 + nth * 31_000;
        let spans = [
            (Stage::FeedDelivery, us(0), us(38)),
            (Stage::Step, us(38), us(4)),
            (Stage::Build, us(44), us(21)),
            (Stage::Sign, us(65), us(17)),
            (Stage::Journal, us(82), us(96 + nth)),
            (Stage::Send, us(178 + nth), us(31)),
            (Stage::Confirm, us(178 + nth), us(landed)),
        ];
        WaterfallView::new(STRATEGIES[nth as usize % 4], us(landed + 178 + nth), &spans)
    };
    let shapes = TYPICAL_NS.into_iter().map(|(stage, ns)| {
        let shape =
            (1..24_u64).map(|i| (ns as f64 / 1e3 * (0.6 + i as f64 / 12.0), 1 + 4_000 / (i * i)));
        (stage.as_str(), shape.collect())
    });
    let expected = |budget_us, p50_us| Expected { budget_us, p50_us, p95_us: None };
    PerformanceView {
        strategies: strategies.collect(),
        shapes: shapes.collect(),
        apis: metrics.apis(),
        queries: metrics.queries(),
        throughput: Throughput {
            trades_per_minute: 20.4,
            api_calls_per_second: 14.2,
            queries_per_second: 31.9,
            events_per_second: 212.7,
            network_bytes_per_second: 81_000.0,
        },
        resources: Resources { threads: 6, descriptors: 41, ..Resources::now() },
        cpu_percent: 2.4,
        memory: (0..120)
            .map(|i| (at_ms - (120 - i) * 5_000, 14.2 + wobble(i as f64) * 0.3))
            .collect(),
        ways: (0..6).map(way).collect(),
        baselines: [
            ("sizing", expected(Some(10_000.0), Some(0.28))),
            ("risk", expected(Some(5_000.0), Some(0.9))),
            ("sign", expected(None, Some(16.0))),
            ("full_trade", expected(Some(400_000.0), None)),
        ]
        .into(),
        ..PerformanceView::default()
    }
}

fn endpoints(n: f64) -> Vec<EndpointView> {
    let row = |name: &str, p50_us, slot_lag, error_bps, healthy, breaker: &str| EndpointView {
        name: name.into(),
        healthy,
        breaker: breaker.into(),
        p50_us,
        p95_us: p50_us * 2.2,
        p99_us: p50_us * 3.9,
        max_us: p50_us * 8.1,
        slot_lag,
        requests: 1_204,
        error_bps,
    };
    vec![
        row("localnet-a", 402.0 + wobble(n) * 20.0, 0, 0, true, "closed"),
        row("localnet-b", 2_310.0, 1, 41, true, "closed"),
        row("localnet-c", 31_800.0, 6, 1_840, false, "open"),
    ]
}

fn log(at_ms: i64) -> Vec<LogLine> {
    let lines = [
        ("INFO", "sniperforge::live", "engine ready strategies=4 pools=5"),
        ("INFO", "sniperforge::live", "order landed order=10377.0 slot=498 strategy=trend"),
        ("WARN", "sniper_solana::pool", "endpoint ejected endpoint=localnet-c slot_lag=6"),
        ("INFO", "sniperforge::live", "order landed order=10391.0 slot=503 strategy=arbitrage"),
        ("DEBUG", "sniper_solana::ws", "duplicate update dropped pool=SOL/USDC write=88121"),
        (
            "ERROR",
            "sniper_solana::send",
            "send refused endpoint=localnet-c attempt=1 error=connection reset",
        ),
        ("INFO", "sniperforge::live", "order landed order=10402.0 slot=509 strategy=momentum"),
    ];
    let line = |(index, (level, target, text)): (usize, (&'static str, &'static str, &str))| {
        LogLine { t_ms: at_ms - (20 - index as i64) * 1_700, level, target, text: text.into() }
    };
    lines.into_iter().cycle().take(20).enumerate().map(line).collect()
}
