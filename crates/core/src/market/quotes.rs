//! What pools and routes give, as the market is now.

use super::Market;
use crate::amm::{Detail, Quote, QuoteError};
use crate::ids::{MintId, PairId};
use crate::order::{Hop, Route};
use crate::units::Atoms;

impl Market {
    /// What one pool gives for `amount`.
    ///
    /// # Errors
    ///
    /// Why it gives nothing.
    pub fn quote(&self, hop: Hop, amount: Atoms) -> Result<Quote, QuoteError> {
        let pool = self.pool(hop.pool).ok_or(QuoteError::Unknown)?;
        let forward = pool.direction(hop).ok_or(QuoteError::Unknown)?;
        pool.live.quote_exact_in(forward, amount, &self.clock())
    }

    /// What one pool must be given for `amount`.
    ///
    /// # Errors
    ///
    /// Why it cannot give that.
    pub fn quote_out(&self, hop: Hop, amount: Atoms) -> Result<Quote, QuoteError> {
        let pool = self.pool(hop.pool).ok_or(QuoteError::Unknown)?;
        let forward = pool.direction(hop).ok_or(QuoteError::Unknown)?;
        pool.live.quote_exact_out(forward, amount, &self.clock())
    }

    /// What one pool gives for `amount`, and what that does to its price.
    ///
    /// # Errors
    ///
    /// Why it gives nothing.
    pub fn detail(&self, hop: Hop, amount: Atoms) -> Result<Detail, QuoteError> {
        let pool = self.pool(hop.pool).ok_or(QuoteError::Unknown)?;
        let forward = pool.direction(hop).ok_or(QuoteError::Unknown)?;
        pool.live.detail_exact_in(forward, amount, &self.clock())
    }

    /// What a route gives for `amount`, every pool as it is now.
    ///
    /// # Errors
    ///
    /// Why one of its pools gives nothing.
    pub fn quote_route(&self, route: &Route, amount: Atoms) -> Result<Atoms, QuoteError> {
        let mut amount = amount;
        for hop in route {
            amount = self.quote(*hop, amount)?.amount_out;
        }
        Ok(amount)
    }

    /// The pool of a pair that gives most for `amount` of `mint_in`, and what it gives.
    #[must_use]
    pub fn best(&self, pair: PairId, mint_in: MintId, amount: Atoms) -> Option<(Hop, Quote)> {
        let pair = self.pair(pair)?;
        let mint_out = if mint_in == pair.base { pair.quote } else { pair.base };
        let quotes = pair.pools.iter().filter_map(|pool| {
            let hop = Hop { pool: *pool, mint_in, mint_out };
            self.pool(*pool)?.live.is_settled().then_some(())?;
            Some((hop, self.quote(hop, amount).ok()?))
        });
        // The first of equals, so that the order of announcement decides and not the iterator.
        quotes.fold(None, |best, next| match best {
            Some((_, known)) if next.1.amount_out <= known.amount_out => best,
            _ => Some(next),
        })
    }
}
