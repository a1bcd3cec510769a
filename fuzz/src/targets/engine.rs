//! The whole engine, stepped through any events that a journal can hold.

use serde::Deserialize;
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{Event, Stamped};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::strategy::{StrategyKind, arbitrage, mean_reversion, momentum, trend};
use sniper_core::units::{Seq, Timestamp, Usd};

/// More events than a run needs to show something.
const EVENTS_MAX: usize = 400;

/// An event and how long after the last it came.
#[derive(Deserialize, serde::Serialize)]
pub struct Later {
    /// Microseconds.
    pub after: u32,
    /// What happened.
    pub event: Event,
}

/// Steps an engine with every strategy through a stream of events, twice: the same effects come out.
pub fn steps(data: &[u8]) {
    let first = run(data);
    assert_eq!(first, run(data), "the same events have the same effects");
}

fn run(mut data: &[u8]) -> Vec<u8> {
    let allowance = Allowance { budget: Usd::dollars(1_000), loss_limit: Usd::dollars(100) };
    let kinds = [
        StrategyKind::Trend(trend::Params::default()),
        StrategyKind::Momentum(momentum::Params::default()),
        StrategyKind::MeanReversion(mean_reversion::Params::default()),
        StrategyKind::Arbitrage(arbitrage::Params::default()),
    ];
    let config = EngineConfig {
        limits: Limits::default(),
        strategies: kinds.into_iter().map(|kind| Enrolled { kind, allowance }).collect(),
        candle_width: Timestamp::SECOND,
        equity_every: Timestamp::SECOND,
        operator: Some(allowance),
    };
    let mut engine = MultiStrategyEngine::new(config).expect("settings that hold");
    let mut effects = Vec::new();
    let mut trace = Vec::new();
    let mut at = 1_700_000_000_000_000_i64;
    for seq in 1.. {
        if seq > EVENTS_MAX || data.is_empty() {
            break;
        }
        let Ok((Later { after, event }, rest)) = postcard::take_from_bytes(data) else { break };
        data = rest;
        at = at.saturating_add(after.into());
        let seq = Seq::new(u64::try_from(seq).unwrap_or(u64::MAX));
        let stamped = Stamped { seq, at: Timestamp::new(at), event };
        effects.clear();
        engine.step(&stamped, &mut effects);
        trace.extend(postcard::to_allocvec(&effects).expect("effects can be written"));
    }
    trace
}
