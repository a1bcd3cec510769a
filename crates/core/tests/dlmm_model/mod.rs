//! A pool of bins worked out the simple way, to compare quotes with.

use std::collections::{BTreeMap, BTreeSet};

use sniper_core::amm::Clock;
use sniper_core::amm::dlmm::*;
use sniper_core::amm::transfer_fee::EpochFees;
use sniper_core::units::{Atoms, Slot};

pub(crate) const NOW: i64 = 1_750_000_000;
pub(crate) const CLOCK: Clock = Clock { now: NOW, slot: Slot::ZERO, epoch: 800 };
pub(crate) const FREE: [EpochFees; 2] = [EpochFees::NONE; 2];

/// A pool and its bins, kept the simple way: by number, every fill worked out in full.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) pool: PoolState,
    pub(crate) bins: BTreeMap<i32, Bin>,
}

pub(crate) fn up(product: u128, by: u128) -> u64 {
    u64::try_from(product.div_ceil(by)).unwrap()
}

impl Model {
    pub(crate) fn arrays(&self) -> Vec<BinArray> {
        let indices: BTreeSet<i32> = self.bins.keys().map(|id| array_of(*id)).collect();
        let of = |index: i32| self.bins.range(index * 70..(index + 1) * 70).map(|(_, bin)| *bin);
        indices.iter().map(|index| BinArray { index: *index, bins: of(*index).collect() }).collect()
    }

    pub(crate) fn curve(&self) -> Curve {
        let mut curve = Curve::new(&self.pool, FREE);
        for array in self.arrays() {
            curve.set_array(array);
        }
        curve
    }

    /// Sells as the program does, and keeps what it leaves behind; nothing where liquidity ends.
    pub(crate) fn sell(&mut self, forward: bool, amount: u64) -> Option<u64> {
        let Parameters { filter_period, decay_period, .. } = self.pool.parameters;
        let parameters = self.pool.parameters;
        let on_input = self.pool.fee_on_input(forward);
        let orders = self.pool.fills_orders();
        let volatility = &mut self.pool.volatility;
        let elapsed = NOW - volatility.updated;
        if elapsed >= i64::from(filter_period) {
            volatility.index = self.pool.active;
            let kept = u64::from(volatility.accumulator) * u64::from(parameters.reduction_factor);
            let decays = elapsed < i64::from(decay_period);
            volatility.reference = if decays { (kept / 10_000) as u32 } else { 0 };
        }
        let step = u128::from(self.pool.bin_step);
        let (mut left, mut out, mut id) = (amount, 0, self.pool.active);
        loop {
            if id.abs() > 443_636 {
                return None;
            }
            let Some(bin) = self.bins.get_mut(&id) else {
                id += if forward { -1 } else { 1 };
                continue;
            };
            let far = u64::from(volatility.index.abs_diff(id)) * 10_000;
            let far = (far + u64::from(volatility.reference)).min(parameters.max_volatility.into());
            let variable =
                (u128::from(far) * step).pow(2) * u128::from(parameters.variable_fee_control);
            let base = u128::from(parameters.base_factor) * step * 10;
            let rate = (base + variable.div_ceil(100_000_000_000)).min(RATE_MAX.into());
            let whole = u128::from(RATE_WHOLE);
            let price = price_of(self.pool.bin_step, id).unwrap();
            let mut net = left;
            if on_input {
                net -= up(u128::from(left) * rate, whole);
            }
            let fills = orders && bin.ask != forward;
            let (side_in, side_out) = if forward { (0, 1) } else { (1, 0) };
            let mut got_here = 0;
            let mut rest = net;
            let mut some = false;
            for layer in 0..3 {
                let held = match layer {
                    0 => &mut bin.amounts[side_out],
                    1 => &mut bin.started_orders,
                    _ => &mut bin.open_orders,
                };
                if *held == Atoms::ZERO || (layer > 0 && !fills) {
                    continue;
                }
                some = true;
                let all = u128::from(held.get());
                let cost = if forward { up(all << 64, price) } else { up(all * price, 1 << 64) };
                let (spent, got) = if rest >= cost {
                    (cost, held.get())
                } else {
                    let rest = u128::from(rest);
                    let got = if forward { (rest * price) >> 64 } else { (rest << 64) / price };
                    (rest as u64, got as u64)
                };
                *held = held.checked_sub(Atoms::new(got)).unwrap();
                rest -= spent;
                got_here += got;
                if layer == 0 {
                    let side = &mut bin.amounts[side_in];
                    *side = side.checked_add(Atoms::new(spent)).unwrap();
                }
                if rest == 0 {
                    break;
                }
            }
            if some {
                volatility.accumulator = far as u32;
                let used = net - rest;
                left -= if rest == 0 {
                    left
                } else if on_input {
                    up(u128::from(used) * whole, whole - rate)
                } else {
                    used
                };
                out += got_here;
                if !on_input {
                    out -= up(u128::from(got_here) * rate, whole);
                }
            }
            if left == 0 {
                if id != self.pool.active {
                    volatility.updated = NOW;
                }
                self.pool.active = id;
                return Some(out);
            }
            id += if forward { -1 } else { 1 };
        }
    }
}
