//! Arbitrage between two pools of a pair: what it sends, and what it leaves alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::amm::AccountUpdate;
use sniper_core::amm::cpmm::{Config, Curve, PoolState};
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::engine::{Enrolled, MultiStrategyEngine};
use sniper_core::event::{Command, Deltas, Effect, Event, OrderEvent};
use sniper_core::ids::{MintId, PoolId, Signature};
use sniper_core::order::{Hop, Order, Reason, Route};
use sniper_core::risk::Mode;
use sniper_core::stats::{Depth, atoms_to_f64, best_cycle_input, kept, whole};
use sniper_core::strategy::StrategyKind;
use sniper_core::strategy::arbitrage::{Params, best_between, best_near};
use sniper_core::units::{Atoms, BlockHeight, Lamports, Slot, Timestamp, Usd};
use support::{Run, USDC, WSOL, account, allowance, config, reserves, slot};

const SOL: u64 = 1_000_000_000;
const DOLLAR: u64 = 1_000_000;

struct Desk {
    run: Run,
    slot: u64,
}

impl Desk {
    fn new(params: Params) -> Self {
        let mut config = config(0);
        config.limits.duplicate_window = Timestamp::ZERO;
        config.strategies =
            vec![Enrolled { kind: StrategyKind::Arbitrage(params), allowance: allowance() }];
        Self { run: Run::new(MultiStrategyEngine::new(config).unwrap()), slot: 10 }
    }

    /// A pool of SOL and dollars moves; what was sent because of it.
    fn pool(&mut self, id: u32, sol: u64, dollars: u64) -> Vec<Order> {
        self.slot += 1;
        let events = reserves(id, self.slot, [sol * SOL, dollars * DOLLAR]);
        events.into_iter().flat_map(|event| self.step(event)).collect()
    }

    fn step(&mut self, event: Event) -> Vec<Order> {
        let effects = self.run.step(event);
        let refused = effects.iter().find(|effect| matches!(effect, Effect::Refused { .. }));
        assert_eq!(refused, None, "it asks only for what it may have");
        let order = |effect| match effect {
            Effect::Submit(order) => Some(*order),
            _ => None,
        };
        effects.into_iter().filter_map(order).collect()
    }

    /// Time passes, with a slot so that the feed is alive; what was sent meanwhile.
    fn pass(&mut self, micros: i64) -> Vec<Order> {
        self.run.wait(micros);
        self.slot += 1;
        self.step(slot(self.slot))
    }

    fn sign(&mut self, order: &Order) {
        self.step(Event::Order(OrderEvent::Signed {
            order: order.id(),
            signature: Signature([7; 64]),
            last_valid: BlockHeight::new(1_000),
        }));
    }

    /// What the chain may take for a cycle, and the margin: in atoms of the dollar, which are its millionths.
    fn demanded(&self) -> u64 {
        let limits = &self.run.engine.config().limits;
        let (fee, _) = limits.fee_cap(2).unwrap();
        let fee = self.run.engine.market().value_up(MintId::SOL, Atoms::new(fee.get())).unwrap();
        u64::try_from(fee.get() + limits.arbitrage_margin.get()).unwrap()
    }

    /// The greatest gain of a cycle of at most 50 dollars, tried cent by cent, both ways round.
    fn best_gain(&self) -> i128 {
        let gains = [(0, 1), (1, 0)].into_iter().flat_map(|(buy, sell)| {
            let hop = |pool, mint_in, mint_out| Hop { pool: PoolId(pool), mint_in, mint_out };
            let route: Route = [hop(buy, USDC, WSOL), hop(sell, WSOL, USDC)].into_iter().collect();
            (1..=5_000).filter_map(move |cents| {
                let amount = cents * 10_000;
                let out = self.run.engine.market().quote_route(&route, Atoms::new(amount)).ok()?;
                Some(i128::from(out.get()) - i128::from(amount))
            })
        });
        gains.max().unwrap()
    }
}

#[test]
fn pools_that_agree_are_left_alone() {
    let mut desk = Desk::new(Params::default());
    assert_eq!(desk.pool(0, 10_000, 1_500_000), []);
    // Fees of both pools are half a percent: a difference of a third of one is no gain.
    assert_eq!(desk.pool(1, 5_000, 752_500), []);
}

#[test]
fn both_legs_go_in_one_transaction_from_dollars_to_dollars() {
    let mut desk = Desk::new(Params::default());
    let orders = desk.pool(1, 5_000, 765_000);
    assert_eq!(orders.len(), 1);
    let order = &orders[0];
    let hops: Vec<Hop> = order.legs().iter().map(|leg| leg.hop).collect();
    // SOL costs 150 dollars in pool 0 and brings 153 in pool 1.
    assert_eq!(
        hops,
        [
            Hop { pool: PoolId(0), mint_in: USDC, mint_out: WSOL },
            Hop { pool: PoolId(1), mint_in: WSOL, mint_out: USDC },
        ]
    );
    assert_eq!(order.reason(), Reason::Arbitrage);
    // As much as the desk's cap allows, to within a few millionths.
    assert!((50 * DOLLAR - 10..=50 * DOLLAR).contains(&order.amount_in().get()));
    assert!(order.min_out().get() >= order.amount_in().get() + desk.demanded());
}

#[test]
fn the_other_way_round_is_found_too() {
    let mut desk = Desk::new(Params::default());
    let orders = desk.pool(0, 10_000, 1_530_000);
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].legs()[0].hop.pool, PoolId(1));
}

#[test]
fn while_its_order_is_in_flight_nothing_more_is_sent() {
    let mut desk = Desk::new(Params::default());
    let orders = desk.pool(1, 5_000, 765_000);
    desk.sign(&orders[0]);
    assert_eq!(desk.pool(1, 5_000, 770_000), []);
    assert_eq!(desk.pool(0, 10_000, 1_480_000), []);
}

#[test]
fn the_same_state_is_tried_again_only_after_a_while() {
    let params = Params { retry: Timestamp::from_millis(2_000), ..Params::default() };
    let mut desk = Desk::new(params);
    let orders = desk.pool(1, 5_000, 765_000);
    desk.sign(&orders[0]);
    desk.step(Event::Order(OrderEvent::Expired { order: orders[0].id() }));
    // One of the two pools moves; the other may still be about to.
    assert_eq!(desk.pool(1, 5_000, 766_000), []);
    assert_eq!(desk.pass(1_000_000), []);
    assert_eq!(desk.pass(1_000_000).len(), 1, "the difference is still there");
}

#[test]
fn once_both_pools_have_moved_they_are_fresh() {
    let mut desk = Desk::new(Params::default());
    let orders = desk.pool(1, 5_000, 765_000);
    desk.sign(&orders[0]);
    let deltas: Deltas = [(USDC, 200_000)].into_iter().collect();
    let (order, slot) = (orders[0].id(), Slot::new(desk.slot));
    let event = OrderEvent::Filled { order, slot, deltas, fee: Lamports::new(6_200) };
    assert_eq!(desk.step(Event::Order(event)), [], "the fill is told before the pools are");
    assert_eq!(desk.pool(0, 10_000, 1_500_100), []);
    assert_eq!(desk.pool(1, 5_000, 765_000).len(), 1);
}

#[test]
fn a_pool_between_two_states_is_not_used() {
    let mut desk = Desk::new(Params::default());
    let [first, second, state] = reserves(1, 20, [5_000 * SOL, 765_000 * DOLLAR]);
    assert_eq!(desk.step(second), []);
    assert_eq!(desk.step(first), []);
    assert_eq!(desk.step(state).len(), 1, "with its last account it agrees with itself");
    // A deposit into one vault alone: after two slots it is believed.
    let mut desk = Desk::new(Params::default());
    let amount = Atoms::new(765_000 * DOLLAR);
    assert_eq!(desk.step(account(1, 20, AccountUpdate::Vault { second: true, amount })), []);
    desk.slot = 20;
    assert_eq!(desk.pass(400_000), []);
    assert_eq!(desk.pass(400_000).len(), 1);
}

#[test]
fn nothing_is_sent_unless_the_desk_runs() {
    let mut desk = Desk::new(Params::default());
    desk.step(Event::Command(Command::SetMode { mode: Mode::ReduceOnly, clear_kill: false }));
    assert_eq!(desk.pool(1, 5_000, 765_000), []);
}

#[test]
fn parameters_make_sense_and_nonsense_is_named() {
    assert_eq!(Params::default().check(), Ok(()));
    assert_eq!(Params::fast().check(), Ok(()));
    let field = |params: Params| params.check().unwrap_err().field;
    assert_eq!(field(Params { margin: Usd::new(-1), ..Params::default() }), "margin");
    assert_eq!(field(Params { share: f64::NAN, ..Params::default() }), "share");
}

prop_compose! {
    fn small_curve()(
        vaults in prop::array::uniform2(2_000_u64..60_000),
        trade_fee_rate in 1_u64..20_000,
        creator_fee_rate in 0_u64..10_000,
        creator_fee_on in 0_u8..3,
    ) -> Curve {
        let config = Config { trade_fee_rate, creator_fee_rate, ..Config::default() };
        let pool = PoolState { creator_fee_on, enable_creator_fee: true, ..PoolState::default() };
        Curve::new(vaults.map(Atoms::new), &pool, &config, [TransferFee::NONE; 2]).unwrap()
    }
}

fn depth(curve: &Curve, forward: bool) -> Depth {
    let [zero, one] = curve.reserves().map(atoms_to_f64);
    let (reserve_in, reserve_out) = if forward { (zero, one) } else { (one, zero) };
    Depth {
        reserve_in,
        reserve_out,
        kept_in: kept(curve.input_fee_rate(forward), 0),
        kept_out: kept(curve.output_fee_rate(forward), 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// An arbitrage is sent exactly when the profit covers fees, tip and margin.
    #[test]
    fn it_is_sent_only_and_always_when_the_profit_covers_costs_and_margin(
        price in 1_480_u64..1_520, other in 1_480_u64..1_520, scale in 1_u64..200,
    ) {
        let mut desk = Desk::new(Params::default());
        let mut orders = desk.pool(0, 10 * scale, scale * price);
        if orders.is_empty() {
            orders = desk.pool(1, 30 * scale, 3 * scale * other);
        }
        let (gain, demanded) = (desk.best_gain(), i128::from(desk.demanded()));
        match orders.first() {
            Some(order) => {
                let bound = order.amount_in().get() + desk.demanded();
                prop_assert!(order.min_out().get() >= bound, "the chain is asked for less");
                prop_assert!(order.expected_out() >= order.min_out());
                prop_assert!(order.amount_in().get() <= 50 * DOLLAR);
            }
            // A hair of an atom or two of rounding around the threshold.
            None => prop_assert!(gain <= demanded + 2, "{gain} left on the table, {demanded} asked"),
        }
    }

    /// The size found is as good as the best of all sizes, to within the rounding of fees to whole atoms.
    #[test]
    fn the_size_found_is_the_best_by_exhaustive_search(
        buy in small_curve(), sell in small_curve(), most in 500_u64..20_000,
    ) {
        let give = |amount: Atoms| {
            let bought = buy.quote_exact_in(true, amount, 0).ok()?.amount_out;
            Some(sell.quote_exact_in(false, bought, 0).ok()?.amount_out)
        };
        let gain = |amount: u64| {
            give(Atoms::new(amount)).map(|out| i128::from(out.get()) - i128::from(amount))
        };
        let best = (1..=most).filter_map(gain).max().unwrap_or(i128::MIN);
        match best_cycle_input(depth(&buy, true), depth(&sell, false)) {
            // The closed form knows no rounding: where it sees no gain there is none.
            None => prop_assert!(best <= 0, "{best} overlooked"),
            Some(start) => {
                let start = Atoms::new(whole(start).clamp(1, most));
                let pay = |amount| Some(buy.quote_exact_out(true, amount, 0).ok()?.amount_in);
                let get = |amount| Some(sell.quote_exact_in(false, amount, 0).ok()?.amount_out);
                let most = Atoms::new(most);
                let bought = buy.quote_exact_in(true, start, 0).map(|quote| quote.amount_out);
                let found = bought
                    .ok()
                    .and_then(|bought| best_between(pay, get, bought, most))
                    .and_then(|bought| best_near(give, pay(bought)?, most));
                if let Some((amount, out)) = found {
                    prop_assert!(amount <= most);
                    prop_assert_eq!(give(amount), Some(out));
                    let gained = gain(amount.get()).unwrap();
                    // Each fee rounds up by at most an atom; the greatest of them is one of what is between.
                    let [paid, between] = sell.reserves().map(|side| i128::from(side.get()));
                    let atom = paid / between + 1;
                    prop_assert!(gained + atom + 2 >= best, "{gained} found, {best} possible");
                } else {
                    prop_assert!(best <= 0, "{best} overlooked");
                }
            }
        }
    }

    /// Where rounding does not matter the closed form itself is the top: neighbours at a thousandth gain less.
    #[test]
    fn the_closed_form_is_the_top_of_the_gain(
        vaults in prop::array::uniform4(1_u64 << 40..1 << 50), rate in 100_u64..10_000,
    ) {
        let config = Config { trade_fee_rate: rate, ..Config::default() };
        let curve = |vaults: [u64; 2]| {
            let fees = [TransferFee::NONE; 2];
            Curve::new(vaults.map(Atoms::new), &PoolState::default(), &config, fees).unwrap()
        };
        let [a, b, c, d] = vaults;
        let (buy, sell) = (curve([a, b]), curve([c, d]));
        let Some(start) = best_cycle_input(depth(&buy, true), depth(&sell, false)) else {
            return Ok(());
        };
        let gain = |amount: u64| {
            let bought = buy.quote_exact_in(true, Atoms::new(amount), 0).ok()?.amount_out;
            let out = sell.quote_exact_in(false, bought, 0).ok()?.amount_out;
            Some(i128::from(out.get()) - i128::from(amount))
        };
        let top = whole(start);
        prop_assume!(top > 1 << 30);
        let best = gain(top).unwrap();
        prop_assert!(best >= gain(top - top / 1_000).unwrap());
        prop_assert!(best >= gain(top + top / 1_000).unwrap());
    }
}
