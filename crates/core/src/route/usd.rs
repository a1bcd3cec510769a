//! Which pools say what a mint is worth in dollars.
//!
//! [`Market::usd_per_atom`] takes the first announced pool of the first announced dollar pair. Here the operator
//! designates pools, several for a mint if there are, and the price is the lower median of theirs: one pool that was
//! moved on purpose does not move it.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use crate::ids::{MintId, PoolId};
use crate::market::Market;
use crate::units::Price;

/// Most pools that are asked for one mint: the first designated.
const VOICES_MAX: usize = 16;

/// The pools that may price a mint in dollars.
#[derive(Clone, Debug, Default)]
pub struct Designated {
    pools: BTreeMap<MintId, Vec<PoolId>>,
}

/// What a mint is worth, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsdReference {
    /// Millionths of a dollar per atom, rounded down.
    pub price: Price,
    /// The pool in the middle; none for a mint that is a dollar.
    pub pool: Option<PoolId>,
    /// How many settled pools with a price were asked.
    pub voices: usize,
}

impl Designated {
    /// Designates a pool for the one of its mints that is no dollar, against dollars, or else against wrapped SOL. Says
    /// whether it could: false for a pool that is not known, trades two dollars or neither a dollar nor SOL, is
    /// designated already, or is one too many.
    pub fn add(&mut self, market: &Market, pool: PoolId) -> bool {
        let Some((mint, _)) = market.pool(pool).and_then(|known| priced(market, known.spec.mints))
        else {
            return false;
        };
        let pools = self.pools.entry(mint).or_default();
        let fits = pools.len() < VOICES_MAX && !pools.contains(&pool);
        if fits {
            pools.push(pool);
        }
        fits
    }

    /// The pools designated for a mint, in that order.
    #[must_use]
    pub fn pools(&self, mint: MintId) -> &[PoolId] {
        self.pools.get(&mint).map_or(&[], |pools| pools)
    }

    /// What an atom of a mint is worth by its designated pools; native SOL as wrapped SOL. `None` when none of them is
    /// settled and has a price.
    #[must_use]
    pub fn usd_reference(&self, market: &Market, mint: MintId) -> Option<UsdReference> {
        if market.is_usd(mint) {
            return Some(UsdReference { price: market.usd_per_atom(mint)?, pool: None, voices: 0 });
        }
        let mint = if mint == MintId::SOL { market.wrapped_sol()? } else { mint };
        let mut voices: ArrayVec<(Price, PoolId), VOICES_MAX> = ArrayVec::new();
        for id in self.pools(mint) {
            let Some(pool) = market.pool(*id).filter(|pool| pool.live.is_settled()) else {
                continue;
            };
            let Some((_, quote)) = priced(market, pool.spec.mints) else { continue };
            let per_quote = if market.is_usd(quote) {
                market.usd_per_atom(quote)
            } else {
                // Wrapped SOL is priced against dollars alone, so this goes one level down and no further.
                self.usd_reference(market, quote).map(|sol| sol.price)
            };
            let [first, _] = pool.spec.mints;
            let price = pool.live.spot_price(first == mint).zip(per_quote);
            if let Some(price) = price.and_then(|(price, per_quote)| price.times(per_quote)) {
                voices.push((price, *id));
            }
        }
        voices.sort_unstable();
        let middle = voices.len().checked_sub(1)? >> 1;
        let (price, pool) = voices.get(middle).copied()?;
        Some(UsdReference { price, pool: Some(pool), voices: voices.len() })
    }
}

/// Which of two mints is priced, and in which other.
fn priced(market: &Market, [first, second]: [MintId; 2]) -> Option<(MintId, MintId)> {
    let sol = market.wrapped_sol();
    match (market.is_usd(first), market.is_usd(second)) {
        (true, true) => None,
        (true, false) => Some((second, first)),
        (false, true) => Some((first, second)),
        _ if first == second => None,
        _ if Some(first) == sol => Some((second, first)),
        _ if Some(second) == sol => Some((first, second)),
        _ => None,
    }
}
