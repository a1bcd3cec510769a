//! The state account of Raydium CLMM with one position around its price, and a swap within it. The program itself is
//! not on this chain.

use solana_address::{Address, address};

use crate::whirlpool::math::{Amount, Step, Way, amount_a, amount_b, step};
use crate::whirlpool::tick_math::{sqrt_price_at, tick_at};

/// The program's address.
pub(crate) const PROGRAM_ID: Address = address!("CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK");
const POOL: [u8; 8] = [0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46];
const CONFIG: [u8; 8] = [0xda, 0xf4, 0x21, 0x68, 0xcb, 0xcb, 0x2b, 0x6f];
const TICKS: [u8; 8] = [0xc0, 0x9b, 0x55, 0xcd, 0x31, 0xf9, 0x81, 0x2a];

/// Bytes of a pool.
pub(crate) const POOL_LEN: usize = 1_544;
const CONFIG_LEN: usize = 117;
const ARRAY_LEN: usize = 10_240;
/// Ticks of an array, and bytes of one.
const ARRAY_TICKS: i32 = 60;
const TICK_LEN: usize = 168;
/// Arrays on each side of tick 0 that the bitmap in the pool reaches.
const HALF: i32 = 512;

const LIQUIDITY_AT: usize = 237;
const PRICE_AT: usize = 253;
const TICK_AT: usize = 269;
const GROWTH_AT: usize = 277;
const PROTOCOL_AT: usize = 309;
const BITMAP_AT: usize = 904;
const FUND_AT: usize = 1_064;
/// Of a fee: the protocol's and the fund's, parts of a million.
const PARTS: [u64; 2] = [120_000, 40_000];

/// Fee schedules: the trade fee in parts of a million, and the ticks between two that can be used.
pub(crate) const SCHEDULES: [(u16, u16); 3] = [(500, 10), (2_500, 60), (10_000, 120)];

fn put(bytes: &mut [u8], at: usize, with: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(with.len())?)?.copy_from_slice(with);
    Some(())
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Where a fee schedule lies, with its bump.
pub(crate) fn config_address(index: u16) -> (Address, u8) {
    Address::find_program_address(&[b"amm_config", &index.to_be_bytes()], &PROGRAM_ID)
}

/// Where a pool lies, with its bump.
pub(crate) fn pool_address(config: &Address, mints: [&Address; 2]) -> (Address, u8) {
    let seeds: [&[u8]; 4] = [b"pool", config.as_ref(), mints[0].as_ref(), mints[1].as_ref()];
    Address::find_program_address(&seeds, &PROGRAM_ID)
}

fn array_address(pool: &Address, start: i32) -> Address {
    let seeds: [&[u8]; 3] = [b"tick_array", pool.as_ref(), &start.to_be_bytes()];
    Address::find_program_address(&seeds, &PROGRAM_ID).0
}

/// A fee schedule's account.
pub(crate) fn config(index: u16, bump: u8, owner: &Address) -> Vec<u8> {
    let (fee, spacing) = SCHEDULES.get(usize::from(index)).copied().unwrap_or_default();
    let mut bytes = CONFIG.to_vec();
    bytes.push(bump);
    bytes.extend(index.to_le_bytes());
    bytes.extend(owner.as_array());
    let [protocol, fund] = PARTS.map(|part| u32::try_from(part).unwrap_or_default());
    bytes.extend(protocol.to_le_bytes());
    bytes.extend(u32::from(fee).to_le_bytes());
    bytes.extend(spacing.to_le_bytes());
    bytes.extend(fund.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(owner.as_array());
    bytes.resize(CONFIG_LEN, 0);
    bytes
}

/// A pool that has just opened.
pub(crate) struct Opening {
    pub(crate) address: Address,
    pub(crate) bump: u8,
    pub(crate) config: (Address, u16),
    pub(crate) creator: Address,
    pub(crate) mints: [Address; 2],
    pub(crate) vaults: [Address; 2],
    pub(crate) observation: Address,
    pub(crate) decimals: [u8; 2],
    pub(crate) sqrt_price: u128,
    pub(crate) open_time: u64,
}

/// What there is of a pool at its start.
pub(crate) struct Opened {
    pub(crate) state: Vec<u8>,
    pub(crate) arrays: Vec<(Address, Vec<u8>)>,
    pub(crate) amounts: [u64; 2],
    /// The ticks between which its liquidity lies.
    pub(crate) range: [i32; 2],
}

impl Opening {
    /// With one position of `atoms` of the second token below the price and as much value above it.
    pub(crate) fn encode(&self, atoms: u64) -> Option<Opened> {
        let (_, spacing) = SCHEDULES.get(usize::from(self.config.1)).copied()?;
        let spacing_ticks = i32::from(spacing);
        let tick = tick_at(self.sqrt_price);
        let reach = spacing_ticks.checked_mul(30)?;
        let usable = |tick: i32| tick.div_euclid(spacing_ticks).checked_mul(spacing_ticks);
        let range = [usable(tick.checked_sub(reach)?)?, usable(tick.checked_add(reach)?)?];
        let [low, high] = range.map(sqrt_price_at);
        let liquidity = (u128::from(atoms) << 64).checked_div(self.sqrt_price.checked_sub(low)?)?;
        let atoms = |amount| match amount {
            Amount::Atoms(atoms) => Some(atoms),
            Amount::TooMany(_) => None,
        };
        let amounts = [
            atoms(amount_a(self.sqrt_price, high, liquidity, true).ok()?)?,
            atoms(amount_b(low, self.sqrt_price, liquidity, true))?,
        ];
        let span = spacing_ticks.checked_mul(ARRAY_TICKS)?;
        let mut arrays: Vec<(i32, Vec<u8>)> = Vec::new();
        let net = i128::try_from(liquidity).ok()?;
        for (tick, net) in [(range[0], net), (range[1], net.checked_neg()?)] {
            let start = tick.div_euclid(span).checked_mul(span)?;
            if arrays.last().is_none_or(|(known, _)| *known != start) {
                let mut bytes = TICKS.to_vec();
                bytes.extend(self.address.as_array());
                bytes.extend(start.to_le_bytes());
                bytes.resize(ARRAY_LEN, 0);
                arrays.push((start, bytes));
            }
            let (_, bytes) = arrays.last_mut()?;
            let place =
                usize::try_from(tick.checked_sub(start)?.checked_div(spacing_ticks)?).ok()?;
            let at = 44 + TICK_LEN * place;
            put(bytes, at, &tick.to_le_bytes())?;
            put(bytes, at + 4, &net.to_le_bytes())?;
            put(bytes, at + 20, &liquidity.to_le_bytes())?;
            *bytes.get_mut(10_124)? += 1;
        }
        let mut state = self.state(spacing, liquidity, tick)?;
        for (start, _) in &arrays {
            let bit = usize::try_from(start.checked_div(span)?.checked_add(HALF)?).ok()?;
            *state.get_mut(BITMAP_AT + bit / 8).filter(|_| bit < 1_024)? |= 1 << (bit % 8);
        }
        let arrays = arrays.into_iter();
        let arrays = arrays.map(|(start, data)| (array_address(&self.address, start), data));
        Some(Opened { state, arrays: arrays.collect(), amounts, range })
    }

    fn state(&self, spacing: u16, liquidity: u128, tick: i32) -> Option<Vec<u8>> {
        let mut bytes = POOL.to_vec();
        bytes.push(self.bump);
        let [first, second] = &self.mints;
        let [vault_0, vault_1] = &self.vaults;
        for key in
            [&self.config.0, &self.creator, first, second, vault_0, vault_1, &self.observation]
        {
            bytes.extend(key.as_array());
        }
        bytes.extend(self.decimals);
        bytes.extend(spacing.to_le_bytes());
        bytes.resize(POOL_LEN, 0);
        put(&mut bytes, LIQUIDITY_AT, &liquidity.to_le_bytes())?;
        put(&mut bytes, PRICE_AT, &self.sqrt_price.to_le_bytes())?;
        put(&mut bytes, TICK_AT, &tick.to_le_bytes())?;
        put(&mut bytes, 1_080, &self.open_time.to_le_bytes())?;
        Some(bytes)
    }
}

/// Root of a pool's price, Q64.64.
pub(crate) fn sqrt_price(state: &[u8]) -> Option<u128> {
    word(state, PRICE_AT).map(u128::from_le_bytes)
}

/// A pool's liquidity at its price.
pub(crate) fn liquidity(state: &[u8]) -> Option<u128> {
    word(state, LIQUIDITY_AT).map(u128::from_le_bytes)
}

/// The fee schedule that a pool names.
fn fee_rate(state: &[u8]) -> Option<u16> {
    let spacing = u16::from_le_bytes(word(state, 235)?);
    SCHEDULES.iter().find(|(_, known)| *known == spacing).map(|(fee, _)| *fee)
}

/// Writes a swap over a pool's state: what the trader pays and gets. None where it would leave the position.
pub(crate) fn swap(
    state: &mut [u8],
    range: [i32; 2],
    forward: bool,
    amount: u64,
) -> Option<[u64; 2]> {
    let way = Way { a_to_b: forward, exact_in: true };
    let (from, liquidity) = (sqrt_price(state)?, liquidity(state)?);
    let target = if forward { range[0].checked_add(1)? } else { range[1].checked_sub(1)? };
    let target = sqrt_price_at(target);
    let rate = fee_rate(state)?;
    let done: Step = step(way, amount, rate, liquidity, from, target).ok()?;
    if done.price == target || done.amount_out == 0 {
        return None;
    }
    let side = usize::from(!forward);
    let mut kept = done.fee;
    for (at, part) in [PROTOCOL_AT, FUND_AT].into_iter().zip(PARTS) {
        let at = at + 8 * side;
        let part = u64::try_from(u128::from(done.fee) * u128::from(part) / 1_000_000).ok()?;
        kept = kept.checked_sub(part)?;
        let sum = u64::from_le_bytes(word(state, at)?).checked_add(part)?;
        put(state, at, &sum.to_le_bytes())?;
    }
    let at = GROWTH_AT + 16 * side;
    let growth = (u128::from(kept) << 64).checked_div(liquidity)?;
    let growth = u128::from_le_bytes(word(state, at)?).wrapping_add(growth);
    put(state, at, &growth.to_le_bytes())?;
    put(state, PRICE_AT, &done.price.to_le_bytes())?;
    put(state, TICK_AT, &tick_at(done.price).to_le_bytes())?;
    Some([done.amount_in.checked_add(done.fee)?, done.amount_out])
}
