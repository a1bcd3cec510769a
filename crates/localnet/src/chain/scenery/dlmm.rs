//! The state account of Meteora DLMM with its bins, and a swap through them. The program itself is not on this chain.

use ruint::aliases::U256;
use solana_address::{Address, address};

/// The program's address.
pub(crate) const PROGRAM_ID: Address = address!("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo");
const PAIR: [u8; 8] = [0x21, 0x0b, 0x31, 0x62, 0xb5, 0x65, 0xb1, 0x0d];
const ARRAY: [u8; 8] = [0x5c, 0x8e, 0x5c, 0xdc, 0x05, 0x94, 0x46, 0xb5];

/// Bytes of a pool.
pub(crate) const PAIR_LEN: usize = 904;
const ARRAY_LEN: usize = 10_136;
/// Bins of an array, where they begin, and bytes of one.
pub(crate) const ARRAY_BINS: i32 = 70;
const BINS_AT: usize = 56;
const BIN_LEN: usize = 144;
/// Bins with liquidity on each side of the price.
const REACH: i32 = 12;
/// Rates are parts of this.
const WHOLE: u128 = 1_000_000_000;

/// Bin steps and base factors, as they are common: together a base fee of 0.1, 0.2 and 0.8 percent.
pub(crate) const TIERS: [(u16, u16); 3] = [(10, 10_000), (20, 10_000), (80, 10_000)];
/// Of every second pool the fee grows with the distance.
const CONTROL: u32 = 40_000;
const MAX_VOLATILITY: u32 = 350_000;
const FILTER: u16 = 30;
const DECAY: u16 = 600;
const REDUCTION: u16 = 5_000;
const PROTOCOL_SHARE: u16 = 500;

fn put(bytes: &mut [u8], at: usize, with: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(with.len())?)?.copy_from_slice(with);
    Some(())
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// `(1 + step / 10000) ^ bin` in Q64.64, by powers of its inverse.
pub(crate) fn price_of(step: u16, bin: i32) -> Option<u128> {
    const ONE: U256 = U256::from_limbs([0, 1, 0, 0]);
    let part: U256 = U256::from(step) << 64;
    let base: U256 = ONE + part / U256::from(10_000);
    let all = U256::from(u128::MAX);
    let mut square = all.checked_div(base)?;
    let mut power = ONE;
    let mut left = bin.unsigned_abs();
    while left > 0 {
        if left % 2 == 1 {
            power = (power * square) >> 64;
        }
        square = (square * square) >> 64;
        left /= 2;
    }
    let price = if bin > 0 { all.checked_div(power)? } else { power };
    u128::try_from(price).ok().filter(|price| *price > 0)
}

pub(crate) fn array_address(pool: &Address, index: i32) -> Address {
    let seeds: [&[u8]; 3] = [b"bin_array", pool.as_ref(), &i64::from(index).to_le_bytes()];
    Address::find_program_address(&seeds, &PROGRAM_ID).0
}

/// A pool that has just opened.
pub(crate) struct Opening {
    pub(crate) address: Address,
    pub(crate) mints: [Address; 2],
    pub(crate) vaults: [Address; 2],
    pub(crate) oracle: Address,
    pub(crate) creator: Address,
    /// Programs of the mints: 0 the old one, 1 the one with extensions.
    pub(crate) programs: [u8; 2],
    pub(crate) tier: (u16, u16),
    pub(crate) active: i32,
    /// Its fee grows with the distance walked.
    pub(crate) varies: bool,
    pub(crate) opened: u64,
}

/// What there is of a pool at its start.
pub(crate) struct Opened {
    pub(crate) state: Vec<u8>,
    pub(crate) arrays: Vec<(Address, Vec<u8>)>,
    pub(crate) amounts: [u64; 2],
    /// The lowest and the highest bin that hold something.
    pub(crate) range: [i32; 2],
}

impl Opening {
    /// With so much of both tokens, spread evenly over the bins around the price.
    pub(crate) fn encode(&self, sides: [u64; 2]) -> Option<Opened> {
        let (step, _) = self.tier;
        let range = [self.active.checked_sub(REACH)?, self.active.checked_add(REACH)?];
        let each = sides.map(|side| side / u64::try_from(REACH + 1).unwrap_or(u64::MAX));
        let mut arrays: Vec<(i32, Vec<u8>)> = Vec::new();
        let mut amounts = [0_u64; 2];
        for bin in range[0]..=range[1] {
            let index = bin.div_euclid(ARRAY_BINS);
            if arrays.last().is_none_or(|(known, _)| *known != index) {
                let mut bytes = ARRAY.to_vec();
                bytes.extend(i64::from(index).to_le_bytes());
                bytes.extend([2, 0, 0, 0, 0, 0, 0, 0]);
                bytes.extend(self.address.as_array());
                bytes.resize(ARRAY_LEN, 0);
                arrays.push((index, bytes));
            }
            let (_, bytes) = arrays.last_mut()?;
            let held = [
                if bin >= self.active { each[0] } else { 0 },
                if bin <= self.active { each[1] } else { 0 },
            ];
            for (sum, amount) in amounts.iter_mut().zip(held) {
                *sum = sum.checked_add(amount)?;
            }
            let price = price_of(step, bin)?;
            let worth = (U256::from(held[0]) * U256::from(price)) + (U256::from(held[1]) << 64);
            let at = bin_at(bin);
            put(bytes, at, &held[0].to_le_bytes())?;
            put(bytes, at + 8, &held[1].to_le_bytes())?;
            put(bytes, at + 16, &price.to_le_bytes())?;
            put(bytes, at + 32, &u128::try_from(worth).ok()?.to_le_bytes())?;
        }
        let mut state = self.state()?;
        for (index, _) in &arrays {
            let bit = usize::try_from(index.checked_add(512)?).ok()?;
            *state.get_mut(584 + bit / 8).filter(|_| bit < 1_024)? |= 1 << (bit % 8);
        }
        let arrays = arrays.into_iter();
        let arrays = arrays.map(|(index, data)| (array_address(&self.address, index), data));
        Some(Opened { state, arrays: arrays.collect(), amounts, range })
    }

    fn state(&self) -> Option<Vec<u8>> {
        let (step, factor) = self.tier;
        let mut bytes = vec![0; PAIR_LEN];
        let control = if self.varies { CONTROL } else { 0 };
        for (at, with) in [
            (0, &PAIR[..]),
            (8, &factor.to_le_bytes()),
            (10, &FILTER.to_le_bytes()),
            (12, &DECAY.to_le_bytes()),
            (14, &REDUCTION.to_le_bytes()),
            (16, &control.to_le_bytes()),
            (20, &MAX_VOLATILITY.to_le_bytes()),
            (24, &(-44_000_i32).to_le_bytes()),
            (28, &44_000_i32.to_le_bytes()),
            (32, &PROTOCOL_SHARE.to_le_bytes()),
            (48, &self.active.to_le_bytes()),
            (56, &self.opened.to_le_bytes()),
            (72, &[255]),
            (73, &step.to_le_bytes()),
            (76, &self.active.to_le_bytes()),
            (80, &step.to_le_bytes()),
            (84, &factor.to_le_bytes()),
            (88, self.mints[0].as_array()),
            (120, self.mints[1].as_array()),
            (152, self.vaults[0].as_array()),
            (184, self.vaults[1].as_array()),
            (552, self.oracle.as_array()),
            (712, &self.opened.to_le_bytes()),
            (848, self.creator.as_array()),
            (880, &self.programs),
            (882, &[1]),
        ] {
            put(&mut bytes, at, with)?;
        }
        Some(bytes)
    }
}

fn bin_at(bin: i32) -> usize {
    let place = usize::try_from(bin.rem_euclid(ARRAY_BINS)).unwrap_or_default();
    BINS_AT + BIN_LEN * place
}

/// The bin in which a pool trades.
pub(crate) fn active(state: &[u8]) -> Option<i32> {
    word(state, 76).map(i32::from_le_bytes)
}

/// The price of that bin, Q64.64.
pub(crate) fn price(state: &[u8]) -> Option<u128> {
    price_of(u16::from_le_bytes(word(state, 80)?), active(state)?)
}

/// What a pool remembers of the distance, and what its fee follows from.
struct Distance {
    reference: u32,
    index: i32,
    control: u32,
    step: u16,
    factor: u16,
}

impl Distance {
    /// At the start of a swap.
    fn begin(state: &[u8], now: u64) -> Option<Self> {
        let short = |at| word(state, at).map(u16::from_le_bytes);
        let long = |at| word(state, at).map(u32::from_le_bytes);
        let (mut reference, mut index) = (long(44)?, i32::from_le_bytes(word(state, 48)?));
        let passed = now.saturating_sub(u64::from_le_bytes(word(state, 56)?));
        if passed >= u64::from(FILTER) {
            index = active(state)?;
            let kept = u64::from(long(40)?) * u64::from(REDUCTION) / 10_000;
            reference = if passed < u64::from(DECAY) { u32::try_from(kept).ok()? } else { 0 };
        }
        Some(Self { reference, index, control: long(16)?, step: short(80)?, factor: short(8)? })
    }

    fn accumulator(&self, bin: i32) -> u32 {
        let far = self.index.abs_diff(bin).saturating_mul(10_000);
        self.reference.saturating_add(far).min(MAX_VOLATILITY)
    }

    /// Parts of [`WHOLE`].
    fn rate(&self, bin: i32) -> u128 {
        let base = u128::from(self.factor) * u128::from(self.step) * 10;
        let moved = u128::from(self.accumulator(bin)) * u128::from(self.step);
        let varies = (moved * moved * u128::from(self.control)).div_ceil(100_000_000_000);
        (base + varies).min(WHOLE / 10)
    }
}

/// Writes a swap over a pool's state and the arrays it comes through, each with its index: what the trader pays and
/// gets. None where there is not enough in the bins.
pub(crate) fn swap(
    state: &mut [u8],
    arrays: &mut [(i32, Vec<u8>)],
    (forward, amount): (bool, u64),
    now: u64,
) -> Option<[u64; 2]> {
    let distance = Distance::begin(state, now)?;
    let first = active(state)?;
    let (mut bin, mut left, mut out, mut protocol) = (first, amount, 0_u64, 0_u64);
    loop {
        let index = bin.div_euclid(ARRAY_BINS);
        let (_, bytes) = arrays.iter_mut().find(|(known, _)| *known == index)?;
        let (paid, got, part) = fill(bytes, bin_at(bin), forward, left, distance.rate(bin))?;
        left = left.checked_sub(paid)?;
        out = out.checked_add(got)?;
        protocol = protocol.checked_add(part)?;
        if left == 0 {
            break;
        }
        bin = bin.checked_add(if forward { -1 } else { 1 })?;
    }
    if out == 0 {
        return None;
    }
    put(state, 40, &distance.accumulator(bin).to_le_bytes())?;
    put(state, 44, &distance.reference.to_le_bytes())?;
    put(state, 48, &distance.index.to_le_bytes())?;
    if bin != first {
        put(state, 56, &now.to_le_bytes())?;
        put(state, 76, &bin.to_le_bytes())?;
    }
    let at = if forward { 216 } else { 224 };
    let sum = u64::from_le_bytes(word(state, at)?).checked_add(protocol)?;
    put(state, at, &sum.to_le_bytes())?;
    Some([amount, out])
}

/// What one bin does of a swap: what it takes, fee included, what it gives, and the protocol's part.
fn fill(
    bytes: &mut [u8],
    at: usize,
    forward: bool,
    amount: u64,
    rate: u128,
) -> Option<(u64, u64, u64)> {
    let price = U256::from(u128::from_le_bytes(word(bytes, at + 16)?));
    let [into_at, out_at] = if forward { [at, at + 8] } else { [at + 8, at] };
    let held = u64::from_le_bytes(word(bytes, out_at)?);
    if held == 0 {
        return Some((0, 0, 0));
    }
    let drain: U256 = if forward {
        let shifted: U256 = U256::from(held) << 64;
        let up: U256 = shifted + price - U256::ONE;
        up.checked_div(price)?
    } else {
        let worth: U256 = U256::from(held) * price + U256::from(u64::MAX);
        worth >> 64
    };
    let drain = u64::try_from(drain).ok()?;
    let on_top = (u128::from(drain) * rate).div_ceil(WHOLE - rate);
    let all = u128::from(drain).checked_add(on_top)?;
    let (paid, fee, got) = if u128::from(amount) >= all {
        (u64::try_from(all).ok()?, u64::try_from(on_top).ok()?, held)
    } else {
        let fee = u64::try_from((u128::from(amount) * rate).div_ceil(WHOLE)).ok()?;
        let net = U256::from(amount.checked_sub(fee)?);
        let wide: U256 = net << 64;
        let worth: U256 = net * price;
        let got: U256 = if forward { worth >> 64 } else { wide.checked_div(price)? };
        (amount, fee, u64::try_from(got).ok()?.min(held))
    };
    let protocol = u64::try_from(u128::from(fee) * u128::from(PROTOCOL_SHARE) / 10_000).ok()?;
    let counted = paid.checked_sub(fee)?;
    let into = u64::from_le_bytes(word(bytes, into_at)?).checked_add(counted)?;
    put(bytes, into_at, &into.to_le_bytes())?;
    put(bytes, out_at, &held.checked_sub(got)?.to_le_bytes())?;
    let shares = u128::from_le_bytes(word(bytes, at + 32)?) >> 64;
    let growth_at = at + if forward { 80 } else { 96 };
    let growth = (u128::from(fee.checked_sub(protocol)?) << 64).checked_div(shares.max(1))?;
    let growth = u128::from_le_bytes(word(bytes, growth_at)?).wrapping_add(growth);
    put(bytes, growth_at, &growth.to_le_bytes())?;
    Some((paid, got, protocol))
}
