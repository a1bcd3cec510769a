//! What is kept of a pool's accounts.

use serde::{Deserialize, Serialize};

use super::{Curve, PoolState, decode_pool};
use crate::amm::live::{Hold, keeps, quotes_by_curve, unknown};
use crate::amm::{AccountUpdate, DecodeError, Part, QuoteError};
use crate::units::Atoms;

/// A pool's accounts as last seen, and the curve of the last moment at which they agreed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::amm) struct Held {
    vaults: [Option<Atoms>; 2],
    pool: Option<PoolState>,
    #[serde(skip, default = "unknown")]
    curve: Result<Curve, QuoteError>,
}

impl Default for Held {
    fn default() -> Self {
        Self { vaults: [None; 2], pool: None, curve: Err(QuoteError::Unknown) }
    }
}

impl Held {
    fn curve(&self) -> Result<&Curve, QuoteError> {
        self.curve.as_ref().map_err(|error| *error)
    }
}

impl Hold for Held {
    keeps!(curve);

    fn place(&self, update: &AccountUpdate) -> Option<usize> {
        match update {
            AccountUpdate::Vault { second, .. } => Some(usize::from(*second)),
            AccountUpdate::AmmV4Pool(_) => Some(2),
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
            AccountUpdate::AmmV4Pool(pool) => self.pool = Some(*pool),
            _ => {}
        }
    }

    fn build(&mut self) {
        self.curve = match (self.vaults, &self.pool) {
            ([Some(first), Some(second)], Some(pool)) => Curve::new([first, second], pool),
            _ => Err(QuoteError::Unknown),
        };
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
        Part::State => Ok(AccountUpdate::AmmV4Pool(decode_pool(data)?.0)),
        _ => Err(DecodeError::Part { kind: "Raydium AMM v4" }),
    }
}
