//! Standing orders, each kind through the whole engine.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Command, Effect, Event, MarketEvent};
use sniper_core::order::Reason;
use sniper_core::risk::{Mode, Refusal};
use sniper_core::standing::{Amount, End, Link, Pace, Rung, Setback, Side, State, Trigger, Turn};
use sniper_core::units::{Atoms, Bps, Price};
use support::tickets::{SOL, Stand, alone, buy, price, seconds, sell, spec, submitted, ticket};
use support::{USDC, WSOL, reference};

fn bps(value: u16) -> Bps {
    Bps::new(value).unwrap()
}

fn mode(stand: &mut Stand, mode: Mode) {
    stand.run.step(Event::Command(Command::SetMode { mode, clear_kill: false }));
}

#[test]
fn a_limit_buys_at_its_price_or_better_and_never_at_a_worse() {
    let mut stand = Stand::new();
    let (seq, orders) = stand.place(alone(buy(40, Trigger::Limit(price(14_000)))));
    assert!(orders.is_empty());
    // The pools' fee of a quarter of a percent counts: at 139.8 a SOL costs more than 140.
    assert!(stand.at(13_980).is_empty());
    let orders = stand.at(13_950);
    assert_eq!(orders.len(), 1);
    let least = u128::from(orders[0].amount_in().get()) * u128::from(SOL) / 140_000_000;
    assert!(u128::from(orders[0].min_out().get()) >= least);
    assert_eq!(orders[0].reason(), Reason::Limit);
    // Its cash is reserved and it is under way: it cannot fire twice.
    assert!(stand.at(13_900).is_empty());
    stand.fill(&orders[0]);
    assert_eq!(stand.end(seq, 0), Some(End::Done));
    assert_eq!(stand.standing(seq, 0).done(), Atoms::new(40_000_000));
    assert_eq!(stand.standing(seq, 0).got(), stand.held());
    assert!(stand.at(13_000).is_empty());
}

#[test]
fn a_limit_sells_no_cheaper_than_its_price() {
    let mut stand = Stand::new();
    let held = stand.hold(40);
    let (seq, _) = stand.place(alone(sell(Trigger::Limit(price(16_000)))));
    assert!(stand.at(16_030).is_empty(), "the fee counts");
    let orders = stand.at(16_050);
    assert_eq!(orders[0].amount_in(), held);
    assert!(orders[0].min_out() >= price(16_000).value_up(held).unwrap());
    stand.fill(&orders[0]);
    assert_eq!((stand.end(seq, 0), stand.held()), (Some(End::Done), Atoms::ZERO));
}

#[test]
fn a_stop_goes_by_what_would_come_out_and_one_pool_alone_does_not_trigger_it() {
    let mut stand = Stand::new();
    let held = stand.hold(40);
    let (seq, orders) = stand.place(alone(sell(Trigger::Stop(price(14_000)))));
    assert!(orders.is_empty() && stand.at(14_100).is_empty());
    // One pool is drained of dollars; the other still pays, also while it is between two states.
    stand.step_on(400_000);
    assert!(stand.tell([10_000, 14_100]).is_empty());
    // At 140.2 in the pool, the fee included, less than 140 would come out.
    let orders = stand.at(14_020);
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].amount_in(), orders[0].reason()), (held, Reason::Stop));
    stand.fill(&orders[0]);
    assert_eq!(stand.end(seq, 0), Some(End::Done));
}

#[test]
fn a_stop_buys_a_breakout() {
    let mut stand = Stand::new();
    let (_, orders) = stand.place(alone(buy(40, Trigger::Stop(price(15_500)))));
    assert!(orders.is_empty() && stand.at(15_400).is_empty());
    assert_eq!(stand.at(15_500).len(), 1);
}

#[test]
fn a_price_must_hold_for_as_many_slots_as_asked() {
    let mut stand = Stand::new();
    stand.hold(40);
    let mut stop = sell(Trigger::Stop(price(14_000)));
    stop.slots = 2;
    stand.place(alone(stop));
    // For a moment, then back: it begins anew.
    assert!(stand.at(13_900).is_empty() && stand.at(13_900).is_empty());
    assert!(stand.at(14_500).is_empty());
    assert!(stand.at(13_900).is_empty() && stand.at(13_900).is_empty());
    assert_eq!(stand.at(13_900).len(), 1);
}

#[test]
fn where_it_is_asked_the_independent_price_must_agree() {
    let mut stand = Stand::new();
    stand.hold(40);
    let mut stop = sell(Trigger::Stop(price(14_000)));
    stop.agree = Some(bps(200));
    stand.place(alone(stop));
    stand.step_on(400_000);
    stand.run.step(reference(WSOL, 150_000_000, SOL));
    for nth in [0, 1] {
        let sols = [10_000 * SOL, 5_000 * SOL][nth];
        let pool = u32::try_from(nth).unwrap();
        for event in support::reserves(pool, stand.slot, [sols, sols / SOL * 135_000_000]) {
            assert!(submitted(&stand.run.step(event)).is_empty());
        }
    }
    stand.run.step(support::slot(stand.slot));
    assert_eq!(stand.at(13_500).len(), 1, "once it says the same");
}

#[test]
fn a_stale_market_or_one_with_a_gap_triggers_nothing_and_time_waits_with_it() {
    let mut stand = Stand::new();
    stand.hold(40);
    stand.place(alone(sell(Trigger::After(seconds(2)))));
    stand.run.step(Event::Market(MarketEvent::Feed { whole: false }));
    assert!(stand.at(10_000).is_empty() && stand.wait(4).is_empty());
    let whole = stand.run.step(Event::Market(MarketEvent::Feed { whole: true }));
    assert_eq!(submitted(&whole).len(), 1);

    let mut stand = Stand::new();
    stand.hold(40);
    stand.place(alone(sell(Trigger::After(seconds(2)))));
    stand.run.wait(5_000_000);
    assert!(submitted(&stand.run.step(Event::Timer)).is_empty(), "nothing was heard for too long");
    assert_eq!(stand.at(15_000).len(), 1);
}

#[test]
fn a_pool_between_two_states_triggers_nothing() {
    let mut stand = Stand::new();
    stand.hold(40);
    stand.place(alone(sell(Trigger::Stop(price(14_000)))));
    stand.step_on(400_000);
    // One vault of each pool is told, and shows a price that never was.
    for pool in [0, 1] {
        let dollars = support::reserves(pool, stand.slot, [0, 1_000_000])[1].clone();
        assert!(submitted(&stand.run.step(dollars)).is_empty());
    }
    assert!(submitted(&stand.run.step(Event::Timer)).is_empty());
}

#[test]
fn a_ladder_sells_its_rungs_as_they_are_reached_and_all_of_it_in_the_end() {
    let mut stand = Stand::new();
    let held = stand.hold(40);
    let rung = |cents, share| Rung { price: price(cents), share: bps(share) };
    let rungs = [rung(15_500, 3_333), rung(16_000, 3_333), rung(16_500, 3_334)];
    let (seq, _) = stand.place(alone(sell(Trigger::Ladder(rungs.into_iter().collect()))));
    let first = stand.at(15_560);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].amount_in().get(), held.get() * 3_333 / 10_000);
    assert!(stand.at(16_100).is_empty(), "one at a time");
    stand.at(15_900);
    assert!(stand.fill(&first[0]).is_empty());
    // The price leaps over a rung: both are sold at once.
    let rest = stand.at(16_600);
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].amount_in(), held.checked_sub(first[0].amount_in()).unwrap());
    stand.fill(&rest[0]);
    assert_eq!((stand.end(seq, 0), stand.held()), (Some(End::Done), Atoms::ZERO));
    assert_eq!(stand.standing(seq, 0).done(), held);
}

#[test]
fn a_trail_follows_the_price_up_and_never_down() {
    let mut stand = Stand::new();
    stand.hold(40);
    let (seq, _) = stand.place(alone(sell(Trigger::Trail(bps(500)))));
    stand.at(15_000);
    let mut marks = vec![stand.standing(seq, 0).mark()];
    for cents in [15_400, 15_800, 15_500, 16_000, 15_900, 15_300] {
        assert!(stand.at(cents).is_empty(), "{cents}");
        marks.push(stand.standing(seq, 0).mark());
    }
    assert!(marks.is_sorted(), "{marks:?}");
    // A moment's price within a slot raises nothing.
    stand.step_on(400_000);
    stand.tell([19_000, 15_500]);
    stand.tell([15_500, 15_500]);
    stand.at(15_500);
    assert_eq!(stand.standing(seq, 0).mark(), *marks.last().unwrap());
    assert!(stand.at(15_150).is_empty());
    let orders = stand.at(15_090);
    assert_eq!((orders.len(), orders[0].reason()), (1, Reason::Stop));
}

#[test]
fn a_time_stop_sells_when_its_time_has_come_whatever_the_price() {
    let mut stand = Stand::new();
    stand.hold(40);
    stand.place(alone(sell(Trigger::After(seconds(10)))));
    assert!(stand.wait(8).is_empty());
    let orders = stand.wait(3);
    assert_eq!((orders.len(), orders[0].reason()), (1, Reason::TimeStop));
}

#[test]
fn an_event_from_the_past_does_no_harm() {
    let mut stand = Stand::new();
    stand.hold(40);
    stand.place(alone(sell(Trigger::After(seconds(10)))));
    stand.wait(5);
    let now = stand.run.now;
    stand.run.now -= 3_600_000_000;
    let effects = stand.run.step(Event::Timer);
    assert!(matches!(effects[..], [Effect::Alert(_)]), "{effects:?}");
    stand.run.now = now;
    assert!(stand.wait(4).is_empty());
    assert_eq!(stand.wait(2).len(), 1);
}

#[test]
fn an_order_over_time_comes_to_its_amount_exactly_and_makes_up_for_what_did_not_land() {
    let mut stand = Stand::new();
    let mut twap = buy(40, Trigger::Now);
    twap.amount = Amount::Exactly(Atoms::new(40_000_001));
    twap.pace = Pace::Split { parts: 3, every: seconds(5) };
    let (seq, first) = stand.place(alone(twap));
    assert_eq!(first[0].amount_in(), Atoms::new(13_333_333));
    stand.fill(&first[0]);
    assert!(stand.wait(4).is_empty());
    let second = stand.wait(2);
    assert_eq!(second.len(), 1);
    stand.expire(&second[0]);
    assert_eq!(stand.standing(seq, 0).setback(), Some(Setback::Expired));
    assert_eq!(stand.standing(seq, 0).left(), Some(Atoms::new(26_666_668)));
    let again = stand.wait(6);
    assert_eq!(again.len(), 1);
    stand.fill(&again[0]);
    let last = stand.wait(6);
    stand.fill(&last[0]);
    assert_eq!(stand.end(seq, 0), Some(End::Done));
    assert_eq!(stand.standing(seq, 0).done(), Atoms::new(40_000_001));
    assert!(stand.wait(10).is_empty());
}

#[test]
fn what_was_missed_is_made_up_for_later_and_never_at_once() {
    let mut stand = Stand::new();
    let mut dca = buy(10, Trigger::Now);
    dca.pace = Pace::Repeat { times: 4, every: seconds(5) };
    let (seq, first) = stand.place(alone(dca));
    stand.fill(&first[0]);
    // A minute in which nothing ran.
    stand.run.wait(60_000_000);
    let second = stand.at(15_000);
    assert_eq!(second.len(), 1);
    stand.fill(&second[0]);
    assert!(stand.wait(4).is_empty());
    let third = stand.wait(2);
    stand.fill(&third[0]);
    stand.cancel(seq, None);
    assert_eq!(stand.end(seq, 0), Some(End::Cancelled));
    assert_eq!(stand.standing(seq, 0).left(), Some(Atoms::new(10_000_000)), "it says what is left");
    assert!(stand.wait(20).is_empty());
}

#[test]
fn one_cancels_the_other_when_it_lands() {
    let mut stand = Stand::new();
    let (seq, held) = stand.oco();
    let orders = stand.at(16_100);
    assert_eq!(orders.len(), 1);
    // While it is under way the other is held back.
    assert!(stand.at(13_500).is_empty());
    stand.fill(&orders[0]);
    assert_eq!(stand.end(seq, 0), Some(End::Done));
    assert_eq!(stand.end(seq, 1), Some(End::Sibling(orders[0].id())));
    assert_eq!(stand.standing(seq, 0).done(), held);
    assert!(stand.at(13_000).is_empty());
}

#[test]
fn the_other_comes_back_when_it_does_not_land() {
    let mut stand = Stand::new();
    let (seq, held) = stand.oco();
    let orders = stand.at(16_100);
    stand.at(15_000);
    stand.wait(2);
    stand.expire(&orders[0]);
    assert_eq!([0, 1].map(|leg| stand.state(seq, leg)), [State::Armed; 2]);
    let orders = stand.at(13_500);
    assert_eq!(orders[0].amount_in(), held);
    stand.fill(&orders[0]);
    assert_eq!(stand.end(seq, 0), Some(End::Sibling(orders[0].id())));
    assert_eq!(stand.end(seq, 1), Some(End::Done));
}

#[test]
fn the_exits_of_a_bracket_watch_when_its_entry_has_landed_for_what_came_in() {
    let mut stand = Stand::new();
    let before = stand.hold(20);
    let seq = stand.bracket();
    assert!(stand.at(16_500).is_empty() && stand.at(14_600).is_empty());
    let entry = stand.at(14_400);
    assert_eq!(entry.len(), 1);
    assert!(stand.at(13_000).is_empty(), "nothing has come in yet");
    stand.at(14_400);
    stand.fill(&entry[0]);
    let came = stand.held().checked_sub(before).unwrap();
    assert_eq!([1, 2].map(|leg| stand.standing(seq, leg).left()), [Some(came); 2]);
    let exit = stand.at(16_100);
    assert_eq!(exit[0].amount_in(), came, "and not what was held before");
    stand.fill(&exit[0]);
    assert_eq!(stand.end(seq, 1), Some(End::Sibling(exit[0].id())));
    assert_eq!((stand.end(seq, 2), stand.held()), (Some(End::Done), before));
}

#[test]
fn the_exits_of_a_bracket_sell_less_when_some_of_it_was_sold_otherwise() {
    let mut stand = Stand::new();
    let seq = stand.bracket();
    let entry = stand.at(14_400);
    stand.fill(&entry[0]);
    let came = stand.held();
    let part = Atoms::new(came.get() / 4);
    let (_, orders) = stand.place(alone(spec(Side::Sell, Amount::Exactly(part), Trigger::Now)));
    stand.fill(&orders[0]);
    let rest = came.checked_sub(part);
    assert_eq!([1, 2].map(|leg| stand.standing(seq, leg).left()), [rest; 2]);
    // What is bought besides is none of its business.
    let (_, orders) = stand.place(alone(buy(20, Trigger::Now)));
    stand.fill(&orders[0]);
    let exit = stand.at(13_400);
    assert_eq!(Some(exit[0].amount_in()), rest);
}

#[test]
fn exits_end_when_all_was_sold_otherwise() {
    let mut stand = Stand::new();
    let seq = stand.bracket();
    let entry = stand.at(14_400);
    stand.fill(&entry[0]);
    let (_, orders) = stand.place(alone(sell(Trigger::Now)));
    stand.fill(&orders[0]);
    stand.at(14_400);
    assert_eq!([1, 2].map(|leg| stand.end(seq, leg)), [Some(End::NothingHeld); 2]);
}

#[test]
fn an_entry_that_is_cancelled_takes_its_exits_along_unless_it_lands_all_the_same() {
    let mut stand = Stand::new();
    let seq = stand.bracket();
    stand.cancel(seq, Some(0));
    assert_eq!([1, 2].map(|leg| stand.end(seq, leg)), [Some(End::NoEntry); 2]);

    let seq = stand.bracket();
    let entry = stand.at(14_400);
    stand.cancel(seq, Some(0));
    assert_eq!(stand.state(seq, 1), State::Waiting);
    stand.fill(&entry[0]);
    assert_eq!([1, 2].map(|leg| stand.state(seq, leg)), [State::Armed; 2]);
}

#[test]
fn a_ladder_leaves_the_stop_beside_it_what_it_has_not_sold() {
    let mut stand = Stand::new();
    let rungs = [Rung { price: price(15_000), share: bps(5_000) }];
    let legs = [
        buy(40, Trigger::Limit(price(14_500))),
        sell(Trigger::Stop(price(13_500))),
        sell(Trigger::Ladder(rungs.into_iter().collect())),
    ];
    let (seq, _) = stand.place(ticket(Link::Bracket, &legs));
    let entry = stand.at(14_400);
    stand.fill(&entry[0]);
    let came = stand.held();
    let half = stand.at(15_100);
    stand.wait(2);
    stand.fill(&half[0]);
    assert_eq!((stand.end(seq, 2), stand.state(seq, 1)), (Some(End::Done), State::Armed));
    let rest = stand.at(13_400);
    assert_eq!(rest[0].amount_in(), came.checked_sub(half[0].amount_in()).unwrap());
    stand.fill(&rest[0]);
    assert_eq!((stand.end(seq, 1), stand.held()), (Some(End::Done), Atoms::ZERO));
}

#[test]
fn a_refusal_is_kept_with_its_reason_and_tried_again_after_a_pause_that_grows() {
    let mut stand = Stand::new();
    let (seq, orders) = stand.place(alone(buy(60, Trigger::Now)));
    assert!(orders.is_empty());
    assert_eq!(
        stand.standing(seq, 0).setback(),
        Some(Setback::Refused(Refusal::OrderValue)),
        "above the cap on an order"
    );
    stand.wait(60);
    let tries = stand.refusals().len();
    assert!((6..=9).contains(&tries), "{tries} tries in a minute");
}

#[test]
fn where_only_exits_may_a_stop_passes_and_an_entry_waits_until_it_may() {
    let mut stand = Stand::new();
    stand.hold(40);
    let (stop, _) = stand.place(alone(sell(Trigger::Stop(price(14_000)))));
    mode(&mut stand, Mode::ReduceOnly);
    let (entry, _) = stand.place(alone(buy(20, Trigger::Now)));
    let refused = Setback::Refused(Refusal::Mode(Mode::ReduceOnly));
    assert_eq!(stand.standing(entry, 0).setback(), Some(refused));
    let orders = stand.at(13_900);
    assert_eq!(orders.len(), 1);
    stand.fill(&orders[0]);
    assert_eq!(stand.end(stop, 0), Some(End::Done));
    let run = Command::SetMode { mode: Mode::Run, clear_kill: false };
    assert_eq!(submitted(&stand.run.step(Event::Command(run))).len(), 1, "and at once");
}

#[test]
fn halted_nothing_is_ordered() {
    let mut stand = Stand::new();
    stand.hold(40);
    stand.place(alone(sell(Trigger::Stop(price(14_000)))));
    mode(&mut stand, Mode::Halt);
    assert!(stand.at(13_000).is_empty() && stand.wait(5).is_empty());
}

#[test]
fn two_stops_on_one_position_sell_it_once() {
    let mut stand = Stand::new();
    let held = stand.hold(40);
    let exact = spec(Side::Sell, Amount::Exactly(held), Trigger::Stop(price(14_000)));
    let (one, _) = stand.place(alone(exact));
    let (two, _) = stand.place(alone(sell(Trigger::Stop(price(13_900)))));
    let orders = stand.at(13_000);
    assert_eq!(orders.len(), 1);
    stand.fill(&orders[0]);
    assert!(stand.wait(5).is_empty());
    assert_eq!(stand.end(one, 0), Some(End::Done));
    assert_eq!(stand.end(two, 0), Some(End::NothingHeld));
}

#[test]
fn an_expired_order_wants_nothing_more() {
    let mut stand = Stand::new();
    let mut limit = buy(40, Trigger::Limit(price(14_000)));
    limit.expires = Some(sniper_core::units::Timestamp::new(stand.run.now + 5_000_000));
    let (seq, _) = stand.place(alone(limit));
    stand.wait(6);
    assert_eq!(stand.end(seq, 0), Some(End::Expired));
    assert!(stand.at(13_000).is_empty());
}

#[test]
fn the_operator_may_sell_what_a_strategy_holds_and_buys_nothing_in_its_name() {
    let mut bench = support::bench::bench(|config| config.operator = Some(support::allowance()));
    let wish = bench.buy(40);
    let order = bench.ask(wish).unwrap();
    bench.fill(&order);
    let mut stop = alone(sell(Trigger::Stop(price(16_000))));
    stop.owner = Some(order.strategy());
    let effects = bench.run.step(Event::Command(Command::Place(Box::new(stop))));
    let sold = submitted(&effects);
    assert_eq!((sold.len(), sold[0].strategy()), (1, order.strategy()));
    let mut entry = alone(buy(10, Trigger::Now));
    entry.owner = Some(order.strategy());
    let effects = bench.run.step(Event::Command(Command::Place(Box::new(entry))));
    assert!(matches!(effects[0], Effect::Alert(_)), "{effects:?}");
}

#[test]
fn a_coin_that_only_sol_quotes_is_traded_by_way_of_sol() {
    use support::launch::COIN;
    let mut stand = Stand::new();
    stand.run.step(support::mint(
        sniper_core::ids::Address::new_from_array([9; 32]),
        6,
        "COIN",
        false,
    ));
    stand.run.step(support::pool(13, [COIN, WSOL]));
    let fees = sniper_core::amm::cpmm::Config { trade_fee_rate: 2_500, ..Default::default() };
    stand.run.step(support::account(3, 1, sniper_core::amm::AccountUpdate::CpmmConfig(fees)));
    for event in support::reserves(3, stand.slot, [1_000_000_000_000, 100 * SOL]) {
        stand.run.step(event);
    }
    stand.run.step(reference(COIN, 15_000, 1_000_000));
    stand.at(15_000);
    let mut spec = buy(20, Trigger::Now);
    spec.mint = COIN;
    spec.slippage = bps(90);
    let (_, orders) = stand.place(alone(spec));
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].legs().len(), orders[0].mint_out()), (2, COIN));
    assert_eq!(orders[0].mint_in(), USDC);
}

#[test]
fn a_restart_between_trigger_and_fill_goes_on() {
    let mut stand = Stand::new();
    let (seq, held) = stand.oco();
    let fired = stand.at(16_100);
    let bytes = stand.run.engine.save();
    let config = stand.run.engine.config().clone();
    stand.run.engine = MultiStrategyEngine::restore(config, &bytes).unwrap();
    assert!(stand.at(13_000).is_empty(), "it is under way");
    stand.fill(&fired[0]);
    assert_eq!(stand.standing(seq, 0).done(), held);
    assert_eq!(stand.end(seq, 1), Some(End::Sibling(fired[0].id())));
}

#[test]
fn every_turn_is_told() {
    let mut stand = Stand::new();
    let (seq, orders) = stand.place(alone(buy(40, Trigger::Now)));
    stand.fill(&orders[0]);
    let turns: Vec<Turn> =
        stand.turns().into_iter().filter(|(id, _)| id.ticket == seq).map(|(_, t)| t).collect();
    let paid = Atoms::new(40_000_000);
    let landed = Turn::Landed(paid, stand.held());
    let fired = Turn::Fired(orders[0].id());
    assert_eq!(turns, [Turn::Placed, fired, landed, Turn::Ended(End::Done)]);
}

#[test]
fn the_price_a_limit_is_kept_to_is_exact_at_the_edge() {
    // The floor is the price times the amount rounded up: one atom less would be below the price.
    let third = Price::from_raw((1_u128 << 64) / 3);
    let limit = spec(Side::Sell, Amount::Exactly(Atoms::new(10)), Trigger::Limit(third));
    assert_eq!(third.value_up(Atoms::new(10)), Some(Atoms::new(4)));
    assert!(limit.check().is_ok());
}
