//! What holds of standing orders whatever happens around them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Command, Deltas, Effect, Event, MarketEvent, OrderEvent};
use sniper_core::ids::{OrderId, Signature};
use sniper_core::order::Order;
use sniper_core::risk::Mode;
use sniper_core::standing::{
    Amount, Link, Pace, PlaceError, Rung, STANDING_MAX, Side, Spec, StandingId, Ticket, Trigger,
    Turn,
};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Price, Seq, Slot, Timestamp};
use support::tickets::{Stand, alone, buy, price, seconds, sell, settings, spec, ticket};
use support::{USDC, WSOL, survives_a_cut};

/// What happens at a desk.
#[derive(Clone, Debug)]
enum Happening {
    Place(Box<Ticket>),
    Cancel(prop::sample::Index, Option<u8>),
    /// Prices in the two pools, in cents.
    Price(u64, u64),
    Wait(i64),
    /// The oldest order in flight ends: filled, reverted, expired.
    End(u8),
    /// What landed last is final, or was in a block that is abandoned.
    Final(bool),
    Mode(bool),
    Feed(bool),
}

fn trigger() -> impl Strategy<Value = Trigger> {
    let cents = 11_000_u64..19_000;
    prop_oneof![
        1 => Just(Trigger::Now),
        3 => cents.clone().prop_map(|cents| Trigger::Limit(price(cents))),
        3 => cents.prop_map(|cents| Trigger::Stop(price(cents))),
        2 => (50_u16..1_500).prop_map(|share| Trigger::Trail(Bps::new(share).unwrap())),
        1 => (1_i64..20).prop_map(|span| Trigger::After(seconds(span))),
        2 => (12_000_u64..16_000, prop::collection::vec((100_u64..900, 500_u16..5_000), 1..4))
            .prop_map(|(from, rungs)| {
                let mut cents = from;
                let rung = |(more, share)| {
                    cents += more;
                    Rung { price: price(cents), share: Bps::new(share).unwrap() }
                };
                Trigger::Ladder(rungs.into_iter().map(rung).collect())
            }),
    ]
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let pace = prop_oneof![
        4 => Just(Pace::Whole),
        1 => (1_u16..5, 1_i64..4).prop_map(|(parts, every)| Pace::Split { parts, every: seconds(every) }),
        1 => (1_u16..5, 1_i64..4).prop_map(|(times, every)| Pace::Repeat { times, every: seconds(every) }),
    ];
    (any::<bool>(), 1_u64..45, trigger(), pace, 0_u8..3, prop::option::weighted(0.2, 50_u16..2_000))
        .prop_map(|(buys, dollars, trigger, pace, slots, agree)| {
            let mut spec = match (buys, dollars % 2) {
                (true, _) => buy(dollars, trigger),
                (false, 0) => sell(trigger),
                (false, _) => {
                    let amount = Amount::Exactly(Atoms::new(dollars * 7_000_001));
                    spec(Side::Sell, amount, trigger)
                }
            };
            (spec.pace, spec.slots) = (pace, slots);
            spec.agree = agree.and_then(Bps::new);
            spec
        })
}

fn tickets() -> impl Strategy<Value = Ticket> {
    prop_oneof![
        3 => any_spec().prop_map(alone),
        2 => prop::collection::vec(any_spec(), 2..4).prop_map(|legs| ticket(Link::Oco, &legs)),
        2 => (1_u64..45, 11_000_u64..19_000, prop::collection::vec(trigger(), 1..3)).prop_map(
            |(dollars, cents, exits)| {
                let mut legs = vec![buy(dollars, Trigger::Limit(price(cents)))];
                legs.extend(exits.into_iter().map(sell));
                ticket(Link::Bracket, &legs)
            }
        ),
    ]
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        4 => tickets().prop_map(|ticket| Happening::Place(Box::new(ticket))),
        1 => (any::<prop::sample::Index>(), prop::option::of(0_u8..3))
            .prop_map(|(which, leg)| Happening::Cancel(which, leg)),
        10 => (12_000_u64..18_000, 0_u64..40).prop_map(|(cents, apart)| Happening::Price(cents, cents + apart)),
        4 => (1_i64..4_000_000).prop_map(Happening::Wait),
        8 => (0_u8..6).prop_map(Happening::End),
        3 => any::<bool>().prop_map(Happening::Final),
        1 => any::<bool>().prop_map(Happening::Mode),
        1 => any::<bool>().prop_map(Happening::Feed),
    ];
    prop::collection::vec(one, 1..60)
}

/// A desk, and what was seen of it from outside.
struct Seen {
    stand: Stand,
    open: Vec<Order>,
    landed: Vec<(Order, bool)>,
    placed: Vec<Seq>,
    /// Which standing order an order is for.
    of: BTreeMap<OrderId, StandingId>,
    signed: u8,
}

impl Seen {
    fn step(&mut self, event: Event) {
        let before = self.stand.held();
        let sold = |orders: &[Order]| {
            let sales = orders.iter().filter(|order| order.mint_in() == WSOL);
            sales.fold(0, |sum, order| sum + order.amount_in().get())
        };
        let seq = Seq::new(self.stand.run.journal.len() as u64 + 1);
        let marks: Vec<_> = self.stand.run.engine.standing().all().to_vec();
        let is_place = matches!(event, Event::Command(Command::Place(_)));
        let is_fill = matches!(
            event,
            Event::Order(OrderEvent::Filled { .. } | OrderEvent::RolledBack { .. })
        );
        let effects = self.stand.run.step(event);
        for effect in &effects {
            match effect {
                Effect::Standing { id, turn: Turn::Fired(order) } => {
                    assert_eq!(self.of.insert(*order, *id), None);
                    let open =
                        |o: &&Order| self.of.get(&o.id()).is_some_and(|s| s.ticket == id.ticket);
                    let under_way = self.open.iter().filter(open).count();
                    assert_eq!(
                        under_way, 0,
                        "{id} fired while an order of its ticket was in flight"
                    );
                }
                Effect::Submit(order) => {
                    assert!(self.of.contains_key(&order.id()), "nobody else is here");
                    self.open.push((**order).clone());
                }
                _ => {}
            }
        }
        // What a sale counts on may be taken back while it is under way: it must have been there when it fired.
        let fires =
            effects.iter().any(|e| matches!(e, Effect::Submit(order) if order.mint_in() == WSOL));
        if fires && !is_fill {
            let promised = sold(&self.open);
            assert!(promised <= before.get(), "{promised} are being sold of {before}");
        }
        let refused = effects
            .iter()
            .any(|e| matches!(e, Effect::Alert(sniper_core::event::Alert::NotPlaced(_))));
        if is_place && !refused {
            self.placed.push(seq);
        }
        for was in marks {
            let now = self.stand.run.engine.standing().get(was.id());
            let now = now.filter(|now| now.is_active() && was.is_active());
            if let Some((now, known)) = now.zip(was.mark()) {
                // Only where its position had gone does a trail begin anew.
                let restarted = now.whole() != was.whole();
                assert!(
                    restarted || now.mark() >= Some(known),
                    "{:?} fell to {:?}",
                    known,
                    now.mark()
                );
            }
        }
    }

    fn end(&mut self, how: u8) {
        if self.open.is_empty() {
            return;
        }
        let order = self.open.remove(0);
        let id = order.id();
        let resigned = self.stand.run.engine.orders().get(id).unwrap().state
            != sniper_core::execution::State::Submitted;
        if !resigned {
            if how == 5 {
                let reason = sniper_core::event::RejectReason::Unbuildable;
                return self.step(Event::Order(OrderEvent::Rejected { order: id, reason }));
            }
            self.signed = self.signed.wrapping_add(1);
            let signature = Signature([self.signed; 64]);
            let last_valid = BlockHeight::new(200);
            self.step(Event::Order(OrderEvent::Signed { order: id, signature, last_valid }));
        }
        let (slot, fee, rent) = (Slot::new(self.stand.slot), Lamports::new(6_200), Lamports::ZERO);
        match how {
            0..=2 => {
                let whole = |amount: Atoms| i64::try_from(amount.get()).unwrap();
                // A route may give less than it was allowed to, and bring more than was expected.
                let paid = whole(order.amount_in());
                let got = whole(order.expected_out()) + i64::from(how);
                let deltas: Deltas =
                    [(order.mint_in(), -paid), (order.mint_out(), got)].into_iter().collect();
                self.landed.push((order, true));
                self.step(Event::Order(OrderEvent::Filled { order: id, slot, deltas, fee, rent }));
            }
            3 => {
                self.landed.push((order, false));
                self.step(Event::Order(OrderEvent::Reverted { order: id, slot, fee, code: None }));
            }
            _ => self.step(Event::Order(OrderEvent::Expired { order: id })),
        }
    }

    fn live(story: &[Happening], may_fork: bool) -> Self {
        let stand = Stand::new();
        let mut seen = Self {
            stand,
            open: vec![],
            landed: vec![],
            placed: vec![],
            of: BTreeMap::new(),
            signed: 0,
        };
        if may_fork {
            seen.step(Event::Command(Command::ExpectForks));
        }
        for what in story {
            match what.clone() {
                Happening::Place(ticket) => seen.step(Event::Command(Command::Place(ticket))),
                Happening::Cancel(which, leg) => {
                    if !seen.placed.is_empty() {
                        let ticket = seen.placed[which.index(seen.placed.len())];
                        seen.step(Event::Command(Command::Cancel { ticket, leg }));
                    }
                }
                Happening::Price(one, two) => {
                    seen.stand.step_on(400_000);
                    for event in seen.stand.events([one, two]) {
                        seen.step(event);
                    }
                }
                Happening::Wait(micros) => {
                    seen.stand.run.wait(micros);
                    seen.step(Event::Timer);
                }
                Happening::End(how) => seen.end(how),
                Happening::Final(is_final) => {
                    if may_fork
                        && let Some((order, _)) =
                            (!seen.landed.is_empty()).then(|| seen.landed.remove(0))
                    {
                        let id = order.id();
                        if is_final {
                            seen.step(Event::Order(OrderEvent::Finalized { order: id }));
                        } else {
                            seen.open.push(order);
                            seen.step(Event::Order(OrderEvent::RolledBack { order: id }));
                        }
                    }
                }
                Happening::Mode(exits) => {
                    let mode = if exits { Mode::ReduceOnly } else { Mode::Run };
                    seen.step(Event::Command(Command::SetMode { mode, clear_kill: false }));
                }
                Happening::Feed(whole) => seen.step(Event::Market(MarketEvent::Feed { whole })),
            }
        }
        seen
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Without forks: what is given never passes the amount, of a group one lands, and nothing fires twice at once.
    #[test]
    fn no_order_gives_more_than_its_amount_and_of_a_group_one_lands(story in happenings()) {
        let seen = Seen::live(&story, false);
        let standing = seen.stand.run.engine.standing();
        for one in standing.all() {
            if let Some(whole) = one.whole() {
                prop_assert!(one.done() <= whole, "{} gave {} of {}", one.id(), one.done(), whole);
            }
        }
        for ticket in &seen.placed {
            let legs: Vec<_> = standing.all().iter().filter(|s| s.id().ticket == *ticket).collect();
            let exits = legs.iter().filter(|s| s.link() == Link::Oco || s.link() == Link::Bracket && s.id().leg > 0);
            let filled: Vec<_> = exits.filter(|s| s.done() > Atoms::ZERO).collect();
            let has_ladder = filled.iter().any(|s| matches!(s.spec().trigger, Trigger::Ladder(_)));
            prop_assert!(has_ladder || filled.len() <= 1, "{} of {ticket} landed", filled.len());
            if legs[0].link() == Link::Bracket {
                let sold = filled.iter().fold(0, |sum, s| sum + s.done().get());
                prop_assert!(sold <= legs[0].got().get(), "{sold} of {} were sold", legs[0].got());
            }
        }
    }

    /// With forks too, an engine that was saved anywhere goes on as the one that was not, and a replay is the same.
    #[test]
    fn a_restart_anywhere_changes_nothing(story in happenings(), cut in any::<prop::sample::Index>()) {
        let seen = Seen::live(&story, true);
        let journal = &seen.stand.run.journal;
        survives_a_cut(&settings(0), Vec::new, journal, cut.index(journal.len() + 1));
        let mut again = MultiStrategyEngine::new(settings(0)).unwrap();
        let mut effects = vec![];
        journal.iter().for_each(|event| again.step(event, &mut effects));
        prop_assert!(effects == seen.stand.run.effects);
        prop_assert_eq!(again.state_digest(), seen.stand.run.engine.state_digest());
    }

    /// An order over time comes to its amount exactly, whatever its parts come to.
    #[test]
    fn parts_come_to_the_whole(amount in 1_000_000_u64..45_000_000, parts in 1_u16..12, fates in prop::collection::vec(0_u8..4, 40)) {
        let mut stand = Stand::new();
        let mut twap = spec(Side::Buy, Amount::Exactly(Atoms::new(amount)), Trigger::Now);
        twap.pace = Pace::Split { parts, every: seconds(1) };
        let (seq, mut orders) = stand.place(alone(twap));
        let (mut landed, mut fates) = (vec![], fates.into_iter());
        for _ in 0..400 {
            prop_assert!(orders.len() <= 1);
            if let Some(order) = orders.pop() {
                if fates.next().unwrap_or(0) == 1 {
                    orders.extend(stand.expire(&order));
                } else {
                    orders.extend(stand.fill(&order));
                    landed.push(order.amount_in().get());
                }
            }
            if stand.end(seq, 0).is_some() {
                break;
            }
            orders.extend(stand.wait(2));
        }
        prop_assert_eq!(landed.iter().sum::<u64>(), amount);
        prop_assert_eq!(landed.len(), usize::from(parts));
        let (least, most) = (landed.iter().min().unwrap(), landed.iter().max().unwrap());
        prop_assert!(most - least <= u64::from(parts), "{:?}", landed);
    }

    /// Whatever a ticket says, a check of it ends, and what it lets pass can be placed.
    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing(
        side: bool, amount in prop::option::of(any::<u64>()), raw in any::<u128>(), kind in 0_u8..6, parts: u16,
        every in any::<i64>(), slippage in 0_u16..=10_000, mints in any::<[u16; 2]>(), count in 0_usize..5, link in 0_u8..3,
        owner in prop::option::of(any::<u8>()),
    ) {
        let price = Price::from_raw(raw);
        let trigger = match kind {
            0 => Trigger::Now,
            1 => Trigger::Limit(price),
            2 => Trigger::Stop(price),
            3 => Trigger::Trail(Bps::capped(parts)),
            4 => Trigger::After(Timestamp::new(every)),
            _ => Trigger::Ladder([Rung { price, share: Bps::capped(parts) }].into_iter().collect()),
        };
        let pace = match parts % 3 {
            0 => Pace::Whole,
            1 => Pace::Split { parts, every: Timestamp::new(every) },
            _ => Pace::Repeat { times: parts, every: Timestamp::new(every) },
        };
        let leg = Spec {
            side: if side { Side::Buy } else { Side::Sell },
            mint: sniper_core::ids::MintId(mints[0] % 5),
            dollars: sniper_core::ids::MintId(mints[1] % 5),
            amount: amount.map_or(Amount::Position, |amount| Amount::Exactly(Atoms::new(amount))),
            trigger, pace,
            slippage: Bps::capped(slippage),
            agree: None,
            slots: 1,
            expires: Some(Timestamp::new(every)),
        };
        let link = [Link::Alone, Link::Oco, Link::Bracket][usize::from(link)];
        let legs = vec![leg; count.min(4)];
        let ticket = Ticket { owner: owner.map(sniper_core::ids::StrategyId), ..ticket(link, &legs) };
        let mut stand = Stand::new();
        stand.hold(40);
        let may = stand.run.engine.may_place(&ticket, Timestamp::new(stand.run.now));
        let before = stand.run.engine.standing().all().len();
        stand.run.step(Event::Command(Command::Place(Box::new(ticket))));
        let after = stand.run.engine.standing().all().len();
        prop_assert_eq!(after - before, if may.is_ok() { legs.len() } else { 0 });
        stand.wait(3);
        stand.at(10_000);
        stand.at(20_000);
    }
}

fn placed(ticket: Ticket) -> Result<(), PlaceError> {
    let mut stand = Stand::new();
    stand.hold(40);
    stand.run.engine.may_place(&ticket, Timestamp::new(stand.run.now))
}

#[test]
fn each_mistake_has_a_name() {
    let wrong = |change: fn(&mut Spec)| {
        let mut spec = buy(10, Trigger::Limit(price(14_000)));
        change(&mut spec);
        placed(alone(spec))
    };
    let sold = |trigger| placed(alone(sell(trigger)));
    let rung = |cents, share| Rung { price: price(cents), share: Bps::capped(share) };
    let ladder = |rungs: &[Rung]| Trigger::Ladder(rungs.iter().copied().collect());
    let all: BTreeSet<PlaceError> = [
        (wrong(|s| s.mint = sniper_core::ids::MintId(9)), PlaceError::UnknownMint),
        (wrong(|s| s.mint = USDC), PlaceError::NotDollars),
        (wrong(|s| s.amount = Amount::Exactly(Atoms::ZERO)), PlaceError::ZeroAmount),
        (wrong(|s| s.amount = Amount::Position), PlaceError::NoAmount),
        (wrong(|s| s.trigger = Trigger::Limit(Price::default())), PlaceError::ZeroPrice),
        (wrong(|s| s.slippage = Bps::capped(101)), PlaceError::Slippage),
        (wrong(|s| s.expires = Some(Timestamp::new(1))), PlaceError::Expired),
        (wrong(|s| s.trigger = Trigger::Trail(Bps::capped(100))), PlaceError::ForSales),
        (wrong(|s| s.trigger = Trigger::After(Timestamp::ZERO)), PlaceError::Span),
        (wrong(|s| s.pace = Pace::Split { parts: 0, every: seconds(1) }), PlaceError::Pace),
        (wrong(|s| s.pace = Pace::Split { parts: 2, every: Timestamp::new(1) }), PlaceError::Pace),
        (
            wrong(|s| {
                s.amount = Amount::Exactly(Atoms::MAX);
                s.pace = Pace::Repeat { times: 2, every: seconds(1) };
            }),
            PlaceError::Range,
        ),
        (sold(Trigger::Trail(Bps::ZERO)), PlaceError::Trail),
        (sold(ladder(&[])), PlaceError::Ladder),
        (sold(ladder(&[rung(16_000, 10), rung(15_000, 10)])), PlaceError::Ladder),
        (sold(ladder(&[rung(15_000, 6_000), rung(16_000, 4_001)])), PlaceError::LadderShare),
        (placed(ticket(Link::Oco, &[sell(Trigger::Now)])), PlaceError::Legs),
        (
            placed(ticket(
                Link::Oco,
                &[sell(Trigger::Stop(price(2))), sell(Trigger::Limit(price(1)))],
            )),
            PlaceError::Crossed,
        ),
        (
            placed(ticket(Link::Bracket, &[sell(Trigger::Now), sell(Trigger::Now)])),
            PlaceError::Bracket,
        ),
        (
            placed(Ticket {
                owner: Some(sniper_core::ids::StrategyId(7)),
                ..alone(sell(Trigger::Now))
            }),
            PlaceError::NoOwner,
        ),
    ]
    .into_iter()
    .map(|(found, wanted)| {
        assert_eq!(found, Err(wanted));
        wanted
    })
    .collect();
    assert!(all.len() >= 17);
    let mut stand = Stand::new();
    let nothing =
        stand.run.engine.may_place(&alone(sell(Trigger::Now)), Timestamp::new(stand.run.now));
    assert_eq!(nothing, Err(PlaceError::NothingHeld));
    for _ in 0..STANDING_MAX {
        stand.place(alone(buy(10, Trigger::Limit(price(1)))));
    }
    let full =
        stand.run.engine.may_place(&alone(buy(10, Trigger::Now)), Timestamp::new(stand.run.now));
    assert_eq!(full, Err(PlaceError::TooMany));
    let without = Stand::with(|config| config.operator = None);
    let none = without
        .run
        .engine
        .may_place(&alone(buy(10, Trigger::Now)), Timestamp::new(without.run.now));
    assert_eq!(none, Err(PlaceError::NoBudget));
}

#[test]
fn those_that_are_over_are_forgotten_in_the_end() {
    let mut stand = Stand::new();
    for _ in 0..200 {
        let (seq, _) = stand.place(alone(buy(10, Trigger::Limit(price(1)))));
        stand.cancel(seq, None);
    }
    assert!(stand.run.engine.standing().all().len() <= 65);
}
