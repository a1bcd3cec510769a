//! A tournament: which of many rates is the best, kept current in logarithmic time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::units::Price;

/// Rates of both directions; zero where there is none.
pub(super) type Rates = [Price; 2];

/// No rate in either direction.
pub(super) const NONE: Rates = [Price::from_raw(0); 2];

/// Most leaves that are looked through one by one. They lie where the ranking itself does: what reaches it reaches them.
const FEW: usize = 8;

/// Rates in order of announcement, so that the first of equals is the first announced; of more than [`FEW`] also a tree
/// of maxima over them.
///
/// What every change reads comes first, in one line of memory; of the few a change reads only its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C)]
pub(super) struct Ranks {
    best: Rates,
    /// Of more than a few. The root is 1, node `n` has children `2 n` and `2 n + 1`, leaves begin at `width`; 0 is not
    /// used.
    nodes: Vec<Rates>,
    width: u32,
    len: u32,
    few: [Rates; FEW],
}

impl Default for Ranks {
    fn default() -> Self {
        Self { best: NONE, nodes: Vec::new(), width: 0, len: 0, few: [NONE; FEW] }
    }
}

/// What is yet to be looked at: the best of a part of the tree, its first leaf and its node.
pub(super) type Frontier = BinaryHeap<(Price, Reverse<usize>, usize)>;

/// Numbers are kept in 32 bits: what is small lies close together.
pub(super) fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The better of each direction.
fn better(one: Rates, other: Rates) -> Rates {
    [one[0].max(other[0]), one[1].max(other[1])]
}

impl Ranks {
    /// Adds a leaf without a rate and says its number. Amortised constant time.
    pub(super) fn push(&mut self) -> usize {
        let leaf = place(self.len);
        self.len = self.len.saturating_add(1);
        if place(self.len) > place(self.width).max(FEW) {
            let leaves: Vec<Rates> = (0..leaf).map(|leaf| self.get(leaf)).collect();
            self.width = self.len.next_power_of_two();
            self.nodes = vec![NONE; place(self.width).saturating_mul(2)];
            for (leaf, rates) in leaves.into_iter().enumerate() {
                self.set(leaf, rates);
            }
        }
        leaf
    }

    /// How many leaves there are.
    pub(super) fn len(&self) -> usize {
        place(self.len)
    }

    pub(super) fn get(&self, leaf: usize) -> Rates {
        if self.width == 0 {
            return self.few.get(leaf).copied().unwrap_or(NONE);
        }
        self.node(place(self.width).saturating_add(leaf))
    }

    /// The best rate of each direction.
    pub(super) const fn top(&self) -> Rates {
        self.best
    }

    fn node(&self, node: usize) -> Rates {
        self.nodes.get(node).copied().unwrap_or(NONE)
    }

    /// Changes a leaf: at most one node per level, or of a few the others only where it was the best.
    pub(super) fn set(&mut self, leaf: usize, rates: Rates) {
        if leaf >= place(self.len) {
            return;
        }
        if self.width == 0 {
            let Some(place) = self.few.get_mut(leaf) else { return };
            let before = std::mem::replace(place, rates);
            let falls = |side: fn(Rates) -> Price| {
                side(before) == side(self.best) && side(rates) < side(before)
            };
            self.best = if falls(|[there, _]| there) || falls(|[_, back]| back) {
                self.few.iter().copied().fold(NONE, better)
            } else {
                better(self.best, rates)
            };
            return;
        }
        let mut node = place(self.width).saturating_add(leaf);
        let Some(place) = self.nodes.get_mut(node) else { return };
        *place = rates;
        while node > 1 {
            node >>= 1;
            let left = self.node(node.saturating_mul(2));
            let right = self.node(node.saturating_mul(2).saturating_add(1));
            let most = better(left, right);
            match self.nodes.get_mut(node) {
                Some(known) if *known != most => *known = most,
                _ => return,
            }
        }
        self.best = self.node(1);
    }

    /// Leaves from the best down, while `wanted` says yes to their rate and `visit` to going on.
    ///
    /// Looks at no more than two nodes per level for each leaf visited.
    pub(super) fn descend(
        &self,
        second: bool,
        frontier: &mut Frontier,
        wanted: impl Fn(Price) -> bool,
        mut visit: impl FnMut(usize, Price) -> bool,
    ) {
        let of = |rates: Rates| if second { rates[1] } else { rates[0] };
        frontier.clear();
        if self.width == 0 {
            let leaves = self.few.iter().map(|rates| of(*rates)).enumerate();
            frontier.extend(leaves.map(|(leaf, rate)| (rate, Reverse(leaf), leaf)));
        } else {
            frontier.push((of(self.top()), Reverse(0), 1));
        }
        while let Some((rate, Reverse(first), node)) = frontier.pop() {
            if rate.raw() == 0 || !wanted(rate) {
                return;
            }
            if node >= place(self.width) {
                if !visit(first, rate) {
                    return;
                }
                continue;
            }
            let left = node.saturating_mul(2);
            let right = left.saturating_add(1);
            // Leaves below the right child come after as many as the left child has.
            let half = place(self.width).checked_shr(right.ilog2()).unwrap_or(0);
            frontier.push((of(self.node(left)), Reverse(first), left));
            frontier.push((of(self.node(right)), Reverse(first.saturating_add(half)), right));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn leaves_come_in_order_of_rate_and_then_of_announcement(
            sets in prop::collection::vec((0_usize..20, 0_u128..6, 0_u128..6), 1..80),
            leaves in 1_usize..20,
        ) {
            let mut ranks = Ranks::default();
            let mut plain = vec![[0_u128; 2]; leaves];
            for (nth, (leaf, a, b)) in sets.iter().enumerate() {
                // Leaves are announced while others change.
                if nth < leaves {
                    ranks.push();
                }
                if *leaf < leaves.min(nth + 1) {
                    ranks.set(*leaf, [Price::from_raw(*a), Price::from_raw(*b)]);
                    plain[*leaf] = [*a, *b];
                }
                let best = |second: usize| plain.iter().map(|rates| rates[second]).max();
                let [there, back] = ranks.top();
                prop_assert_eq!([Some(there.raw()), Some(back.raw())], [best(0), best(1)]);
            }
            let mut frontier = Frontier::new();
            for second in [false, true] {
                let mut seen = Vec::new();
                ranks.descend(second, &mut frontier, |rate| rate.raw() > 1, |leaf, rate| {
                    seen.push((leaf, rate.raw()));
                    true
                });
                let mut wanted: Vec<(usize, u128)> =
                    plain.iter().map(|r| r[usize::from(second)]).enumerate().filter(|(_, r)| *r > 1).collect();
                wanted.sort_by_key(|(leaf, rate)| (Reverse(*rate), *leaf));
                prop_assert_eq!(seen, wanted);
            }
        }
    }
}
