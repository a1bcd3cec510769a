//! What is kept of a pool's accounts.

use serde::{Deserialize, Serialize};

use super::{Config, Curve, PoolState, decode_config, decode_pool};
use crate::amm::live::{Hold, keeps, unknown};
use crate::amm::transfer_fee::TransferFee;
use crate::amm::{AccountUpdate, Clock, DecodeError, Detail, Part, Quote, QuoteError};
use crate::units::{Atoms, Price};

/// A pool's accounts as last seen, and the curve of the last moment at which they agreed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::amm) struct Held {
    vaults: [Option<Atoms>; 2],
    pool: Option<PoolState>,
    config: Option<Config>,
    #[serde(skip, default = "unknown")]
    curve: Result<Curve, QuoteError>,
}

impl Default for Held {
    fn default() -> Self {
        Self { vaults: [None; 2], pool: None, config: None, curve: Err(QuoteError::Unknown) }
    }
}

impl Held {
    pub(in crate::amm) fn curve(&self) -> Result<&Curve, QuoteError> {
        self.curve.as_ref().map_err(|error| *error)
    }

    fn swap(&self, forward: bool, amount: Atoms, clock: &Clock) -> Result<Detail, QuoteError> {
        let curve = self.curve()?;
        let swap = curve.swap_exact_in(forward, amount, clock.now)?;
        let price = |[base, quote]: [Atoms; 2]| Price::of(quote.get(), base.get());
        let after = curve.reserves_after(&swap, forward).ok_or(QuoteError::Overflow)?;
        Ok(Detail {
            quote: swap.quote(),
            price_before: price(curve.reserves()).ok_or(QuoteError::Overflow)?,
            price_after: price(after).ok_or(QuoteError::Overflow)?,
            arrays: 0,
        })
    }
}

impl Hold for Held {
    keeps!(curve);

    fn place(&self, update: &AccountUpdate) -> Option<usize> {
        match update {
            AccountUpdate::Vault { second, .. } => Some(usize::from(*second)),
            AccountUpdate::CpmmPool(_) => Some(2),
            _ => None,
        }
    }

    fn moving(&self) -> usize {
        3
    }

    fn vaults(&self) -> Option<[Atoms; 2]> {
        let [first, second] = self.vaults;
        Some([first?, second?])
    }

    fn take(&mut self, update: &AccountUpdate) {
        match update {
            AccountUpdate::Vault { second, amount } => {
                if let Some(vault) = self.vaults.get_mut(usize::from(*second)) {
                    *vault = Some(*amount);
                }
            }
            AccountUpdate::CpmmPool(pool) => self.pool = Some(*pool),
            AccountUpdate::CpmmConfig(config) => self.config = Some(*config),
            _ => {}
        }
    }

    fn build(&mut self) {
        self.curve = match (self.vaults, &self.pool, &self.config) {
            ([Some(first), Some(second)], Some(pool), Some(config)) => {
                Curve::new([first, second], pool, config, [TransferFee::NONE; 2])
            }
            _ => Err(QuoteError::Unknown),
        };
    }

    fn quote_in(&self, forward: bool, amount: Atoms, clock: &Clock) -> Result<Quote, QuoteError> {
        self.curve()?.quote_exact_in(forward, amount, clock.now)
    }

    fn quote_out(&self, forward: bool, amount: Atoms, clock: &Clock) -> Result<Quote, QuoteError> {
        self.curve()?.quote_exact_out(forward, amount, clock.now)
    }

    fn detail_in(&self, forward: bool, amount: Atoms, clock: &Clock) -> Result<Detail, QuoteError> {
        self.swap(forward, amount, clock)
    }

    fn state(&self) -> Result<(), QuoteError> {
        self.curve().map(|_| ())
    }

    fn spot_price(&self) -> Option<Price> {
        self.curve().ok()?.spot_price()
    }
}

/// Reads an account of a pool in its part.
///
/// # Errors
///
/// When it is not what it should be.
pub(in crate::amm) fn decode_part(part: Part, data: &[u8]) -> Result<AccountUpdate, DecodeError> {
    match part {
        Part::State => Ok(AccountUpdate::CpmmPool(decode_pool(data)?.0)),
        Part::Config => Ok(AccountUpdate::CpmmConfig(decode_config(data)?)),
        _ => Err(DecodeError::Part { kind: "Raydium CPMM" }),
    }
}
