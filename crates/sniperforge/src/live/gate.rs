//! The token gate at work: every mint that nobody vouches for is judged before it may be bought, and again and again.
//!
//! What the gate wants to know is read over RPC beside the trading; the answer comes to the engine as an event, so that a
//! replay has it, and with every reason into the tables. Until a mint was found safe, review refuses to buy it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use sniper_core::event::{Event, MarketEvent};
use sniper_core::gate::{Reason, Verdict};
use sniper_core::ids::{Address, MintId};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::judge::Judge;

/// Pause between two judgements of all mints: well within the time that a word holds.
const EVERY: Duration = Duration::from_secs(300);
/// The same of coins that have just begun to trade: what is safe now need not be in a minute.
const EVERY_NEW: Duration = Duration::from_secs(10);
/// New coins that are judged at the same time: one that a node is slow about must not hold up the others.
const AT_ONCE: usize = 4;
/// Pause after one that could not even begin.
const RETRY: Duration = Duration::from_secs(10);

/// A mint to be judged, as the engine numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ward {
    pub(super) id: MintId,
    pub(super) mint: Address,
    /// The pool that a coin was launched with, where it is not among the configured ones.
    pub(super) launched: Option<Address>,
}

/// Judges mints for one run.
pub(super) struct Gatekeeper {
    pub(super) judge: Judge,
    /// Of which mints; whoever changes them has them judged at once.
    pub(super) wards: watch::Receiver<Vec<Ward>>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Gatekeeper {
    /// Judges until the run ends.
    pub(super) async fn keep(mut self) {
        let mut standing_due = Instant::now();
        let mut due: BTreeMap<MintId, Instant> = BTreeMap::new();
        loop {
            let wards = self.wards.borrow_and_update().clone();
            if Instant::now() >= standing_due {
                let standing: Vec<Ward> =
                    wards.iter().filter(|ward| ward.launched.is_none()).copied().collect();
                let Some(pause) = self.standing(&standing).await else { return };
                standing_due = Instant::now() + pause;
            }
            due.retain(|mint, _| wards.iter().any(|ward| ward.id == *mint));
            let now = Instant::now();
            let newcomers = wards.iter().filter_map(|ward| Some((*ward, ward.launched?)));
            let is_due = |(ward, _): &(Ward, Address)| {
                // Whoever brought it here has had it judged.
                let at = due.entry(ward.id).or_insert(now + EVERY_NEW);
                let is_due = *at <= now;
                if is_due {
                    *at = now + EVERY_NEW;
                }
                is_due
            };
            let asked: Vec<(Ward, Address)> = newcomers.filter(is_due).collect();
            if !self.newcomers(asked).await {
                return;
            }
            let until = due.values().copied().fold(standing_due, Instant::min);
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                changed = self.wards.changed() => if changed.is_err() { return },
                () = self.events.closed() => return,
            }
        }
    }

    /// Judges coins that have just begun to trade, again. Whether anybody still listens.
    async fn newcomers(&self, asked: Vec<(Ward, Address)>) -> bool {
        let words = stream::iter(asked).map(|(ward, pool)| self.newcomer(ward, pool));
        words.buffer_unordered(AT_ONCE).all(std::future::ready).await
    }

    /// Judges a coin that has just begun to trade, again. Whether anybody still listens.
    async fn newcomer(&self, ward: Ward, pool: Address) -> bool {
        let Some(mut verdict) = self.look_at(ward, pool).await else { return true };
        if may_change(&verdict) {
            // A price that rises while it is rehearsed fails a rehearsal as a trap does: it counts the second time.
            let Some(second) = self.look_at(ward, pool).await else { return true };
            verdict = second;
        }
        // Whoever holds it sells on a bad word, and a node that does not answer is none. The earlier word buys nothing
        // for long.
        let is_word = verdict.safe() || is_bad(&verdict);
        !is_word || self.tell(ward.id, &verdict).await
    }

    async fn look_at(&self, ward: Ward, pool: Address) -> Option<Verdict> {
        match self.judge.look(Some(pool)).await {
            Ok(sight) => Some(self.judge.judge(&sight, ward.mint, None).await),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, mint = %ward.mint, "a new coin cannot be judged");
                None
            }
        }
    }

    /// Judges the mints of configured pools, and says when to do so again; none when nobody listens any more.
    async fn standing(&self, wards: &[Ward]) -> Option<Duration> {
        if wards.is_empty() {
            return Some(EVERY);
        }
        match self.judge.look(None).await {
            Ok(sight) => {
                for ward in wards {
                    let verdict = self.judge.judge(&sight, ward.mint, None).await;
                    if !self.tell(ward.id, &verdict).await {
                        return None;
                    }
                }
                Some(EVERY)
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "tokens cannot be judged: none of them is bought");
                // An error takes back an earlier word: it is not safe, never safe until read again.
                for ward in wards {
                    let verdict = self.judge.unreachable(ward.mint);
                    if !self.tell(ward.id, &verdict).await {
                        return None;
                    }
                }
                Some(RETRY)
            }
        }
    }

    /// Whether anybody still listens.
    async fn tell(&self, mint: MintId, verdict: &Verdict) -> bool {
        self.judge.note(verdict);
        let event = MarketEvent::Gate { mint, safe: verdict.safe(), at: verdict.slot() };
        self.events.send(Event::Market(event)).await.is_ok()
    }
}

/// Whether something is known that speaks against a mint, and not only something unknown.
fn is_bad(verdict: &Verdict) -> bool {
    let unknown = |reason: &Reason| matches!(reason, Reason::Unknown { .. } | Reason::Stale { .. });
    verdict.reasons().iter().any(|reason| !unknown(reason))
}

/// Whether a look a moment later may find otherwise: nothing is known against it, but not all is known, as a node's indices
/// follow a slot or two later; or its sale failed, as it does before a pool opens and while a price runs away.
pub(super) fn may_change(verdict: &Verdict) -> bool {
    let passes = |reason: &Reason| {
        matches!(reason, Reason::Unknown { .. } | Reason::Stale { .. } | Reason::SellFailed { .. })
    };
    !verdict.safe() && verdict.reasons().iter().all(passes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sniper_core::gate::{Subject, Why};
    use sniper_core::units::Slot;

    fn verdict(reasons: &[Reason]) -> Verdict {
        let record = serde_json::json!({
            "mint": Address::default(), "slot": Slot::new(5), "safe": reasons.is_empty(), "reasons": reasons,
        });
        serde_json::from_value(record).unwrap()
    }

    const UNKNOWN: Reason = Reason::Unknown { subject: Subject::Holders, why: Why::Unreachable };
    const FAILED: Reason = Reason::SellFailed { code: None };
    const FREEZE: Reason = Reason::FreezeAuthority(Address::new_from_array([1; 32]));

    #[test]
    fn what_is_not_known_sells_nothing_and_what_is_known_does() {
        assert!(!is_bad(&verdict(&[])) && !is_bad(&verdict(&[UNKNOWN])));
        assert!(is_bad(&verdict(&[FREEZE])) && is_bad(&verdict(&[UNKNOWN, FREEZE])));
    }

    #[test]
    fn a_failed_sale_alone_is_looked_at_again_and_a_fault_beside_it_is_not() {
        assert!(may_change(&verdict(&[FAILED])) && may_change(&verdict(&[UNKNOWN, FAILED])));
        assert!(!may_change(&verdict(&[FAILED, FREEZE])) && !may_change(&verdict(&[])));
        assert!(is_bad(&verdict(&[FAILED])), "the second time it is a word");
    }
}
