//! The second checker: at the end it counts again what the chain, the ledger and the journal hold, each for itself.

use std::collections::BTreeMap;

use super::env::Env;
use super::node::amounts;
use super::plan::Fault;
use super::process::Process;
use super::setting::MINTS;
use super::start::replay;
use crate::event::{Command, Event, OrderEvent};
use crate::execution::{Commitment, Landing};
use crate::ids::{MintId, OrderId};
use crate::journal::{Record, Scanner};
use crate::ledger::Account;

/// What the journal's own events come to, without engine or ledger.
#[derive(Default)]
struct Count {
    held: [i128; MINTS],
    landed: BTreeMap<OrderId, Landing>,
}

fn count(bytes: &[u8]) -> Count {
    let mut count = Count::default();
    let mut scanner = Scanner::new(bytes, u64::MAX);
    while let Ok(Some(payload)) = scanner.next() {
        match Record::decode(payload) {
            Some(Record::Event(stamped)) => count.take(stamped.event),
            Some(_) => {}
            None => break,
        }
    }
    count
}

impl Count {
    fn take(&mut self, event: Event) {
        match event {
            Event::Command(
                Command::Deposit { mint, amount } | Command::Explained { mint, amount, .. },
            ) => {
                self.held[mint.index()] += i128::from(amount.get());
            }
            Event::Order(OrderEvent::Filled { order, slot, deltas, fee, rent }) => {
                self.book(order, Landing::Filled { slot, deltas, fee, rent });
            }
            Event::Order(OrderEvent::Reverted { order, slot, fee, code }) => {
                self.book(order, Landing::Reverted { slot, fee, code });
            }
            Event::Order(OrderEvent::RolledBack { order }) => {
                if let Some(landing) = self.landed.remove(&order) {
                    self.add(&landing, -1);
                }
            }
            _ => {}
        }
    }

    fn book(&mut self, order: OrderId, landing: Landing) {
        self.add(&landing, 1);
        self.landed.insert(order, landing);
    }

    fn add(&mut self, landing: &Landing, sign: i128) {
        let paid = match landing {
            Landing::Filled { fee, rent, .. } => i128::from(fee.get()) + i128::from(rent.get()),
            Landing::Reverted { fee, .. } => i128::from(fee.get()),
        };
        self.held[0] -= sign * paid;
        if let Landing::Filled { deltas, .. } = landing {
            for (mint, change) in deltas {
                self.held[mint.index()] += sign * i128::from(*change);
            }
        }
    }
}

/// Checks a world that has come to rest.
pub(super) fn check(process: &Process, env: &mut Env) {
    let chain = env.chain.holdings(Commitment::Finalized, 0).clone();
    let held = amounts(&chain);
    let ledger = process.engine.ledger();
    let counted = count(env.disk.bytes());
    for (mint, amount) in (0_u16..).map(MintId).zip(held) {
        let (booked, amount) = (ledger.held(mint), i128::from(amount));
        let [taken, got] = env.before;
        let stolen = chain.stolen[mint.index()] - taken[mint.index()];
        let given = chain.given[mint.index()] - got[mint.index()];
        // What was taken is not booked: it must be told, unless as much came in its place.
        let is_told = env.missing[mint.index()];
        let is_missing = booked > amount && stolen > 0 && is_told && process.mismatched;
        env.audit.must(booked == amount || is_missing, || {
            format!("mint {}: the ledger holds {booked}, the chain {amount}", mint.0)
        });
        env.audit.must(stolen <= given || is_told, || {
            format!("mint {}: {stolen} were taken and nobody has noticed", mint.0)
        });
        env.audit.must(!chain.delegated[mint.index()] || process.mismatched, || {
            format!("mint {}: trading goes on with an account in other hands", mint.0)
        });
        let reserved = ledger.balance(mint, Account::Reserved);
        env.audit.must(reserved == 0, || {
            format!("mint {}: {reserved} are reserved and nothing is in flight", mint.0)
        });
        let counted = counted.held[mint.index()];
        env.audit.must(counted == booked, || {
            format!("mint {}: the journal comes to {counted}, the ledger to {booked}", mint.0)
        });
    }
    let (rent, locked) = (ledger.balance(MintId::SOL, Account::Rent), i128::from(chain.rent));
    // What was locked before the journal began is none of its.
    env.audit.must(rent <= locked, || format!("{rent} are booked as rent, {locked} are locked"));
    env.audit.must(ledger.is_balanced(), || "the ledger does not balance".to_owned());
    let landings = env.chain.final_landings().clone();
    let orders: BTreeMap<_, _> =
        landings.keys().map(|name| (*name, env.chain.order_of(name))).collect();
    env.audit.landed(&landings);
    let first = env.first_slot;
    let ours = landings.iter().filter(|(_, landing)| landing.slot().get() > first);
    let ours = ours.filter_map(|(name, landing)| Some(((*orders.get(name)?)?, landing)));
    let has_lies = env.has_struck(Fault::NodeLies);
    env.overseer.landed(&mut env.audit, ours, has_lies);
    for (name, landing) in &landings {
        let Some(Some(order)) = orders.get(name) else { continue };
        let told = counted.landed.get(order);
        let is_older = landing.slot().get() <= first;
        env.audit.must(is_older || told == Some(landing), || {
            format!("order {order} landed as {landing:?}; the journal has {told:?}")
        });
    }
    let again = replay(env, env.disk.bytes());
    let same = again
        .is_ok_and(|r| r.is_some_and(|r| r.engine.state_digest() == process.engine.state_digest()));
    env.audit.must(same, || "the journal does not replay to the same state".to_owned());
}
