//! The lowest layer: what holds where nothing else is written.

use sniper_core::launch::Program;
use sniper_core::risk::Limits;
use sniper_core::strategy::{arbitrage, mean_reversion, momentum, new_pool, trend};
use sniper_core::units::Usd;
use sniper_solana::fees::Urgency;

use super::raw::{
    Amount, RawArbitrage, RawConfig, RawDashboard, RawJito, RawJupiter, RawLog, RawNode,
    RawOperator, RawPerformance, RawPrices, RawRisk, RawSim, RawStore, RawStrategies, RawStrategy,
    RawTrading, RawWallet,
};

/// USD Coin on Solana's main network.
const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

/// The defaults, written as a person would.
pub(super) fn raw() -> RawConfig {
    RawConfig {
        node: RawNode {
            reserves: Some(Vec::new()),
            hedge_percentile: Some(95),
            feed_replicas: Some(2),
            ..RawNode::default()
        },
        wallet: RawWallet { keystore: Some("wallet.age".to_owned()), ..RawWallet::default() },
        trading: RawTrading {
            candle_ms: Some(60_000),
            compare_ms: Some(60_000),
            pools: Some(Vec::new()),
            usd_mints: Some(vec![USDC.to_owned()]),
            mints: Some(Vec::new()),
            trusted_mints: Some(Vec::new()),
            allowed_extensions: Some(Vec::new()),
            lookup_tables: Some(Vec::new()),
            make_lookup_table: Some(false),
            launch_programs: Some(Program::ALL.iter().map(|p| p.name().to_owned()).collect()),
            ..RawTrading::default()
        },
        prices: RawPrices {
            url: Some("https://api.jup.ag/price/v3".to_owned()),
            // Without a key, the service allows thirty questions a minute.
            every_ms: Some(2_000),
        },
        jupiter: RawJupiter {
            r#use: Some("never".to_owned()),
            url: Some("https://api.jup.ag".to_owned()),
            key_file: None,
            // What the service allows without a key.
            requests_per_minute: Some(30),
            margin_bps: Some(5),
            at_least_usd: Some(dollars(Usd::dollars(20))),
            wait_ms: Some(800),
        },
        jito: RawJito {
            r#use: Some("never".to_owned()),
            endpoints: Some(vec!["https://mainnet.block-engine.jito.wtf".to_owned()]),
            key_file: None,
            tip_lamports: Some(10_000),
            tip_cap_lamports: Some(1_000_000),
        },
        risk: risk(&Limits::default()),
        strategies: RawStrategies {
            trend: strategy(trend::Params::default()),
            momentum: strategy(momentum::Params::default()),
            mean_reversion: strategy(mean_reversion::Params::default()),
            arbitrage: strategy(arbitrage_params(&arbitrage::Params::default())),
            // What is a minute old is mostly lost: who wants it says so.
            new_pool: RawStrategy {
                enabled: Some(false),
                budget_usd: Some(dollars(Usd::dollars(50))),
                ..strategy(new_pool::Params::default())
            },
        },
        operator: RawOperator {
            budget_usd: Some(dollars(Usd::dollars(250))),
            loss_limit_usd: Some(dollars(Usd::dollars(25))),
        },
        store: RawStore {
            data_dir: Some("data".to_owned()),
            journal_keep_days: Some(30),
            log_lines: Some(100_000),
            table_batch: Some(512),
            cached_answers: Some(8),
            journal_reserve_kb: Some(4_096),
        },
        dashboard: RawDashboard {
            enabled: Some(true),
            listen: Some("127.0.0.1:8080".to_owned()),
            allow_remote: Some(false),
        },
        performance: RawPerformance {
            metrics: Some(true),
            metrics_every_ms: Some(10_000),
            metrics_file_mb: Some(16),
            metrics_files: Some(4),
            baselines: Some(String::new()),
            otlp: Some(String::new()),
            otlp_every_ms: Some(10_000),
        },
        sim: RawSim {
            cash_usd: Some(dollars(Usd::dollars(1_000))),
            lamports: Some(1_000_000_000),
            latency_ms: Some(800),
            landing_odds_bps: Some(9_500),
            seed: Some(1),
        },
        log: RawLog { level: Some("info".to_owned()), json: Some(false) },
    }
}

/// The limits as a person would write them.
fn risk(limits: &Limits) -> RawRisk {
    let millis = |span: sniper_core::units::Timestamp| Some(span.millis());
    RawRisk {
        order_value_cap_usd: Some(dollars(limits.order_value_max)),
        position_cap_usd: Some(dollars(limits.position_value_max)),
        exposure_cap_usd: Some(dollars(limits.exposure_max)),
        cash_reserve_lamports: i64::try_from(limits.fee_reserve.get()).ok(),
        price_collar_bps: Some(limits.collar.get().into()),
        exit_collar_bps: Some(limits.exit_collar.get().into()),
        reference_age_ms: millis(limits.reference_age_max),
        slippage_cap_bps: Some(limits.slippage_max.get().into()),
        stale_market_ms: millis(limits.market_age_max),
        duplicate_window_ms: millis(limits.duplicate_window),
        orders_per_minute: Some(limits.orders_per_minute_max.into()),
        open_orders: Some(limits.open_orders_max.into()),
        daily_loss_usd: Some(dollars(limits.daily_loss_max)),
        drawdown_bps: Some(limits.drawdown_max.get().into()),
        consecutive_losses: Some(limits.losses_in_row_max.into()),
        cool_down_ms: millis(limits.cool_down),
        arbitrage_margin_usd: Some(dollars(limits.arbitrage_margin)),
        compute_units_per_leg: Some(limits.compute_units_per_leg.into()),
        compute_unit_price: i64::try_from(limits.compute_unit_price).ok(),
        priority: Some(Urgency::Normal.as_str().to_owned()),
        order_ttl_ms: millis(limits.order_ttl),
    }
}

fn strategy<P: Default>(params: P) -> RawStrategy<P> {
    RawStrategy {
        enabled: Some(true),
        budget_usd: Some(dollars(Usd::dollars(250))),
        loss_limit_usd: Some(dollars(Usd::dollars(25))),
        params,
    }
}

fn arbitrage_params(params: &arbitrage::Params) -> RawArbitrage {
    RawArbitrage {
        margin_usd: Some(dollars(params.margin)),
        share: Some(params.share),
        retry_ms: Some(params.retry.millis()),
    }
}

/// Dollars as decimal text.
pub(super) fn dollars(value: Usd) -> Amount {
    let (sign, micros) = (if value.get() < 0 { "-" } else { "" }, value.get().unsigned_abs());
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let text = if rest == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest:06}").trim_end_matches('0').to_owned()
    };
    Amount(text)
}
