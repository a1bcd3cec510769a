//! What a mint, a pool and a pair say of themselves.

use super::{Market, Mint, Pair, Pool};
use crate::event::{Candle, MintSpec};
use crate::ids::{MintId, PairId};
use crate::order::Hop;
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::units::{Atoms, Lamports, Price, Timestamp, Usd, mul_div_up};

impl Mint {
    pub(super) fn new(spec: MintSpec) -> Self {
        let atoms = 10_u64.checked_pow(u32::from(spec.decimals)).filter(|_| spec.is_usd);
        let dollar = atoms.and_then(|atoms| Price::of(1_000_000, atoms));
        Self { spec, reference: None, gate: None, rent: spec.rent, dollar, dollar_pair: None }
    }
}

impl Market {
    /// Saves all of it.
    pub(crate) fn save(&self, to: &mut Writer) {
        to.put(self);
        self.pools.iter().for_each(|pool| pool.live.save(to));
    }

    /// The market that [`Self::save`] wrote.
    pub(crate) fn load(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let mut market: Self = from.take()?;
        for pool in &mut market.pools {
            pool.live.load(from)?;
        }
        for (id, pair) in (0..).map(PairId).zip(&market.pairs) {
            market.places.insert((pair.base, pair.quote), id);
        }
        market.torn.reserve(64);
        Ok(market)
    }

    /// What making our token account of a mint would take; zero where it is there, and for native SOL.
    #[must_use]
    pub fn rent(&self, mint: MintId) -> Lamports {
        self.mint(mint).map_or(Lamports::ZERO, |mint| mint.rent)
    }

    /// An order that makes our token account of the mint has landed.
    pub(crate) fn opened(&mut self, mint: MintId) {
        if let Some(mint) = self.mints.get_mut(mint.index()) {
            mint.rent = Lamports::ZERO;
        }
    }

    /// The order that made our token account of the mint never landed: the next one that needs it makes it.
    pub(crate) fn unopened(&mut self, mint: MintId, rent: Lamports) {
        if let Some(mint) = self.mints.get_mut(mint.index()) {
            mint.rent = rent;
        }
    }

    /// How many atoms cover a value at the pools' prices, rounded up.
    #[must_use]
    pub fn atoms_up(&self, mint: MintId, value: Usd) -> Option<Atoms> {
        let per_atom = self.usd_per_atom(mint)?;
        let value = u64::try_from(value.get()).ok()?;
        mul_div_up(value, 1 << 64, per_atom.raw()).map(Atoms::new)
    }
}

impl Pool {
    /// Price of the pair's base in its quote, from the reserves.
    #[must_use]
    pub fn price(&self) -> Option<Price> {
        self.live.spot_price(self.base_first)
    }

    /// Whether a hop goes from mint 0 to mint 1; `None` when it is not a hop through this pool.
    #[must_use]
    pub fn direction(&self, hop: Hop) -> Option<bool> {
        let [first, second] = self.spec.mints;
        match (hop.mint_in, hop.mint_out) {
            (a, b) if a == first && b == second => Some(true),
            (a, b) if a == second && b == first => Some(false),
            _ => None,
        }
    }
}

impl Pair {
    /// Takes a new price.
    pub(super) fn at(&mut self, price: Price, mints: &[Mint]) {
        let dollar = mints.get(self.quote.index()).and_then(|mint| mint.dollar);
        self.usd = dollar.and_then(|dollar| price.times(dollar));
        self.price = Some(price);
    }

    pub(super) fn open_candle(&mut self, start: Timestamp, width: Timestamp, pair: PairId) {
        self.candle = self.price.map(|price| Candle {
            pair,
            start,
            width,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Atoms::ZERO,
            after_gap: self.next_after_gap,
        });
    }
}
