//! Arrays of bins, as they are journaled and as they are walked.

use serde::{Deserialize, Serialize};

use crate::amm::dlmm::{BINS_PER_ARRAY, math};
use crate::units::Atoms;

/// A bin that holds something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin {
    /// Its place in the array, below 70.
    pub place: u8,
    /// Its liquidity, in the order of the pool's mints.
    pub amounts: [Atoms; 2],
    /// Its price as the program stored it; 0 where it was never needed.
    pub price: u128,
    /// Limit orders that nothing has filled yet.
    pub open_orders: Atoms,
    /// What is left of limit orders that are being filled.
    pub started_orders: Atoms,
    /// The orders sell X; else they sell Y.
    pub ask: bool,
}

/// Seventy bins in a row, of which only those that hold something are kept, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinArray {
    /// Its number: the first bin is seventy times this.
    pub index: i32,
    /// The bins that hold something.
    pub bins: Vec<Bin>,
}

/// A bin as one direction of swaps meets it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) price: u128,
    /// All that can come out, held at the end of the range as the program does.
    pub(super) total: u64,
    /// What goes in, without fees, for all of it; the greatest number where that does not fit, so that no amount
    /// exceeds it and the careful way decides.
    pub(super) drain: u64,
    /// Of `drain`, what buys the bin's own liquidity; likewise.
    pub(super) liquidity_drain: u64,
    /// What comes out in turn: liquidity, started orders, open orders.
    pub(super) layers: [u64; 3],
    /// What the bin's own input side can still take.
    pub(super) room: u64,
    pub(super) id: i32,
}

/// An array ready to be walked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Array {
    source: BinArray,
    /// For forward swaps, from the highest bin down.
    down: Vec<Step>,
    /// For backward swaps, from the lowest bin up.
    up: Vec<Step>,
}

impl Array {
    pub(super) fn new(source: BinArray) -> Self {
        Self { source, down: Vec::new(), up: Vec::new() }
    }

    pub(super) fn index(&self) -> i32 {
        self.source.index
    }

    #[inline]
    pub(super) fn steps(&self, forward: bool) -> &[Step] {
        if forward { &self.down } else { &self.up }
    }

    /// Works out both ladders; `orders` says whether limit orders fill.
    pub(super) fn build(&mut self, bin_step: u16, orders: bool) {
        let first = self.source.index.saturating_mul(BINS_PER_ARRAY);
        let ladder = |forward: bool| {
            let bins = self.source.bins.iter().filter(|bin| i32::from(bin.place) < BINS_PER_ARRAY);
            let steps = bins.filter_map(|bin| {
                let id = first.saturating_add(i32::from(bin.place));
                Step::of(bin, id, bin_step, orders, forward)
            });
            let mut steps: Vec<Step> = steps.collect();
            // In order already, but a decoder is not the only source of arrays.
            steps.sort_by_key(|step| if forward { step.id.saturating_neg() } else { step.id });
            steps
        };
        (self.down, self.up) = (ladder(true), ladder(false));
    }
}

impl Step {
    /// Nothing where nothing can come out.
    fn of(bin: &Bin, id: i32, bin_step: u16, orders: bool, forward: bool) -> Option<Self> {
        let [x, y] = bin.amounts.map(Atoms::get);
        let (held_in, held_out) = if forward { (x, y) } else { (y, x) };
        let filled = orders && bin.ask != forward;
        let order = |amount: Atoms| if filled { amount.get() } else { 0 };
        let layers = [held_out, order(bin.started_orders), order(bin.open_orders)];
        let sum = layers.iter().try_fold(0_u64, |sum, layer| sum.checked_add(*layer));
        let total = sum.unwrap_or(u64::MAX);
        if total == 0 {
            return None;
        }
        let price = if bin.price == 0 {
            // A price of zero, where there is none, makes every fill fail as the program would.
            math::price_of(bin_step, id).unwrap_or(0)
        } else {
            bin.price
        };
        let cost = |layer: u64| {
            if layer == 0 { Some(0) } else { math::in_for(layer, price, forward).ok() }
        };
        let room = u64::MAX.saturating_sub(held_in);
        let liquidity = cost(held_out);
        let drain = layers.iter().try_fold(0_u64, |sum, layer| sum.checked_add(cost(*layer)?));
        let drain = match (sum, liquidity) {
            (Some(_), Some(own)) if own <= room => drain,
            _ => None,
        };
        Some(Self {
            price,
            total,
            drain: drain.unwrap_or(u64::MAX),
            liquidity_drain: liquidity.unwrap_or(u64::MAX),
            layers,
            room,
            id,
        })
    }
}
