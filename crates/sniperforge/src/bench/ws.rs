//! How soon a slot is known: by subscription and by asking again and again, at one endpoint and at all of them.
//!
//! Slots have no date of birth that could be read. The first that knows of one, whoever it is, counts as its birth; on
//! the local chain a subscription past every proxy takes part, so that the birth is seen where nothing is late. A node may
//! tell subscribers of a slot when it begins, and who asks only when it is done: that is part of what asking costs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sniper_core::ids::Address;
use sniper_solana::feed::{FeedEvent, FeedSettings, ReconnectionHandler, Watch, WebSocketManager};
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use tokio::task::JoinSet;

use super::arms::Arm;
use super::field::Field;
use super::row::Row;

/// Changes in every slot.
const CLOCK: Address = Address::from_str_const("SysvarC1ock11111111111111111111111111111111");
/// Times a second that one who asks asks, at most.
const RATE_MAX: u32 = 10;
const ARMS: [&str; 4] = ["ws.one", "ws.all", "poll.one", "poll.all"];
/// The feed of all endpoints on the local chain, of which one is late now and then, milliseconds.
const DELAY_MAX_MS: f64 = 100.0;

/// When each slot was known at first.
type Known = BTreeMap<u64, Instant>;

pub(super) async fn measure(field: &Field, span: Duration) -> anyhow::Result<Vec<Row>> {
    let share = (1, 4);
    let rate = (field.rate() / 4).clamp(1, RATE_MAX);
    let mut arms = JoinSet::new();
    for (nth, count) in [1, usize::MAX].into_iter().enumerate() {
        let (listened, asked) =
            (field.pool(count, share, true).await?, field.pool(count, share, true).await?);
        arms.spawn(async move { (nth, listen(listened, span).await) });
        arms.spawn(async move { (nth + 2, Ok(ask(asked, rate, span).await)) });
    }
    if let Some(truth) = &field.truth {
        let truth = field.connect(vec![truth.clone()], false).await?;
        arms.spawn(async move { (ARMS.len(), listen(truth, span).await) });
    }
    let mut known: Vec<Known> = vec![Known::new(); ARMS.len() + 1];
    while let Some(done) = arms.join_next().await {
        let (nth, slots) = done.context("wait for those who listen")?;
        if let Some(place) = known.get_mut(nth) {
            *place = slots?;
        }
    }
    let (mut delays, slots) = delays(&known)?;
    let mut rows = vec![Row::told("ws.slots", super::arms::figure(slots), "slots")];
    for (arm, name) in delays.iter_mut().zip(ARMS) {
        rows.extend(arm.rows(name));
    }
    let [_, ws, _, poll, ..] = &mut delays[..] else { return Ok(rows) };
    let local = |limit: f64| field.is_local().then_some(limit);
    let (ws_p50, ws_p95, poll_p50) = (ws.ms(50), ws.ms(95), poll.ms(50));
    rows.push(
        Row::told("ws.all_to_poll_all.p50", ws_p50 / poll_p50, "times")
            .at_most(local(1.0))
            .in_any_build(),
    );
    rows.push(
        Row::told("ws.all.delay.p95", ws_p95, "ms")
            .wished(DELAY_MAX_MS / 2.0)
            .at_most(local(DELAY_MAX_MS))
            .in_any_build(),
    );
    Ok(rows)
}

/// The feed, as the engine uses it.
async fn listen(pool: RpcConnectionPool, span: Duration) -> anyhow::Result<Known> {
    let settings = FeedSettings::default();
    let mut manager = WebSocketManager::new(pool, settings, ReconnectionHandler::default());
    let mut feed = manager.start_optimized_feeds(vec![Watch::own_lamports(CLOCK)])?;
    let mut known = Known::new();
    let deadline = tokio::time::Instant::now() + span;
    while let Ok(Some(event)) = tokio::time::timeout_at(deadline, feed.recv()).await {
        if let FeedEvent::Slot { slot, received } = event {
            known.entry(slot.get()).or_insert(received);
        }
    }
    Ok(known)
}

/// Asks at a steady rate, whether answers come or not.
async fn ask(pool: RpcConnectionPool, rate: u32, span: Duration) -> Known {
    let mut known = Known::new();
    // A little off the even second, so that questions wander through the slots and do not march with them.
    let (every, begun) = (Duration::from_millis(1_030) / rate, Instant::now());
    let mut asked = JoinSet::new();
    let mut nth = 0_u32;
    while begun.elapsed() < span {
        tokio::time::sleep_until((begun + every * nth).into()).await;
        nth += 1;
        let pool = pool.clone();
        asked.spawn(async move { (pool.slot(Commitment::Processed).await, Instant::now()) });
        while let Some(done) = asked.try_join_next() {
            note(&mut known, done.ok());
        }
    }
    while let Some(done) = asked.join_next().await {
        note(&mut known, done.ok());
    }
    known
}

type Answer = (Result<sniper_core::units::Slot, sniper_solana::rpc::RpcError>, Instant);

fn note(known: &mut Known, answer: Option<Answer>) {
    if let Some((Ok(slot), at)) = answer {
        known.entry(slot.get()).and_modify(|first| *first = at.min(*first)).or_insert(at);
    }
}

/// How much later than the first each of the arms knew the slots that all of them have heard of, and how many these were.
fn delays(known: &[Known]) -> anyhow::Result<(Vec<Arm>, usize)> {
    let told = || known.iter().filter(|known| !known.is_empty());
    // Beyond the first of each, which may be old news, and up to what everybody has come to know.
    let first = told().filter_map(|known| Some(*known.first_key_value()?.0)).max();
    let last = told().filter_map(|known| Some(*known.last_key_value()?.0)).min();
    let all = (first.context("nobody has heard of a slot")?, last.unwrap_or_default());
    ensure!(all.0 < all.1, "too few slots were heard of: measure for longer");
    let mut arms: Vec<Arm> = known.iter().map(|_| Arm::default()).collect();
    let mut slots = 0;
    let own: std::collections::BTreeSet<u64> = told().flatten().map(|(slot, _)| *slot).collect();
    for slot in own.range(all.0 + 1..=all.1) {
        // Who knows a later slot knows of this one.
        let at = |known: &Known| known.range(*slot..).map(|(_, at)| *at).min();
        let Some(birth) = told().filter_map(at).min() else { continue };
        slots += 1;
        for (arm, known) in arms.iter_mut().zip(known) {
            match at(known) {
                Some(at) => arm.took(at.saturating_duration_since(birth)),
                None => arm.failed(),
            }
        }
    }
    Ok((arms, slots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_against_the_first_and_a_later_slot_tells_of_those_before() {
        let begun = Instant::now();
        let known = |list: &[(u64, u64)]| -> Known {
            list.iter().map(|(slot, ms)| (*slot, begun + Duration::from_millis(*ms))).collect()
        };
        let quick = known(&[(1, 0), (2, 100), (3, 200), (4, 300)]);
        let asks = known(&[(1, 50), (3, 250), (4, 350)]);
        let (mut arms, slots) = delays(&[quick, asks]).unwrap();
        assert_eq!((slots, arms[0].count(), arms[1].count()), (3, 3, 3));
        assert!(arms[0].ms(99) < 1e-9);
        assert!((arms[1].ms(99) - 150.0).abs() < 1e-9, "slot 2 was known with slot 3 alone");
        assert!((arms[1].ms(50) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn where_nobody_hears_of_a_slot_there_is_no_figure() {
        assert!(delays(&[Known::new(), Known::new()]).is_err());
    }
}
