//! What to bid for a compute unit: pure, integers, the same answer to the same question.
//!
//! # Design
//! Two things are known: what others have paid at least, block by block, to write the accounts that we want to write;
//! and how soon our own transactions landed for what they bid. The market's word is a quantile of the first. It is a
//! floor, not what most have paid, so it is believed only until our own record contradicts it: the proven price is the
//! least of ours for which enough of the bids at or above it landed in time, and a quarter above the highest if there is
//! none such. The higher of both is bid, never above the cap, which is what review has reserved for.

use std::str::FromStr;

use sniper_core::units::Slot;

/// How much it matters that a transaction lands at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// It may wait.
    Low,
    /// As most.
    Normal,
    /// Late is dear: a position is sold.
    High,
    /// Late is worthless.
    Urgent,
}

impl Urgency {
    /// All, from the least urgent on.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// A stable word for settings and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// One more urgent, if there is one.
    #[must_use]
    pub const fn more(self) -> Self {
        match self {
            Self::Low => Self::Normal,
            Self::Normal => Self::High,
            Self::High | Self::Urgent => Self::Urgent,
        }
    }

    /// Its place in [`Self::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Low => 0,
            Self::Normal => 1,
            Self::High => 2,
            Self::Urgent => 3,
        }
    }

    /// Of a hundred recent blocks, how many were had for the market's price or less.
    const fn percentile(self) -> usize {
        match self {
            Self::Low => 50,
            Self::Normal => 75,
            Self::High => 90,
            Self::Urgent => 99,
        }
    }

    /// Slots from sending to landing that are in time.
    const fn patience(self) -> u64 {
        match self {
            Self::Low => 8,
            Self::Normal => 4,
            Self::High => 3,
            Self::Urgent => 2,
        }
    }

    /// Of a hundred of our own, how many must have landed in time for a price to be proven.
    const fn proof(self) -> usize {
        match self {
            Self::Low => 50,
            Self::Normal => 75,
            Self::High => 90,
            Self::Urgent => 95,
        }
    }
}

/// Not one of [`Urgency::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither of low, normal, high and urgent")]
pub struct UnknownUrgency;

impl FromStr for Urgency {
    type Err = UnknownUrgency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or(UnknownUrgency)
    }
}

/// How a transaction of ours fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// What it bid, millionths of a lamport per compute unit.
    pub price: u64,
    /// The chain's slot when it was sent.
    pub sent: Slot,
    /// Where it landed, failed or not; none if it never did.
    pub landed: Option<Slot>,
}

impl Landing {
    fn is_in_time(&self, patience: u64) -> bool {
        let took = self.landed.map(|landed| landed.get().saturating_sub(self.sent.get()));
        took.is_some_and(|took| took <= patience)
    }
}

/// Between these a bid lies, whatever the market says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    least: u64,
    most: u64,
}

impl Bounds {
    /// At most `most`, which review has reserved for; at least `least`, or `most` if that is less.
    #[must_use]
    pub const fn new(least: u64, most: u64) -> Self {
        Self { least: if least < most { least } else { most }, most }
    }

    /// The most.
    #[must_use]
    pub const fn most(self) -> u64 {
        self.most
    }
}

/// Fewer outcomes of our own prove nothing.
const PROOF_FROM: usize = 8;
/// The least that an unproven price is raised by.
const RAISE_MIN: u64 = 1_000;

/// The value that at least this many of a hundred do not exceed: the nearest rank, rounded up. `sorted` ascends.
fn percentile_up(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100).max(1);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The least of our own prices for which enough of those that bid it or more landed in time; a quarter above the highest,
/// rounded up, if there is none; nothing while too few are known.
fn proven(landings: &[Landing], urgency: Urgency) -> Option<u64> {
    if landings.len() < PROOF_FROM {
        return None;
    }
    let is_proven = |price: u64| {
        let bids = landings.iter().filter(|landing| landing.price >= price);
        let (all, in_time) = bids.fold((0_usize, 0_usize), |(all, in_time), landing| {
            (all + 1, in_time + usize::from(landing.is_in_time(urgency.patience())))
        });
        in_time.saturating_mul(100) >= all.saturating_mul(urgency.proof())
    };
    let prices = || landings.iter().map(|landing| landing.price);
    let least = prices().filter(|price| is_proven(*price)).min();
    least.or_else(|| {
        prices().max().map(|most| most.saturating_add((most.div_ceil(4)).max(RAISE_MIN)))
    })
}

/// What to bid, in millionths of a lamport per compute unit: never above the bounds' most, and never less for what is
/// more urgent. `market` is what others paid at least in recent blocks, in ascending order.
#[must_use]
pub fn bid(market: &[u64], landings: &[Landing], urgency: Urgency, bounds: Bounds) -> u64 {
    let market = percentile_up(market, urgency.percentile()).unwrap_or(0);
    let ours = proven(landings, urgency).unwrap_or(0);
    market.max(ours).clamp(bounds.least, bounds.most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn landing(price: u64, took: Option<u64>) -> Landing {
        let sent = Slot::new(1_000);
        Landing { price, sent, landed: took.map(|took| Slot::new(1_000 + took)) }
    }

    fn at(urgency: Urgency, market: &[u64], landings: &[Landing]) -> u64 {
        bid(market, landings, urgency, Bounds::new(10, 1_000_000))
    }

    #[test]
    fn without_a_record_the_market_is_believed() {
        let market: Vec<u64> = (1..=100).map(|n| n * 100).collect();
        let bids = Urgency::ALL.map(|urgency| at(urgency, &market, &[]));
        assert_eq!(bids, [5_000, 7_500, 9_000, 9_900]);
        assert_eq!(Urgency::ALL.map(|urgency| at(urgency, &[], &[])), [10; 4]);
        assert_eq!(at(Urgency::Urgent, &[7, 70], &[]), 70, "rounded up to the next rank");
    }

    #[test]
    fn what_lands_in_time_is_not_paid_more_for_and_what_does_not_is() {
        let prompt = vec![landing(200, Some(1)); 8];
        assert_eq!(Urgency::ALL.map(|urgency| at(urgency, &[0; 150], &prompt)), [200; 4]);
        let lost = vec![landing(200, None); 8];
        assert_eq!(at(Urgency::Normal, &[0; 150], &lost), 1_200);
        assert_eq!(at(Urgency::Normal, &[0; 150], &lost[..7]), 10, "too few to prove anything");
        let lost = vec![landing(80_001, None); 8];
        assert_eq!(at(Urgency::Normal, &[0; 150], &lost), 80_001 + 20_001, "rounded up");
        // Late at first, in time once it was paid for.
        let learnt = [vec![landing(200, None); 8], vec![landing(1_200, Some(2)); 8]].concat();
        assert_eq!(at(Urgency::Normal, &[0; 150], &learnt), 1_200);
        // In time for the patient alone.
        let slow = vec![landing(300, Some(6)); 10];
        assert_eq!(at(Urgency::Low, &[0; 150], &slow), 300);
        assert_eq!(at(Urgency::Normal, &[0; 150], &slow), 1_300);
    }

    fn landings() -> impl Strategy<Value = Vec<Landing>> {
        let one = (0_u64..5_000, proptest::option::of(0_u64..20));
        let one = one.prop_map(|(price, took)| landing(price, took));
        proptest::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn a_cap_is_never_exceeded(
            mut market in proptest::collection::vec(any::<u64>(), 0..200),
            mut landings in landings(), extreme: u64, least: u64, most: u64,
        ) {
            landings.push(landing(extreme, None));
            market.sort_unstable();
            for urgency in Urgency::ALL {
                let bid = bid(&market, &landings, urgency, Bounds::new(least, most));
                prop_assert!(bid <= most && bid >= least.min(most));
            }
        }

        #[test]
        fn what_is_more_urgent_never_bids_less(
            mut market in proptest::collection::vec(0_u64..10_000, 0..200), landings in landings(),
        ) {
            market.sort_unstable();
            let bids = Urgency::ALL.map(|urgency| at(urgency, &market, &landings));
            prop_assert!(bids.is_sorted(), "{bids:?}");
        }

        #[test]
        fn others_who_pay_more_never_make_us_bid_less(
            mut market in proptest::collection::vec(0_u64..10_000, 1..200), landings in landings(),
            which: prop::sample::Index, more in 0_u64..10_000,
        ) {
            market.sort_unstable();
            let before = Urgency::ALL.map(|urgency| at(urgency, &market, &landings));
            *which.get_mut(&mut market) += more;
            market.sort_unstable();
            let after = Urgency::ALL.map(|urgency| at(urgency, &market, &landings));
            prop_assert!(before.iter().zip(after).all(|(before, after)| after >= *before));
        }

        #[test]
        fn one_more_that_never_landed_does_not_make_us_bid_less(
            landings in landings(), which: prop::sample::Index,
        ) {
            prop_assume!(landings.len() >= PROOF_FROM);
            // At a price that was tried: another tells of one that nobody had thought of.
            let price = which.get(&landings).price;
            let worse = [landings.as_slice(), &[landing(price, None)]].concat();
            for urgency in Urgency::ALL {
                prop_assert!(at(urgency, &[], &worse) >= at(urgency, &[], &landings));
            }
        }
    }
}
