//! What is kept of a pool's accounts.

use serde::{Deserialize, Serialize};

use super::{
    Curve, Oracle, PoolState, TickArray, array_starts, arrays_around, decode_oracle, decode_pool,
    decode_tick_array,
};
use crate::amm::live::{Hold, keeps, quotes_by_curve, unknown};
use crate::amm::transfer_fee::EpochFees;
use crate::amm::{AccountUpdate, Arrays, DecodeError, Part, QuoteError};

/// A pool's accounts as last seen, and their curve. A swap's price is in one account alone, so nothing is torn; ticks
/// change only with liquidity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::amm) struct Held {
    pool: Option<PoolState>,
    oracle: Option<Oracle>,
    /// Arrays that came before the pool, and all of them when the curve must be made anew.
    #[serde(skip)]
    arrays: Vec<TickArray>,
    #[serde(skip, default = "unknown")]
    curve: Result<Curve, QuoteError>,
}

impl Default for Held {
    fn default() -> Self {
        Self { pool: None, oracle: None, arrays: Vec::new(), curve: Err(QuoteError::Unknown) }
    }
}

impl Held {
    fn curve(&self) -> Result<&Curve, QuoteError> {
        self.curve.as_ref().map_err(|error| *error)
    }
}

impl Hold for Held {
    keeps!(arrays, curve);

    fn place(&self, update: &AccountUpdate) -> Option<usize> {
        matches!(update, AccountUpdate::Whirlpool(_)).then_some(0)
    }

    fn moving(&self) -> usize {
        1
    }

    fn take(&mut self, update: &AccountUpdate) {
        // What a curve can take in place it takes; after any refusal it is made anew.
        let mut taken = Ok(());
        match update {
            AccountUpdate::Whirlpool(pool) => {
                self.pool = Some(*pool);
                if let Ok(curve) = &mut self.curve {
                    taken = curve.set_pool(pool);
                }
            }
            AccountUpdate::WhirlpoolOracle(oracle) => {
                self.oracle = Some(*oracle);
                if let Ok(curve) = &mut self.curve {
                    taken = curve.set_oracle(oracle);
                }
            }
            AccountUpdate::WhirlpoolTicks(array) => {
                match self.arrays.iter_mut().find(|known| known.start == array.start) {
                    Some(known) => known.clone_from(array),
                    None => self.arrays.push(TickArray::clone(array)),
                }
                if let Ok(curve) = &mut self.curve {
                    taken = curve.set_array(array);
                }
            }
            _ => {}
        }
        if let Err(error) = taken {
            self.curve = Err(error);
        }
    }

    fn build(&mut self) {
        if self.curve.is_ok() {
            return;
        }
        self.curve = match &self.pool {
            Some(pool) => {
                Curve::new(pool, self.oracle.as_ref(), &self.arrays, [EpochFees::NONE; 2])
            }
            None => Err(QuoteError::Unknown),
        };
    }

    fn arrays(&self, forward: bool) -> Arrays {
        let pool = self.pool.as_ref();
        pool.map(|pool| array_starts(pool, forward).into_iter().collect()).unwrap_or_default()
    }

    fn around(&self, each_way: usize) -> Vec<i32> {
        self.pool.as_ref().map(|pool| arrays_around(pool, each_way)).unwrap_or_default()
    }

    fn known_arrays(&self) -> Vec<i32> {
        let mut starts: Vec<i32> = self.arrays.iter().map(|array| array.start).collect();
        starts.sort_unstable();
        starts
    }

    fn forget(&mut self, array: i32) {
        self.arrays.retain(|known| known.start != array);
        if let Ok(curve) = &mut self.curve
            && let Err(error) = curve.remove_array(array)
        {
            self.curve = Err(error);
        }
    }

    quotes_by_curve!();
}

/// Reads an account of a pool in its part. A tick array or oracle that does not exist has no bytes.
///
/// # Errors
///
/// When it is not what it should be.
pub(in crate::amm) fn decode_part(part: Part, data: &[u8]) -> Result<AccountUpdate, DecodeError> {
    match part {
        Part::State => Ok(AccountUpdate::Whirlpool(decode_pool(data)?.0)),
        // The program takes an array that nobody has made for one without ticks.
        Part::Array(start) if data.is_empty() => {
            Ok(AccountUpdate::WhirlpoolTicks(Box::new(TickArray { start, ticks: Vec::new() })))
        }
        Part::Array(start) => {
            let (_, array) = decode_tick_array(data)?;
            if array.start != start {
                return Err(DecodeError::Field { account: "whirlpool tick array", field: "start" });
            }
            Ok(AccountUpdate::WhirlpoolTicks(Box::new(array)))
        }
        Part::Oracle => Ok(AccountUpdate::WhirlpoolOracle(decode_oracle(data)?.1)),
        _ => Err(DecodeError::Part { kind: "Orca Whirlpool" }),
    }
}
