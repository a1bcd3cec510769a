//! What is kept of a pool's accounts.

use serde::{Deserialize, Serialize};

use super::{Config, Curve, Inputs, Keys, PoolState, decode_config, decode_pool};
use crate::amm::live::{Hold, keeps, quotes_by_curve, unknown};
use crate::amm::pump_fees::{FeeConfig, Schedule, decode_fee_config, decode_supply};
use crate::amm::transfer_fee::TransferFee;
use crate::amm::{AccountUpdate, DecodeError, Part, QuoteError};
use crate::units::Atoms;

/// A pool's accounts as last seen, and the curve of the last moment at which they agreed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::amm) struct Held {
    schedule: Schedule,
    vaults: [Option<Atoms>; 2],
    pool: Option<PoolState>,
    config: Option<Config>,
    fees: Option<FeeConfig>,
    supply: Option<Atoms>,
    #[serde(skip, default = "unknown")]
    curve: Result<Curve, QuoteError>,
}

impl From<&Keys> for Held {
    fn from(keys: &Keys) -> Self {
        Self {
            schedule: keys.schedule,
            vaults: [None; 2],
            pool: None,
            config: None,
            fees: None,
            supply: None,
            curve: Err(QuoteError::Unknown),
        }
    }
}

impl Held {
    fn curve(&self) -> Result<&Curve, QuoteError> {
        self.curve.as_ref().map_err(|error| *error)
    }

    fn made(&self) -> Option<Result<Curve, QuoteError>> {
        let [first, second] = self.vaults;
        Some(Curve::new(&Inputs {
            pool: self.pool.as_ref()?,
            vaults: [first?, second?],
            base_supply: self.supply?,
            config: self.config.as_ref()?,
            fee_config: self.fees.as_ref()?,
            schedule: self.schedule,
            transfer_fees: [TransferFee::NONE; 2],
        }))
    }
}

impl Hold for Held {
    keeps!(curve);

    /// A swap writes the vaults; the pool's own account it may leave as it is.
    fn place(&self, update: &AccountUpdate) -> Option<usize> {
        match update {
            AccountUpdate::Vault { second, .. } => Some(usize::from(*second)),
            _ => None,
        }
    }

    fn moving(&self) -> usize {
        2
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
            AccountUpdate::PumpSwapPool(pool) => self.pool = Some(*pool),
            AccountUpdate::PumpSwapConfig(config) => self.config = Some(*config),
            AccountUpdate::PumpFees(fees) => self.fees = Some(FeeConfig::clone(fees)),
            AccountUpdate::Supply(supply) => self.supply = Some(*supply),
            _ => {}
        }
    }

    fn build(&mut self) {
        self.curve = self.made().unwrap_or(Err(QuoteError::Unknown));
    }

    /// The program sells by the input alone.
    fn has_exact_out(&self, forward: bool) -> bool {
        !forward
    }

    quotes_by_curve!();
}

/// Reads an account of a pool in its part.
///
/// # Errors
///
/// When it is not what it should be.
pub(in crate::amm) fn decode_part(part: Part, data: &[u8]) -> Result<AccountUpdate, DecodeError> {
    match part {
        Part::State => Ok(AccountUpdate::PumpSwapPool(decode_pool(data)?.0)),
        Part::Config => Ok(AccountUpdate::PumpSwapConfig(decode_config(data)?)),
        Part::Schedules => Ok(AccountUpdate::PumpFees(Box::new(decode_fee_config(data)?.config))),
        Part::Supply => Ok(AccountUpdate::Supply(decode_supply(data)?)),
        _ => Err(DecodeError::Part { kind: "PumpSwap" }),
    }
}
