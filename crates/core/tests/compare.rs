//! What the chain holds beside what the ledger says: booked where it can be explained, and a halt where it cannot.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use sniper_core::event::{AccountState, Alert, Command, Effect, Event, Explanation, OrderEvent};
use sniper_core::execution::{Findings, Holding, Seen};
use sniper_core::ids::{Address, MintId};
use sniper_core::ledger::Account;
use sniper_core::order::Order;
use sniper_core::risk::Mode;
use sniper_core::units::{Atoms, Lamports, Seq, Slot, Timestamp};
use support::bench::{Bench, bench_after, hop};
use support::{BONK, RENT, USDC, WSOL, opening_without_bonk};

/// The slot in which the bench's orders land.
const LANDED: u64 = 5;

fn on_a_chain() -> Bench {
    let mut bench =
        bench_after(opening_without_bonk(), |c| c.limits.duplicate_window = Timestamp::ZERO);
    bench.run.step(Event::Command(Command::ExpectForks));
    bench
}

fn held(bench: &Bench, mint: MintId) -> u64 {
    u64::try_from(bench.run.engine.ledger().held(mint)).unwrap()
}

fn holding(mint: MintId, amount: u64) -> Holding {
    Holding { mint, amount: Atoms::new(amount), state: None }
}

/// Compares with what a state of that slot, known now, holds.
fn compared(bench: &Bench, at: u64, holdings: &[Holding]) -> Findings {
    let asked = bench.run.engine.last().map_or(Seq::new(0), |(seq, _)| seq);
    bench.run.engine.compare(Seen { at: Slot::new(at), asked, holdings })
}

/// Has the engine told of all that was found.
fn told(bench: &mut Bench, findings: Findings) -> Vec<Effect> {
    let commands = findings.commands.into_iter();
    commands.flat_map(|command| bench.run.step(Event::Command(command))).collect()
}

fn finalized(bench: &mut Bench, order: &Order) {
    bench.run.step(Event::Order(OrderEvent::Finalized { order: order.id() }));
}

#[test]
fn a_ledger_that_is_the_chains_is_nothing_to_tell_of() {
    let bench = on_a_chain();
    let all = [MintId::SOL, USDC, WSOL].map(|mint| holding(mint, held(&bench, mint)));
    assert_eq!(compared(&bench, 9, &all), Findings::default());
}

#[test]
fn what_others_send_is_booked_with_its_reason_and_trading_goes_on() {
    let mut bench = on_a_chain();
    let before = held(&bench, USDC);
    let findings = compared(&bench, 9, &[holding(USDC, before + 77)]);
    let explained =
        Command::Explained { mint: USDC, amount: Atoms::new(77), why: Explanation::FromOutside };
    assert_eq!(findings.commands, [explained, Command::Opened { slot: Slot::new(9) }]);
    let effects = told(&mut bench, findings);
    assert!(
        matches!(&effects[0], Effect::Alert(Alert::Explained { mint: USDC, .. })),
        "{effects:?}"
    );
    assert_eq!((held(&bench, USDC), bench.run.engine.mode()), (before + 77, Mode::Run));
    assert!(bench.run.engine.ledger().is_balanced());
    assert_eq!(compared(&bench, 9, &[holding(USDC, before + 77)]), Findings::default());
    // An endpoint that is behind tells of a state without it: that says nothing.
    let older = compared(&bench, 8, &[holding(USDC, before)]);
    assert_eq!((older.commands, older.open), (vec![], vec![USDC]));
}

#[test]
fn what_is_missing_halts_trading_and_stays_in_the_ledger() {
    let mut bench = on_a_chain();
    let before = held(&bench, MintId::SOL);
    let findings = compared(&bench, 9, &[holding(MintId::SOL, before - 1)]);
    let (ledger, chain) = (Atoms::new(before), Atoms::new(before - 1));
    assert_eq!(findings.commands, [Command::Missing { mint: MintId::SOL, ledger, chain }]);
    let effects = told(&mut bench, findings);
    assert!(effects.contains(&Effect::Alert(Alert::LedgerMismatch {
        mint: MintId::SOL,
        ledger,
        chain
    })));
    assert_eq!((held(&bench, MintId::SOL), bench.run.engine.mode()), (before, Mode::Halt));
    assert!(bench.ask(bench.buy(10)).is_err());
}

#[test]
fn what_landed_after_the_state_that_is_compared_is_left_out_final_or_not() {
    let mut bench = on_a_chain();
    let before = [MintId::SOL, USDC].map(|mint| holding(mint, held(&bench, mint)));
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, RENT);
    let after = [MintId::SOL, USDC].map(|mint| holding(mint, held(&bench, mint)));
    assert!(after[1].amount < before[1].amount && after[0].amount < before[0].amount);
    assert_eq!(compared(&bench, LANDED - 1, &before), Findings::default());
    // It may have been taken back in the meantime: nobody knows before it is final.
    assert_eq!(compared(&bench, LANDED, &after).open, [USDC, MintId::SOL]);
    finalized(&mut bench, &order);
    assert_eq!(compared(&bench, LANDED - 1, &before), Findings::default());
    assert_eq!(compared(&bench, LANDED, &after), Findings::default());
    // And what is missing besides is seen all the same, now that the order's landing is sure.
    let less = [holding(USDC, before[1].amount.get() - 1)];
    assert!(matches!(compared(&bench, LANDED - 1, &less).commands[..], [Command::Missing { .. }]));
}

/// A fork, or one endpoint that lies, tells a landing later than the slot that it is final in: a state in between holds it.
#[test]
fn a_landing_that_is_told_too_late_is_not_taken_for_a_gift_or_a_loss() {
    let mut bench = on_a_chain();
    let before = [USDC, BONK, MintId::SOL].map(|mint| holding(mint, held(&bench, mint)));
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, RENT);
    let mints = [USDC, BONK, MintId::SOL];
    let after = mints.map(|mint| holding(mint, held(&bench, mint)));
    let findings = compared(&bench, LANDED - 1, &after);
    assert_eq!((findings.commands, findings.open), (vec![], mints.to_vec()));
    // What agrees is not in doubt.
    assert_eq!(compared(&bench, LANDED - 1, &before), Findings::default());
    // The majority knows better.
    let id = order.id();
    bench.run.step(Event::Order(OrderEvent::RolledBack { order: id }));
    let deltas = [USDC, BONK].map(|mint| {
        let [before, after] = [before, after].map(|of| {
            let held = of.iter().find(|holding| holding.mint == mint).unwrap().amount.get();
            i64::try_from(held).unwrap()
        });
        (mint, after - before)
    });
    bench.run.step(Event::Order(OrderEvent::Filled {
        order: id,
        slot: Slot::new(LANDED - 1),
        deltas: deltas.into_iter().collect(),
        fee: Lamports::new(6_200),
        rent: Lamports::new(RENT),
    }));
    assert_eq!(compared(&bench, LANDED - 1, &after).open, mints);
    finalized(&mut bench, &order);
    assert_eq!(compared(&bench, LANDED - 1, &after), Findings::default());
    assert!(bench.run.engine.ledger().is_balanced());
}

#[test]
fn what_lands_of_a_younger_order_is_in_no_state_that_was_known_before() {
    let mut bench = on_a_chain();
    let (sol, asked) = (held(&bench, MintId::SOL), bench.run.engine.last().unwrap().0);
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, RENT);
    for at in [LANDED - 1, LANDED] {
        let more = [holding(MintId::SOL, sol + 1)];
        let seen = Seen { at: Slot::new(at), asked, holdings: &more };
        let found = bench.run.engine.compare(seen);
        assert!(matches!(found.commands[0], Command::Explained { .. }), "{found:?}");
        assert!(found.open.is_empty());
    }
}

#[test]
fn an_order_in_flight_is_waited_for_unless_it_is_younger_than_the_state() {
    let mut bench = on_a_chain();
    let sol = held(&bench, MintId::SOL);
    let asked = bench.run.engine.last().unwrap().0;
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    assert_eq!(compared(&bench, 9, &[holding(MintId::SOL, sol)]).open, [MintId::SOL]);
    let seen = Seen { at: Slot::new(9), asked, holdings: &[holding(MintId::SOL, sol)] };
    assert_eq!(bench.run.engine.compare(seen), Findings::default());
    assert!(order.id().cause > asked);
}

#[test]
fn a_closed_account_is_made_anew_and_its_rent_explains_lamports() {
    let mut bench = on_a_chain();
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, RENT);
    finalized(&mut bench, &order);
    assert_eq!(bench.run.engine.ledger().balance(MintId::SOL, Account::Rent), i128::from(RENT));
    // Sold, so that it is empty.
    let all = held(&bench, BONK);
    let sale = bench.ask(bench.intent(&[hop(2, BONK, USDC)], all)).unwrap();
    bench.fill(&sale);
    finalized(&mut bench, &sale);
    let rent = Lamports::new(RENT);
    let closed = Holding { state: Some(AccountState::Closed { rent }), ..holding(BONK, 0) };
    let sol = holding(MintId::SOL, held(&bench, MintId::SOL) + RENT + 3);
    let findings = compared(&bench, 9, &[sol, closed]);
    let explained =
        |amount, why| Command::Explained { mint: MintId::SOL, amount: Atoms::new(amount), why };
    assert_eq!(
        findings.commands,
        [
            Command::Account { mint: BONK, state: AccountState::Closed { rent } },
            explained(RENT, Explanation::RentReturned),
            explained(3, Explanation::FromOutside),
            Command::Opened { slot: Slot::new(9) },
        ]
    );
    told(&mut bench, findings);
    assert_eq!(bench.run.engine.mode(), Mode::Run);
    assert_eq!(bench.run.engine.ledger().balance(MintId::SOL, Account::Rent), 0);
    assert!(bench.run.engine.ledger().is_balanced());
    let again = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    assert_eq!(again.opens().len(), 1, "it is made again");
    assert_eq!(compared(&bench, 9, &[closed]).commands, [], "and told once");
}

#[test]
fn an_account_in_the_hands_of_others_halts_trading() {
    let somebody = Address::new_from_array([8; 32]);
    for state in [
        AccountState::Delegated { to: somebody },
        AccountState::Closable { by: somebody },
        AccountState::Frozen,
        AccountState::Foreign,
    ] {
        let mut bench = on_a_chain();
        let usdc = Holding { state: Some(state), ..holding(USDC, held(&bench, USDC)) };
        let findings = compared(&bench, 9, &[usdc]);
        assert_eq!(findings.commands, [Command::Account { mint: USDC, state }]);
        let effects = told(&mut bench, findings);
        assert!(effects.contains(&Effect::Alert(Alert::Account { mint: USDC, state })));
        assert_eq!(bench.run.engine.mode(), Mode::Halt, "{state:?}");
    }
}

#[test]
fn an_order_on_a_pool_that_is_gone_comes_to_its_end_like_any_other() {
    use sniper_core::event::MarketEvent;
    use sniper_core::ids::PoolId;
    for landed in [true, false] {
        let mut bench = on_a_chain();
        let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
        bench.sign(&order);
        bench.run.step(Event::Market(MarketEvent::Lost { pool: PoolId(2) }));
        assert!(bench.ask(bench.intent(&[hop(2, USDC, BONK)], 20_000_000)).is_err(), "refused");
        let before = held(&bench, USDC);
        let (id, fee) = (order.id(), Lamports::new(5_000));
        let end = match landed {
            true => OrderEvent::Reverted { order: id, slot: Slot::new(5), fee, code: None },
            false => OrderEvent::Expired { order: id },
        };
        bench.run.step(Event::Order(end));
        assert!(bench.run.engine.orders().all().is_empty());
        assert_eq!(held(&bench, USDC), before);
        assert!(bench.run.engine.ledger().is_balanced());
    }
}
