//! From a pool's state account to everything that trading it takes.

use super::around::TAKEN;
use super::{
    DecodeError, Kind, PoolKind, amm_v4, clmm, cpmm, dlmm, pump_fees, pump_swap, whirlpool,
};
use crate::amm::transfer_fee::EpochFees;
use crate::ids::Address;

/// A pool of which the state account was read. Its mints' accounts and [`Self::extra`] are to be read next.
#[derive(Clone, Debug)]
pub struct Draft {
    address: Address,
    mints: [Address; 2],
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Cpmm(cpmm::Keys),
    AmmV4(amm_v4::Keys),
    Clmm(Box<clmm::PoolAccount>),
    Whirlpool(whirlpool::PoolState, whirlpool::DecodedKeys),
    Dlmm(Box<dlmm::PoolState>, dlmm::DecodedKeys),
    PumpSwap(pump_swap::PoolState, pump_swap::DecodedKeys),
}

/// What trading a pool takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What its kind needs to quote and to build a swap.
    pub kind: PoolKind,
    /// The tick or bin arrays around its price: those to follow.
    pub arrays: Vec<i32>,
}

impl Draft {
    /// Reads a state account.
    ///
    /// # Errors
    ///
    /// When it is none of that kind, or a bonding curve: that does not name its coin.
    pub fn read(kind: Kind, address: Address, data: &[u8]) -> Result<Self, DecodeError> {
        let (mints, state) = match kind {
            Kind::Cpmm => {
                let (_, keys) = cpmm::decode_pool(data)?;
                let of = cpmm::Keys {
                    config: keys.config,
                    observation: keys.observation,
                    vaults: keys.vaults,
                    token_programs: keys.token_programs,
                };
                (keys.mints, State::Cpmm(of))
            }
            Kind::AmmV4 => {
                let (_, keys) = amm_v4::decode_pool(data)?;
                (keys.mints, State::AmmV4(amm_v4::Keys::try_from(&keys)?))
            }
            Kind::Clmm => {
                let account = clmm::decode_pool_account(data)?;
                (account.mints, State::Clmm(Box::new(account)))
            }
            Kind::Whirlpool => {
                let (state, keys) = whirlpool::decode_pool(data)?;
                (keys.mints, State::Whirlpool(state, keys))
            }
            Kind::Dlmm => {
                let (state, keys) = dlmm::decode_pool(data)?;
                (keys.mints, State::Dlmm(Box::new(state), keys))
            }
            Kind::PumpSwap => {
                let (state, keys) = pump_swap::decode_pool(data)?;
                (keys.mints, State::PumpSwap(state, keys))
            }
            Kind::PumpCurve => {
                return Err(DecodeError::Field { account: "bonding curve", field: "mint" });
            }
        };
        Ok(Self { address, mints, state })
    }

    /// Its mints, in its own order.
    #[must_use]
    pub const fn mints(&self) -> [Address; 2] {
        self.mints
    }

    /// A further account to read, and the program that owns it if it exists.
    #[must_use]
    pub fn extra(&self) -> Option<(Address, Address)> {
        match &self.state {
            State::Clmm(_) => {
                Some((clmm::bitmap_extension_address(&self.address), clmm::PROGRAM_ID))
            }
            State::Dlmm(..) => {
                Some((dlmm::bitmap_extension_address(&self.address), dlmm::PROGRAM_ID))
            }
            State::PumpSwap(..) => Some((pump_swap::GLOBAL_CONFIG, pump_swap::PROGRAM_ID)),
            _ => None,
        }
    }

    /// Puts it together: `programs` own the mints, `extra` holds the bytes of [`Self::extra`] where it exists.
    ///
    /// # Errors
    ///
    /// When `extra` is not what it should be, or is needed and absent.
    pub fn finish(
        self,
        programs: [Address; 2],
        extra: Option<&[u8]>,
    ) -> Result<Described, DecodeError> {
        let mut arrays = Vec::new();
        let kind = match self.state {
            State::Cpmm(keys) => PoolKind::Cpmm(keys),
            State::AmmV4(keys) => PoolKind::AmmV4(keys),
            State::Clmm(account) => {
                let extension = extra.map(clmm::decode_bitmap_extension).transpose()?;
                let known = extension.as_ref().map(|(_, extension)| extension);
                let ticks = clmm::Ticks::new(&account.state, known, &[]);
                let ticks = ticks
                    .map_err(|_| DecodeError::Field { account: "CLMM pool", field: "spacing" })?;
                arrays = ticks.around(account.state.tick, TAKEN);
                let address = clmm::bitmap_extension_address(&self.address);
                PoolKind::Clmm { keys: account.keys, bitmap_extension: extension.map(|_| address) }
            }
            State::Whirlpool(state, keys) => {
                arrays = whirlpool::arrays_around(&state, TAKEN);
                let oracle = whirlpool::oracle_address(&self.address);
                PoolKind::Whirlpool {
                    keys: keys.keys(oracle, programs),
                    adaptive: state.is_adaptive(),
                }
            }
            State::Dlmm(state, keys) => {
                let extension = extra.map(dlmm::decode_extension).transpose()?;
                let mut curve = dlmm::Curve::new(&state, [EpochFees::NONE; 2]);
                if let Some(extension) = &extension {
                    curve.set_extension(extension);
                }
                arrays = curve.arrays_around(TAKEN);
                let address = dlmm::bitmap_extension_address(&self.address);
                PoolKind::Dlmm(keys.keys(extension.map(|_| address)))
            }
            State::PumpSwap(state, keys) => {
                let account = "PumpSwap configuration";
                let config = extra.ok_or(DecodeError::Length { account, length: 0 })?;
                let config = pump_swap::decode_config_account(config)?;
                let recipients: pump_fees::Recipients = config.recipients(state.mayhem, 0);
                PoolKind::PumpSwap(pump_swap::Keys::new(&keys, programs, recipients))
            }
        };
        Ok(Described { kind, arrays })
    }
}
