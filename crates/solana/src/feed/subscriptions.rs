//! What one connection is subscribed to, and the way from there to what it should be.
//!
//! # Design
//! No socket and no clock here: [`Subscriptions::aim`] is told what the connection should have, requests come out in
//! bounded batches, answers go in. One aim is reached before the next is taken, so an account that is given back and
//! wanted again is asked for only once the node has let it go. A node that gives the same number for the same account
//! again, as nodes do, can then not take the new subscription for the old one and end both.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::event::DownCause;
use super::registry::{Place, Target};
use super::subscription::Subject;
use crate::json::Encoding;
use crate::rpc::Commitment;

/// Requests under way at once.
const BATCH: usize = 100;
/// Subscriptions that a node may keep although they were given back. What they tell is dropped; a new connection is
/// rid of them.
const UNRELEASED_MAX: u32 = 32;

/// What is asked of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Follow(Subject, Vec<Place>),
    Slots,
    Release(Subject, u64),
}

/// What an answer of the node comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nothing else is to be done.
    Fine,
    /// It answers something that was not asked.
    Unreadable,
    /// This is refused.
    Refused(Subject),
    /// The connection is of no use.
    End(DownCause),
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// The node's number of each subscription.
    numbers: BTreeMap<Subject, u64>,
    /// Who is told, by the node's number.
    watches: HashMap<u64, Vec<Place>>,
    todo: VecDeque<Ask>,
    asked: HashMap<u64, (Ask, Instant)>,
    next: u64,
    unreleased: u32,
}

impl Subscriptions {
    /// A new connection, which needs the slot clock and these.
    pub(super) fn new(targets: Vec<Target>) -> Self {
        let mut new = Self::default();
        new.aim(targets);
        new.todo.push_back(Ask::Slots);
        new
    }

    /// From now on this is what the connection should have. The aim before it must have been reached.
    pub(super) fn aim(&mut self, targets: Vec<Target>) {
        debug_assert!(self.is_reached(), "one aim after the other");
        let mut gone = std::mem::take(&mut self.numbers);
        for (subject, places) in targets {
            match gone.remove(&subject) {
                Some(number) => {
                    self.numbers.insert(subject, number);
                    self.watches.insert(number, places);
                }
                None => self.todo.push_back(Ask::Follow(subject, places)),
            }
        }
        // First of all, so that the node has room for the others.
        for (subject, number) in gone {
            // What it still tells is nobody's.
            self.watches.remove(&number);
            self.todo.push_front(Ask::Release(subject, number));
        }
    }

    /// Everything asked for was answered.
    pub(super) fn is_reached(&self) -> bool {
        self.todo.is_empty() && self.asked.is_empty()
    }

    /// A request could be written.
    pub(super) fn is_ready(&self) -> bool {
        !self.todo.is_empty() && self.asked.len() < BATCH
    }

    /// Some request has waited for longer than that.
    pub(super) fn is_overdue(&self, now: Instant, patience: Duration) -> bool {
        self.asked.values().any(|(_, at)| now.saturating_duration_since(*at) > patience)
    }

    /// The next request, if one may be written.
    pub(super) fn write(
        &mut self,
        now: Instant,
        commitment: Commitment,
        encoding: Encoding,
    ) -> Option<String> {
        let ask = if self.is_ready() { self.todo.pop_front()? } else { return None };
        let id = self.next;
        self.next = self.next.saturating_add(1);
        let text = match &ask {
            Ask::Follow(subject, _) => subject.request(id, commitment, encoding),
            Ask::Slots => slot_subscribe(id),
            Ask::Release(subject, number) => unsubscribe(id, subject, *number),
        };
        self.asked.insert(id, (ask, now));
        Some(text)
    }

    /// Who is to be told of a notice. One that overtook its acknowledgement is made up for by the read after it.
    pub(super) fn watches(&self, number: u64) -> &[Place] {
        self.watches.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    /// The subscription of a signature has ended with what it told. Gives who is to be told.
    pub(super) fn ended(&mut self, number: u64) -> Vec<Place> {
        let found = self.numbers.iter().find(|(_, known)| **known == number);
        let Some((subject @ Subject::Signature(_), _)) = found else { return Vec::new() };
        let subject = subject.clone();
        self.numbers.remove(&subject);
        self.watches.remove(&number).unwrap_or_default()
    }

    /// The node gave a number.
    pub(super) fn accepted(&mut self, id: u64, number: u64) -> Answered {
        match self.asked.get(&id) {
            Some((Ask::Release(..), _)) => Answered::Unreadable,
            Some(_) => match self.asked.remove(&id) {
                Some((Ask::Follow(subject, places), _)) => {
                    self.numbers.insert(subject, number);
                    // Whose notices would those be?
                    match self.watches.insert(number, places) {
                        Some(_) => Answered::End(DownCause::Ambiguous),
                        None => Answered::Fine,
                    }
                }
                _ => Answered::Fine,
            },
            None => Answered::Fine, // acknowledged before
        }
    }

    /// The node says whether a subscription ended.
    pub(super) fn released(&mut self, id: u64, done: bool) -> Answered {
        match self.asked.get(&id) {
            Some((Ask::Release(subject, _), _)) => {
                let ends = matches!(subject, Subject::Signature(_));
                self.asked.remove(&id);
                if done || ends { Answered::Fine } else { self.keep() }
            }
            Some(_) => Answered::Unreadable,
            None => Answered::Fine,
        }
    }

    /// The node refused something.
    pub(super) fn refused(&mut self, id: Option<u64>, code: i64) -> Answered {
        match id.and_then(|id| self.asked.remove(&id)) {
            Some((Ask::Follow(subject, _), _)) => Answered::Refused(subject),
            // It had ended by itself.
            Some((Ask::Release(Subject::Signature(_), _), _)) => Answered::Fine,
            Some((Ask::Release(..), _)) => self.keep(),
            Some((Ask::Slots, _)) | None => Answered::End(DownCause::Refused { code }),
        }
    }

    fn keep(&mut self) -> Answered {
        self.unreleased = self.unreleased.saturating_add(1);
        if self.unreleased > UNRELEASED_MAX {
            Answered::End(DownCause::NotReleased)
        } else {
            Answered::Fine
        }
    }
}

fn unsubscribe(id: u64, subject: &Subject, number: u64) -> String {
    let noun = subject.noun();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{noun}Unsubscribe","params":[{number}]}}"#)
}

pub(super) fn slot_subscribe(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"slotSubscribe"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::watch::WatchId;
    use proptest::prelude::*;
    use sniper_core::ids::{Address, Signature};
    use std::collections::BTreeSet;

    impl Subscriptions {
        fn ask(&mut self, now: Instant) -> Option<String> {
            self.write(now, Commitment::Processed, Encoding::Base64)
        }
    }

    fn address(byte: u8) -> Address {
        Address::new_from_array([byte; 32])
    }

    fn target(byte: u8) -> Target {
        let id = WatchId(u64::from(byte));
        (Subject::Account(address(byte)), vec![Place { index: usize::from(byte), id }])
    }

    /// A node as it should be: answers in order, and has a number for each account.
    #[derive(Default)]
    struct Node {
        subscribed: BTreeMap<String, u64>,
    }

    impl Node {
        /// Answers all that is asked now.
        fn serve(&mut self, subscriptions: &mut Subscriptions, now: Instant) -> usize {
            let mut requests = Vec::new();
            while let Some(text) = subscriptions.ask(now) {
                requests.push(serde_json::from_str::<serde_json::Value>(&text).unwrap());
            }
            for request in &requests {
                let (id, first) = (request["id"].as_u64().unwrap(), &request["params"][0]);
                let answered = match request["method"].as_str().unwrap() {
                    "accountUnsubscribe" => {
                        let before = self.subscribed.len();
                        self.subscribed.retain(|_, number| Some(*number) != first.as_u64());
                        subscriptions.released(id, self.subscribed.len() < before)
                    }
                    "accountSubscribe" => {
                        // The same number for the same account, always.
                        let name = first.as_str().unwrap();
                        let number = u64::from(name.parse::<Address>().unwrap().to_bytes()[0]) + 2;
                        assert!(self.subscribed.insert(name.to_owned(), number).is_none());
                        subscriptions.accepted(id, number)
                    }
                    _ => subscriptions.accepted(id, 1),
                };
                assert_eq!(answered, Answered::Fine);
            }
            requests.len()
        }
    }

    proptest! {
        #[test]
        fn a_node_ends_with_what_was_aimed_at_and_nothing_else(
            aims in proptest::collection::vec(proptest::collection::btree_set(0_u8..8, 0..8), 1..20),
        ) {
            let (mut node, now) = (Node::default(), Instant::now());
            let mut subscriptions = Subscriptions::new(Vec::new());
            for aim in aims {
                while !subscriptions.is_reached() {
                    node.serve(&mut subscriptions, now);
                }
                subscriptions.aim(aim.iter().copied().map(target).collect());
                while !subscriptions.is_reached() {
                    node.serve(&mut subscriptions, now);
                }
                let wanted: BTreeSet<_> = aim.iter().map(|byte| address(*byte).to_string()).collect();
                prop_assert_eq!(node.subscribed.keys().cloned().collect::<BTreeSet<_>>(), wanted);
                for byte in &aim {
                    let number = node.subscribed[&address(*byte).to_string()];
                    prop_assert_eq!(subscriptions.watches(number), &target(*byte).1);
                }
                prop_assert_eq!(subscriptions.watches.len(), aim.len());
            }
        }
    }

    #[test]
    fn requests_go_out_in_bounded_batches() {
        let (mut node, now) = (Node::default(), Instant::now());
        let mut subscriptions = Subscriptions::new((0..250).map(target).collect());
        assert_eq!(node.serve(&mut subscriptions, now), BATCH);
        assert_eq!(node.serve(&mut subscriptions, now), BATCH);
        assert_eq!(node.serve(&mut subscriptions, now), 51, "the slot clock is the last");
        assert!(subscriptions.is_reached());
    }

    #[test]
    fn a_request_without_an_answer_is_overdue() {
        let (mut subscriptions, now) = (Subscriptions::new(vec![target(1)]), Instant::now());
        let patience = Duration::from_secs(10);
        assert!(!subscriptions.is_overdue(now + patience * 2, patience), "not asked yet");
        subscriptions.ask(now);
        assert!(!subscriptions.is_overdue(now + patience, patience));
        assert!(subscriptions.is_overdue(now + patience * 2, patience));
    }

    #[test]
    fn an_account_is_refused_alone_and_the_slot_clock_with_the_connection() {
        let (mut subscriptions, now) = (Subscriptions::new(vec![target(1)]), Instant::now());
        while subscriptions.ask(now).is_some() {}
        let refused = Answered::Refused(Subject::Account(address(1)));
        assert_eq!(subscriptions.refused(Some(0), -1), refused);
        let end = Answered::End(DownCause::Refused { code: -1 });
        assert_eq!(subscriptions.refused(Some(1), -1), end);
        assert_eq!(subscriptions.refused(None, -1), end);
    }

    #[test]
    fn one_number_for_two_accounts_ends_the_connection() {
        let mut subscriptions = Subscriptions::new(vec![target(1), target(2)]);
        while subscriptions.ask(Instant::now()).is_some() {}
        assert_eq!(subscriptions.accepted(0, 7), Answered::Fine);
        assert_eq!(subscriptions.accepted(1, 7), Answered::End(DownCause::Ambiguous));
    }

    #[test]
    fn acknowledgements_may_come_in_any_order_and_only_one_of_each_counts() {
        let now = Instant::now();
        let mut subscriptions = Subscriptions::new((1..4).map(target).collect());
        while subscriptions.ask(now).is_some() {}
        for id in [2, 3, 0, 2, 9, 1] {
            assert!(!subscriptions.is_reached());
            // Told twice, or of nothing asked: the first word stands.
            let number = if subscriptions.watches(100 + id).is_empty() { 100 + id } else { 7 };
            assert_eq!(subscriptions.accepted(id, number), Answered::Fine);
        }
        assert!(subscriptions.is_reached());
        for (id, byte) in [(0, 1), (1, 2), (2, 3)] {
            assert_eq!(subscriptions.watches(100 + id), target(byte).1);
        }
        assert!(subscriptions.watches(7).is_empty() && subscriptions.watches(109).is_empty());
    }

    #[test]
    fn answers_of_the_wrong_kind_answer_nothing() {
        let (mut subscriptions, now) = (Subscriptions::new(vec![target(1)]), Instant::now());
        while subscriptions.ask(now).is_some() {}
        assert_eq!(subscriptions.released(0, true), Answered::Unreadable);
        assert_eq!(subscriptions.accepted(9, 9), Answered::Fine, "of nothing asked");
        assert_eq!(subscriptions.accepted(0, 7), Answered::Fine);
        assert_eq!(subscriptions.accepted(1, 8), Answered::Fine);
        subscriptions.aim(Vec::new());
        while subscriptions.ask(now).is_some() {}
        assert_eq!(subscriptions.accepted(2, 7), Answered::Unreadable);
        assert!(!subscriptions.is_reached(), "still to be answered");
    }

    #[test]
    fn a_node_that_keeps_what_was_given_back_is_left_in_the_end() {
        let (mut subscriptions, now) = (Subscriptions::new(Vec::new()), Instant::now());
        subscriptions.ask(now);
        subscriptions.accepted(0, 1);
        for round in 0_u64.. {
            subscriptions.aim(vec![target(1)]);
            subscriptions.ask(now);
            subscriptions.accepted(round * 2 + 1, 100 + round);
            subscriptions.aim(Vec::new());
            subscriptions.ask(now);
            if subscriptions.refused(Some(round * 2 + 2), -1) != Answered::Fine {
                assert_eq!(round, u64::from(UNRELEASED_MAX));
                return;
            }
        }
    }

    #[test]
    fn a_signature_ends_by_itself_and_is_not_held_against_the_node() {
        let now = Instant::now();
        let subject = Subject::Signature(Box::new(Signature([3; 64])));
        let place = Place { index: 0, id: WatchId(0) };
        let target = || vec![(subject.clone(), vec![place])];
        let mut subscriptions = Subscriptions::new(target());
        while subscriptions.ask(now).is_some() {}
        assert_eq!(subscriptions.accepted(0, 7), Answered::Fine);
        assert_eq!(subscriptions.accepted(1, 8), Answered::Fine);
        assert_eq!(subscriptions.ended(7), [place]);
        assert!(subscriptions.ended(7).is_empty(), "once");
        subscriptions.aim(Vec::new());
        assert!(subscriptions.is_reached(), "nothing to give back");
        // Another connection was first: this one gives back what may just have ended.
        for round in 1..100 {
            subscriptions.aim(target());
            subscriptions.ask(now);
            assert_eq!(subscriptions.accepted(round * 2, 100 + round), Answered::Fine);
            subscriptions.aim(Vec::new());
            assert!(subscriptions.ask(now).unwrap().contains("signatureUnsubscribe"));
            assert_eq!(subscriptions.refused(Some(round * 2 + 1), -32_602), Answered::Fine);
        }
    }
}
