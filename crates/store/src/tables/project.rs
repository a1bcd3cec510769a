//! From events and effects to rows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sniper_core::event::{Alert, Effect, Event, MarketEvent, OrderEvent, Stamped};
use sniper_core::ids::{MintId, StrategyId};
use sniper_core::units::Timestamp;

use super::row::{RunId, StoreRow};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Count {
    count: u64,
    last: Timestamp,
    written: u64,
}

/// Says what each step of the engine changes in the tables.
///
/// Given the same events and effects it gives the same rows: live, in a replay, and in a rebuild.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Projector {
    run: RunId,
    next_mint: u16,
    refusals: BTreeMap<(StrategyId, Cow<'static, str>), Count>,
}

impl Projector {
    /// For a run from its first event on.
    #[must_use]
    pub const fn new(run: RunId) -> Self {
        Self { run, next_mint: 1, refusals: BTreeMap::new() }
    }

    /// What it has counted, to go on from after a restart.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// The one that [`Self::save`] wrote, if it reads.
    #[must_use]
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// The run.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// Adds the rows that follow from an event and all the effects it had.
    ///
    /// Refusals are counted here and come out with the next equity point, as there may be thousands a second.
    pub fn step(&mut self, input: &Stamped, effects: &[Effect], rows: &mut Vec<StoreRow>) {
        let run = self.run;
        match &input.event {
            Event::Market(MarketEvent::Mint(spec)) => {
                let mint = MintId(self.next_mint);
                self.next_mint = self.next_mint.saturating_add(1);
                rows.push(StoreRow::Mint { run, mint, spec: Box::new(*spec) });
            }
            Event::Order(OrderEvent::Signed { order, signature, last_valid }) => {
                rows.push(StoreRow::Signed {
                    run,
                    order: *order,
                    signature: Box::new(*signature),
                    last_valid: *last_valid,
                });
            }
            _ => {}
        }
        for (place, effect) in (0_u32..).zip(effects) {
            match effect {
                Effect::Submit(order) => {
                    rows.push(StoreRow::Submitted { run, order: order.clone() });
                }
                Effect::Closed(closed) => {
                    rows.push(StoreRow::Closed { run, closed: closed.clone() });
                }
                Effect::Trade(trade) => {
                    let trade = Box::new(*trade);
                    rows.push(StoreRow::Trade { run, seq: input.seq, place, trade });
                }
                Effect::Refused { strategy, refusal } => {
                    self.refused(*strategy, refusal.name(), input.at);
                }
                Effect::Equity(point) => {
                    rows.push(StoreRow::Equity { run, point: *point });
                    self.counts(rows);
                }
                Effect::Alert(Alert::RolledBack { order, .. }) => {
                    rows.push(StoreRow::RolledBack { run, order: *order });
                }
                Effect::Mode { .. } | Effect::Alert(_) | Effect::Standing { .. } => {}
            }
        }
    }

    /// Adds the counts of refusals that changed since they last came out. Call it before the run ends.
    pub fn counts(&mut self, rows: &mut Vec<StoreRow>) {
        let run = self.run;
        for ((strategy, reason), entry) in &mut self.refusals {
            if entry.count != entry.written {
                entry.written = entry.count;
                let (count, last) = (entry.count, entry.last);
                rows.push(StoreRow::Refusals {
                    run,
                    strategy: *strategy,
                    reason: reason.clone(),
                    count,
                    last,
                });
            }
        }
    }

    fn refused(&mut self, strategy: StrategyId, reason: &'static str, at: Timestamp) {
        let new = Count { count: 0, last: at, written: 0 };
        let entry = self.refusals.entry((strategy, Cow::Borrowed(reason))).or_insert(new);
        entry.count = entry.count.saturating_add(1);
        entry.last = at;
    }
}
