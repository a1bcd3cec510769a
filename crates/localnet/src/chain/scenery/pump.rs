//! The accounts of PumpSwap and of the pump.fun bonding curve, and swaps on both. The programs are not on this chain.

use solana_address::{Address, address};

/// The pools' program.
pub(crate) const SWAP_ID: Address = address!("pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA");
/// The curves' program.
pub(crate) const CURVE_ID: Address = address!("6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P");
/// The fees' program.
pub(crate) const FEE_ID: Address = address!("pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ");
/// Fees of pools and of curves.
pub(crate) const FEE_CONFIGS: [Address; 2] = [
    address!("5PHirr8joyTMp9JMm6nW7hNDVyEYdkzDqazxPD7RaTjx"),
    address!("8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt"),
];
const POOL: [u8; 8] = [0xf1, 0x9a, 0x6d, 0x04, 0x11, 0xb1, 0x6d, 0xbc];
const CURVE: [u8; 8] = [0x17, 0xb7, 0xf8, 0x37, 0x60, 0xd8, 0xac, 0x60];
const FEES: [u8; 8] = [0x8f, 0x34, 0x92, 0xbb, 0xdb, 0x7b, 0x4c, 0x9b];

/// Lengths of accounts as they were made over time.
pub(crate) const POOL_LENS: [usize; 4] = [245, 261, 270, 301];
pub(crate) const CURVE_LENS: [usize; 4] = [83, 115, 125, 151];
/// What is minted of every coin, and of it what a curve sells.
pub(crate) const SUPPLY: u64 = 1_000_000_000_000_000;
const FOR_SALE: u64 = 793_100_000_000_000;
/// What a curve starts from: virtual tokens and lamports.
const START: [u64; 2] = [1_073_000_000_000_000, 30_000_000_000];

/// Rates in hundredths of a percent: what stays, the protocol's, the creator's.
type Rates = [u64; 3];

const FLAT: Rates = [20, 5, 0];
/// From which market cap in lamports on a coin pays what.
const TIERS: [(u128, Rates); 4] = [
    (0, [2, 93, 30]),
    (420_000_000_000, [20, 5, 95]),
    (4_420_000_000_000, [20, 5, 70]),
    (98_240_000_000_000, [20, 5, 5]),
];

/// The fees' account.
pub(crate) fn fee_config(admin: &Address) -> Vec<u8> {
    let mut bytes = FEES.to_vec();
    bytes.push(255);
    bytes.extend(admin.as_array());
    let rates = |bytes: &mut Vec<u8>, rates: Rates| {
        rates.iter().for_each(|rate| bytes.extend(rate.to_le_bytes()));
    };
    rates(&mut bytes, FLAT);
    // For coins in SOL and, by market caps in dollars, for coins in dollars.
    for worth in [1, 150] {
        bytes.extend(u32::try_from(TIERS.len()).unwrap_or_default().to_le_bytes());
        for (cap, of) in TIERS {
            bytes.extend((cap * worth / if worth == 1 { 1 } else { 1_000 }).to_le_bytes());
            rates(&mut bytes, of);
        }
    }
    rates(&mut bytes, TIERS[0].1);
    bytes.resize(4_097, 0);
    bytes
}

fn put(bytes: &mut [u8], at: usize, with: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(with.len())?)?.copy_from_slice(with);
    Some(())
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Makes the pool of a coin that has left its curve.
fn maker_of_coin(base: &Address) -> Address {
    Address::find_program_address(&[b"pool-authority", base.as_ref()], &CURVE_ID).0
}

/// Where a pool lies, and its bump.
fn pool_address(maker: &Address, mints: [&Address; 2]) -> (Address, u8) {
    let seeds: [&[u8]; 5] =
        [b"pool", &[0, 0], maker.as_ref(), mints[0].as_ref(), mints[1].as_ref()];
    Address::find_program_address(&seeds, &SWAP_ID)
}

/// Where a coin's curve lies.
pub(crate) fn curve_address(coin: &Address) -> Address {
    Address::find_program_address(&[b"bonding-curve", coin.as_ref()], &CURVE_ID).0
}

/// A pool that has just opened.
pub(crate) struct Opening {
    /// Who made it; none for a coin that has left its curve.
    pub(crate) maker: Option<Address>,
    pub(crate) mints: [Address; 2],
    pub(crate) lp_mint: Address,
    pub(crate) vaults: [Address; 2],
    pub(crate) lp_supply: u64,
    pub(crate) coin_creator: Address,
    /// Counts for the price on top of the vault.
    pub(crate) virtual_quote: i128,
    pub(crate) length: usize,
}

impl Opening {
    /// Where it lies, and who made it.
    pub(crate) fn address(&self) -> (Address, u8, Address) {
        let [base, quote] = &self.mints;
        let maker = self.maker.unwrap_or_else(|| maker_of_coin(base));
        let (address, bump) = pool_address(&maker, [base, quote]);
        (address, bump, maker)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (_, bump, maker) = self.address();
        let mut bytes = POOL.to_vec();
        bytes.extend([bump, 0, 0]);
        let [base, quote] = &self.mints;
        let [base_vault, quote_vault] = &self.vaults;
        for key in [&maker, base, quote, &self.lp_mint, base_vault, quote_vault] {
            bytes.extend(key.as_array());
        }
        bytes.extend(self.lp_supply.to_le_bytes());
        // Pools that anybody made have no coin creator.
        let creator = if self.maker.is_some() { Address::default() } else { self.coin_creator };
        bytes.extend(creator.as_array());
        bytes.extend([0, 0]);
        bytes.extend(self.virtual_quote.to_le_bytes());
        bytes.resize(self.length, 0);
        bytes
    }
}

/// What prices of a pool follow from.
pub(crate) fn pool_reserves(state: &[u8], [base, quote]: [u64; 2]) -> Option<[u64; 2]> {
    // Accounts from before the field end where it would begin.
    let on_top = state.get(245..).and_then(|rest| rest.first_chunk().copied());
    let quote = i128::from(quote).checked_add(on_top.map_or(0, i128::from_le_bytes))?;
    Some([base, u64::try_from(quote).ok()?])
}

fn product(reserves: [u64; 2], paid: u64) -> Option<u64> {
    let [into, out_of] = reserves.map(u128::from);
    let out = (out_of * u128::from(paid)).checked_div(into + u128::from(paid))?;
    u64::try_from(out).ok().filter(|out| *out > 0)
}

fn share_up(amount: u64, bps: u64) -> Option<u64> {
    u64::try_from((u128::from(amount) * u128::from(bps)).div_ceil(10_000)).ok()
}

/// The vaults of a pool after a swap; the fees that do not stay leave at once.
pub(crate) fn pool_swap(
    state: &[u8],
    vaults: [u64; 2],
    forward: bool,
    amount: u64,
) -> Option<[u64; 2]> {
    let reserves = pool_reserves(state, vaults)?;
    let base: Address = Address::new_from_array(*state.get(43..)?.first_chunk()?);
    let of_coin = state.get(11..43)? == maker_of_coin(&base).as_ref();
    let cap = (u128::from(reserves[1]) * u128::from(SUPPLY)).checked_div(reserves[0].into())?;
    let tier = TIERS.iter().rev().find(|(from, _)| of_coin && cap >= *from);
    let [stays, protocol, creator] = tier.map_or(FLAT, |(_, rates)| *rates);
    if forward {
        let before = product(reserves, amount)?;
        let kept = share_up(before, stays)?;
        let paid_out = before.checked_sub(kept)?;
        Some([vaults[0].checked_add(amount)?, vaults[1].checked_sub(paid_out)?])
    } else {
        let all = 10_000 + stays + protocol + creator;
        let before = u64::try_from(u128::from(amount) * 10_000 / u128::from(all)).ok()?;
        let got = product([reserves[1], reserves[0]], before)?;
        let stays = share_up(before, stays)?;
        let quote = vaults[1].checked_add(before)?.checked_add(stays)?;
        Some([vaults[0].checked_sub(got)?, quote])
    }
}

/// A curve of which so many parts of a thousand are sold, and how many tokens and lamports it holds.
pub(crate) fn curve(sold: u64, creator: &Address, length: usize) -> (Vec<u8>, [u64; 2]) {
    let tokens = FOR_SALE / 1_000 * sold.min(999);
    let [virtual_token, virtual_quote] = START;
    let rest = virtual_token.saturating_sub(tokens);
    let k = u128::from(virtual_token) * u128::from(virtual_quote);
    let quote = u64::try_from(k.div_ceil(u128::from(rest.max(1)))).unwrap_or(u64::MAX);
    let real_quote = quote.saturating_sub(virtual_quote);
    let mut bytes = CURVE.to_vec();
    for word in [rest, quote, FOR_SALE - tokens, real_quote, SUPPLY] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.push(0);
    bytes.extend(creator.as_array());
    bytes.resize(length, 0);
    (bytes, [SUPPLY - tokens, real_quote])
}

/// What prices of a curve follow from.
pub(crate) fn curve_reserves(state: &[u8]) -> Option<[u64; 2]> {
    Some([long(state, 8)?, long(state, 16)?])
}

/// Writes a swap over a curve's state: the change of its tokens and of its lamports. None where it would be the last.
pub(crate) fn curve_swap(state: &mut [u8], forward: bool, amount: u64) -> Option<[i128; 2]> {
    let [token, quote] = curve_reserves(state)?;
    let [protocol, creator] = [95, 30];
    let [tokens, lamports] = if forward {
        let before = product([token, quote], amount)?;
        [i128::from(amount), -i128::from(before)]
    } else {
        let all = 10_000 + protocol + creator;
        let before = u64::try_from(u128::from(amount) * 10_000 / all).ok()?;
        [-i128::from(product([quote, token], before)?), i128::from(before)]
    };
    for (at, change) in [(8, tokens), (16, lamports), (24, tokens), (32, lamports)] {
        let now = i128::from(long(state, at)?).checked_add(change)?;
        let now = u64::try_from(now).ok().filter(|now| *now > 0)?;
        put(state, at, &now.to_le_bytes())?;
    }
    Some([tokens, lamports])
}
