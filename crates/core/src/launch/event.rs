//! What the launch programs print when they make a pool.

use crate::amm::{Kind, amm_v4};
use crate::gate::Untrusted;
use crate::ids::Address;
use crate::launch::{Launch, Stage};
use crate::market::WRAPPED_SOL;

/// pump.fun: a coin and its curve were made.
const CREATE: [u8; 8] = [0x1b, 0x72, 0xa9, 0x4d, 0xde, 0xeb, 0x63, 0x76];
/// pump.fun: a curve has sold everything.
const COMPLETE: [u8; 8] = [0x5f, 0x72, 0x61, 0x9c, 0xd4, 0x2e, 0x98, 0x08];
/// pump.fun: a coin has left its curve.
const MIGRATION: [u8; 8] = [0xbd, 0xe9, 0x5d, 0xb9, 0x5c, 0x94, 0xea, 0x94];
/// PumpSwap: a pool was made.
const CREATE_POOL: [u8; 8] = [0xb1, 0x31, 0x0c, 0xd2, 0xa0, 0x76, 0xa7, 0x74];
/// Raydium CLMM: a pool was made.
const POOL_CREATED: [u8; 8] = [0x19, 0x5e, 0x4b, 0x2f, 0x70, 0x63, 0x35, 0x3f];

/// Raydium AMM v4's kind of `ray_log` for a pool that was made.
const RAY_INIT: u8 = 0;
/// Its length.
const RAY_INIT_LEN: usize = 75;

/// An event is one of ours and does not read as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The launch that an event of pump.fun tells of, if it tells of one.
pub(super) fn pump_fun(data: &[u8]) -> Result<Option<Launch>, Unreadable> {
    let Some((head, body)) = data.split_first_chunk() else { return Ok(None) };
    let mut r = Reader(body);
    Ok(Some(match *head {
        CREATE => {
            let name = Untrusted::new(r.text()?.as_bytes());
            let symbol = Untrusted::new(r.text()?.as_bytes());
            r.text()?; // where the coin describes itself
            let (mint, pool, user) = (r.address()?, r.address()?, r.address()?);
            // Appended since, each after the one before it.
            let creator = r.more(Reader::address)?.unwrap_or(user);
            let at = r.more(Reader::i64)?;
            r.more(|r| r.skip::<32>())?; // four amounts that a new curve starts from
            r.more(|r| r.skip::<32>())?; // the coin's token program
            r.more(|r| r.skip::<2>())?; // mayhem, cashback
            let mints = [mint, or_sol(r.more(Reader::address)?)];
            let (kind, stage, creator) = (Kind::PumpCurve, Stage::Created, Some(creator));
            Launch { kind, stage, pool, mints, creator, name, symbol, at }
        }
        COMPLETE => {
            r.address()?; // whose purchase it was
            let (mint, pool, at) = (r.address()?, r.address()?, r.i64()?);
            let quote = or_sol(r.more(Reader::address)?);
            bare(Kind::PumpCurve, Stage::Complete, pool, [mint, quote], Some(at))
        }
        MIGRATION => {
            r.address()?; // who called for it
            let mint = r.address()?;
            r.skip::<24>()?; // what moved, and its price
            r.address()?; // the curve
            let (at, pool) = (r.i64()?, r.address()?);
            let quote = or_sol(r.more(Reader::address)?);
            bare(Kind::PumpSwap, Stage::Migrated, pool, [mint, quote], Some(at))
        }
        _ => return Ok(None),
    }))
}

/// The same of PumpSwap.
pub(super) fn pump_swap(data: &[u8]) -> Result<Option<Launch>, Unreadable> {
    let Some((head, body)) = data.split_first_chunk() else { return Ok(None) };
    if *head != CREATE_POOL {
        return Ok(None);
    }
    let mut r = Reader(body);
    let at = r.i64()?;
    r.skip::<2>()?; // the creator's how manieth
    let (creator, mints) = (r.address()?, [r.address()?, r.address()?]);
    r.skip::<2>()?; // decimals
    r.skip::<56>()?; // seven amounts that the pool starts from
    r.skip::<1>()?; // bump
    let pool = r.address()?;
    r.skip::<32>()?; // its liquidity token
    r.skip::<64>()?; // accounts of who made it
    // A pool that a curve became was made by pump.fun; the coin's creator is appended since.
    let coin_creator = r.more(Reader::address)?.filter(|key| *key != NOBODY);
    let launch = bare(Kind::PumpSwap, Stage::Created, pool, mints, Some(at));
    Ok(Some(Launch { creator: Some(coin_creator.unwrap_or(creator)), ..launch }))
}

/// The same of Raydium CLMM.
pub(super) fn clmm(data: &[u8]) -> Result<Option<Launch>, Unreadable> {
    let Some((head, body)) = data.split_first_chunk() else { return Ok(None) };
    if *head != POOL_CREATED {
        return Ok(None);
    }
    let mut r = Reader(body);
    let mints = [r.address()?, r.address()?];
    r.skip::<2>()?; // tick spacing
    let pool = r.address()?;
    r.skip::<20>()?; // price and tick
    r.skip::<64>()?; // vaults
    Ok(Some(bare(Kind::Clmm, Stage::Created, pool, mints, None)))
}

/// The pool that a `ray_log` of Raydium AMM v4 says was made, if it says so.
pub(super) fn ray_log(data: &[u8]) -> Result<Option<Address>, Unreadable> {
    if data.first() != Some(&RAY_INIT) {
        return Ok(None);
    }
    let market = data.get(RAY_INIT_LEN.saturating_sub(32)..RAY_INIT_LEN).ok_or(Unreadable)?;
    let market = <[u8; 32]>::try_from(market).map_err(|_| Unreadable)?;
    Ok(Some(amm_v4::derive(&Address::new_from_array(market)).pool))
}

/// Nobody's key: where nothing was set.
pub(super) const NOBODY: Address = Address::new_from_array([0; 32]);

/// The programs leave SOL out, or write nobody's key for it.
pub(super) fn or_sol(quote: Option<Address>) -> Address {
    quote.filter(|key| *key != NOBODY).unwrap_or(WRAPPED_SOL)
}

pub(super) fn bare(
    kind: Kind,
    stage: Stage,
    pool: Address,
    mints: [Address; 2],
    at: Option<i64>,
) -> Launch {
    let (name, symbol) = (Untrusted::default(), Untrusted::default());
    Launch { kind, stage, pool, mints, creator: None, name, symbol, at }
}

/// Borsh, from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Unreadable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip<const N: usize>(&mut self) -> Result<(), Unreadable> {
        self.take::<N>().map(|_| ())
    }

    /// A field that older programs do not write: none at the end, but never a part of it.
    fn more<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        if self.0.is_empty() { Ok(None) } else { read(self).map(Some) }
    }

    fn address(&mut self) -> Result<Address, Unreadable> {
        self.take().map(|key| Address::new_from_array(*key))
    }

    fn i64(&mut self) -> Result<i64, Unreadable> {
        self.take().map(|bytes| i64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = self.take().map(|bytes| u32::from_le_bytes(*bytes))?;
        let length = usize::try_from(length).map_err(|_| Unreadable)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Unreadable)
    }
}
