//! What of a pool is followed: which accounts, and what their bytes mean.

use serde::{Deserialize, Serialize};

use super::{
    AccountUpdate, DecodeError, PoolKind, PoolSpec, amm_v4, cpmm, decode_vault, pump_curve,
    pump_swap,
};
use crate::ids::Address;

/// A kind of pool, without any pool.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Kind {
    /// Raydium CPMM.
    Cpmm,
    /// Raydium AMM v4.
    AmmV4,
    /// PumpSwap.
    PumpSwap,
    /// pump.fun's bonding curve.
    PumpCurve,
}

/// Which of a pool's accounts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Part {
    /// The vault of a mint.
    Vault {
        /// True for mint 1's.
        second: bool,
    },
    /// Its own state account.
    State,
    /// The fee configuration, or the program's.
    Config,
    /// The program's fee schedules.
    Schedules,
    /// The mint whose supply counts.
    Supply,
}

/// An account that a pool is quoted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Where.
    pub address: Address,
    /// The program that must own it: bytes under another owner are not what they look like.
    pub owner: Address,
    /// What it is to the pool.
    pub part: Part,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Cpmm, Self::AmmV4, Self::PumpSwap, Self::PumpCurve];

    /// The program that owns its state accounts.
    #[must_use]
    pub const fn program(self) -> Address {
        match self {
            Self::Cpmm => cpmm::PROGRAM_ID,
            Self::AmmV4 => amm_v4::PROGRAM_ID,
            Self::PumpSwap => pump_swap::PROGRAM_ID,
            Self::PumpCurve => pump_curve::PROGRAM_ID,
        }
    }

    /// The kind whose state accounts a program owns.
    #[must_use]
    pub fn of_program(program: &Address) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.program() == *program)
    }

    /// What an operator calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpmm => "Raydium CPMM",
            Self::AmmV4 => "Raydium AMM v4",
            Self::PumpSwap => "PumpSwap",
            Self::PumpCurve => "pump.fun curve",
        }
    }

    /// Reads an account of a pool of this kind.
    ///
    /// # Errors
    ///
    /// When it is not what it should be.
    pub fn decode(self, part: Part, data: &[u8]) -> Result<AccountUpdate, DecodeError> {
        if let Part::Vault { second } = part {
            return Ok(AccountUpdate::Vault { second, amount: decode_vault(data)? });
        }
        match self {
            Self::Cpmm => cpmm::decode_part(part, data),
            Self::AmmV4 => amm_v4::decode_part(part, data),
            Self::PumpSwap => pump_swap::decode_part(part, data),
            Self::PumpCurve => pump_curve::decode_part(part, data),
        }
    }
}

impl PoolKind {
    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Cpmm(_) => Kind::Cpmm,
            Self::AmmV4(_) => Kind::AmmV4,
            Self::PumpSwap(_) => Kind::PumpSwap,
            Self::PumpCurve(_) => Kind::PumpCurve,
        }
    }
}

impl PoolSpec {
    /// The accounts it is quoted from. `mints` and the `programs` that own them, in its own order.
    #[must_use]
    pub fn followed(&self, mints: [Address; 2], programs: [Address; 2]) -> Vec<Followed> {
        let [program_0, program_1] = programs;
        let at = |address, owner, part| Followed { address, owner, part };
        let state = at(self.address, self.kind.kind().program(), Part::State);
        let vaults = |[first, second]: [Address; 2]| {
            [
                at(first, program_0, Part::Vault { second: false }),
                at(second, program_1, Part::Vault { second: true }),
            ]
        };
        let [mint, _] = mints;
        let mut followed = Vec::new();
        match &self.kind {
            PoolKind::Cpmm(keys) => {
                followed.extend(vaults(keys.vaults));
                followed.extend([state, at(keys.config, cpmm::PROGRAM_ID, Part::Config)]);
            }
            PoolKind::AmmV4(keys) => {
                followed.extend(vaults(keys.vaults));
                followed.push(state);
            }
            PoolKind::PumpSwap(keys) => {
                let (config, fees) = (pump_swap::GLOBAL_CONFIG, pump_swap::FEE_CONFIG);
                followed.extend(vaults(keys.vaults));
                followed.extend([
                    state,
                    at(config, pump_swap::PROGRAM_ID, Part::Config),
                    at(fees, super::pump_fees::PROGRAM_ID, Part::Schedules),
                    at(mint, program_0, Part::Supply),
                ]);
            }
            PoolKind::PumpCurve(_) => {
                let (config, fees) = (pump_curve::GLOBAL, pump_curve::FEE_CONFIG);
                followed.extend([
                    state,
                    at(config, pump_curve::PROGRAM_ID, Part::Config),
                    at(fees, super::pump_fees::PROGRAM_ID, Part::Schedules),
                    at(mint, program_0, Part::Supply),
                ]);
            }
        }
        followed
    }
}
