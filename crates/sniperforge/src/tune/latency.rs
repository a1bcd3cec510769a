//! Reads and notices, by the pool and the feed that the engine uses, two ways beside each other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sniper_core::ids::Address;
use sniper_solana::feed::{FeedEvent, ReconnectionHandler, Watch, WebSocketManager};
use sniper_solana::rpc::{Commitment, EndpointConfig, RpcConnectionPool};
use tokio::task::JoinSet;

use super::trial::{Measured, longest, mean, turns};
use crate::config::{Config, Tuning};

/// Reads a second of each way at most, and the part of an endpoint's budget that both together may take.
const RATE_MAX: u32 = 50;
const BUDGET_PART: u32 = 2;
/// What a read that failed counts for: the longest that one may take.
const FAILED_MS: f64 = 5_000.0;
/// Shortest time for notices: a slot takes 400 ms, and sixteen are wanted.
const LISTEN_MIN: Duration = Duration::from_secs(6);
/// The account that changes in every slot.
const CLOCK: Address = Address::from_str_const("SysvarC1ock11111111111111111111111111111111");

/// One way: a pool, and how its feed is set up.
pub(super) struct Way {
    pool: RpcConnectionPool,
    tuning: Tuning,
}

impl Way {
    /// Half of each endpoint's budget; nobody looks after the pool but its reads.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let half = |endpoint: &EndpointConfig| endpoint.clone().with_share(1, 2);
        let endpoints = config.node.endpoints.iter().map(half).collect();
        let settings = config.tuning.pool(config.node.genesis_hash);
        let pool = RpcConnectionPool::connect(endpoints, settings).await;
        Ok(Self { pool: pool.context("reach the endpoints")?, tuning: config.tuning })
    }
}

/// What came of both ways.
pub(super) struct Both {
    /// Milliseconds of each read, in order.
    reads: [Vec<f64>; 2],
    /// Milliseconds by which each slot was told after the first that told it, and one.
    notices: [Vec<f64>; 2],
}

impl Both {
    pub(super) fn mean_read(&self) -> Measured {
        let [before, after] = &self.reads;
        Measured::of("reads, mean", "ms", [turns(before, mean), turns(after, mean)])
    }

    pub(super) fn slowest_read(&self) -> Measured {
        let [before, after] = &self.reads;
        Measured::of(
            "slowest read of a turn",
            "ms",
            [turns(before, longest), turns(after, longest)],
        )
    }

    pub(super) fn notices(&self) -> Measured {
        Measured::of("delay of a notice and 1", "ms", self.notices.clone())
    }
}

/// Measures reads of two ways at the same time, and notices as well where these are listened to.
pub(super) async fn measure(
    ways: [&Config; 2],
    span: Duration,
    listens: bool,
) -> anyhow::Result<Both> {
    let [config, after] = ways;
    let ways = [Way::open(config).await?, Way::open(after).await?];
    // Whom to prefer and how long to wait for it is known by experience.
    load(&ways, rate(config), span / 3).await;
    if !listens {
        return Ok(Both {
            reads: load(&ways, rate(config), span).await,
            notices: Default::default(),
        });
    }
    let [first, second] = &ways;
    let listen = span.max(LISTEN_MIN);
    let (reads, first, second) =
        tokio::join!(load(&ways, rate(config), span), hear(first, listen), hear(second, listen));
    Ok(Both { reads, notices: delays(&first?, &second?) })
}

/// Reads a second of each way.
fn rate(config: &Config) -> u32 {
    let rates = config.node.endpoints.iter().map(EndpointConfig::requests_per_second);
    (rates.min().unwrap_or(1) / BUDGET_PART / 2).clamp(1, RATE_MAX)
}

/// Reads both ways in turn, each when it is due, whether earlier ones are answered or not.
async fn load(ways: &[Way; 2], rate: u32, span: Duration) -> [Vec<f64>; 2] {
    let every = Duration::from_secs(1) / (rate * 2);
    let begun = Instant::now();
    let mut reads = JoinSet::new();
    for nth in 0_u32.. {
        let due = begun + every * nth;
        if due.duration_since(begun) >= span {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let Some((arm, way)) = ways.iter().enumerate().nth((nth % 2) as usize) else { continue };
        let pool = way.pool.clone();
        // Of another account each time: what others ask at the same moment would be shared.
        let mut key = [9; 32];
        key.iter_mut().zip(nth.to_le_bytes()).for_each(|(byte, own)| *byte = own);
        let keys = [Address::new_from_array(key)];
        reads.spawn(async move {
            let read = pool.multiple_accounts(&keys, Commitment::Processed, None).await;
            // From when it was to be sent.
            let took = due.elapsed().as_secs_f64() * 1_000.0;
            (arm, nth, if read.is_ok() { took } else { FAILED_MS })
        });
    }
    let mut done: [BTreeMap<u32, f64>; 2] = Default::default();
    while let Some(read) = reads.join_next().await {
        let Ok((arm, nth, took)) = read else { continue };
        if let Some(done) = done.get_mut(arm) {
            done.insert(nth, took);
        }
    }
    done.map(|done| done.into_values().collect())
}

/// When the feed told of each slot.
async fn hear(way: &Way, span: Duration) -> anyhow::Result<BTreeMap<u64, Instant>> {
    let (pool, settings) = (way.pool.clone(), way.tuning.feed());
    let mut manager = WebSocketManager::new(pool, settings, ReconnectionHandler::default());
    let mut feed = manager.start_optimized_feeds(vec![Watch::own_lamports(CLOCK)])?;
    let mut told = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + span;
    while let Ok(Some(event)) = tokio::time::timeout_at(deadline, feed.recv()).await {
        if let FeedEvent::Slot { slot, received } = event {
            told.entry(slot.get()).or_insert(received);
        }
    }
    Ok(told)
}

/// By how much each way told the slots that both have told after the other, in milliseconds, and one: what is less than
/// that is no difference. The first of either may be old news.
fn delays(first: &BTreeMap<u64, Instant>, second: &BTreeMap<u64, Instant>) -> [Vec<f64>; 2] {
    let begun = first.keys().next().max(second.keys().next()).copied().unwrap_or(u64::MAX);
    let both = first
        .iter()
        .filter(|(slot, _)| **slot > begun)
        .filter_map(|(slot, one)| Some((*one, *second.get(slot)?)));
    let after = |one: Instant, other: Instant| {
        one.saturating_duration_since(other).as_secs_f64() * 1_000.0 + 1.0
    };
    both.map(|(one, other)| (after(one, other), after(other, one))).unzip().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_that_tells_a_slot_later_has_the_delay_and_old_news_do_not_count() {
        let begun = Instant::now();
        let told = |slots: &[(u64, u64)]| -> BTreeMap<u64, Instant> {
            slots.iter().map(|(slot, at)| (*slot, begun + Duration::from_millis(*at))).collect()
        };
        let first = told(&[(1, 0), (2, 400), (3, 800), (5, 1_600)]);
        let second = told(&[(2, 900), (3, 830), (4, 1_200), (5, 1_590)]);
        let [first, second] = delays(&first, &second);
        let near = |figures: &[f64], wanted: [f64; 2]| {
            figures.len() == 2 && figures.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6)
        };
        assert!(near(&first, [1.0, 11.0]) && near(&second, [31.0, 1.0]), "{first:?} {second:?}");
    }
}
