//! The accounts of each kind of pool: how long they are and how they begin.

use sniper_core::amm::{
    AccountUpdate, Kind, Part, clmm, cpmm, dlmm, pump_curve, pump_fees, pump_swap, whirlpool,
};

/// What an account must look like to be decoded.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its part; an array's start is in its bytes.
    pub part: Part,
    /// The lengths it may have.
    pub lengths: &'static [usize],
    /// Bytes that it must have, and where.
    pub fixed: &'static [(usize, &'static [u8])],
    /// Where an array's start lies, and how many bytes it has.
    pub start: Option<(usize, usize)>,
}

const fn plain(
    part: Part,
    lengths: &'static [usize],
    fixed: &'static [(usize, &'static [u8])],
) -> Shape {
    Shape { part, lengths, fixed, start: None }
}

const VAULTS: [Shape; 2] = [
    plain(Part::Vault { second: false }, &[165], &[(108, &[1])]),
    plain(Part::Vault { second: true }, &[165], &[(108, &[1])]),
];
const FEES: Shape = plain(
    Part::Schedules,
    &pump_fees::FEE_CONFIG_LENS,
    &[(0, &pump_fees::FEE_CONFIG_DISCRIMINATOR)],
);
const SUPPLY: Shape = plain(Part::Supply, &[82], &[(45, &[1])]);

/// The accounts of a kind.
pub fn shapes(kind: Kind) -> Vec<Shape> {
    let vaults = || VAULTS.into_iter();
    match kind {
        Kind::Cpmm => vaults()
            .chain([
                plain(Part::State, &[cpmm::POOL_LEN], &[(0, &cpmm::POOL_DISCRIMINATOR)]),
                plain(Part::Config, &[cpmm::CONFIG_LEN], &[(0, &cpmm::CONFIG_DISCRIMINATOR)]),
            ])
            .collect(),
        Kind::AmmV4 => vaults().chain([plain(Part::State, &[752], &[])]).collect(),
        Kind::Clmm => vec![
            plain(Part::State, &[clmm::POOL_LEN], &[(0, &clmm::POOL_DISCRIMINATOR)]),
            plain(Part::Config, &[clmm::CONFIG_LEN], &[(0, &clmm::CONFIG_DISCRIMINATOR)]),
            plain(Part::Bitmap, &[clmm::EXTENSION_LEN], &[(0, &clmm::EXTENSION_DISCRIMINATOR)]),
            Shape {
                start: Some((40, 4)),
                ..plain(
                    Part::Array(0),
                    &[clmm::TICK_ARRAY_LEN],
                    &[(0, &clmm::TICK_ARRAY_DISCRIMINATOR)],
                )
            },
        ],
        Kind::Whirlpool => vec![
            plain(Part::State, &[whirlpool::POOL_LEN], &[(0, &whirlpool::POOL_DISCRIMINATOR)]),
            plain(Part::Oracle, &[whirlpool::ORACLE_LEN], &[(0, &whirlpool::ORACLE_DISCRIMINATOR)]),
            Shape {
                start: Some((8, 4)),
                ..plain(
                    Part::Array(0),
                    &[whirlpool::TICK_ARRAY_LEN],
                    &[(0, &whirlpool::TICK_ARRAY_DISCRIMINATOR)],
                )
            },
        ],
        Kind::Dlmm => vec![
            plain(Part::State, &[dlmm::PAIR_LEN], &[(0, &dlmm::PAIR_DISCRIMINATOR)]),
            plain(Part::Bitmap, &[dlmm::EXTENSION_LEN], &[(0, &dlmm::EXTENSION_DISCRIMINATOR)]),
            Shape {
                start: Some((8, 8)),
                ..plain(Part::Array(0), &[dlmm::ARRAY_LEN], &[(0, &dlmm::ARRAY_DISCRIMINATOR)])
            },
        ],
        Kind::PumpSwap => vaults()
            .chain([
                plain(Part::State, &pump_swap::POOL_LENS, &[(0, &pump_swap::POOL_DISCRIMINATOR)]),
                plain(
                    Part::Config,
                    &pump_swap::GLOBAL_CONFIG_LENS,
                    &[(0, &pump_swap::GLOBAL_CONFIG_DISCRIMINATOR)],
                ),
                FEES,
                SUPPLY,
            ])
            .collect(),
        Kind::PumpCurve => vec![
            plain(Part::State, &pump_curve::CURVE_LENS, &[(0, &pump_curve::CURVE_DISCRIMINATOR)]),
            plain(
                Part::Config,
                &pump_curve::GLOBAL_LENS,
                &[(0, &pump_curve::GLOBAL_DISCRIMINATOR)],
            ),
            FEES,
            SUPPLY,
        ],
    }
}

impl Shape {
    /// `data` as such an account: brought to the next length it may have, with the bytes it must have.
    pub fn fit(&self, data: &[u8]) -> Vec<u8> {
        let newest = self.lengths.last().copied().unwrap_or(0);
        let fits = self.lengths.iter().copied().find(|length| *length >= data.len());
        let mut out = data.to_vec();
        out.resize(fits.unwrap_or(newest), 0);
        for (at, bytes) in self.fixed {
            for (to, from) in out.iter_mut().skip(*at).zip(*bytes) {
                *to = *from;
            }
        }
        out
    }

    /// The part that `data` is, with the start that an array says it has.
    pub fn part_of(&self, data: &[u8]) -> Part {
        let Some((at, length)) = self.start else {
            return self.part;
        };
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(data.iter().skip(at).take(length)) {
            *to = *from;
        }
        let low = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Part::Array(i32::from_le_bytes(low))
    }

    /// Reads it as the feed does.
    pub fn decode(&self, kind: Kind, data: &[u8]) -> Option<AccountUpdate> {
        kind.decode(self.part_of(data), data).ok()
    }
}
