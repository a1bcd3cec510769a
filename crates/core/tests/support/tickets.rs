//! An operator alone at a desk, who places standing orders while the price of SOL is moved.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use sniper_core::engine::{EngineConfig, MultiStrategyEngine};
use sniper_core::event::{Command, Deltas, Effect, Event, OrderEvent};
use sniper_core::ids::{MintId, Signature};
use sniper_core::order::Order;
use sniper_core::risk::Refusal;
use sniper_core::standing::{
    Amount, End, Link, Pace, Side, Spec, Standing, StandingId, State, Ticket, Trigger, Turn,
};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Price, Seq, Slot, Timestamp};

use super::{Run, USDC, WSOL, allowance, config, reference, reserves, slot};

pub const SOL: u64 = 1_000_000_000;

/// Dollars for a SOL.
pub fn price(cents: u64) -> Price {
    Price::of(cents * 10_000, SOL).unwrap()
}

pub fn spec(side: Side, amount: Amount, trigger: Trigger) -> Spec {
    Spec {
        side,
        mint: WSOL,
        dollars: USDC,
        amount,
        trigger,
        pace: Pace::Whole,
        slippage: Bps::capped(50),
        agree: None,
        slots: 0,
        expires: None,
    }
}

/// For so many dollars.
pub fn buy(dollars: u64, trigger: Trigger) -> Spec {
    spec(Side::Buy, Amount::Exactly(Atoms::new(dollars * 1_000_000)), trigger)
}

/// Of all that is held, or has come in.
pub fn sell(trigger: Trigger) -> Spec {
    spec(Side::Sell, Amount::Position, trigger)
}

pub fn ticket(link: Link, legs: &[Spec]) -> Ticket {
    Ticket { owner: None, link, legs: legs.iter().cloned().collect() }
}

pub fn alone(spec: Spec) -> Ticket {
    ticket(Link::Alone, &[spec])
}

pub fn settings(seats: usize) -> EngineConfig {
    let mut config = config(seats);
    config.operator = Some(allowance());
    config.limits.orders_per_minute_max = 1_000;
    config.limits.losses_in_row_max = 0;
    config
}

pub struct Stand {
    pub run: Run,
    pub slot: u64,
    pub cents: u64,
    signed: u8,
}

impl Stand {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let mut config = settings(0);
        change(&mut config);
        let run = Run::new(MultiStrategyEngine::new(config).unwrap());
        Self { run, slot: 2, cents: 15_000, signed: 0 }
    }

    /// Places a ticket; what it ordered at once.
    pub fn place(&mut self, ticket: Ticket) -> (Seq, Vec<Order>) {
        let seq = Seq::new(self.run.journal.len() as u64 + 1);
        let effects = self.run.step(Event::Command(Command::Place(Box::new(ticket))));
        let refused = effects.iter().any(|e| matches!(e, Effect::Alert(_)));
        assert!(!refused, "{effects:?}");
        (seq, submitted(&effects))
    }

    pub fn cancel(&mut self, ticket: Seq, leg: Option<u8>) {
        self.run.step(Event::Command(Command::Cancel { ticket, leg }));
    }

    /// A slot later, the price is so many cents in both pools, and by the independent source; what was ordered.
    pub fn at(&mut self, cents: u64) -> Vec<Order> {
        self.step_on(400_000);
        self.tell([cents; 2])
    }

    pub fn step_on(&mut self, micros: i64) {
        self.run.wait(micros);
        self.slot += 1;
    }

    /// The two pools say different things.
    pub fn tell(&mut self, cents: [u64; 2]) -> Vec<Order> {
        let events = self.events(cents);
        events.into_iter().flat_map(|event| submitted(&self.run.step(event))).collect()
    }

    pub fn events(&mut self, cents: [u64; 2]) -> Vec<Event> {
        self.cents = cents[0];
        let sols = [10_000, 5_000].map(|sols| sols * SOL);
        let dollars = [0, 1].map(|nth| sols[nth] / SOL * cents[nth] * 10_000);
        let mut events = vec![reference(WSOL, cents[0] * 10_000, SOL)];
        for nth in [0, 1] {
            let pool = u32::try_from(nth).unwrap();
            events.extend(reserves(pool, self.slot, [sols[nth], dollars[nth]]));
        }
        events.push(slot(self.slot));
        events
    }

    /// Time passes, in slots at the same price; what was ordered.
    pub fn wait(&mut self, seconds: i64) -> Vec<Order> {
        let steps = seconds * 5 / 2;
        (0..steps.max(1)).flat_map(|_| self.at(self.cents)).collect()
    }

    pub fn sign(&mut self, order: &Order) {
        self.signed += 1;
        self.run.step(Event::Order(OrderEvent::Signed {
            order: order.id(),
            signature: Signature([self.signed; 64]),
            last_valid: BlockHeight::new(200),
        }));
    }

    pub fn fill(&mut self, order: &Order) -> Vec<Order> {
        self.sign(order);
        self.land(order)
    }

    /// It lands as expected, once signed.
    pub fn land(&mut self, order: &Order) -> Vec<Order> {
        let change = |mint: MintId, amount: Atoms, sign: i64| {
            (mint, sign * i64::try_from(amount.get()).unwrap())
        };
        let paid = change(order.mint_in(), order.amount_in(), -1);
        let got = change(order.mint_out(), order.expected_out(), 1);
        let deltas: Deltas = [paid, got].into_iter().collect();
        let (slot, fee, rent) = (Slot::new(self.slot), Lamports::new(6_200), Lamports::ZERO);
        let order = order.id();
        submitted(&self.run.step(Event::Order(OrderEvent::Filled {
            order,
            slot,
            deltas,
            fee,
            rent,
        })))
    }

    pub fn revert(&mut self, order: &Order) -> Vec<Order> {
        self.sign(order);
        let (slot, fee) = (Slot::new(self.slot), Lamports::new(6_200));
        let order = order.id();
        submitted(&self.run.step(Event::Order(OrderEvent::Reverted {
            order,
            slot,
            fee,
            code: None,
        })))
    }

    pub fn expire(&mut self, order: &Order) -> Vec<Order> {
        self.sign(order);
        submitted(&self.run.step(Event::Order(OrderEvent::Expired { order: order.id() })))
    }

    pub fn tell_order(&mut self, event: OrderEvent) -> Vec<Order> {
        submitted(&self.run.step(Event::Order(event)))
    }

    /// Buys SOL for so many dollars at once.
    pub fn hold(&mut self, dollars: u64) -> Atoms {
        let (_, orders) = self.place(alone(buy(dollars, Trigger::Now)));
        self.fill(&orders[0]);
        self.held()
    }

    /// Holds some SOL, to be sold at 160 dollars or at 140; what is held.
    pub fn oco(&mut self) -> (Seq, Atoms) {
        let held = self.hold(40);
        let legs = [sell(Trigger::Limit(price(16_000))), sell(Trigger::Stop(price(14_000)))];
        (self.place(ticket(Link::Oco, &legs)).0, held)
    }

    /// To be bought at 145 dollars, and sold at 135 or 160.
    pub fn bracket(&mut self) -> Seq {
        let legs = [
            buy(40, Trigger::Limit(price(14_500))),
            sell(Trigger::Stop(price(13_500))),
            sell(Trigger::Limit(price(16_000))),
        ];
        self.place(ticket(Link::Bracket, &legs)).0
    }

    pub fn held(&self) -> Atoms {
        let engine = &self.run.engine;
        let book = engine.portfolio().book(engine.operator().unwrap()).unwrap();
        book.position(WSOL).map_or(Atoms::ZERO, |position| position.amount)
    }

    pub fn standing(&self, ticket: Seq, leg: u8) -> &Standing {
        self.run.engine.standing().get(StandingId { ticket, leg }).unwrap()
    }

    pub fn state(&self, ticket: Seq, leg: u8) -> State {
        self.standing(ticket, leg).state()
    }

    pub fn end(&self, ticket: Seq, leg: u8) -> Option<End> {
        match self.state(ticket, leg) {
            State::Ended(end, _) => Some(end),
            _ => None,
        }
    }

    pub fn refusals(&self) -> Vec<Refusal> {
        let refused = |effect: &Effect| match effect {
            Effect::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        };
        self.run.effects.iter().filter_map(refused).collect()
    }

    pub fn turns(&self) -> Vec<(StandingId, Turn)> {
        let turn = |effect: &Effect| match effect {
            Effect::Standing { id, turn } => Some((*id, *turn)),
            _ => None,
        };
        self.run.effects.iter().filter_map(turn).collect()
    }
}

pub fn submitted(effects: &[Effect]) -> Vec<Order> {
    let order = |effect: &Effect| match effect {
        Effect::Submit(order) => Some((**order).clone()),
        _ => None,
    };
    effects.iter().filter_map(order).collect()
}

pub fn seconds(seconds: i64) -> Timestamp {
    Timestamp::new(seconds * 1_000_000)
}

impl Drop for Stand {
    /// What happened, for whoever reads why a test failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{:#?}\nrefused: {:?}", self.turns(), self.refusals());
        }
    }
}
