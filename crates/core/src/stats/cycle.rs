//! The best input of a cycle through two constant-product pools.

/// One pool of a cycle, in the direction it is passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Depth {
    /// Reserve of what goes in.
    pub reserve_in: f64,
    /// Reserve of what comes out.
    pub reserve_out: f64,
    /// What fees leave of the input, as a factor.
    pub kept_in: f64,
    /// What fees leave of the output, as a factor.
    pub kept_out: f64,
}

impl Depth {
    /// The constant-product pool that a probe of any curve looks like: giving `amount_in` for `amount_out`, `fee` of the
    /// input included, moves the marginal price (out per in, without fees) from `before` down to `after`. With `x` the
    /// reserve of what goes in, a constant product has `before / after = (1 + d / x)^2` for an input `d`.
    #[must_use]
    pub fn probed(amount_in: f64, fee: f64, before: f64, after: f64) -> Option<Self> {
        /// Where a probe moves nothing that can be told, the pool is this many times as deep as the probe.
        const DEEP: f64 = 1e9;
        let counted = amount_in - fee;
        let moved = (before / after).sqrt() - 1.0;
        let reserve_in = if moved > 1.0 / DEEP { counted / moved } else { counted * DEEP };
        let depth = Self {
            reserve_in,
            reserve_out: reserve_in * before,
            kept_in: counted / amount_in,
            kept_out: 1.0,
        };
        let usable = depth.reserve_in > 0.0 && depth.reserve_out > 0.0;
        (usable && depth.reserve_out.is_finite() && depth.kept_in > 0.0).then_some(depth)
    }
}

/// The input that gains most, through `first` and then `second`; `None` when every input loses.
///
/// With `a, b` the reserves and `f, g` what fees keep, a pool gives `g b f x / (a + f x)`. Through two of them an
/// input `x` becomes `k x / (c + d x)` with `k = g1 b1 f1 g2 b2 f2`, `c = a1 a2` and `d = f1 (a2 + f2 g1 b1)`. The
/// gain, that less `x`, is greatest at `(sqrt(k c) - c) / d`: the closed form of Angeris, Kao, Chiang, Noyes and
/// Chitra, *An Analysis of Uniswap Markets* (2019), for two pools.
#[must_use]
pub fn best_cycle_input(first: Depth, second: Depth) -> Option<f64> {
    let out_first = first.kept_out * first.reserve_out;
    let k = first.kept_in * out_first * second.kept_in * second.kept_out * second.reserve_out;
    let c = first.reserve_in * second.reserve_in;
    // At the margin an atom becomes k / c atoms.
    if k <= c {
        return None;
    }
    let d = first.kept_in * (second.reserve_in + second.kept_in * out_first);
    let best = ((k * c).sqrt() - c) / d;
    (best > 0.0 && best.is_finite()).then_some(best)
}
