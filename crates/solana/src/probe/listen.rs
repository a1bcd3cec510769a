//! Subscriptions: whether notices come, and how much later than those of the others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use thiserror::Error;
use tokio_tungstenite::tungstenite::Message;

use super::ask::CLOCK;
use super::percentile;
use crate::feed::{PATIENCE, Socket, connect};
use crate::rpc::EndpointConfig;

/// Most notices of one kind that are kept: the slots of half an hour.
const NOTICES_MAX: usize = 4_096;
const SLOT_ID: u64 = 1;
const ACCOUNT_ID: u64 = 2;

/// Why nothing was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotHeard {
    /// The endpoint was not asked, as it is not what it should be.
    #[error("not asked")]
    NotAsked,
    /// No connection could be made.
    #[error("no WebSocket connection within {} s", PATIENCE.as_secs())]
    NotConnected,
    /// A subscription was refused.
    #[error("a subscription was refused with {code}")]
    Refused {
        /// The node's number.
        code: i64,
    },
    /// The connection ended.
    #[error("the connection ended while it was listened to")]
    Ended,
    /// Subscriptions were not acknowledged.
    #[error("subscriptions were not acknowledged")]
    Unacknowledged,
}

/// What a connection told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Until it was there.
    pub connected: Duration,
    /// From then until both subscriptions were acknowledged.
    pub acknowledged: Duration,
    /// When each slot was told.
    slots: BTreeMap<u64, Instant>,
    /// When each version of the watched account was told, by slot.
    accounts: BTreeMap<u64, Instant>,
    /// How much later than the first of all endpoints slots came, ascending.
    pub slot_delays: Vec<Duration>,
    /// The same for versions of the account.
    pub account_delays: Vec<Duration>,
    /// Slots that another told, between the first and the last told here, and this one did not.
    pub missed: usize,
}

impl Heard {
    /// Slots told.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Versions of the watched account told.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// The later of the two delays that this share of the notices did not exceed, in hundredths.
    #[must_use]
    pub fn delay(&self, percent: usize) -> Option<Duration> {
        percentile(&self.slot_delays, percent).max(percentile(&self.account_delays, percent))
    }
}

/// Listens to the slot clock and to an account that changes in every slot.
pub(super) async fn listen(endpoint: &EndpointConfig, span: Duration) -> Result<Heard, NotHeard> {
    let begun = Instant::now();
    let connecting = tokio::time::timeout(PATIENCE, connect(endpoint)).await;
    let Ok(Ok(mut socket)) = connecting else { return Err(NotHeard::NotConnected) };
    let connected = begun.elapsed();
    let mut heard = Heard { connected, ..Heard::default() };
    let outcome = hear(&mut socket, &mut heard, span).await;
    // Best effort: the node forgets our subscriptions with the connection.
    drop(tokio::time::timeout(Duration::from_millis(250), socket.close(None)).await);
    outcome.map(|()| heard)
}

async fn hear(socket: &mut Socket, heard: &mut Heard, span: Duration) -> Result<(), NotHeard> {
    let begun = Instant::now();
    let account = json!([CLOCK, {"encoding": "base64", "commitment": "processed"}]);
    for (id, method, params) in
        [(SLOT_ID, "slotSubscribe", json!([])), (ACCOUNT_ID, "accountSubscribe", account)]
    {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let sent = socket.send(Message::text(request.to_string())).await;
        sent.map_err(|_| NotHeard::Ended)?;
    }
    let mut waiting = vec![SLOT_ID, ACCOUNT_ID];
    let deadline = tokio::time::Instant::now() + span;
    loop {
        let frame = match tokio::time::timeout_at(deadline, socket.next()).await {
            Err(_) if waiting.is_empty() => return Ok(()),
            Err(_) => return Err(NotHeard::Unacknowledged),
            Ok(Some(Ok(Message::Text(text)))) => text,
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => return Err(NotHeard::Ended),
            Ok(Some(Ok(_))) => continue,
        };
        let now = Instant::now();
        let Ok(frame) = serde_json::from_str::<Value>(&frame) else { continue };
        if let Some(id) = frame.get("id").and_then(Value::as_u64) {
            if let Some(code) = frame.pointer("/error/code") {
                return Err(NotHeard::Refused { code: code.as_i64().unwrap_or_default() });
            }
            waiting.retain(|one| *one != id);
            if waiting.is_empty() && heard.acknowledged.is_zero() {
                heard.acknowledged = begun.elapsed();
            }
        }
        heard.take(&frame, now);
    }
}

impl Heard {
    fn take(&mut self, frame: &Value, now: Instant) {
        let method = frame.get("method").and_then(Value::as_str);
        let (known, slot) = match method {
            Some("slotNotification") => (&mut self.slots, "/params/result/slot"),
            Some("accountNotification") => (&mut self.accounts, "/params/result/context/slot"),
            _ => return,
        };
        if let Some(slot) = frame.pointer(slot).and_then(Value::as_u64)
            && known.len() < NOTICES_MAX
        {
            known.entry(slot).or_insert(now);
        }
    }
}

/// Fills in how much later than the first each of several told what it told.
pub(super) fn compare(all: &mut [Result<Heard, NotHeard>]) {
    let heard = || all.iter().flatten();
    let slots = firsts(heard().map(|one| &one.slots));
    let accounts = firsts(heard().map(|one| &one.accounts));
    for one in all.iter_mut().flatten() {
        one.slot_delays = delays(&one.slots, &slots);
        one.account_delays = delays(&one.accounts, &accounts);
        let bounds = one.slots.first_key_value().zip(one.slots.last_key_value());
        one.missed = bounds.map_or(0, |((first, _), (last, _))| {
            slots.range(first..=last).filter(|(slot, _)| !one.slots.contains_key(slot)).count()
        });
    }
}

fn firsts<'a>(all: impl Iterator<Item = &'a BTreeMap<u64, Instant>>) -> BTreeMap<u64, Instant> {
    let mut firsts = BTreeMap::new();
    for (slot, at) in all.flatten() {
        firsts
            .entry(*slot)
            .and_modify(|first: &mut Instant| *first = (*at).min(*first))
            .or_insert(*at);
    }
    firsts
}

/// Ascending. What was told to one that came later than the rest says nothing of delay, but does no harm: it is early.
fn delays(own: &BTreeMap<u64, Instant>, firsts: &BTreeMap<u64, Instant>) -> Vec<Duration> {
    let delay = |(slot, at): (&u64, &Instant)| {
        firsts.get(slot).map(|first| at.saturating_duration_since(*first))
    };
    let mut delays: Vec<_> = own.iter().filter_map(delay).collect();
    delays.sort_unstable();
    delays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(notices: &[(u64, u64)], start: Instant) -> Result<Heard, NotHeard> {
        let mut heard = Heard::default();
        for (slot, at_ms) in notices {
            let frame = json!({"method": "slotNotification", "params": {"result": {"slot": slot}}});
            heard.take(&frame, start + Duration::from_millis(*at_ms));
        }
        Ok(heard)
    }

    #[test]
    fn delays_are_against_the_first_of_all_and_a_slot_left_out_is_missed() {
        let start = Instant::now();
        let mut all = [
            told(&[(1, 0), (2, 400), (3, 800)], start),
            told(&[(1, 30), (3, 790), (3, 900)], start),
            Err(NotHeard::NotConnected),
        ];
        compare(&mut all);
        let ms = |one: &Result<Heard, NotHeard>| -> Vec<u128> {
            one.as_ref().unwrap().slot_delays.iter().map(Duration::as_millis).collect()
        };
        assert_eq!((ms(&all[0]), ms(&all[1])), (vec![0, 0, 10], vec![0, 30]));
        assert_eq!((all[0].as_ref().unwrap().missed, all[1].as_ref().unwrap().missed), (0, 1));
        assert_eq!(all[1].as_ref().unwrap().delay(95), Some(Duration::from_millis(30)));
    }

    #[test]
    fn what_is_no_notice_is_passed_over_and_the_store_is_bounded() {
        let now = Instant::now();
        let mut heard = Heard::default();
        for frame in [
            json!(null),
            json!({"method": "slotNotification"}),
            json!([1]),
            json!({"method": "slotNotification", "params": {"result": {"slot": "7"}}}),
        ] {
            heard.take(&frame, now);
        }
        assert_eq!(heard.slots(), 0);
        for slot in 0..10_000 {
            let frame = json!({"method": "slotNotification", "params": {"result": {"slot": slot}}});
            heard.take(&frame, now);
        }
        assert_eq!(heard.slots(), NOTICES_MAX);
    }
}
