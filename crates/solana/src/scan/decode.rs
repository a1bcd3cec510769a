//! How a pool's state account reads.

use sniper_core::amm::pump_fees::Schedule;
use sniper_core::amm::{DecodeError, amm_v4, clmm, cpmm, dlmm, pump_curve, pump_swap, whirlpool};
use sniper_core::ids::Address;
use sniper_core::units::Atoms;

use super::fees::{Creator, Share};
use super::program::Program;
use super::standing::{COARSE_BELOW, of_liquidity, of_price};

const TOKEN_2022: Address = Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

/// What a pool keeps back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rates {
    /// Its own rate, in millionths.
    Own(u32),
    /// Of its own, and moving with the market by what another account says, or by the clock.
    Unknown,
    /// Of what an account says that many pools share.
    Shared(Address, Share),
    /// Of the same, but which of its schedules follows from who made the pool of this base mint.
    ByMaker(Maker, Creator),
}

/// Who made a PumpSwap pool, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maker {
    /// Who.
    pub address: Address,
    /// What is traded, and what for.
    pub mints: [Address; 2],
}

impl Maker {
    /// The schedule that is charged: a coin's own where the program moved it there from its curve.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        let [base, quote] = &self.mints;
        let of_coin = pump_swap::is_pool_authority(&self.address, base);
        if of_coin { Schedule::of_coin(quote) } else { Schedule::Flat }
    }
}

/// A pool's state account, as far as the table wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its mints. The coin of a bonding curve is not in its account: the curve's address stands for it.
    pub mints: [Address; 2],
    /// Its token accounts; zero for a curve, whose account names none.
    pub vaults: [Address; 2],
    /// Of each vault's balance, what is not the pool's; below zero, what counts on top of it.
    pub owed: [i64; 2],
    /// The reserves that the state account itself tells; none where the vaults do.
    pub reserves: Option<[u64; 2]>,
    /// The reserves tell a price alone: no depth follows from them.
    pub price_alone: bool,
    /// They are so small that rounding shows in the price.
    pub coarse: bool,
    /// The bin in which a DLMM pool trades.
    pub bin: Option<i32>,
    /// Its fees.
    pub rates: Rates,
    /// Swaps are switched off.
    pub swaps_off: bool,
    /// A mint is of Token-2022, which may charge for transfers.
    pub token_2022: bool,
    /// Seconds since the Unix epoch from when on it swaps; 0 where that is not asked.
    pub opens: u64,
    /// The slot from which on it swaps; 0 where that is not asked.
    pub opens_at: u64,
}

impl Decoded {
    /// A pool of whose state nothing speaks against trading it.
    fn plain(mints: [Address; 2], vaults: [Address; 2], rates: Rates) -> Self {
        Self {
            mints,
            vaults,
            owed: [0; 2],
            reserves: None,
            price_alone: false,
            coarse: false,
            bin: None,
            rates,
            swaps_off: false,
            token_2022: false,
            opens: 0,
            opens_at: 0,
        }
    }

    /// With the reserves that its liquidity at its price stands for.
    fn concentrated(self, liquidity: u128, sqrt_price: u128) -> Self {
        let reserves = of_liquidity(liquidity, sqrt_price);
        let coarse = reserves.iter().any(|side| *side < COARSE_BELOW);
        Self { reserves: Some(reserves), coarse, ..self }
    }
}

impl Program {
    /// Reads a pool from [`Self::slice`] of its account, or from all of it. `room` is used again from call to call.
    ///
    /// # Errors
    /// When the bytes are not a pool's, or contradict themselves.
    pub fn decode(
        self,
        address: &Address,
        data: &[u8],
        room: &mut Vec<u8>,
    ) -> Result<Decoded, DecodeError> {
        let Some(whole) = self.pool_len().filter(|whole| *whole != data.len()) else {
            return self.decode_whole(address, data);
        };
        if data.len() != self.slice().length {
            return Err(DecodeError::Length { account: self.text(), length: data.len() });
        }
        // The decoder wants the whole account. What the slice leaves out is nothing that is read below.
        room.clear();
        room.extend_from_slice(data);
        room.resize(whole, 0);
        self.decode_whole(address, room)
    }

    fn decode_whole(self, address: &Address, data: &[u8]) -> Result<Decoded, DecodeError> {
        match self {
            Self::Cpmm => cpmm_pool(data),
            Self::AmmV4 => amm_v4_pool(data),
            Self::Whirlpool => whirlpool_pool(data),
            Self::Clmm => clmm_pool(data),
            Self::Dlmm => dlmm_pool(data),
            Self::PumpSwap => pump_swap_pool(data),
            Self::PumpCurve => pump_curve(address, data),
        }
    }
}

/// What is not the pool's, as a number that may be below zero.
fn owed(account: &'static str, sums: [u64; 2]) -> Result<[i64; 2], DecodeError> {
    let wrong = |_| DecodeError::Field { account, field: "fees" };
    let [first, second] = sums.map(|sum| i64::try_from(sum).map_err(wrong));
    Ok([first?, second?])
}

fn cpmm_pool(data: &[u8]) -> Result<Decoded, DecodeError> {
    let (state, keys) = cpmm::decode_pool(data)?;
    let fees =
        [state.protocol_fees, state.fund_fees, state.creator_fees, state.shared_creator_fees];
    let mut sums = [0_u64; 2];
    for pair in fees {
        for (sum, fee) in sums.iter_mut().zip(pair) {
            let wrong = DecodeError::Field { account: "cpmm pool", field: "fees" };
            *sum = sum.checked_add(fee.get()).ok_or(wrong)?;
        }
    }
    let share = if state.enable_creator_fee { Share::CREATOR } else { Share::PLAIN };
    Ok(Decoded {
        owed: owed("cpmm pool", sums)?,
        swaps_off: state.status & cpmm::STATUS_NO_SWAP != 0 || state.creator_fee_on > 2,
        token_2022: keys.token_programs.contains(&TOKEN_2022),
        opens: state.open_time,
        ..Decoded::plain(keys.mints, keys.vaults, Rates::Shared(keys.config, share))
    })
}

fn amm_v4_pool(data: &[u8]) -> Result<Decoded, DecodeError> {
    let (state, keys) = amm_v4::decode_pool(data)?;
    let amm_v4::Fraction { numerator, denominator } = state.swap_fee;
    let rate = (u128::from(numerator) * 1_000_000).div_ceil(u128::from(denominator.max(1)));
    let usable = matches!(
        state.status,
        amm_v4::STATUS_INITIALIZED | amm_v4::STATUS_SWAP_ONLY | amm_v4::STATUS_WAITING_TRADE
    );
    let rates = Rates::Own(u32::try_from(rate).unwrap_or(u32::MAX));
    Ok(Decoded {
        owed: owed("amm v4 pool", state.owed.map(Atoms::get))?,
        swaps_off: !usable
            || denominator == 0
            || numerator > denominator
            || keys.nonce != amm_v4::AUTHORITY_NONCE,
        opens: if state.status == amm_v4::STATUS_WAITING_TRADE { state.open_time } else { 0 },
        ..Decoded::plain(keys.mints, keys.vaults, rates)
    })
}

/// Its account does not say whose its mints are; neither does that of a CLMM pool.
fn whirlpool_pool(data: &[u8]) -> Result<Decoded, DecodeError> {
    let (state, keys) = whirlpool::decode_pool(data)?;
    let rates = match state.is_adaptive() {
        true => Rates::Unknown,
        false => Rates::Own(u32::from(state.fee_rate)),
    };
    let plain = Decoded::plain(keys.mints, keys.vaults, rates);
    Ok(plain.concentrated(state.liquidity, state.sqrt_price))
}

fn clmm_pool(data: &[u8]) -> Result<Decoded, DecodeError> {
    let clmm::PoolAccount { state, keys, mints, .. } = clmm::decode_pool_account(data)?;
    let rates = match state.dynamic_fee {
        Some(_) => Rates::Unknown,
        None => Rates::Shared(keys.config, Share::PLAIN),
    };
    let plain = Decoded {
        swaps_off: state.status & clmm::STATUS_NO_SWAP != 0,
        opens: state.open_time,
        ..Decoded::plain(mints, keys.vaults, rates)
    };
    Ok(plain.concentrated(state.liquidity, state.sqrt_price))
}

/// The price of the active bin. What lies in it is in another account; where the bitmap says that this account holds
/// nothing, there is no price to trade at.
fn dlmm_pool(data: &[u8]) -> Result<Decoded, DecodeError> {
    let (state, keys) = dlmm::decode_pool(data)?;
    let empty = state.active_array_holds() == Some(false);
    let price = dlmm::price_of(state.bin_step, state.active).filter(|_| !empty).unwrap_or(0);
    let rate = state.fee_rate_most().map(|rate| rate.div_ceil(1_000));
    let waits = matches!(state.pair_type, 1 | 2);
    let by_slot = state.activation_type == 0;
    let point = if waits { state.activation_point } else { 0 };
    let reserves = of_price(price);
    Ok(Decoded {
        reserves: Some(reserves),
        price_alone: true,
        coarse: reserves[1] < COARSE_BELOW,
        bin: Some(state.active),
        swaps_off: rate.is_err(),
        token_2022: keys.token_programs.contains(&TOKEN_2022),
        opens: if by_slot { 0 } else { point },
        opens_at: if by_slot { point } else { 0 },
        ..Decoded::plain(
            keys.mints,
            keys.vaults,
            rate.map_or(Rates::Unknown, |rate| Rates::Own(u32::try_from(rate).unwrap_or(u32::MAX))),
        )
    })
}

fn creator(has_creator: bool, own_bps: u64) -> Creator {
    match (has_creator, own_bps) {
        (false, _) => Creator::Nobody,
        (true, 0) => Creator::Scheduled,
        (true, bps) => Creator::Own(u16::try_from(bps).unwrap_or(u16::MAX)),
    }
}

/// Its quote counts with virtual reserves on top of the vault, or below it.
fn pump_swap_pool(data: &[u8]) -> Result<Decoded, DecodeError> {
    let (state, keys) = pump_swap::decode_pool(data)?;
    let wrong = DecodeError::Field { account: "pump pool", field: "virtual reserves" };
    let on_top = i64::try_from(state.virtual_quote).ok().and_then(i64::checked_neg).ok_or(wrong)?;
    let maker = Maker { address: keys.creator, mints: keys.mints };
    let rates = Rates::ByMaker(maker, creator(state.has_creator, state.creator_fee_bps));
    Ok(Decoded { owed: [0, on_top], ..Decoded::plain(keys.mints, keys.vaults, rates) })
}

/// Its virtual reserves are its price. Where fewer tokens are left than the two hundredth part that a move of one
/// percent takes, no such move is to be had there.
fn pump_curve(address: &Address, data: &[u8]) -> Result<Decoded, DecodeError> {
    let (state, keys) = pump_curve::decode_curve(data)?;
    let quote = keys.quote();
    let schedule = Schedule::of_coin(&keys.quote_mint);
    let share = Share::pump(schedule, creator(state.has_creator, state.creator_fee_bps));
    let rates = Rates::Shared(pump_curve::FEE_CONFIG, share);
    let reserves = [state.virtual_token, state.virtual_quote].map(Atoms::get);
    let most = reserves[0].div_ceil(200);
    Ok(Decoded {
        reserves: Some(reserves),
        price_alone: state.real_token.get() < most,
        coarse: reserves.iter().any(|side| *side < COARSE_BELOW),
        swaps_off: state.complete,
        ..Decoded::plain([*address, quote], [Address::default(); 2], rates)
    })
}
