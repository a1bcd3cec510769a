//! An operator without sense: tickets of every kind, near the price, and cancellations.

use super::World;
use super::dice::Dice;
use super::process::Phase;
use super::setting::{BONK, USDC, WSOL};
use crate::execution::Commitment;
use crate::ids::StrategyId;
use crate::sim::pool::Accounts;
use crate::standing::{Amount, LEGS_MAX, Link, Pace, Rung, Side, Spec, Ticket, Trigger};
use crate::units::{Atoms, Bps, Price, Timestamp};

/// What it wants.
enum Wanted {
    Ticket(Box<Ticket>),
    /// Of the tickets that stand, this one.
    Cancel(u64, Option<u8>),
}

/// In a thousand slots.
const TICKETS: u32 = 60;
const CANCELS: u32 = 10;

impl World {
    /// The operator places a ticket, or cancels one.
    pub(super) fn operate(&mut self) {
        let pools = self.env.chain.holdings(Commitment::Confirmed, 0).pools;
        let Some(wanted) = wants(&mut self.tickets, &pools) else { return };
        if self.healed || self.process.as_ref().is_none_or(|p| p.phase != Phase::Trading) {
            return;
        }
        match wanted {
            Wanted::Ticket(ticket) => self.with(|process, env| process.place(env, *ticket)),
            Wanted::Cancel(which, leg) => self.with(|process, env| process.cancel(env, which, leg)),
        }
    }
}

/// What it wants in this slot, if anything.
fn wants(dice: &mut Dice, pools: &[Accounts]) -> Option<Wanted> {
    if dice.chance(CANCELS) {
        let leg = dice.chance(400).then(|| u8::try_from(dice.below(3)).unwrap_or(0));
        return Some(Wanted::Cancel(dice.next(), leg));
    }
    dice.chance(TICKETS).then(|| Wanted::Ticket(Box::new(draw(dice, pools))))
}

fn draw(dice: &mut Dice, pools: &[Accounts]) -> Ticket {
    let (mint, pool) = if dice.chance(600) { (WSOL, 0) } else { (BONK, 2) };
    let [base, quote] = pools[pool].vaults().map(Atoms::get);
    let mut draw = Draw { dice, mint, base, quote };
    let (link, legs) = match draw.dice.below(10) {
        0..=4 => (Link::Alone, vec![draw.any()]),
        5 | 6 => (Link::Oco, draw.pair()),
        _ => (Link::Bracket, draw.bracket()),
    };
    // Now and then for what a strategy holds.
    let sells = legs.iter().all(|leg| leg.side == Side::Sell);
    let owner = (sells && draw.dice.chance(300)).then_some(StrategyId(0));
    Ticket { owner, link, legs: legs.into_iter().take(LEGS_MAX).collect() }
}

struct Draw<'a> {
    dice: &'a mut Dice,
    mint: crate::ids::MintId,
    base: u64,
    quote: u64,
}

impl Draw<'_> {
    /// The pool's price, moved by so many thousandths.
    fn price(&mut self, low: i64, high: i64) -> Price {
        let per_mille = u64::try_from(1_000 + self.dice.between(low, high)).unwrap_or(1_000);
        Price::of(self.quote / 1_000 * per_mille, self.base).unwrap_or(Price::ONE)
    }

    fn dollars(&mut self) -> Amount {
        Amount::Exactly(Atoms::new(1_000_000 * (1 + self.dice.below(35))))
    }

    fn spec(&mut self, side: Side, amount: Amount, trigger: Trigger) -> Spec {
        Spec {
            side,
            mint: self.mint,
            dollars: USDC,
            amount,
            trigger,
            pace: Pace::Whole,
            slippage: Bps::capped(40 + u16::try_from(self.dice.below(60)).unwrap_or(0)),
            agree: self.dice.chance(100).then_some(Bps::capped(500)),
            slots: u8::try_from(self.dice.below(3)).unwrap_or(0),
            expires: None,
        }
    }

    fn ladder(&mut self) -> Trigger {
        let mut rungs = vec![self.price(2, 8), self.price(9, 16), self.price(17, 30)];
        rungs.dedup();
        let share = |nth: usize| Bps::capped([3_000, 3_500, 3_500][nth]);
        Trigger::Ladder(
            (0..).zip(rungs).map(|(nth, price)| Rung { price, share: share(nth) }).collect(),
        )
    }

    fn span(&mut self, most: i64) -> Timestamp {
        Timestamp::new(1_000_000 * self.dice.between(1, most))
    }

    fn any(&mut self) -> Spec {
        let sale = if self.dice.chance(500) {
            Amount::Position
        } else {
            // Some dollars' worth.
            let worth = 1_000_000 * (1 + self.dice.below(30));
            let atoms = u128::from(worth) * u128::from(self.base) / u128::from(self.quote.max(1));
            Amount::Exactly(Atoms::new(u64::try_from(atoms).unwrap_or(1).max(100)))
        };
        let dollars = self.dollars();
        match self.dice.below(9) {
            0 => self.spec(Side::Buy, dollars, Trigger::Now),
            1 => {
                let price = self.price(-20, 10);
                self.spec(Side::Buy, dollars, Trigger::Limit(price))
            }
            2 => {
                let price = self.price(-5, 20);
                self.spec(Side::Buy, dollars, Trigger::Stop(price))
            }
            3 => {
                let parts = u16::try_from(2 + self.dice.below(4)).unwrap_or(2);
                let every = self.span(6);
                let mut spec = self.spec(Side::Buy, dollars, Trigger::Now);
                let split = Pace::Split { parts, every };
                let repeat = Pace::Repeat { times: parts, every };
                spec.pace = if self.dice.chance(500) { split } else { repeat };
                spec
            }
            4 => {
                let price = self.price(-15, 20);
                self.spec(Side::Sell, sale, Trigger::Limit(price))
            }
            5 => {
                let price = self.price(-20, 5);
                self.spec(Side::Sell, sale, Trigger::Stop(price))
            }
            6 => {
                let trail = Trigger::Trail(Bps::capped(
                    50 + u16::try_from(self.dice.below(150)).unwrap_or(0),
                ));
                self.spec(Side::Sell, sale, trail)
            }
            7 => {
                let after = Trigger::After(self.span(20));
                self.spec(Side::Sell, sale, after)
            }
            _ => {
                let ladder = self.ladder();
                self.spec(Side::Sell, sale, ladder)
            }
        }
    }

    /// One cancels the other.
    fn pair(&mut self) -> Vec<Spec> {
        if self.dice.chance(400) {
            let (one, two) = (self.dollars(), self.dollars());
            let (low, high) = (self.price(-12, 2), self.price(3, 15));
            return vec![
                self.spec(Side::Buy, one, Trigger::Limit(low)),
                self.spec(Side::Buy, two, Trigger::Stop(high)),
            ];
        }
        let amount = self.any().amount;
        let amount = if let Amount::Exactly(_) = amount { Amount::Position } else { amount };
        let (low, high) = (self.price(-15, -4), self.price(4, 15));
        vec![
            self.spec(Side::Sell, amount, Trigger::Limit(high)),
            self.spec(Side::Sell, amount, Trigger::Stop(low)),
        ]
    }

    fn bracket(&mut self) -> Vec<Spec> {
        let (dollars, entry) = (self.dollars(), self.price(-8, 10));
        let low = self.price(-25, -10);
        let stop = if self.dice.chance(500) {
            Trigger::Stop(low)
        } else {
            Trigger::Trail(Bps::capped(60 + u16::try_from(self.dice.below(200)).unwrap_or(0)))
        };
        let high = self.price(3, 20);
        let target = if self.dice.chance(500) { Trigger::Limit(high) } else { self.ladder() };
        let mut legs = vec![
            self.spec(Side::Buy, dollars, Trigger::Limit(entry)),
            self.spec(Side::Sell, Amount::Position, stop),
            self.spec(Side::Sell, Amount::Position, target),
        ];
        if self.dice.chance(300) {
            let after = Trigger::After(self.span(30));
            legs.push(self.spec(Side::Sell, Amount::Position, after));
        }
        legs
    }
}
