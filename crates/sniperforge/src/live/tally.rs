//! What became of orders, as it is known now: a landing that a fork takes back has not been one.

use std::collections::BTreeMap;

use sniper_core::ids::OrderId;
use sniper_core::order::Outcome;

use crate::telemetry::OrderCounts;

/// Landed swaps by what they went through.
#[derive(Clone, Debug, Default)]
pub(super) struct SwapCounts {
    /// Swaps by kind of pool.
    pub(super) by_kind: BTreeMap<&'static str, u64>,
    /// Orders through more than one kind.
    pub(super) across: u64,
}

/// Counts orders.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) orders: OrderCounts,
    pub(super) swaps: SwapCounts,
    landed: Vec<Landing>,
    /// So many landings are kept before they are looked through.
    room: usize,
}

/// One that may be taken back.
#[derive(Debug)]
struct Landing {
    order: OrderId,
    /// The kind of each pool it went through; none where it failed.
    kinds: Option<Vec<&'static str>>,
}

/// Landings that are kept besides those that may still be taken back.
const KEPT: usize = 64;

impl Tally {
    /// An order has ended, at pools of these kinds where it was filled.
    pub(super) fn end(
        &mut self,
        order: OrderId,
        outcome: &Outcome,
        kinds: Vec<&'static str>,
        is_provisional: impl Fn(OrderId) -> bool,
    ) {
        let kinds = match outcome {
            Outcome::Filled { .. } => {
                self.orders.landed += 1;
                self.swapped(&kinds, |count| *count += 1);
                Some(kinds)
            }
            Outcome::Reverted { .. } => {
                self.orders.reverted += 1;
                None
            }
            Outcome::Expired => {
                self.orders.expired += 1;
                return;
            }
            Outcome::Rejected(_) => {
                self.orders.rejected += 1;
                return;
            }
        };
        if self.landed.len() >= self.room {
            self.landed.retain(|landing| is_provisional(landing.order));
            self.room = 2 * self.landed.len() + KEPT;
        }
        self.landed.push(Landing { order, kinds });
    }

    /// The block of a landing was abandoned: the order, which is in flight again, has not landed.
    pub(super) fn take_back(&mut self, order: OrderId) {
        // One of an earlier run of the program was not counted in this one.
        let Some(at) = self.landed.iter().position(|landing| landing.order == order) else {
            return;
        };
        match self.landed.swap_remove(at).kinds {
            Some(kinds) => {
                self.orders.landed -= 1;
                self.orders.landed_taken_back += 1;
                self.swapped(&kinds, |count| *count -= 1);
                self.swaps.by_kind.retain(|_, count| *count > 0);
            }
            None => {
                self.orders.reverted -= 1;
                self.orders.reverted_taken_back += 1;
            }
        }
    }

    fn swapped(&mut self, kinds: &[&'static str], change: fn(&mut u64)) {
        for kind in kinds {
            change(self.swaps.by_kind.entry(kind).or_default());
        }
        if kinds.iter().any(|kind| Some(kind) != kinds.first()) {
            change(&mut self.swaps.across);
        }
    }
}

#[cfg(test)]
mod tests {
    use sniper_core::event::Deltas;
    use sniper_core::units::{Lamports, Seq, Slot};

    use super::*;

    const REVERTED: Outcome =
        Outcome::Reverted { slot: Slot::new(1), fee: Lamports::ZERO, code: None };

    fn id(nth: u64) -> OrderId {
        OrderId { cause: Seq::new(nth), nth: 0 }
    }

    fn filled() -> Outcome {
        Outcome::Filled {
            slot: Slot::new(1),
            deltas: Deltas::new(),
            fee: Lamports::ZERO,
            rent: Lamports::ZERO,
        }
    }

    #[test]
    fn what_lands_in_one_fork_and_again_in_the_other_has_landed_once() {
        let mut tally = Tally::default();
        for _ in 0..2 {
            tally.end(id(1), &filled(), vec!["cpmm", "clmm", "cpmm"], |_| true);
            tally.end(id(2), &REVERTED, Vec::new(), |_| true);
            assert_eq!((tally.orders.landed, tally.orders.reverted), (1, 1));
            assert_eq!(tally.swaps.by_kind, [("clmm", 1), ("cpmm", 2)].into());
            assert_eq!(tally.swaps.across, 1);
            tally.take_back(id(1));
            tally.take_back(id(2));
            assert_eq!((tally.orders.landed, tally.orders.reverted), (0, 0));
            assert_eq!((tally.swaps.by_kind.len(), tally.swaps.across), (0, 0));
        }
        let orders = tally.orders;
        assert_eq!((orders.landed_taken_back, orders.reverted_taken_back), (2, 2));
    }

    #[test]
    fn what_was_not_counted_is_not_taken_back_and_what_is_final_is_forgotten() {
        let mut tally = Tally::default();
        tally.take_back(id(1));
        assert_eq!(tally.orders, OrderCounts::default());
        for nth in 0..10_000 {
            tally.end(id(nth), &filled(), vec!["cpmm"], |order| order == id(3));
            assert!(tally.landed.len() <= 2 * KEPT, "{}", tally.landed.len());
        }
        tally.take_back(id(3));
        assert_eq!((tally.orders.landed, tally.swaps.by_kind["cpmm"]), (9_999, 9_999));
    }
}
