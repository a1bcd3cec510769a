//! Tick array accounts, of the fixed and of the dynamic kind.
//!
//! An array holds the 88 usable ticks from its start on. A fixed one gives each tick 113 bytes; a dynamic
//! one gives a tick without liquidity a single byte.

use solana_address::Address;

use super::state::{REWARDS, Reader};
use super::tick_math::{MAX_TICK, MIN_TICK};

/// Ticks of an array.
pub const TICKS: usize = 88;
/// [`TICKS`], as ticks are counted.
pub const TICKS_I32: i32 = 88;
/// Bytes of a fixed tick array.
pub const FIXED_LEN: usize = 9_988;
/// First eight bytes of a fixed tick array.
pub const FIXED_DISCRIMINATOR: [u8; 8] = [0x45, 0x61, 0xbd, 0xbe, 0x6e, 0x07, 0x42, 0xbb];
/// First eight bytes of a dynamic tick array.
pub const DYNAMIC_DISCRIMINATOR: [u8; 8] = [0x11, 0xd8, 0xf6, 0x8e, 0xe1, 0xc7, 0xda, 0x38];

/// Bytes of a tick behind its first one, which says whether it is in use.
const BODY: usize = 112;

/// A tick in use: liquidity starts or ends here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tick {
    /// Liquidity that comes in when the price rises over the tick, and goes when it falls.
    pub liquidity_net: i128,
    /// Liquidity of all positions that start or end here.
    pub liquidity_gross: u128,
    /// Fee growth of token A on the other side of the tick than the price.
    pub fee_growth_outside_a: u128,
    /// Fee growth of token B on the other side of the tick than the price.
    pub fee_growth_outside_b: u128,
    /// Reward growths on the other side of the tick than the price.
    pub reward_growths_outside: [u128; REWARDS],
}

impl Tick {
    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            liquidity_net: r.take().map(i128::from_le_bytes)?,
            liquidity_gross: r.u128()?,
            fee_growth_outside_a: r.u128()?,
            fee_growth_outside_b: r.u128()?,
            reward_growths_outside: [r.u128()?, r.u128()?, r.u128()?],
        })
    }

    fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BODY);
        bytes.extend(self.liquidity_net.to_le_bytes());
        bytes.extend(self.liquidity_gross.to_le_bytes());
        bytes.extend(self.fee_growth_outside_a.to_le_bytes());
        bytes.extend(self.fee_growth_outside_b.to_le_bytes());
        bytes.extend(self.reward_growths_outside.iter().flat_map(|growth| growth.to_le_bytes()));
        bytes
    }
}

/// A tick array as a swap sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickArray {
    /// Pool it belongs to.
    pub pool: Address,
    /// Its first tick.
    pub start: i32,
    /// Its ticks in use, by place.
    pub ticks: Vec<Option<Tick>>,
}

impl TickArray {
    /// An array without a tick in use, as one that was never created.
    #[must_use]
    pub fn empty(pool: Address, start: i32) -> Self {
        Self { pool, start, ticks: vec![None; TICKS] }
    }

    /// Reads a tick array account of either kind; `None` if the bytes are not one.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        let mut r = Reader { rest: data };
        let kind = r.take::<8>()?;
        let start = r.i32()?;
        let mut array = Self::empty(Address::default(), start);
        if kind == FIXED_DISCRIMINATOR && data.len() == FIXED_LEN {
            for place in &mut array.ticks {
                let used = r.u8()? != 0;
                let tick = Tick::read(&mut r)?;
                *place = used.then_some(tick);
            }
            array.pool = r.address()?;
            return Some(array);
        }
        if kind != DYNAMIC_DISCRIMINATOR {
            return None;
        }
        array.pool = r.address()?;
        // The map of ticks in use repeats what the ticks themselves say.
        let map = r.u128()?;
        for (index, place) in array.ticks.iter_mut().enumerate() {
            let used = r.u8()? != 0;
            if used != (map >> index & 1 == 1) {
                return None;
            }
            *place = if used { Some(Tick::read(&mut r)?) } else { None };
        }
        Some(array)
    }

    /// The bytes of this array as an account of the fixed kind.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_LEN);
        bytes.extend(FIXED_DISCRIMINATOR);
        bytes.extend(self.start.to_le_bytes());
        for place in &self.ticks {
            bytes.push(u8::from(place.is_some()));
            bytes.extend(place.unwrap_or_default().body());
        }
        bytes.extend(self.pool.as_array());
        bytes
    }

    /// The bytes of this array as an account of the dynamic kind.
    #[must_use]
    pub fn encode_dynamic(&self) -> Vec<u8> {
        let used = self.ticks.iter().zip(0..128u32).filter(|(tick, _)| tick.is_some());
        let map = used.fold(0u128, |map, (_, place)| map | 1 << place);
        let mut bytes = Vec::new();
        bytes.extend(DYNAMIC_DISCRIMINATOR);
        bytes.extend(self.start.to_le_bytes());
        bytes.extend(self.pool.as_array());
        bytes.extend(map.to_le_bytes());
        for place in &self.ticks {
            bytes.push(u8::from(place.is_some()));
            bytes.extend(place.iter().flat_map(Tick::body));
        }
        bytes
    }

    /// Writes a tick in use over the old one of an account of either kind; all else stays.
    ///
    /// Returns `None` if the account is no tick array or its tick at `place` is not in use.
    #[must_use]
    pub fn overwrite(data: &mut [u8], place: usize, tick: &Tick) -> Option<()> {
        let before = Self::decode(data)?;
        before.ticks.get(place)?.as_ref()?;
        let at = if data.starts_with(&FIXED_DISCRIMINATOR) {
            12 + place * (1 + BODY)
        } else {
            let used = before.ticks.iter().take(place).flatten().count();
            60 + place + used * BODY
        };
        data.get_mut(at + 1..at + 1 + BODY)?.copy_from_slice(&tick.body());
        Some(())
    }

    /// Place of `tick`, if it is one of this array that liquidity can start or end at.
    #[must_use]
    pub fn place(&self, tick: i32, spacing: u16) -> Option<usize> {
        let (spacing, ahead) = (i32::from(spacing), tick.checked_sub(self.start)?);
        if ahead < 0 || ahead % spacing != 0 || !(MIN_TICK..=MAX_TICK).contains(&tick) {
            return None;
        }
        usize::try_from(ahead / spacing).ok().filter(|place| *place < TICKS)
    }

    /// The tick in use at `tick`.
    #[must_use]
    pub fn tick(&self, tick: i32, spacing: u16) -> Option<&Tick> {
        self.ticks.get(self.place(tick, spacing)?)?.as_ref()
    }

    /// The next tick in use from `from` on: at it or below when the price falls, above it when it rises.
    #[must_use]
    pub fn next(&self, from: i32, spacing: u16, falling: bool) -> Option<i32> {
        let index = |(place, tick): (usize, &Option<Tick>)| {
            tick.as_ref()?;
            Some(self.start + i32::try_from(place).ok()? * i32::from(spacing))
        };
        let mut used = self.ticks.iter().enumerate().filter_map(index);
        if falling { used.rfind(|tick| *tick <= from) } else { used.find(|tick| *tick > from) }
    }
}

/// Start of the array that holds `tick`.
#[must_use]
pub fn start_of(tick: i32, spacing: u16) -> i32 {
    let ticks = TICKS_I32 * i32::from(spacing);
    tick.div_euclid(ticks) * ticks
}

/// Starts of the three arrays a swap from `tick` needs, in order; fewer at the end of the range.
///
/// When the price rises the search begins one spacing on: in the last stretch of an array no tick
/// lies ahead, and the next array comes first.
#[must_use]
pub fn starts_for(tick: i32, spacing: u16, a_to_b: bool) -> Vec<i32> {
    let ticks = TICKS_I32 * i32::from(spacing);
    let (first, stride) = if a_to_b {
        (start_of(tick, spacing), -ticks)
    } else {
        (start_of(tick + i32::from(spacing), spacing), ticks)
    };
    (0..3)
        .map(|nth| first + nth * stride)
        .filter(|start| start + ticks > MIN_TICK && *start < MAX_TICK)
        .collect()
}
