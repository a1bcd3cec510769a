//! The only maker of an order.

use arrayvec::ArrayVec;

use crate::execution::OpenOrders;
use crate::ids::{MintId, OrderId};
use crate::ledger::{Ledger, Lines};
use crate::market::Market;
use crate::order::{Intent, Leg, LegAmount, MAX_HOPS, Opens, Order};
use crate::portfolio::PortfolioManager;
use crate::risk::{Control, Limits, Mode, Refusal};
use crate::units::{Atoms, Bps, Lamports, Timestamp, Usd, mul_div_down};

/// What review looks at besides the wish and the limits.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Time of the event that caused the wish.
    pub now: Timestamp,
    /// The market.
    pub market: &'a Market,
    /// Positions and budgets.
    pub portfolio: &'a PortfolioManager,
    /// Orders in flight.
    pub orders: &'a OpenOrders,
    /// Mode, rates, streaks.
    pub control: &'a Control,
}

/// What a wish amounts to, once its route has been followed.
struct Plan {
    mint_in: MintId,
    mint_out: MintId,
    expected_out: Atoms,
    legs: ArrayVec<Leg, MAX_HOPS>,
    opens: Opens,
    value: Usd,
}

impl Plan {
    fn is_cycle(&self) -> bool {
        self.mint_in == self.mint_out
    }
}

/// Turns a wish into an order and reserves its cash, or says why not.
///
/// Cheap checks come first, the reservation last, so that a refusal has changed nothing. Every refusal is
/// counted and shown by the caller.
///
/// # Prices
///
/// A purchase needs a recent independent price of both mints and must lie within [`Limits::collar`] of it. A sale of a
/// position into dollars must not be held up by a price service that lags or is silent: where there is a recent price, the
/// sale may bring as little as [`Limits::exit_collar`] allows, and as much as it can; where there is none, the slippage
/// cap against our own quote alone bounds it, and the order says so ([`Order::is_unpriced`]).
///
/// # Errors
///
/// The first limit that the wish would break.
pub fn review(
    intent: &Intent,
    id: OrderId,
    desk: Desk<'_>,
    limits: &Limits,
    ledger: &mut Ledger,
) -> Result<Order, Refusal> {
    let plan = plan(intent, desk)?;
    may_trade(intent, &plan, desk, limits)?;
    if !desk.market.is_whole() || desk.market.silence(desk.now) > limits.market_age_max {
        return Err(Refusal::StaleMarket);
    }
    let unpriced = is_fairly_priced(intent, &plan, desk, limits)?;
    fits(intent, &plan, desk, limits)?;

    let (fee_cap, units) =
        limits.fee_cap(plan.legs.len(), plan.opens.len()).ok_or(Refusal::Range)?;
    let fee_cap = fee_cap.checked_add(limits.tip).ok_or(Refusal::Range)?;
    // What the accounts that it makes lock is not lost, but it is gone as the fee is until they are closed.
    let costs = plan.opens.iter().try_fold(fee_cap, |sum, (_, rent)| sum.checked_add(*rent));
    let costs = costs.ok_or(Refusal::Range)?;
    if plan.is_cycle() {
        covers_costs(intent, &plan, desk, limits, costs)?;
    }
    let kept = costs.checked_add(limits.fee_reserve).ok_or(Refusal::Range)?;
    let reduces = reduces(&plan, desk);
    // Exits may use the reserve: that is what it is for.
    let needed = if reduces { costs } else { kept };
    if ledger.available(MintId::SOL).get() < needed.get() {
        return Err(Refusal::FeeReserve);
    }
    let lines: Lines =
        [(plan.mint_in, intent.amount_in), (MintId::SOL, Atoms::new(costs.get()))].into();
    ledger.reserve(id, lines).map_err(Refusal::Cash)?;

    Ok(Order {
        id,
        strategy: intent.strategy,
        legs: plan.legs,
        opens: plan.opens,
        amount_in: intent.amount_in,
        min_out: intent.min_out,
        expected_out: plan.expected_out,
        fee_cap,
        tip: limits.tip,
        compute_unit_limit: units.saturating_add(desk.control.serial()),
        compute_unit_price: limits.compute_unit_price,
        value: plan.value,
        unpriced,
        expires: intent.expires,
        at: desk.now,
        reason: intent.reason,
    })
}

/// Follows the route through the pools as they are now and bounds every leg.
///
/// All legs but the last ask for exactly what the next one gives and pay at most what was planned: a pool that
/// has moved in our favour costs less, one that has moved too far against us reverts the whole transaction, and
/// no dust of the mints between is left behind. What sells a position gives all of it at once, and what its first leg
/// brings above the plan stays with us in the mint between. What the route gives above the minimum is shared among its legs
/// as room to move.
fn plan(intent: &Intent, desk: Desk<'_>) -> Result<Plan, Refusal> {
    let (Some(first), Some(last)) = (intent.route.first(), intent.route.last()) else {
        return Err(Refusal::Route);
    };
    if intent.amount_in == Atoms::ZERO {
        return Err(Refusal::ZeroAmount);
    }
    if intent.min_out == Atoms::ZERO {
        return Err(Refusal::ZeroMinimum);
    }
    let mut mint = first.mint_in;
    for (nth, hop) in intent.route.iter().enumerate() {
        let pool = desk.market.pool(hop.pool).ok_or(Refusal::Route)?;
        if hop.mint_in != mint || pool.direction(*hop).is_none() {
            return Err(Refusal::Route);
        }
        // The same pool twice would be quoted from a state that its first leg has already changed.
        if intent.route.iter().take(nth).any(|h| h.pool == hop.pool) {
            return Err(Refusal::Route);
        }
        if !pool.live.is_settled() {
            return Err(Refusal::Unsettled);
        }
        mint = hop.mint_out;
    }
    let best = desk.market.quote_route(&intent.route, intent.amount_in).map_err(Refusal::Quote)?;
    let (legs, expected_out) = legs(intent, desk, room_per_leg(intent, best))?;
    let value =
        desk.market.value_up(first.mint_in, intent.amount_in).ok_or(Refusal::NoReference)?;
    let opens = opens(&legs, desk.market);
    Ok(Plan { mint_in: first.mint_in, mint_out: last.mint_out, expected_out, legs, opens, value })
}

/// The mints on the way whose token account of ours has yet to be made. An order in flight that makes one may fail, so
/// the next one makes it too; only the first to land pays.
fn opens(legs: &[Leg], market: &Market) -> Opens {
    let mut opens = Opens::new();
    for leg in legs {
        let (mint, rent) = (leg.hop.mint_out, market.rent(leg.hop.mint_out));
        if rent > Lamports::ZERO && !opens.iter().any(|(known, _)| *known == mint) {
            // There are as many places as legs.
            opens.push((mint, rent));
        }
    }
    opens
}

/// How far each leg may move: the distance from the best output to the minimum, in equal shares.
fn room_per_leg(intent: &Intent, best: Atoms) -> Bps {
    let room = best.saturating_sub(intent.min_out);
    let share = mul_div_down(room.get(), u128::from(Bps::WHOLE), u128::from(best.get().max(1)));
    let legs = u64::try_from(intent.route.len()).unwrap_or(1).max(1);
    let share = share.and_then(|s| s.checked_div(legs)).and_then(|s| u16::try_from(s).ok());
    Bps::capped(share.unwrap_or(0))
}

fn legs(
    intent: &Intent,
    desk: Desk<'_>,
    room: Bps,
) -> Result<(ArrayVec<Leg, MAX_HOPS>, Atoms), Refusal> {
    let mut legs = ArrayVec::new();
    let mut amount = intent.amount_in;
    let hops = intent.route.len();
    let ends = intent.route.first().zip(intent.route.last());
    let sells = ends.is_some_and(|(first, last)| {
        desk.market.is_usd(last.mint_out) && !desk.market.is_usd(first.mint_in)
    });
    for (nth, hop) in intent.route.iter().enumerate() {
        let quote = |amount| desk.market.quote(*hop, amount).map_err(Refusal::Quote);
        let out = quote(amount)?.amount_out;
        let pool = desk.market.pool(hop.pool).ok_or(Refusal::Route)?;
        let forward = pool.direction(*hop).ok_or(Refusal::Route)?;
        let arrays = pool.live.arrays(forward);
        if nth.saturating_add(1) == hops {
            let bounds = LegAmount::ExactIn { amount_in: amount, min_out: intent.min_out };
            legs.push(Leg { hop: *hop, amount: bounds, arrays });
            return Ok((legs, out));
        }
        let amount_out = out.less(room);
        // What is given up is sold whole: its rest would be a position too small to sell for its fee.
        let sells_all = nth == 0 && sells;
        let bounds = if pool.live.has_exact_out(forward) && !sells_all {
            LegAmount::ExactOut { amount_out, max_in: amount }
        } else {
            // What it gives beyond that stays with us, in the mint between.
            LegAmount::ExactIn { amount_in: amount, min_out: amount_out }
        };
        legs.push(Leg { hop: *hop, amount: bounds, arrays });
        amount = amount_out;
    }
    Err(Refusal::Route)
}

/// An order that turns a position of the strategy's own into dollars.
fn reduces(plan: &Plan, desk: Desk<'_>) -> bool {
    desk.market.is_usd(plan.mint_out) && !desk.market.is_usd(plan.mint_in)
}

fn may_trade(intent: &Intent, plan: &Plan, desk: Desk<'_>, limits: &Limits) -> Result<(), Refusal> {
    let reduces = reduces(plan, desk);
    match desk.control.mode() {
        Mode::Run => {}
        Mode::ReduceOnly if reduces => {}
        mode => return Err(Refusal::Mode(mode)),
    }
    let book = desk.portfolio.book(intent.strategy).ok_or(Refusal::StrategyStopped)?;
    if book.stopped().is_some() && !reduces {
        return Err(Refusal::StrategyStopped);
    }
    if desk.now >= intent.expires {
        return Err(Refusal::Late);
    }
    if !desk.market.may_be_bought(plan.mint_out) {
        return Err(Refusal::Gate);
    }
    if desk.control.is_cooling(desk.now) && !reduces {
        return Err(Refusal::CoolDown);
    }
    if desk.control.is_duplicate(intent, desk.now, limits.duplicate_window) {
        return Err(Refusal::Duplicate);
    }
    let twin = desk.orders.all().iter().any(|open| {
        open.order.strategy() == intent.strategy
            && open.order.mint_in() == plan.mint_in
            && open.order.mint_out() == plan.mint_out
    });
    if twin {
        return Err(Refusal::Duplicate);
    }
    if desk.control.is_rate_full(desk.now) {
        return Err(Refusal::Rate);
    }
    if desk.orders.all().len() >= usize::from(limits.open_orders_max) {
        return Err(Refusal::TooManyOpen);
    }
    Ok(())
}

/// Judges the price. Says whether there was no independent one to judge by, which only an exit may do without.
fn is_fairly_priced(
    intent: &Intent,
    plan: &Plan,
    desk: Desk<'_>,
    limits: &Limits,
) -> Result<bool, Refusal> {
    if plan.expected_out < intent.min_out {
        return Err(Refusal::BelowMinimum);
    }
    if plan.is_cycle() {
        // What goes in and comes out is the same mint: no price is needed to judge it, and it must gain.
        return if intent.min_out > intent.amount_in { Ok(false) } else { Err(Refusal::NoProfit) };
    }
    if intent.min_out < plan.expected_out.less(limits.slippage_max) {
        return Err(Refusal::Slippage);
    }
    let reference = |mint| desk.market.reference(mint, desk.now, limits.reference_age_max);
    let exit = reduces(plan, desk);
    let Some(given) = reference(plan.mint_in) else {
        return if exit { Ok(true) } else { Err(Refusal::NoReference) };
    };
    let taken = reference(plan.mint_out).ok_or(Refusal::NoReference)?;
    let paid = given.value_up(intent.amount_in).ok_or(Refusal::Range)?;
    let got = taken.value_down(plan.expected_out).ok_or(Refusal::Range)?;
    let (least, too_good) = if exit {
        // A quote that is too good sells dear, or reverts for its fee.
        (paid.less(limits.exit_collar), false)
    } else {
        // Too good is as suspect as too bad: one of the two prices is wrong.
        (paid.less(limits.collar), paid < got.less(limits.collar))
    };
    if got < least || too_good { Err(Refusal::Collar) } else { Ok(false) }
}

fn fits(intent: &Intent, plan: &Plan, desk: Desk<'_>, limits: &Limits) -> Result<(), Refusal> {
    let book = desk.portfolio.book(intent.strategy).ok_or(Refusal::StrategyStopped)?;
    if !desk.market.is_usd(plan.mint_in) && !plan.is_cycle() {
        let held = book.position(plan.mint_in).map_or(Atoms::ZERO, |p| p.amount);
        if intent.amount_in > held {
            return Err(Refusal::NotHeld);
        }
    }
    if reduces(plan, desk) {
        return Ok(());
    }
    if plan.value > limits.order_value_max {
        return Err(Refusal::OrderValue);
    }
    if plan.value > book.budget_left() {
        return Err(Refusal::Budget);
    }
    if plan.is_cycle() {
        // Lands as a whole or not at all: it holds no position.
        return Ok(());
    }
    let in_flight = desk
        .orders
        .all()
        .iter()
        .filter(|o| o.order.mint_out() == plan.mint_out)
        .fold(Usd::ZERO, |sum, o| sum.saturating_add(o.order.value()));
    let held = desk.portfolio.held(plan.mint_out);
    let held = desk.market.value_up(plan.mint_out, held).unwrap_or(Usd::ZERO);
    if held.saturating_add(in_flight).saturating_add(plan.value) > limits.position_value_max {
        return Err(Refusal::Position);
    }
    let exposure = desk.portfolio.exposure(desk.market).saturating_add(desk.portfolio.pending());
    if exposure.saturating_add(plan.value) > limits.exposure_max {
        return Err(Refusal::Exposure);
    }
    Ok(())
}

/// A cycle must bring what the chain takes and locks, rounded up, and the margin on top, even at its minimum output.
fn covers_costs(
    intent: &Intent,
    plan: &Plan,
    desk: Desk<'_>,
    limits: &Limits,
    costs: Lamports,
) -> Result<(), Refusal> {
    let gain = intent.min_out.checked_sub(intent.amount_in).ok_or(Refusal::NoProfit)?;
    let gain = desk.market.value(plan.mint_in, gain).ok_or(Refusal::NoReference)?;
    let costs =
        desk.market.value_up(MintId::SOL, Atoms::new(costs.get())).ok_or(Refusal::NoReference)?;
    if gain < costs.saturating_add(limits.arbitrage_margin) {
        return Err(Refusal::NoProfit);
    }
    Ok(())
}
