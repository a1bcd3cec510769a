//! Arbitrage round two and three pools: what it sends, and what it leaves alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::amm::{AccountUpdate, PoolKind, PoolSpec, amm_v4, cpmm};
use sniper_core::engine::{Enrolled, MultiStrategyEngine};
use sniper_core::event::{Command, Deltas, Effect, Event, MarketEvent, OrderEvent};
use sniper_core::ids::{Address, MintId, PoolId, Signature};
use sniper_core::order::{Hop, LegAmount, Order, Reason, Route};
use sniper_core::risk::Mode;
use sniper_core::route::{Finder, Index};
use sniper_core::strategy::StrategyKind;
use sniper_core::strategy::arbitrage::{DOLLARS_MAX, Params};
use sniper_core::units::{Atoms, BlockHeight, Lamports, Slot, Timestamp, Usd};
use support::{
    BONK, RENT, Run, USDC, WSOL, account, allowance, config, deposit, mint, opening,
    opening_without_bonk, pool, reserves, slot,
};

const SOL: u64 = 1_000_000_000;
const DOLLAR: u64 = 1_000_000;
/// As much as pool 3 holds at the start: 15 thousand million.
const BONKS: u64 = 1_500_000_000_000_000;

struct Desk {
    run: Run,
    slot: u64,
}

impl Desk {
    fn new(params: Params) -> Self {
        Self::after(params, opening())
    }

    fn after(params: Params, opening: Vec<Event>) -> Self {
        let mut config = config(0);
        config.limits.duplicate_window = Timestamp::ZERO;
        config.strategies =
            vec![Enrolled { kind: StrategyKind::Arbitrage(params), allowance: allowance() }];
        Self { run: Run::after(MultiStrategyEngine::new(config).unwrap(), opening), slot: 10 }
    }

    /// A pool of SOL and dollars moves; what was sent because of it.
    fn pool(&mut self, id: u32, sol: u64, dollars: u64) -> Vec<Order> {
        self.vaults(id, [sol * SOL, dollars * DOLLAR])
    }

    fn vaults(&mut self, id: u32, vaults: [u64; 2]) -> Vec<Order> {
        self.slot += 1;
        let events = reserves(id, self.slot, vaults);
        events.into_iter().flat_map(|event| self.step(event)).collect()
    }

    /// Announces pool 3, of Bonk and SOL at 7.5 million to one: what dollars say.
    fn third(&mut self) {
        assert_eq!(self.step(pool(13, [BONK, WSOL])), []);
        let fees = cpmm::Config { trade_fee_rate: 2_500, ..cpmm::Config::default() };
        assert_eq!(self.step(account(3, 1, AccountUpdate::CpmmConfig(fees))), []);
        assert_eq!(self.vaults(3, [BONKS, 2_000 * SOL]), []);
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

    /// What the chain may take for so many swaps, and the margin: in atoms of the dollar, which are its millionths.
    fn demanded(&self, swaps: usize) -> u64 {
        let limits = &self.run.engine.config().limits;
        let (fee, _) = limits.fee_cap(swaps, 0).unwrap();
        let fee = self.run.engine.market().value_up(MintId::SOL, Atoms::new(fee.get())).unwrap();
        u64::try_from(fee.get() + limits.arbitrage_margin.get()).unwrap()
    }

    /// The greatest gain round these pools and mints of at most 50 dollars, tried cent by cent, both ways round.
    fn best_gain(&self, pools: &[u32], mints: &[MintId]) -> i128 {
        let there: Route = (0..pools.len())
            .map(|at| Hop {
                pool: PoolId(pools[at]),
                mint_in: mints[at],
                mint_out: mints[(at + 1) % mints.len()],
            })
            .collect();
        let back = there
            .iter()
            .rev()
            .map(|hop| Hop { mint_in: hop.mint_out, mint_out: hop.mint_in, ..*hop })
            .collect();
        let gains = [there, back].into_iter().flat_map(|route| {
            (1..=5_000).filter_map(move |cents| {
                let amount = cents * 10_000;
                let out = self.run.engine.market().quote_route(&route, Atoms::new(amount)).ok()?;
                Some(i128::from(out.get()) - i128::from(amount))
            })
        });
        gains.max().unwrap()
    }
}

fn hops(order: &Order) -> Vec<Hop> {
    order.legs().iter().map(|leg| leg.hop).collect()
}

fn hop(pool: u32, mint_in: MintId, mint_out: MintId) -> Hop {
    Hop { pool: PoolId(pool), mint_in, mint_out }
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
    // SOL costs 150 dollars in pool 0 and brings 153 in pool 1.
    assert_eq!(hops(order), [hop(0, USDC, WSOL), hop(1, WSOL, USDC)]);
    assert_eq!(order.reason(), Reason::Arbitrage);
    // As much as the desk's cap allows, but for what would not gain an atom: some sixty at this difference.
    assert!((50 * DOLLAR - 70..=50 * DOLLAR).contains(&order.amount_in().get()));
    assert!(order.min_out().get() >= order.amount_in().get() + desk.demanded(2));
}

#[test]
fn a_cycle_is_asked_for_only_if_it_pays_for_the_account_that_it_makes() {
    // Of fifty dollars: a quarter is gained, or more than half. The account locks 31 cents.
    for (sol, is_new, pays) in [(2_025, false, true), (2_025, true, false), (2_040, true, true)] {
        let opening = if is_new { opening_without_bonk() } else { opening() };
        let mut desk = Desk::after(Params::default(), opening);
        desk.third();
        let orders = desk.vaults(3, [BONKS, sol * SOL]);
        assert_eq!(orders.len(), usize::from(pays), "{sol} {is_new}");
        let Some(order) = orders.first() else { continue };
        let rent = if is_new { vec![(BONK, Lamports::new(RENT))] } else { vec![] };
        assert_eq!(order.opens(), rent);
        let locked = desk.run.engine.market().value_up(MintId::SOL, Atoms::new(RENT)).unwrap();
        let demanded = desk.demanded(3) + if is_new { locked.get().unsigned_abs() } else { 0 };
        assert!(order.min_out().get() >= order.amount_in().get() + demanded);
    }
}

#[test]
fn three_legs_go_in_one_transaction_each_with_a_bound_of_its_own() {
    let mut desk = Desk::new(Params::default());
    desk.third();
    // Bonk brings two in a hundred more against SOL than against dollars.
    let orders = desk.vaults(3, [BONKS, 2_040 * SOL]);
    assert_eq!(orders.len(), 1);
    let order = &orders[0];
    assert_eq!(hops(order), [hop(2, USDC, BONK), hop(3, BONK, WSOL), hop(0, WSOL, USDC)]);
    let limits = &desk.run.engine.config().limits;
    assert_eq!(Some(order.fee_cap()), limits.fee_cap(3, 0).map(|(fee, _)| fee));
    assert!(order.min_out().get() >= order.amount_in().get() + desk.demanded(3));
    // What a leg gives at least is what the next one takes at most.
    let mut given = order.amount_in();
    for leg in order.legs() {
        match leg.amount {
            LegAmount::ExactOut { amount_out, max_in } => {
                assert_eq!(max_in, given);
                given = amount_out;
            }
            LegAmount::ExactIn { amount_in, min_out } => {
                assert_eq!((amount_in, min_out), (given, order.min_out()));
                given = min_out;
            }
        }
        assert!(given > Atoms::ZERO);
    }
    assert_eq!(given, order.min_out(), "the last leg asks for what pays the whole way");
}

#[test]
fn a_way_round_three_mints_is_found_from_whichever_pool_moved() {
    let all = |orders: &[Order]| {
        assert_eq!(orders.len(), 1);
        let mut pools: Vec<u32> = hops(&orders[0]).iter().map(|hop| hop.pool.0).collect();
        pools.sort_unstable();
        pools
    };
    let mut desk = Desk::new(Params::default());
    desk.third();
    assert_eq!(all(&desk.vaults(2, [2_500_000_000_000_000, 515_000 * DOLLAR])), [0, 2, 3]);
    let mut desk = Desk::new(Params::default());
    desk.third();
    // Both pools of SOL and dollars move the same way, never far from each other: only with Bonk does that gain.
    assert_eq!(desk.pool(1, 5_000, 752_500), []);
    assert_eq!(desk.pool(0, 10_000, 1_507_000), []);
    assert_eq!(all(&desk.pool(1, 5_000, 757_000)), [1, 2, 3]);
}

#[test]
fn pools_of_different_kinds_make_a_cycle() {
    let mut desk = Desk::new(Params::default());
    let keys = amm_v4::Keys { vaults: [8, 9].map(|key| Address::new_from_array([key; 32])) };
    desk.step(Event::Market(MarketEvent::Pool(Box::new(PoolSpec {
        address: Address::new_from_array([7; 32]),
        mints: [WSOL, USDC],
        kind: PoolKind::AmmV4(keys),
    }))));
    let swap_fee = amm_v4::Fraction { numerator: 25, denominator: 10_000 };
    let status = amm_v4::STATUS_SWAP_ONLY;
    let state = amm_v4::PoolState { status, swap_fee, ..amm_v4::PoolState::default() };
    let vault = |second, amount| AccountUpdate::Vault { second, amount: Atoms::new(amount) };
    let mut sent = vec![];
    for update in
        [vault(false, 5_000 * SOL), vault(true, 765_000 * DOLLAR), AccountUpdate::AmmV4Pool(state)]
    {
        sent.extend(desk.step(account(3, 20, update)));
    }
    assert_eq!(sent.len(), 1);
    assert_eq!(hops(&sent[0]), [hop(0, USDC, WSOL), hop(3, WSOL, USDC)]);
}

#[test]
fn any_dollar_will_do_and_the_one_in_flight_is_left_alone() {
    let mut desk = Desk::new(Params::default());
    desk.step(mint(Address::new_from_array([9; 32]), 6, "USDT", true));
    let usdt = MintId(4);
    desk.step(deposit(usdt, 1_000 * DOLLAR));
    let fees = cpmm::Config { trade_fee_rate: 2_500, ..cpmm::Config::default() };
    for id in [3, 4] {
        desk.step(pool(10 + id, [WSOL, usdt]));
        desk.step(account(u32::from(id), 1, AccountUpdate::CpmmConfig(fees)));
        desk.pool(u32::from(id), 5_000, 750_000);
    }
    let orders = desk.pool(1, 5_000, 765_000);
    assert_eq!(orders.len(), 1);
    desk.sign(&orders[0]);
    assert_eq!(orders[0].mint_in(), USDC);
    let orders = desk.pool(4, 5_000, 765_000);
    assert_eq!(orders.len(), 1);
    assert_eq!(hops(&orders[0]), [hop(3, usdt, WSOL), hop(4, WSOL, usdt)]);
    assert!(usize::from(orders[0].mint_in().0) <= DOLLARS_MAX);
}

#[test]
fn a_pool_that_was_lost_is_no_way_round() {
    let mut desk = Desk::new(Params::default());
    desk.step(Event::Market(MarketEvent::Lost { pool: PoolId(0) }));
    assert_eq!(desk.pool(1, 5_000, 765_000), []);
    assert_eq!(desk.pass(10_000_000), []);
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
    let (fee, rent) = (Lamports::new(6_200), Lamports::ZERO);
    let event = OrderEvent::Filled { order, slot, deltas, fee, rent };
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
        let gain = desk.best_gain(&[0, 1], &[USDC, WSOL]);
        let demanded = i128::from(desk.demanded(2));
        match orders.first() {
            Some(order) => {
                let bound = order.amount_in().get() + desk.demanded(2);
                prop_assert!(order.min_out().get() >= bound, "the chain is asked for less");
                prop_assert!(order.expected_out() >= order.min_out());
                prop_assert!(order.amount_in().get() <= 50 * DOLLAR);
            }
            // A hair of an atom or two of rounding around the threshold.
            None => prop_assert!(gain <= demanded + 2, "{gain} left on the table, {demanded} asked"),
        }
    }

    /// The same round three pools, whose transaction costs more.
    #[test]
    fn three_swaps_are_sent_only_and_always_when_the_profit_covers_theirs(
        off in 9_900_u64..10_100, scale in 1_u64..200,
    ) {
        let mut desk = Desk::new(Params::default());
        desk.third();
        let orders = desk.vaults(3, [scale * BONKS / 100, scale * off * SOL / 500]);
        let gain = desk.best_gain(&[2, 3, 0], &[USDC, BONK, WSOL]);
        let gain = gain.max(desk.best_gain(&[2, 3, 1], &[USDC, BONK, WSOL]));
        let demanded = i128::from(desk.demanded(3));
        match orders.first() {
            Some(order) => {
                let bound = order.amount_in().get() + desk.demanded(3);
                prop_assert!(order.min_out().get() >= bound, "the chain is asked for less");
                prop_assert!(order.amount_in().get() <= 50 * DOLLAR);
            }
            None => prop_assert!(gain <= demanded + 2, "{gain} left on the table, {demanded} asked"),
        }
    }

    /// What the engine's index knows after any events is what one made afresh of its market knows.
    #[test]
    fn the_engine_keeps_its_index_in_step_with_its_market(
        moves in prop::collection::vec((0_u32..4, 0_u8..12, 9_000_u64..11_000), 1..40),
    ) {
        let mut desk = Desk::new(Params::default());
        desk.third();
        let start = [[10_000 * SOL, 1_500_000 * DOLLAR], [5_000 * SOL, 750_000 * DOLLAR],
            [2_500_000_000_000_000, 500_000 * DOLLAR], [BONKS, 2_000 * SOL]];
        for (id, kind, parts) in moves {
            let [first, second] = start[id as usize];
            let amount = Atoms::new(second / 10_000 * parts);
            desk.slot += 1;
            match kind {
                0 => drop(desk.step(Event::Market(MarketEvent::Lost { pool: PoolId(id) }))),
                1..4 => drop(desk.pass(400_000)),
                4..6 => {
                    let update = AccountUpdate::Vault { second: true, amount };
                    drop(desk.step(account(id, desk.slot, update)));
                }
                _ => drop(desk.vaults(id, [first, amount.get()])),
            }
            let engine = &desk.run.engine;
            let mut fresh = Index::new();
            fresh.announce(engine.market());
            for pool in (0..4).map(PoolId) {
                let screen = |index| {
                    let mut finder = Finder::new();
                    let passed = finder.screen(index, pool, &[USDC], |_| true);
                    (passed, format!("{finder:?}"))
                };
                prop_assert_eq!(screen(engine.routes()), screen(&fresh), "pool {}", pool.0);
            }
        }
    }
}
