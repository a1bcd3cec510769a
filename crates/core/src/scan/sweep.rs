//! Looking at all pools in one pass.

use crate::scan::figures::{self, Side};
use crate::scan::pairs::NONE;
use crate::scan::row::Packed;
use crate::scan::table::PoolTable;
use crate::scan::types::RowId;
use crate::stats::bulk;

/// Pools looked at in one go: their floats stay in the fastest memory, and their bits make one word.
const BLOCK: usize = 64;

/// Two pools of a pair whose prices are apart by more than both fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where the base is cheap.
    pub buy: RowId,
    /// Where it is dear.
    pub sell: RowId,
    /// By how much what the second pays is above what the first asks, in millionths of the latter, rounded down.
    pub edge: u64,
}

/// What a pass over all pools found. Kept by the caller, so that its memory is used again.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Pools that were looked at.
    pub pools: usize,
    /// Pools that have a price: both sides hold something.
    pub priced: usize,
    /// Pools whose depth reaches their anchor's least.
    pub deep: usize,
    /// Per pair whose prices are apart by more than fees, the cheapest against the dearest pool.
    pub verdicts: Vec<Verdict>,
}

impl PoolTable {
    /// Looks at every pool anew: price, depth, and per pair the widest gap. Verdicts are confirmed in integers.
    pub fn sweep(&mut self, found: &mut Sweep) {
        found.pools = self.len();
        [found.priced, found.deep] = self.measure();
        found.verdicts.clear();
        self.pairs.unlist(|pair| {
            usize::try_from(pair.first)
                .ok()
                .and_then(|at| self.next.get(at))
                .is_some_and(|n| *n != NONE)
        });
        for id in &self.pairs.contested {
            if let Some(first) = self.pairs.get(*id).map(|pair| pair.first)
                && let Some(verdict) = self.widest(first)
            {
                found.verdicts.push(verdict);
            }
        }
    }

    /// Of how many pools there is a price, and how many are deep, and which.
    fn measure(&mut self) -> [usize; 2] {
        let bounds = self.bounds();
        let mut deep = std::mem::take(&mut self.deep);
        let blocks = self.reserves.chunks(BLOCK).zip(self.terms.chunks(BLOCK)).zip(&mut deep);
        let (mut prices, mut depths) = ([0.0; BLOCK], [0.0; BLOCK]);
        let mut counts = [0_usize; 2];
        for ((reserves, terms), word) in blocks {
            let mut rates = [[0_u32; 2]; BLOCK];
            for (rates, terms) in rates.iter_mut().zip(terms) {
                *rates = terms.0;
            }
            bulk::price_and_depth(reserves, &rates, &mut prices, &mut depths);
            let priced = prices.iter().zip(reserves).filter(|(price, _)| bulk::is_price(**price));
            let (mut sure, mut open) = (0_u64, 0_u64);
            let mut bit = 1_u64;
            for (terms, depth) in terms.iter().zip(&depths) {
                let [low, high] =
                    bounds.get(usize::from(terms.anchor())).copied().unwrap_or(bulk::NEVER);
                sure |= if *depth > high && *depth < bulk::AMOUNT_MAX { bit } else { 0 };
                open |= if *depth >= low { bit } else { 0 };
                bit = bit.rotate_left(1);
            }
            if sure != open {
                sure = self.settle(sure, open, reserves, terms);
            }
            *word = sure;
            let deep = usize::try_from(sure.count_ones()).unwrap_or(0);
            let [known, reached] = counts;
            counts = [known.saturating_add(priced.count()), reached.saturating_add(deep)];
        }
        self.deep = deep;
        counts
    }

    /// Asks the integers where the floats cannot tell.
    #[cold]
    fn settle(&self, sure: u64, open: u64, reserves: &[[u64; 2]], terms: &[Packed]) -> u64 {
        let mut word = sure;
        for (i, ([_, quote], terms)) in (0_u32..).zip(reserves.iter().zip(terms)) {
            let bit = 1_u64.checked_shl(i).unwrap_or(0);
            if (open & !sure) & bit != 0
                && self.is_deep(*terms, figures::depth(*quote, terms.rates()[1]))
            {
                word |= bit;
            }
        }
        word
    }

    /// Of every anchor's number, the bounds of its least depth.
    fn bounds(&self) -> [[f64; 2]; 256] {
        let mut all = [bulk::NEVER; 256];
        for (anchor, bounds) in (0..=u8::MAX).zip(&mut all) {
            if let Some(least) = self.depth_min(anchor) {
                *bounds = bulk::bounds(least.get());
            }
        }
        all
    }

    /// Whether a pool's depth reached its anchor's least in the last pass.
    #[must_use]
    pub fn was_deep(&self, row: RowId) -> bool {
        let (word, bit) = (row.get() / 64, row.get() % 64);
        let word = usize::try_from(word).ok().and_then(|at| self.deep.get(at));
        word.is_some_and(|word| word.checked_shr(bit).unwrap_or(0) & 1 == 1)
    }

    /// Pools of a pair that may be compared, with their bids and asks.
    fn quotes(&self, first: u32) -> impl Iterator<Item = (u32, f64, f64)> {
        let mut row = first;
        std::iter::from_fn(move || {
            loop {
                let (this, at) = (row, usize::try_from(row).ok()?);
                row = *self.next.get(at)?;
                let terms = *self.terms.get(at)?;
                let price = bulk::price(*self.reserves.get(at)?);
                if terms.flags().is_clear() && bulk::is_price(price) {
                    let (bid, ask) = bulk::bid_ask(price, terms.0);
                    return Some((this, bid, ask));
                }
            }
        })
    }

    /// The widest gap of a pair: floats find out that there is none, integers that there is one.
    fn widest(&self, first: u32) -> Option<Verdict> {
        let (mut bid, mut ask) = (0.0_f64, f64::INFINITY);
        for (_, pays, asks) in self.quotes(first) {
            bid = bid.max(pays);
            ask = ask.min(asks);
        }
        if bulk::may_cross(bid, ask) { self.widest_exact(first, bid, ask) } else { None }
    }

    /// Of the pools whose floats come within the margin of the best, the best by integers.
    #[cold]
    fn widest_exact(&self, first: u32, bid: f64, ask: f64) -> Option<Verdict> {
        let mut sell: Option<(u32, Side)> = None;
        let mut buy: Option<(u32, Side)> = None;
        for (row, pays, asks) in self.quotes(first) {
            let Some(side) = self.side(row) else { continue };
            if bulk::may_cross(pays, bid) && sell.is_none_or(|(_, best)| side.pays_more(&best)) {
                sell = Some((row, side));
            }
            if bulk::may_cross(ask, asks) && buy.is_none_or(|(_, best)| side.asks_less(&best)) {
                buy = Some((row, side));
            }
        }
        let ((sell, to), (buy, from)) = sell.zip(buy)?;
        // A pool never pays more than it asks, so these are two.
        let edge = figures::edge(&from, &to)?;
        Some(Verdict { buy: RowId::new(buy), sell: RowId::new(sell), edge })
    }

    /// The widest gap between a pool and another of its pair.
    pub(super) fn verdict(&self, row: RowId) -> Option<Verdict> {
        let at = usize::try_from(row.get()).ok()?;
        let first = self.pairs.get(self.motion.get(at)?.pair)?.first;
        let (_, bid, ask) = self.quotes(first).find(|(id, ..)| *id == row.get())?;
        let own = self.side(row.get())?;
        let mut best: Option<Verdict> = None;
        let mut take = |verdict: Option<Verdict>| {
            if let Some(verdict) = verdict
                && best.is_none_or(|best| verdict.edge > best.edge)
            {
                best = Some(verdict);
            }
        };
        for (other, pays, asks) in self.quotes(first).filter(|(id, ..)| *id != row.get()) {
            let there = self.side(other)?;
            let other = RowId::new(other);
            if bulk::may_cross(pays, ask) {
                let edge = figures::edge(&own, &there);
                take(edge.map(|edge| Verdict { buy: row, sell: other, edge }));
            }
            if bulk::may_cross(bid, asks) {
                let edge = figures::edge(&there, &own);
                take(edge.map(|edge| Verdict { buy: other, sell: row, edge }));
            }
        }
        best
    }
}
