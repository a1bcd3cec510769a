//! Whether a program still does what we think it does.
//!
//! A program can be upgraded under our feet. Three things give it away: an account of its own that no longer reads and a
//! simulated swap that does not give our quote, which the shell tells by [`crate::event::MarketEvent::Drifted`], and a
//! fill that is not what our curve gives. That is told apart from others trading in between by the vaults: where a pool's balances have moved by exactly what our
//! order moved, nobody else was there, and then the fill must be the quote, to the atom. Orders through several pools,
//! kinds whose vaults are not followed (the concentrated ones), and PumpSwap, where fees leave the pool in the very swap
//! so that its vaults never move by what the trader moves, say nothing here: of those, simulations alone speak.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::amm::Kind;
use crate::event::Deltas;
use crate::ids::{OrderId, PoolId};
use crate::market::Market;
use crate::order::{LegAmount, Order};
use crate::units::{Atoms, Slot};

/// Orders remembered at once; more are not judged.
const REMEMBERED: usize = 64;

/// What an order met when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Expected {
    order: OrderId,
    pool: PoolId,
    forward: bool,
    vaults: [Atoms; 2],
    amount_in: Atoms,
    amount_out: Atoms,
    /// Where it landed and what it got, once that is known.
    filled: Option<(Slot, Atoms)>,
}

/// Remembers what orders should get, and compares.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watchman {
    expected: ArrayVec<Expected, REMEMBERED>,
}

/// A fill that our curve does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs {
    /// The kind of pool.
    pub kind: Kind,
    /// The pool.
    pub pool: PoolId,
    /// What our curve gives.
    pub quoted: Atoms,
    /// What came.
    pub got: Atoms,
}

impl Watchman {
    /// An order was made against the market as it is.
    pub fn submitted(&mut self, order: &Order, market: &Market) {
        let [leg] = order.legs() else { return };
        let LegAmount::ExactIn { amount_in, .. } = leg.amount else { return };
        let Some(pool) = market.pool(leg.hop.pool) else { return };
        let (Some(forward), Some(vaults)) = (pool.direction(leg.hop), pool.live.vaults()) else {
            return;
        };
        if self.expected.is_full() {
            return;
        }
        self.expected.push(Expected {
            order: order.id(),
            pool: leg.hop.pool,
            forward,
            vaults,
            amount_in,
            amount_out: order.expected_out(),
            filled: None,
        });
    }

    /// An order ended otherwise than by a fill.
    pub fn forget(&mut self, order: OrderId) {
        self.expected.retain(|expected| expected.order != order);
    }

    /// An order was filled at `slot`. Its pool may have been told of before, or may be told of later.
    pub fn filled(
        &mut self,
        order: &Order,
        slot: Slot,
        deltas: &Deltas,
        market: &Market,
    ) -> Option<Differs> {
        let got = deltas.iter().find(|(mint, _)| *mint == order.mint_out());
        let got = got.and_then(|(_, delta)| u64::try_from(*delta).ok()).map(Atoms::new);
        let Some(got) = got else {
            // Nothing came that could be compared: it must not wait for ever.
            self.forget(order.id());
            return None;
        };
        let found = self.expected.iter_mut().find(|expected| expected.order == order.id())?;
        found.filled = Some((slot, got));
        let pool = found.pool;
        self.changed(pool, market)
    }

    /// A pool has changed.
    pub fn changed(&mut self, pool: PoolId, market: &Market) -> Option<Differs> {
        if self.expected.is_empty() {
            return None;
        }
        let live = &market.pool(pool)?.live;
        let now = live.slot();
        let mut differs = None;
        self.expected.retain(|expected| {
            let Some((slot, got)) = expected.filled.filter(|_| expected.pool == pool) else {
                return true;
            };
            if now < slot || (now == slot && live.is_torn()) {
                return true;
            }
            if now == slot && live.vaults() == expected.moved(got) && got != expected.amount_out {
                let quoted = expected.amount_out;
                differs = Some(Differs { kind: live.kind(), pool, quoted, got });
            }
            false
        });
        differs
    }
}

impl Expected {
    /// The vaults if this order alone had moved them.
    fn moved(&self, got: Atoms) -> Option<[Atoms; 2]> {
        let turn = |pair: [Atoms; 2]| if self.forward { pair } else { [pair[1], pair[0]] };
        let [into, out_of] = turn(self.vaults);
        Some(turn([into.checked_add(self.amount_in)?, out_of.checked_sub(got)?]))
    }
}
