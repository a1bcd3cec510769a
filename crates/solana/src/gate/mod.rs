//! Reads what the token gate ([`sniper_core::gate`]) wants to know of a mint.
//!
//! # Design
//! All questions go out at once and share one deadline. Nothing is taken on trust that an account can show: owners,
//! programs and mints are checked on the bytes, and a list of holders names addresses only, whose amounts are read
//! again from one state. Whatever is late, refused, missing or not what it must be becomes [`Fact::Unknown`], which is
//! never safe; deciding is the core's.
//!
//! A node that lies consistently is believed, as everywhere: the endpoints are the operator's choice.

mod read;
mod rehearse;
mod trial;

use std::time::Duration;

use sniper_core::amm::{DecodeError, amm_v4, cpmm, pump_swap};
use sniper_core::gate::{Evidence, Fact, Places, RoundTrip, Why};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Slot};
use tokio::time::{Instant, timeout_at};

pub use self::rehearse::{Rehearsal, rehearse};
pub use self::trial::{Trial, TrialError, Tried, try_swap};

use self::read::Accounts;
use crate::rpc::RpcConnectionPool;

/// What is asked of a mint.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The mint.
    pub mint: Address,
    /// Who made it, where that is known; without one the creator's share stays unknown.
    pub creator: Option<Address>,
    /// Where its liquidity is.
    pub liquidity: LiquidityAt,
    /// Where tokens lie that are nobody's to sell.
    pub places: &'a Places,
}

/// Where a mint's liquidity is.
#[derive(Clone, Copy, Debug)]
pub enum LiquidityAt {
    /// In a pool with liquidity tokens.
    Pool {
        /// How its account is read.
        kind: TokenPool,
        /// Its account.
        address: Address,
        /// The mint of its liquidity tokens.
        lp_mint: Address,
    },
    /// In a bonding curve, from which nobody can withdraw.
    Curve {
        /// Its program.
        program: Address,
        /// Its account, derived from the mint by the caller.
        address: Address,
    },
    /// In positions without a token, or nobody knows: it stays unknown.
    Elsewhere,
}

/// A kind of pool that has liquidity tokens.
#[derive(Clone, Copy, Debug)]
pub struct TokenPool {
    /// Owns its accounts.
    pub program: Address,
    /// Reads its account.
    pub read: fn(&[u8]) -> Result<PoolTokens, DecodeError>,
}

/// What a pool's account tells of its liquidity tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolTokens {
    /// The mints it trades.
    pub mints: [Address; 2],
    /// The mint of its liquidity tokens.
    pub lp_mint: Address,
    /// Made less given back; burnt ones count.
    pub minted: Atoms,
}

impl TokenPool {
    /// Raydium CPMM.
    pub const CPMM: Self = Self { program: cpmm::PROGRAM_ID, read: read_cpmm };
    /// Raydium AMM v4.
    pub const AMM_V4: Self = Self { program: amm_v4::PROGRAM_ID, read: read_amm_v4 };
    /// PumpSwap, whose pools of coins that left their curve have all of them burnt.
    pub const PUMP_SWAP: Self = Self { program: pump_swap::PROGRAM_ID, read: read_pump_swap };
}

fn read_cpmm(data: &[u8]) -> Result<PoolTokens, DecodeError> {
    let (state, keys) = cpmm::decode_pool(data)?;
    Ok(PoolTokens { mints: keys.mints, lp_mint: keys.lp_mint, minted: state.lp_supply })
}

fn read_amm_v4(data: &[u8]) -> Result<PoolTokens, DecodeError> {
    let (state, keys) = amm_v4::decode_pool(data)?;
    Ok(PoolTokens { mints: keys.mints, lp_mint: keys.lp_mint, minted: state.lp_supply })
}

fn read_pump_swap(data: &[u8]) -> Result<PoolTokens, DecodeError> {
    let (state, keys) = pump_swap::decode_pool(data)?;
    Ok(PoolTokens { mints: keys.mints, lp_mint: keys.lp_mint, minted: state.lp_supply })
}

/// Gathers the evidence on a mint, at most for `within`. `sell` simulates a buy and the sell of all of it; it runs
/// beside the other questions, under the same deadline.
pub async fn gather(
    rpc: &RpcConnectionPool,
    request: &Request<'_>,
    within: Duration,
    sell: impl Future<Output = Fact<RoundTrip>>,
) -> Evidence {
    let until = Instant::now() + within;
    let (mint, places) = (&request.mint, request.places);
    let locked = async {
        match &request.liquidity {
            LiquidityAt::Pool { lp_mint, .. } => read::locked(rpc, lp_mint, places).await.map(Some),
            LiquidityAt::Curve { .. } | LiquidityAt::Elsewhere => Ok(None),
        }
    };
    let (accounts, supply, holders, locked, creator, sell) = tokio::join!(
        in_time(until, Accounts::read(rpc, request)),
        in_time(until, read::supply(rpc, mint)),
        in_time(until, read::holders(rpc, mint, places)),
        in_time(until, locked),
        in_time(until, read::creator(rpc, request)),
        timeout_at(until, sell),
    );
    let mut evidence = match &accounts {
        Ok(accounts) => accounts.evidence(request, locked),
        Err(why) => Evidence::nothing(*mint, *why),
    };
    evidence.supply = fact(supply);
    evidence.holders = fact(holders);
    evidence.creator = fact(creator);
    evidence.sell = sell.unwrap_or(Fact::Unknown(Why::Late));
    evidence
}

fn fact<T>(answer: Result<(T, Slot), Why>) -> Fact<T> {
    match answer {
        Ok((value, slot)) => Fact::Known(value, slot),
        Err(why) => Fact::Unknown(why),
    }
}

async fn in_time<T>(
    until: Instant,
    answer: impl Future<Output = Result<T, Why>>,
) -> Result<T, Why> {
    timeout_at(until, answer).await.unwrap_or(Err(Why::Late))
}
