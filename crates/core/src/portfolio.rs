//! Positions, costs and profits, per strategy and together.
//!
//! The ledger says what is ours; the portfolio says whose idea it was and what it had cost. Values are in
//! millionths of a dollar: profits are judged with them, nothing is ever settled with them.

use serde::{Deserialize, Serialize};

use crate::event::{Deltas, StopCause, Trade};
use crate::ids::{MintId, StrategyId};
use crate::market::Market;
use crate::order::Order;
use crate::units::{Atoms, Lamports, Timestamp, Usd};

/// What one strategy holds of one mint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// How much.
    pub amount: Atoms,
    /// What it had cost, fees included.
    pub cost: Usd,
    /// When it was opened.
    pub opened: Timestamp,
}

/// What a strategy may use and lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// Most it may have in positions and orders at once.
    pub budget: Usd,
    /// Realised loss at which it is stopped.
    pub loss_limit: Usd,
}

/// The books of one strategy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Book {
    allowance: Allowance,
    positions: Vec<Position>,
    /// Value of entries in flight.
    pending: Usd,
    realised: Usd,
    fees: Usd,
    wins: u32,
    losses: u32,
    stopped: Option<StopCause>,
    /// Orders by how far they came.
    pub counts: Counts,
}

/// What an order's landing did to a strategy's books, so that it can be taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    fee: Usd,
    /// Came into a position, at which cost.
    added: Option<(MintId, Atoms, Usd)>,
    /// Went out of a position, its share of the cost, and when that was opened.
    taken: Option<(MintId, Atoms, Usd, Timestamp)>,
    /// Profit of the trade it completed.
    profit: Option<Usd>,
}

/// Orders of a strategy, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Approved.
    pub submitted: u64,
    /// Landed as wished.
    pub landed: u64,
    /// Landed and failed.
    pub reverted: u64,
    /// Never landed.
    pub expired: u64,
    /// Never sent.
    pub rejected: u64,
    /// Refused by risk.
    pub refused: u64,
}

impl Book {
    fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            positions: Vec::with_capacity(8),
            pending: Usd::ZERO,
            realised: Usd::ZERO,
            fees: Usd::ZERO,
            wins: 0,
            losses: 0,
            stopped: None,
            counts: Counts::default(),
        }
    }

    /// What it holds of a mint, if anything.
    #[must_use]
    pub fn position(&self, mint: MintId) -> Option<&Position> {
        self.positions.get(mint.index()).filter(|p| p.amount > Atoms::ZERO)
    }

    /// All it holds.
    pub fn positions(&self) -> impl Iterator<Item = (MintId, &Position)> {
        self.positions
            .iter()
            .enumerate()
            .filter(|(_, p)| p.amount > Atoms::ZERO)
            .filter_map(|(index, p)| Some((MintId::at(index)?, p)))
    }

    /// What it may use and lose.
    #[must_use]
    pub const fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Cost of what it holds, and entries in flight.
    #[must_use]
    pub fn used(&self) -> Usd {
        self.positions.iter().fold(self.pending, |sum, p| sum.saturating_add(p.cost))
    }

    /// What of its budget is free.
    #[must_use]
    pub fn budget_left(&self) -> Usd {
        Usd::new(self.allowance.budget.saturating_sub(self.used()).get().max(0))
    }

    /// Profit taken so far, fees deducted.
    #[must_use]
    pub const fn realised(&self) -> Usd {
        self.realised
    }

    /// Fees paid so far.
    #[must_use]
    pub const fn fees(&self) -> Usd {
        self.fees
    }

    /// Trades won and lost.
    #[must_use]
    pub const fn wins_and_losses(&self) -> (u32, u32) {
        (self.wins, self.losses)
    }

    /// Why it was stopped, if it was.
    #[must_use]
    pub const fn stopped(&self) -> Option<StopCause> {
        self.stopped
    }

    fn slot(&mut self, mint: MintId) -> Option<&mut Position> {
        let wanted = mint.index().saturating_add(1);
        if self.positions.len() < wanted {
            self.positions.resize(wanted, Position::default());
        }
        self.positions.get_mut(mint.index())
    }

    fn add(&mut self, mint: MintId, amount: Atoms, cost: Usd, at: Timestamp) {
        if let Some(position) = self.slot(mint) {
            if position.amount == Atoms::ZERO {
                position.opened = at;
            }
            position.amount = position.amount.saturating_add(amount);
            position.cost = position.cost.saturating_add(cost);
        }
    }

    /// Takes `amount` out and returns its share of the cost, rounded up, and when it was opened. What goes
    /// beyond the position has no known cost and is taken at `market_value`.
    fn take(&mut self, mint: MintId, amount: Atoms, now: Timestamp) -> (Usd, Timestamp, Atoms) {
        let Some(position) = self.slot(mint).filter(|p| p.amount > Atoms::ZERO) else {
            return (Usd::ZERO, now, amount);
        };
        let taken = amount.min(position.amount);
        let opened = position.opened;
        let cost = if taken == position.amount {
            position.cost
        } else {
            share_up(position.cost, taken, position.amount)
        };
        position.amount = position.amount.saturating_sub(taken);
        position.cost = position.cost.saturating_sub(cost);
        (cost, opened, amount.saturating_sub(taken))
    }
}

/// `cost * part / whole`, rounded up.
fn share_up(cost: Usd, part: Atoms, whole: Atoms) -> Usd {
    let product = i128::from(cost.get()).saturating_mul(i128::from(part.get()));
    let whole = i128::from(whole.get()).max(1);
    let down = product.div_euclid(whole);
    let up = if product.rem_euclid(whole) == 0 { down } else { down.saturating_add(1) };
    Usd::new(i64::try_from(up).unwrap_or(cost.get()))
}

/// All strategies' books, owned in one place: the manager of positions and budgets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PortfolioManager {
    books: Vec<Book>,
}

impl PortfolioManager {
    /// One book per strategy, in order of registration.
    #[must_use]
    pub fn new(allowances: &[Allowance]) -> Self {
        Self { books: allowances.iter().map(|a| Book::new(*a)).collect() }
    }

    /// Makes room for a mint, so that a later fill does not allocate.
    pub(crate) fn open(&mut self, mint: MintId) {
        for book in &mut self.books {
            book.slot(mint);
        }
    }

    /// The books of a strategy.
    #[must_use]
    pub fn book(&self, strategy: StrategyId) -> Option<&Book> {
        self.books.get(strategy.index())
    }

    pub(crate) fn book_mut(&mut self, strategy: StrategyId) -> Option<&mut Book> {
        self.books.get_mut(strategy.index())
    }

    /// All books.
    #[must_use]
    pub fn books(&self) -> &[Book] {
        &self.books
    }

    /// What is held of a mint over all strategies.
    #[must_use]
    pub fn held(&self, mint: MintId) -> Atoms {
        self.books
            .iter()
            .filter_map(|b| b.position(mint))
            .fold(Atoms::ZERO, |sum, p| sum.saturating_add(p.amount))
    }

    /// What all positions would bring at the pools' prices; a mint without a price counts at its cost.
    #[must_use]
    pub fn exposure(&self, market: &Market) -> Usd {
        let mut sum = Usd::ZERO;
        for book in &self.books {
            for (index, position) in book.positions.iter().enumerate() {
                if position.amount == Atoms::ZERO {
                    continue;
                }
                let value = MintId::at(index).and_then(|mint| market.value(mint, position.amount));
                sum = sum.saturating_add(value.unwrap_or(position.cost));
            }
        }
        sum
    }

    /// Value of all entries in flight.
    #[must_use]
    pub fn pending(&self) -> Usd {
        self.books.iter().fold(Usd::ZERO, |sum, b| sum.saturating_add(b.pending))
    }

    /// Takes note of an approved order.
    pub(crate) fn opened(&mut self, order: &Order, market: &Market) {
        if let Some(book) = self.book_mut(order.strategy()) {
            book.counts.submitted = book.counts.submitted.saturating_add(1);
            if !market.is_usd(order.mint_out()) || order.mint_in() == order.mint_out() {
                book.pending = book.pending.saturating_add(order.value());
            }
        }
    }

    /// Takes note that an order has ended, before its fill (if any) is booked.
    pub(crate) fn ended(&mut self, order: &Order, market: &Market) {
        if let Some(book) = self.book_mut(order.strategy())
            && (!market.is_usd(order.mint_out()) || order.mint_in() == order.mint_out())
        {
            book.pending = book.pending.saturating_sub(order.value());
        }
    }

    /// Books a fee that brought nothing.
    pub(crate) fn wasted(&mut self, strategy: StrategyId, fee: Usd) -> Undo {
        if let Some(book) = self.book_mut(strategy) {
            book.fees = book.fees.saturating_add(fee);
            book.realised = book.realised.saturating_sub(fee);
        }
        Undo { fee, ..Undo::default() }
    }

    /// Takes back what a landing did, fill or not: the order is in flight again. What has gone on in its name since then
    /// stays: a position that was sold meanwhile is not bought back, a strategy that was stopped is not started.
    pub(crate) fn undo(&mut self, order: &Order, undo: &Undo, filled: bool, market: &Market) {
        let Some(book) = self.book_mut(order.strategy()) else { return };
        book.fees = book.fees.saturating_sub(undo.fee);
        if filled {
            book.counts.landed = book.counts.landed.saturating_sub(1);
        } else {
            book.counts.reverted = book.counts.reverted.saturating_sub(1);
            book.realised = book.realised.saturating_add(undo.fee);
        }
        if let Some((mint, amount, cost)) = undo.added
            && let Some(position) = book.slot(mint)
        {
            position.amount = position.amount.saturating_sub(amount);
            position.cost = Usd::new(position.cost.saturating_sub(cost).get().max(0));
            if position.amount == Atoms::ZERO {
                *position = Position::default();
            }
        }
        if let Some((mint, amount, cost, opened)) = undo.taken {
            book.add(mint, amount, cost, opened);
        }
        if let Some(profit) = undo.profit {
            book.realised = book.realised.saturating_sub(profit);
            let count = if profit >= Usd::ZERO { &mut book.wins } else { &mut book.losses };
            *count = count.saturating_sub(1);
        }
        if !market.is_usd(order.mint_out()) || order.mint_in() == order.mint_out() {
            book.pending = book.pending.saturating_add(order.value());
        }
    }

    /// Books a fill and returns the trade it completed, if any, and what takes all of it back.
    ///
    /// Money out of a dollar mint opens a position at that cost; money into one closes it. A swap between two
    /// other mints closes one position and opens the other at the value given up.
    pub(crate) fn filled(
        &mut self,
        order: &Order,
        deltas: &Deltas,
        fee: Lamports,
        market: &Market,
        now: Timestamp,
    ) -> Option<(Option<Trade>, Undo)> {
        let fee = market.value_up(MintId::SOL, Atoms::new(fee.get())).unwrap_or(Usd::ZERO);
        let (mint_in, mint_out) = (order.mint_in(), order.mint_out());
        let delta = |mint| {
            deltas.iter().filter(|(m, _)| *m == mint).fold(0_i64, |s, (_, d)| s.saturating_add(*d))
        };
        let strategy = order.strategy();
        let book = self.book_mut(strategy)?;
        book.counts.landed = book.counts.landed.saturating_add(1);
        book.fees = book.fees.saturating_add(fee);

        if mint_in == mint_out {
            let gain = delta(mint_in);
            let size = market.value(mint_in, Atoms::new(gain.unsigned_abs())).unwrap_or(Usd::ZERO);
            let gain = if gain < 0 { size.negated() } else { size };
            let cost = order.value();
            let trade = book.close(Trade {
                strategy,
                order: order.id(),
                mint: mint_in,
                amount: order.amount_in(),
                cost,
                proceeds: cost.saturating_add(gain),
                fee,
                profit: gain.saturating_sub(fee),
                opened: order.at(),
                closed: now,
            });
            let undo = Undo { fee, profit: Some(trade.profit), ..Undo::default() };
            return Some((Some(trade), undo));
        }

        let paid = Atoms::new(delta(mint_in).min(0).unsigned_abs());
        let got = Atoms::new(delta(mint_out).max(0).unsigned_abs());
        if market.is_usd(mint_in) {
            let cost = market.value_up(mint_in, paid).unwrap_or(order.value());
            let cost = cost.saturating_add(fee);
            book.add(mint_out, got, cost, now);
            let undo = Undo { fee, added: Some((mint_out, got, cost)), ..Undo::default() };
            return Some((None, undo));
        }
        let (known_cost, opened, beyond) = book.take(mint_in, paid, now);
        let cost = known_cost.saturating_add(market.value_up(mint_in, beyond).unwrap_or(Usd::ZERO));
        let value_out = market.value(mint_out, got).unwrap_or(order.value());
        let is_usd = market.is_usd(mint_out);
        if !is_usd {
            book.add(mint_out, got, value_out, now);
        }
        let trade = book.close(Trade {
            strategy,
            order: order.id(),
            mint: mint_in,
            amount: paid,
            cost,
            proceeds: value_out,
            fee,
            profit: value_out.saturating_sub(cost).saturating_sub(fee),
            opened,
            closed: now,
        });
        let undo = Undo {
            fee,
            added: (!is_usd).then_some((mint_out, got, value_out)),
            taken: Some((mint_in, paid.saturating_sub(beyond), known_cost, opened)),
            profit: Some(trade.profit),
        };
        Some((Some(trade), undo))
    }

    /// Stops a strategy that has lost what it may lose.
    pub(crate) fn stop_if_lost(&mut self, strategy: StrategyId) -> Option<StopCause> {
        let book = self.book_mut(strategy)?;
        let lost = book.realised <= book.allowance.loss_limit.negated();
        (lost && book.stopped.is_none()).then(|| {
            book.stopped = Some(StopCause::LossLimit);
            StopCause::LossLimit
        })
    }

    /// Stops a strategy.
    pub(crate) fn stop(&mut self, strategy: StrategyId, cause: StopCause) {
        if let Some(book) = self.book_mut(strategy) {
            book.stopped = Some(cause);
        }
    }
}

impl Book {
    fn close(&mut self, trade: Trade) -> Trade {
        self.realised = self.realised.saturating_add(trade.profit);
        if trade.profit >= Usd::ZERO {
            self.wins = self.wins.saturating_add(1);
        } else {
            self.losses = self.losses.saturating_add(1);
        }
        trade
    }
}
