//! Standing orders on a chain that may abandon a block.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use sniper_core::event::{Command, Event, OrderEvent};
use sniper_core::standing::{End, State, Trigger};
use sniper_core::units::Atoms;
use support::tickets::{Stand, alone, buy, price, sell};

/// A stand whose chain may abandon a block.
fn forking() -> Stand {
    let mut stand = Stand::new();
    stand.run.step(Event::Command(Command::ExpectForks));
    stand
}

#[test]
fn what_landed_in_an_abandoned_block_is_under_way_again_and_the_others_come_back_only_if_it_dies() {
    let mut stand = forking();
    let (seq, held) = stand.oco();
    let fired = stand.at(16_100);
    stand.fill(&fired[0]);
    assert_eq!(stand.end(seq, 1), Some(End::Sibling(fired[0].id())));
    stand.tell_order(OrderEvent::RolledBack { order: fired[0].id() });
    assert_eq!([0, 1].map(|leg| stand.state(seq, leg)), [State::Armed; 2]);
    assert_eq!(stand.standing(seq, 0).done(), Atoms::ZERO);
    assert!(stand.at(13_000).is_empty(), "it may still land");
    stand.wait(2);
    let stopped = stand.tell_order(OrderEvent::Expired { order: fired[0].id() });
    assert_eq!((stopped.len(), stopped[0].amount_in()), (1, held));
}

#[test]
fn an_entry_whose_block_was_abandoned_leaves_its_exits_nothing_until_it_lands_again() {
    let mut stand = forking();
    let seq = stand.bracket();
    let entry = stand.at(14_400);
    stand.fill(&entry[0]);
    assert_eq!(stand.state(seq, 1), State::Armed);
    stand.tell_order(OrderEvent::RolledBack { order: entry[0].id() });
    assert_eq!((stand.state(seq, 1), stand.state(seq, 0)), (State::Waiting, State::Armed));
    assert!(stand.at(13_000).is_empty());
    stand.land(&entry[0]);
    assert_eq!(stand.standing(seq, 1).left(), Some(stand.held()));
    assert_eq!(stand.end(seq, 0), Some(End::Done));
}

#[test]
fn what_was_cancelled_after_it_landed_does_not_come_back_with_a_fork() {
    let mut stand = forking();
    let (seq, _) = stand.oco();
    let fired = stand.at(16_100);
    stand.fill(&fired[0]);
    assert!(stand.run.engine.standing().may_cancel(seq, None));
    stand.run.step(Event::Command(Command::Cancel { ticket: seq, leg: None }));
    assert_eq!([0, 1].map(|leg| stand.end(seq, leg)), [Some(End::Cancelled); 2]);
    stand.tell_order(OrderEvent::RolledBack { order: fired[0].id() });
    stand.wait(2);
    stand.tell_order(OrderEvent::Expired { order: fired[0].id() });
    assert!(stand.at(16_100).is_empty() && stand.at(13_000).is_empty());
    assert_eq!([0, 1].map(|leg| stand.end(seq, leg)), [Some(End::Cancelled); 2]);
}

#[test]
fn what_is_over_for_good_cannot_be_cancelled() {
    let mut stand = forking();
    let (seq, _) = stand.oco();
    let fired = stand.at(16_100);
    stand.fill(&fired[0]);
    stand.tell_order(OrderEvent::Finalized { order: fired[0].id() });
    assert!(!stand.run.engine.standing().may_cancel(seq, None));
    stand.run.step(Event::Command(Command::Cancel { ticket: seq, leg: None }));
    assert_eq!(stand.end(seq, 0), Some(End::Done));
}

#[test]
fn what_reverted_is_tried_again_when_that_is_final_or_when_all_that_is_held_goes() {
    let mut stand = forking();
    let (seq, first) = stand.place(alone(buy(40, Trigger::Limit(price(15_500)))));
    stand.revert(&first[0]);
    assert!(stand.wait(10).is_empty(), "the same bytes may land well on another fork");
    let again = stand.tell_order(OrderEvent::Finalized { order: first[0].id() });
    assert_eq!(again.len(), 1);
    stand.fill(&again[0]);
    assert_eq!(stand.end(seq, 0), Some(End::Done));

    stand.place(alone(sell(Trigger::Stop(price(14_000)))));
    let stop = stand.at(13_900);
    stand.revert(&stop[0]);
    assert_eq!(stand.wait(3).len(), 1, "a sale of everything sells nothing twice");
}
