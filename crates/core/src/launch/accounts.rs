//! Accounts of the launch programs that we had not seen.

use crate::amm::{DecodeError, amm_v4, clmm, cpmm, pump_curve, pump_swap};
use crate::ids::Address;
use crate::launch::event::{NOBODY, bare};
use crate::launch::{Detected, Fetch, Launch, Program, Stage, Why};

/// Length of a pool's account of Raydium AMM v4, which has no first bytes of its own.
const AMM_V4_LEN: usize = 752;

/// What an account of a launch program tells of a pool; none when it is no pool's account, or its program makes none.
///
/// Bytes alone do not say whether a pool is new: see [`Stage::Seen`] and [`Detector::remember`](super::Detector). A
/// bonding curve does not name its coin, so it is a [`Fetch`].
///
/// # Errors
///
/// When it begins like a pool's account and is none.
pub fn read_account(
    owner: &Address,
    address: Address,
    data: &[u8],
) -> Result<Option<Detected>, DecodeError> {
    let Some(program) = Program::ALL.into_iter().find(|program| program.address() == *owner) else {
        return Ok(None);
    };
    let begins = |head: [u8; 8]| data.starts_with(&head);
    let (mints, creator) = match program {
        Program::PumpFun if begins(pump_curve::CURVE_DISCRIMINATOR) => {
            pump_curve::decode_curve(data)?;
            let (program, pool) = (Some(program), Some(address));
            return Ok(Some(Detected::Fetch(Fetch { program, pool, why: Why::Silent })));
        }
        Program::PumpSwap if begins(pump_swap::POOL_DISCRIMINATOR) => {
            let (_, keys) = pump_swap::decode_pool(data)?;
            let coin = Some(keys.coin_creator).filter(|key| *key != NOBODY);
            (keys.mints, Some(coin.unwrap_or(keys.creator)))
        }
        Program::AmmV4 if data.len() == AMM_V4_LEN => {
            let (_, keys) = amm_v4::decode_pool(data)?;
            (keys.mints, None)
        }
        Program::Cpmm if begins(cpmm::POOL_DISCRIMINATOR) => {
            let (_, keys) = cpmm::decode_pool(data)?;
            (keys.mints, Some(keys.creator))
        }
        Program::Clmm if begins(clmm::POOL_DISCRIMINATOR) => {
            let account = clmm::decode_pool_account(data)?;
            (account.mints, Some(account.creator))
        }
        _ => return Ok(None),
    };
    let launch = bare(program.kind(), Stage::Seen, address, mints, None);
    Ok(Some(Detected::Launch(Launch { creator, ..launch })))
}
