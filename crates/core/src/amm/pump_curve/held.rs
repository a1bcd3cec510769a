//! What is kept of a curve's accounts.

use serde::{Deserialize, Serialize};

use super::{Config, Curve, CurveState, Inputs, Keys, decode_config, decode_curve};
use crate::amm::live::{Hold, keeps, quotes_by_curve, unknown};
use crate::amm::pump_fees::{FeeConfig, Schedule, decode_fee_config, decode_supply};
use crate::amm::{AccountUpdate, DecodeError, Part, QuoteError};
use crate::units::Atoms;

/// A curve's accounts as last seen, and the curve of the last moment at which they agreed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::amm) struct Held {
    schedule: Schedule,
    state: Option<CurveState>,
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
            state: None,
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
        Some(Curve::new(&Inputs {
            state: self.state.as_ref()?,
            supply: self.supply?,
            config: self.config.as_ref()?,
            fee_config: Some(self.fees.as_ref()?),
            schedule: self.schedule,
        }))
    }
}

impl Hold for Held {
    keeps!(curve);

    fn place(&self, update: &AccountUpdate) -> Option<usize> {
        matches!(update, AccountUpdate::PumpCurve(_)).then_some(0)
    }

    fn moving(&self) -> usize {
        1
    }

    fn take(&mut self, update: &AccountUpdate) {
        match update {
            AccountUpdate::PumpCurve(state) => self.state = Some(*state),
            AccountUpdate::PumpCurveConfig(config) => self.config = Some(*config),
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
        Part::State => Ok(AccountUpdate::PumpCurve(decode_curve(data)?.0)),
        Part::Config => Ok(AccountUpdate::PumpCurveConfig(decode_config(data)?)),
        Part::Schedules => Ok(AccountUpdate::PumpFees(Box::new(decode_fee_config(data)?.config))),
        Part::Supply => Ok(AccountUpdate::Supply(decode_supply(data)?)),
        _ => Err(DecodeError::Part { kind: "pump.fun curve" }),
    }
}
