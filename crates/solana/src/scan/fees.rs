//! Fees that an account tells for many pools.

use sniper_core::amm::pump_fees::{FeeConfig, Fees, Schedule, decode_fee_config};
use sniper_core::amm::{DecodeError, clmm, cpmm};
use sniper_core::scan::figures::RATE_WHOLE;

/// Rates of the pump programs are parts of this.
const BPS_WHOLE: u64 = 10_000;

/// What a coin's creator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creator {
    /// Nothing.
    Nobody,
    /// What the schedule says.
    Scheduled,
    /// A rate of the coin's own, in hundredths of a percent.
    Own(u16),
}

/// Which part of a shared account a pool pays. Kept for every pool, so in 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u16);

const CREATOR_BITS: u32 = 14;
const CREATOR_MASK: u16 = (1 << CREATOR_BITS) - 1;

impl Share {
    /// The trade rate alone.
    pub const PLAIN: Self = Self(0);
    /// The creator's rate on top.
    pub const CREATOR: Self = Self(1);

    /// What a schedule of the pump fee program says, and the creator's part. A rate beyond everything counts as all.
    #[must_use]
    pub fn pump(schedule: Schedule, creator: Creator) -> Self {
        let schedule: u16 = match schedule {
            Schedule::Flat => 0,
            Schedule::Sol => 1,
            Schedule::Stable => 2,
            Schedule::Exotic => 3,
        };
        let creator = match creator {
            Creator::Scheduled => 0,
            Creator::Own(bps) => bps.min(10_000),
            Creator::Nobody => CREATOR_MASK,
        };
        Self(schedule << CREATOR_BITS | creator)
    }

    /// Which schedule: its number in [`PumpFees`].
    fn schedule(self) -> usize {
        usize::from(self.0 >> CREATOR_BITS)
    }

    fn creator(self) -> Creator {
        match self.0 & CREATOR_MASK {
            0 => Creator::Scheduled,
            CREATOR_MASK => Creator::Nobody,
            bps => Creator::Own(bps),
        }
    }

    /// The same schedule with another creator's part.
    #[must_use]
    pub(super) fn with_creator(self, creator: Creator) -> Self {
        let Self(part) = Self::pump(Schedule::Flat, creator);
        Self(self.0 & !CREATOR_MASK | part)
    }
}

/// The highest that each schedule charges, in hundredths of a percent.
///
/// Which tier a coin pays follows from its market cap, and that from the supply of its mint, which is not read for
/// every pool: a rate told too high hides a gap, one told too low invents one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PumpFees([Most; 4]);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Most {
    without_creator: u64,
    with_creator: u64,
}

impl PumpFees {
    fn of(config: &FeeConfig) -> Self {
        let tiers = config.tiers.iter().chain(&config.stable_tiers);
        let caps: Vec<u128> = tiers.map(|tier| tier.market_cap).chain([0]).collect();
        let schedules = [Schedule::Flat, Schedule::Sol, Schedule::Stable, Schedule::Exotic];
        Self(schedules.map(|schedule| {
            let mut most = Most::default();
            for Fees { lp_bps, protocol_bps, creator_bps } in
                caps.iter().filter_map(|cap| config.fees(schedule, *cap))
            {
                let without = lp_bps.saturating_add(protocol_bps);
                most.without_creator = most.without_creator.max(without);
                most.with_creator = most.with_creator.max(without.saturating_add(creator_bps));
            }
            most
        }))
    }

    /// In millionths of what goes in, for the coin and for what it is priced in.
    fn rates(&self, share: Share) -> [u32; 2] {
        let most = self.0.get(share.schedule()).copied().unwrap_or_default();
        let bps = match share.creator() {
            Creator::Nobody => most.without_creator,
            Creator::Scheduled => most.with_creator,
            // Whether the program lets a coin have a rate of its own is not read.
            Creator::Own(bps) => {
                most.with_creator.max(most.without_creator.saturating_add(bps.into()))
            }
        };
        let bps = bps.min(BPS_WHOLE);
        // All of it is in what the coin is priced in: of what a sale brings, and on top of what a purchase takes.
        let sale = bps * u64::from(RATE_WHOLE) / BPS_WHOLE;
        let purchase = (bps * u64::from(RATE_WHOLE)).div_ceil(BPS_WHOLE + bps);
        [sale, purchase].map(|rate| u32::try_from(rate).unwrap_or(RATE_WHOLE))
    }
}

/// What a shared account says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SharedFees {
    Cpmm(cpmm::Config),
    Clmm(clmm::Config),
    Pump(PumpFees),
}

impl SharedFees {
    /// Reads such an account, by its first bytes and its length.
    pub(super) fn read(data: &[u8]) -> Result<Self, DecodeError> {
        match data.len() {
            cpmm::CONFIG_LEN => cpmm::decode_config(data).map(Self::Cpmm),
            clmm::CONFIG_LEN => clmm::decode_config(data).map(Self::Clmm),
            _ => decode_fee_config(data).map(|all| Self::Pump(PumpFees::of(&all.config))),
        }
    }

    /// What a pool pays of it, in millionths. The creator's fee of CPMM comes out of what goes in or what comes out; as
    /// the sum, it is never told too low.
    pub(super) fn rates(&self, share: Share) -> [u32; 2] {
        match self {
            Self::Cpmm(config) => {
                let creator = if share == Share::CREATOR { config.creator_fee_rate } else { 0 };
                let rate = config.trade_fee_rate.saturating_add(creator);
                [u32::try_from(rate).unwrap_or(RATE_WHOLE); 2]
            }
            Self::Clmm(config) => [config.trade_fee_rate; 2],
            Self::Pump(fees) => fees.rates(share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sniper_core::amm::pump_fees::FeeTier;

    fn fees(lp_bps: u64, protocol_bps: u64, creator_bps: u64) -> Fees {
        Fees { lp_bps, protocol_bps, creator_bps }
    }

    #[test]
    fn a_coin_is_charged_the_highest_tier_of_its_own_schedule() {
        let tier = |market_cap, fees| FeeTier { market_cap, fees };
        let all = PumpFees::of(&FeeConfig {
            flat: fees(20, 5, 0),
            tiers: vec![tier(0, fees(2, 93, 30)), tier(1_000, fees(20, 5, 90))],
            stable_tiers: Vec::new(),
            exotic: fees(1, 2, 3),
        });
        let bps = |schedule, creator| {
            let [sale, _] = all.rates(Share::pump(schedule, creator));
            sale / 100
        };
        assert_eq!(bps(Schedule::Flat, Creator::Scheduled), 25);
        assert_eq!(bps(Schedule::Sol, Creator::Scheduled), 125);
        assert_eq!(bps(Schedule::Sol, Creator::Nobody), 95);
        assert_eq!(bps(Schedule::Sol, Creator::Own(100)), 195, "it may count");
        assert_eq!(bps(Schedule::Sol, Creator::Own(1)), 125, "it may not");
        assert_eq!(bps(Schedule::Stable, Creator::Scheduled), 125, "by the tiers of SOL");
        assert_eq!(bps(Schedule::Exotic, Creator::Scheduled), 6);
        assert_eq!(bps(Schedule::Flat, Creator::Own(u16::MAX)), 10_000, "all, and no more");
        // 125 of 10,125 that go in.
        assert_eq!(all.rates(Share::pump(Schedule::Sol, Creator::Scheduled)), [12_500, 12_346]);
    }

    #[test]
    fn another_creators_part_leaves_the_schedule() {
        for schedule in [Schedule::Flat, Schedule::Sol, Schedule::Stable, Schedule::Exotic] {
            for creator in [Creator::Nobody, Creator::Scheduled, Creator::Own(7)] {
                let share = Share::pump(schedule, Creator::Own(9)).with_creator(creator);
                assert_eq!(share, Share::pump(schedule, creator));
                assert_eq!(share.creator(), creator);
            }
        }
    }
}
