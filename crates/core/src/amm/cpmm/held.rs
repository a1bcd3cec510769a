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
    /// Takes what the vaults hold; the pool's state stays.
    pub(in crate::amm) const fn refill(&mut self, vaults: [Atoms; 2]) {
        let [first, second] = vaults;
        self.vaults = [Some(first), Some(second)];
    }

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
        let ([Some(first), Some(second)], Some(pool), Some(config)) =
            (self.vaults, &self.pool, &self.config)
        else {
            self.curve = Err(QuoteError::Unknown);
            return;
        };
        let vaults = [first, second];
        match &mut self.curve {
            Ok(curve) => {
                if let Err(error) = curve.renew(vaults, pool, config) {
                    self.curve = Err(error);
                }
            }
            Err(_) => self.curve = Curve::new(vaults, pool, config, [TransferFee::NONE; 2]),
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = (PoolState, Config, [Atoms; 2])> {
        let small = || prop_oneof![Just(0_u64), 0_u64..1_000_000];
        (
            prop::array::uniform8(small()),
            0_u8..4,
            any::<bool>(),
            prop::array::uniform2(small()),
            0_u8..8,
        )
            .prop_map(|(n, creator_fee_on, enable_creator_fee, vaults, status)| {
                let pair = |nth: usize| [n[nth] / 8, n[nth + 1] / 8].map(Atoms::new);
                let pool = PoolState {
                    status,
                    creator_fee_on,
                    enable_creator_fee,
                    protocol_fees: pair(0),
                    fund_fees: pair(1),
                    creator_fees: pair(2),
                    ..PoolState::default()
                };
                let config = Config {
                    trade_fee_rate: n[4] / 4,
                    protocol_fee_rate: n[5],
                    fund_fee_rate: n[6] / 2,
                    creator_fee_rate: n[7] / 8,
                };
                (pool, config, vaults.map(|held| Atoms::new(held * 4)))
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_pool_that_moved_is_the_pool_of_its_accounts(
            states in prop::collection::vec((state(), any::<[bool; 2]>()), 1..8),
        ) {
            let mut held = Held::default();
            for ((pool, config, vaults), [new_config, new_creator]) in states {
                // Mostly a swap moves a pool, and leaves its rates alone.
                let pool = match &held.pool {
                    Some(known) if !new_creator => PoolState {
                        creator_fee_on: known.creator_fee_on,
                        enable_creator_fee: known.enable_creator_fee,
                        ..pool
                    },
                    _ => pool,
                };
                if new_config || held.config.is_none() {
                    held.take(&AccountUpdate::CpmmConfig(config));
                }
                held.take(&AccountUpdate::CpmmPool(pool));
                for (amount, second) in vaults.into_iter().zip([false, true]) {
                    held.take(&AccountUpdate::Vault { second, amount });
                }
                held.build();
                let config = held.config.unwrap();
                let made = Curve::new(vaults, &pool, &config, [TransferFee::NONE; 2]);
                prop_assert_eq!(&held.curve, &made);
            }
        }
    }
}
