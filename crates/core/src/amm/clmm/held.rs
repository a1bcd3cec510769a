//! What is kept of a pool's accounts.

use serde::{Deserialize, Serialize};

use super::{
    BitmapExtension, Config, Curve, PoolState, TickArray, Ticks, decode_bitmap_extension,
    decode_config, decode_pool, decode_tick_array,
};
use crate::amm::live::{Hold, keeps, quotes_by_curve, unknown};
use crate::amm::transfer_fee::TransferFee;
use crate::amm::{AccountUpdate, Arrays, DecodeError, Part, QuoteError};

/// A pool's accounts as last seen, and their curve. A swap's price is in one account alone; ticks change with
/// liquidity, and with limit orders where a pool has any.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::amm) struct Held {
    pool: Option<PoolState>,
    config: Option<Config>,
    #[serde(skip)]
    extension: Option<Box<BitmapExtension>>,
    #[serde(skip)]
    arrays: Vec<TickArray>,
    #[serde(skip, default = "unknown")]
    curve: Result<Curve, QuoteError>,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            pool: None,
            config: None,
            extension: None,
            arrays: Vec::new(),
            curve: Err(QuoteError::Unknown),
        }
    }
}

impl Held {
    fn curve(&self) -> Result<&Curve, QuoteError> {
        self.curve.as_ref().map_err(|error| *error)
    }

    fn made(&self) -> Result<Curve, QuoteError> {
        let (Some(pool), Some(config)) = (&self.pool, &self.config) else {
            return Err(QuoteError::Unknown);
        };
        let ticks = Ticks::new(pool, self.extension.as_deref(), &self.arrays)?;
        Curve::new(pool, config, [TransferFee::NONE; 2], ticks)
    }
}

impl Hold for Held {
    keeps!(extension, arrays, curve);

    fn place(&self, update: &AccountUpdate) -> Option<usize> {
        matches!(update, AccountUpdate::ClmmPool(_)).then_some(0)
    }

    fn moving(&self) -> usize {
        1
    }

    fn take(&mut self, update: &AccountUpdate) {
        match update {
            AccountUpdate::ClmmPool(pool) => {
                self.pool = Some(**pool);
                if let Ok(curve) = &mut self.curve
                    && let Err(error) = curve.update(pool)
                {
                    self.curve = Err(error);
                }
                return;
            }
            AccountUpdate::ClmmConfig(config) => self.config = Some(*config),
            AccountUpdate::ClmmBitmap(extension) => self.extension = Some(extension.clone()),
            AccountUpdate::ClmmTicks(array) => {
                match self.arrays.iter_mut().find(|known| known.start == array.start) {
                    Some(known) => known.clone_from(array),
                    None => self.arrays.push(TickArray::clone(array)),
                }
            }
            _ => return,
        }
        self.curve = Err(QuoteError::Unknown);
    }

    fn build(&mut self) {
        if self.curve.is_err() {
            self.curve = self.made();
        }
    }

    fn arrays(&self, forward: bool) -> Arrays {
        let starts = self.curve().map(|curve| curve.array_starts(forward));
        starts.map(|starts| starts.take(Arrays::new().capacity()).collect()).unwrap_or_default()
    }

    fn around(&self, each_way: usize) -> Vec<i32> {
        self.curve().map(|curve| curve.arrays_around(each_way)).unwrap_or_default()
    }

    fn known_arrays(&self) -> Vec<i32> {
        let mut starts: Vec<i32> = self.arrays.iter().map(|array| array.start).collect();
        starts.sort_unstable();
        starts
    }

    fn forget(&mut self, array: i32) {
        let before = self.arrays.len();
        self.arrays.retain(|known| known.start != array);
        if self.arrays.len() < before && self.curve.is_ok() {
            self.curve = self.made();
        }
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
        Part::State => Ok(AccountUpdate::ClmmPool(Box::new(decode_pool(data)?.0))),
        Part::Config => Ok(AccountUpdate::ClmmConfig(decode_config(data)?)),
        Part::Bitmap => Ok(AccountUpdate::ClmmBitmap(Box::new(decode_bitmap_extension(data)?.1))),
        Part::Array(start) if data.is_empty() => {
            Ok(AccountUpdate::ClmmTicks(Box::new(TickArray { start, ticks: Vec::new() })))
        }
        Part::Array(start) => {
            let (_, array) = decode_tick_array(data)?;
            if array.start != start {
                return Err(DecodeError::Field { account: "CLMM tick array", field: "start" });
            }
            Ok(AccountUpdate::ClmmTicks(Box::new(array)))
        }
        _ => Err(DecodeError::Part { kind: "Raydium CLMM" }),
    }
}
