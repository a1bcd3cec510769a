//! Which tick or bin arrays of a pool are followed, as its price moves.
//!
//! # Design
//! A swap names three arrays at most, so those three each way must be known. As soon as one of them is not followed,
//! those next to it are taken along, and what lies farther away than six is let go. Between four and six, nothing is
//! taken and nothing let go: a price that swings over an edge changes nothing the second time.

use super::Live;

/// Arrays each way that a swap may name, the one that holds the price among them where the pool uses it.
const NEAR: usize = 3;
/// Arrays each way that are taken when one of the near ones is missing, and at the start.
pub(super) const TAKEN: usize = 4;
/// Arrays each way beyond which one is let go.
const KEPT: usize = 6;

/// What to change about the arrays that are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refollow {
    /// To be followed from now on, ascending.
    pub take: Vec<i32>,
    /// To be let go, in the order given; each is to be forgotten by [`Live::forget`] before it is no longer followed.
    pub release: Vec<i32>,
}

impl Refollow {
    /// Nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.take.is_empty() && self.release.is_empty()
    }
}

impl Live {
    /// Which arrays to follow besides the `followed`, and which of them no longer. Nothing, while the price is not
    /// known, and for a pool that has no arrays.
    #[must_use]
    pub fn refollow(&self, followed: &[i32]) -> Refollow {
        let near = self.around(NEAR);
        if near.is_empty() {
            return Refollow::default();
        }
        let mut change = Refollow::default();
        if !near.iter().all(|start| followed.contains(start)) {
            change.take = self.around(TAKEN);
            change.take.retain(|start| !followed.contains(start));
        }
        let kept = self.around(KEPT);
        change.release = followed.iter().copied().filter(|start| !kept.contains(start)).collect();
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amm::whirlpool::{self, Keys, PoolState, sqrt_price_at};
    use crate::amm::{AccountUpdate, PoolKind};
    use crate::ids::Address;
    use crate::units::Slot;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A pool of which the price moves, and those of its arrays that are followed.
    struct Pool {
        live: Live,
        spacing: u16,
        slot: u64,
        followed: BTreeSet<i32>,
    }

    impl Pool {
        fn new(spacing: u16) -> Self {
            let keys = Keys {
                oracle: Address::default(),
                vaults: [Address::default(); 2],
                token_programs: [Address::default(); 2],
            };
            let live = Live::new(&PoolKind::Whirlpool { keys, adaptive: false }, true);
            Self { live, spacing, slot: 0, followed: BTreeSet::new() }
        }

        /// The price moves, and what that asks for is done.
        fn go(&mut self, tick: i32) -> Refollow {
            self.slot += 1;
            let state = PoolState {
                tick_spacing: self.spacing,
                fee_tier: self.spacing,
                liquidity: 1 << 40,
                sqrt_price: sqrt_price_at(tick),
                tick,
                ..PoolState::default()
            };
            self.live.apply(&AccountUpdate::Whirlpool(state), Slot::new(self.slot));
            let followed: Vec<i32> = self.followed.iter().copied().collect();
            let change = self.live.refollow(&followed);
            for start in &change.release {
                self.live.forget(*start);
                assert!(self.followed.remove(start), "it was followed");
            }
            for start in &change.take {
                assert!(self.followed.insert(*start), "it was not followed");
            }
            change
        }

        fn center(&self, tick: i32) -> i32 {
            whirlpool::array_start(tick, self.spacing)
        }
    }

    fn spacings() -> impl Strategy<Value = u16> {
        proptest::sample::select(vec![1_u16, 2, 4, 8, 64, 128])
    }

    #[test]
    fn a_pool_without_a_price_or_without_arrays_asks_for_nothing() {
        let pool = Pool::new(4);
        assert!(pool.live.refollow(&[]).is_empty());
        assert!(pool.live.refollow(&[0]).is_empty(), "nothing is let go for not knowing");
    }

    proptest! {
        #[test]
        fn what_a_swap_may_name_is_followed_wherever_the_price_goes_and_never_much_more(
            spacing in spacings(),
            steps in proptest::collection::vec((-3_000_i32..3_000, any::<bool>()), 1..60),
        ) {
            let (mut pool, mut tick) = (Pool::new(spacing), 0_i32);
            for (step, far) in steps {
                let step = if far { step.saturating_mul(200) } else { step };
                tick = tick.saturating_add(step).clamp(whirlpool::MIN_TICK, whirlpool::MAX_TICK);
                pool.go(tick);
                for forward in [true, false] {
                    for start in pool.live.arrays(forward) {
                        prop_assert!(pool.followed.contains(&start), "{start} at {tick}");
                    }
                }
                prop_assert!(pool.followed.len() <= KEPT * 2 + 1);
            }
        }

        #[test]
        fn a_price_that_swings_within_two_arrays_changes_nothing_again(
            spacing in spacings(), start in -100_000_i32..100_000,
            swings in proptest::collection::vec(any::<prop::sample::Index>(), 1..40),
        ) {
            let mut pool = Pool::new(spacing);
            let span = i32::from(spacing) * i32::from(whirlpool::TICKS_IN_ARRAY);
            let low = pool.center(start);
            let swing = usize::try_from(span * 2).unwrap();
            pool.go(low);
            pool.go(low + span * 2 - 1);
            for at in swings {
                let change = pool.go(low + i32::try_from(at.index(swing)).unwrap());
                prop_assert!(change.is_empty(), "{change:?}");
            }
        }
    }
}
