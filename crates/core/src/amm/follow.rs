//! What of a pool is followed: which accounts, and what their bytes mean.

use serde::{Deserialize, Serialize};

use super::{
    AccountUpdate, DecodeError, PoolKind, PoolSpec, amm_v4, clmm, cpmm, decode_vault, dlmm,
    pump_curve, pump_fees, pump_swap, whirlpool,
};
use crate::ids::Address;

/// A kind of pool, without any pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Raydium CPMM.
    Cpmm,
    /// Raydium AMM v4.
    AmmV4,
    /// Raydium CLMM.
    Clmm,
    /// Orca Whirlpool.
    Whirlpool,
    /// Meteora DLMM.
    Dlmm,
    /// PumpSwap.
    PumpSwap,
    /// pump.fun's bonding curve.
    PumpCurve,
}

/// Which of a pool's accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// What an adaptive fee remembers.
    Oracle,
    /// Which arrays hold anything, beyond what the state tells.
    Bitmap,
    /// The tick array that starts at a tick, or the bin array of a number.
    Array(i32),
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
    pub const ALL: [Self; 7] = [
        Self::Cpmm,
        Self::AmmV4,
        Self::Clmm,
        Self::Whirlpool,
        Self::Dlmm,
        Self::PumpSwap,
        Self::PumpCurve,
    ];

    /// The program that owns its state accounts.
    #[must_use]
    pub const fn program(self) -> Address {
        match self {
            Self::Cpmm => cpmm::PROGRAM_ID,
            Self::AmmV4 => amm_v4::PROGRAM_ID,
            Self::Clmm => clmm::PROGRAM_ID,
            Self::Whirlpool => whirlpool::PROGRAM_ID,
            Self::Dlmm => dlmm::PROGRAM_ID,
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
            Self::Clmm => "Raydium CLMM",
            Self::Whirlpool => "Orca Whirlpool",
            Self::Dlmm => "Meteora DLMM",
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
            Self::Clmm => clmm::decode_part(part, data),
            Self::Whirlpool => whirlpool::decode_part(part, data),
            Self::Dlmm => dlmm::decode_part(part, data),
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
            Self::Clmm { .. } => Kind::Clmm,
            Self::Whirlpool { .. } => Kind::Whirlpool,
            Self::Dlmm(_) => Kind::Dlmm,
            Self::PumpSwap(_) => Kind::PumpSwap,
            Self::PumpCurve(_) => Kind::PumpCurve,
        }
    }
}

impl PoolSpec {
    /// The accounts it is quoted from: its `mints` and the `programs` that own them in its own order, and the tick or
    /// bin `arrays` around its price.
    #[must_use]
    pub fn followed(
        &self,
        mints: [Address; 2],
        programs: [Address; 2],
        arrays: &[i32],
    ) -> Vec<Followed> {
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
            PoolKind::Clmm { keys, bitmap_extension: bitmap } => {
                followed.extend([state, at(keys.config, clmm::PROGRAM_ID, Part::Config)]);
                followed.extend(bitmap.map(|bitmap| at(bitmap, clmm::PROGRAM_ID, Part::Bitmap)));
            }
            PoolKind::Whirlpool { keys, adaptive } => {
                followed.push(state);
                followed
                    .extend(adaptive.then(|| at(keys.oracle, whirlpool::PROGRAM_ID, Part::Oracle)));
            }
            PoolKind::Dlmm(keys) => {
                let bitmap = keys.bitmap_extension;
                followed.push(state);
                followed.extend(bitmap.map(|bitmap| at(bitmap, dlmm::PROGRAM_ID, Part::Bitmap)));
            }
            PoolKind::PumpSwap(keys) => {
                let (config, fees) = (pump_swap::GLOBAL_CONFIG, pump_swap::FEE_CONFIG);
                followed.extend(vaults(keys.vaults));
                followed.extend([
                    state,
                    at(config, pump_swap::PROGRAM_ID, Part::Config),
                    at(fees, pump_fees::FEE_PROGRAM_ID, Part::Schedules),
                    at(mint, program_0, Part::Supply),
                ]);
            }
            PoolKind::PumpCurve(_) => {
                let (config, fees) = (pump_curve::GLOBAL, pump_curve::FEE_CONFIG);
                followed.extend([
                    state,
                    at(config, pump_curve::PROGRAM_ID, Part::Config),
                    at(fees, pump_fees::FEE_PROGRAM_ID, Part::Schedules),
                    at(mint, program_0, Part::Supply),
                ]);
            }
        }
        let program = self.kind.kind().program();
        followed.extend(
            arrays
                .iter()
                .filter_map(|start| Some(at(self.array(*start)?, program, Part::Array(*start)))),
        );
        followed
    }
}
