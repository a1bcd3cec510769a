//! What one connection is subscribed to, and the way from there to what it should be.
//!
//! # Design
//! No socket and no clock here: [`Subscriptions::aim`] is told what the connection should have, requests come out in
//! bounded batches, answers go in. One aim is reached before the next is taken, so an account that is given back and
//! wanted again is asked for only once the node has let it go. A node that gives the same number for the same account
//! again, as nodes do, can then not take the new subscription for the old one and end both.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use sniper_core::ids::Address;

use super::event::DownCause;
use super::registry::{Place, Target};
use crate::rpc::Commitment;

/// Requests under way at once.
const BATCH: usize = 100;
/// Subscriptions that a node may keep although they were given back. What they tell is dropped; a new connection is
/// rid of them.
const UNRELEASED_MAX: u32 = 32;

/// What is asked of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Account(Address, Vec<Place>),
    Slots,
    Release(u64),
}

/// What an answer of the node comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nothing else is to be done.
    Fine,
    /// It answers something that was not asked.
    Unreadable,
    /// This account is refused.
    Refused(Address),
    /// The connection is of no use.
    End(DownCause),
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// The node's number of each subscription.
    numbers: BTreeMap<Address, u64>,
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
        for (address, places) in targets {
            match gone.remove(&address) {
                Some(number) => {
                    self.numbers.insert(address, number);
                    self.watches.insert(number, places);
                }
                None => self.todo.push_back(Ask::Account(address, places)),
            }
        }
        // First of all, so that the node has room for the others.
        for number in gone.into_values() {
            // What it still tells is nobody's.
            self.watches.remove(&number);
            self.todo.push_front(Ask::Release(number));
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
    pub(super) fn write(&mut self, now: Instant, commitment: Commitment) -> Option<String> {
        let ask = if self.is_ready() { self.todo.pop_front()? } else { return None };
        let id = self.next;
        self.next = self.next.saturating_add(1);
        let text = match &ask {
            Ask::Account(address, _) => account_subscribe(id, address, commitment),
            Ask::Slots => slot_subscribe(id),
            Ask::Release(number) => account_unsubscribe(id, *number),
        };
        self.asked.insert(id, (ask, now));
        Some(text)
    }

    /// Who is to be told of a notice. One that overtook its acknowledgement is made up for by the read after it.
    pub(super) fn watches(&self, number: u64) -> &[Place] {
        self.watches.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    /// The node gave a number.
    pub(super) fn accepted(&mut self, id: u64, number: u64) -> Answered {
        match self.asked.get(&id) {
            Some((Ask::Release(_), _)) => Answered::Unreadable,
            Some(_) => match self.asked.remove(&id) {
                Some((Ask::Account(address, places), _)) => {
                    self.numbers.insert(address, number);
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
            Some((Ask::Release(_), _)) => {
                self.asked.remove(&id);
                if done { Answered::Fine } else { self.keep() }
            }
            Some(_) => Answered::Unreadable,
            None => Answered::Fine,
        }
    }

    /// The node refused something.
    pub(super) fn refused(&mut self, id: Option<u64>, code: i64) -> Answered {
        match id.and_then(|id| self.asked.remove(&id)) {
            Some((Ask::Account(address, _), _)) => Answered::Refused(address),
            Some((Ask::Release(_), _)) => self.keep(),
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

fn account_subscribe(id: u64, address: &Address, commitment: Commitment) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"accountSubscribe","params":["{address}",{{"encoding":"base64","commitment":"{}"}}]}}"#,
        commitment.as_str()
    )
}

fn account_unsubscribe(id: u64, number: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"accountUnsubscribe","params":[{number}]}}"#)
}

pub(super) fn slot_subscribe(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"slotSubscribe"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::watch::WatchId;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn address(byte: u8) -> Address {
        Address::new_from_array([byte; 32])
    }

    fn target(byte: u8) -> Target {
        let id = WatchId(u64::from(byte));
        (address(byte), vec![Place { index: usize::from(byte), id }])
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
            while let Some(text) = subscriptions.write(now, Commitment::Processed) {
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
        subscriptions.write(now, Commitment::Processed);
        assert!(!subscriptions.is_overdue(now + patience, patience));
        assert!(subscriptions.is_overdue(now + patience * 2, patience));
    }

    #[test]
    fn an_account_is_refused_alone_and_the_slot_clock_with_the_connection() {
        let (mut subscriptions, now) = (Subscriptions::new(vec![target(1)]), Instant::now());
        while subscriptions.write(now, Commitment::Processed).is_some() {}
        assert_eq!(subscriptions.refused(Some(0), -1), Answered::Refused(address(1)));
        let end = Answered::End(DownCause::Refused { code: -1 });
        assert_eq!(subscriptions.refused(Some(1), -1), end);
        assert_eq!(subscriptions.refused(None, -1), end);
    }

    #[test]
    fn one_number_for_two_accounts_ends_the_connection() {
        let mut subscriptions = Subscriptions::new(vec![target(1), target(2)]);
        while subscriptions.write(Instant::now(), Commitment::Processed).is_some() {}
        assert_eq!(subscriptions.accepted(0, 7), Answered::Fine);
        assert_eq!(subscriptions.accepted(1, 7), Answered::End(DownCause::Ambiguous));
    }

    #[test]
    fn answers_of_the_wrong_kind_answer_nothing() {
        let (mut subscriptions, now) = (Subscriptions::new(vec![target(1)]), Instant::now());
        while subscriptions.write(now, Commitment::Processed).is_some() {}
        assert_eq!(subscriptions.released(0, true), Answered::Unreadable);
        assert_eq!(subscriptions.accepted(9, 9), Answered::Fine, "of nothing asked");
        assert_eq!(subscriptions.accepted(0, 7), Answered::Fine);
        assert_eq!(subscriptions.accepted(1, 8), Answered::Fine);
        subscriptions.aim(Vec::new());
        while subscriptions.write(now, Commitment::Processed).is_some() {}
        assert_eq!(subscriptions.accepted(2, 7), Answered::Unreadable);
        assert!(!subscriptions.is_reached(), "still to be answered");
    }

    #[test]
    fn a_node_that_keeps_what_was_given_back_is_left_in_the_end() {
        let (mut subscriptions, now) = (Subscriptions::new(Vec::new()), Instant::now());
        subscriptions.write(now, Commitment::Processed);
        subscriptions.accepted(0, 1);
        for round in 0_u64.. {
            subscriptions.aim(vec![target(1)]);
            subscriptions.write(now, Commitment::Processed);
            subscriptions.accepted(round * 2 + 1, 100 + round);
            subscriptions.aim(Vec::new());
            subscriptions.write(now, Commitment::Processed);
            if subscriptions.refused(Some(round * 2 + 2), -1) != Answered::Fine {
                assert_eq!(round, u64::from(UNRELEASED_MAX));
                return;
            }
        }
    }
}
