//! What a stream should tell, as its server is asked for it.
//!
//! # Design
//! A request replaces all that were before it on the same stream, and nothing acknowledges it. So each carries a name of
//! its own for the slots that are always asked for: a slot under this name was told by a server that has the request in
//! force. A request that answers a ping repeats everything: some servers take it for nothing but the answer, and some for
//! a request.
//!
//! An account filter without addresses would mean every account there is: it is left out.

use std::collections::{BTreeMap, HashMap};

use sniper_core::ids::Address;
use yellowstone_grpc_proto::geyser::subscribe_request_filter_accounts_filter::Filter;
use yellowstone_grpc_proto::geyser::subscribe_request_filter_accounts_filter_memcmp::Data;
use yellowstone_grpc_proto::geyser::{
    CommitmentLevel, SubscribeRequest, SubscribeRequestFilterAccounts,
    SubscribeRequestFilterAccountsFilter, SubscribeRequestFilterAccountsFilterMemcmp,
    SubscribeRequestFilterSlots, SubscribeRequestFilterTransactions, SubscribeRequestPing,
};

use super::slots::{Of, Told};
use crate::feed::registry::{Place, Target};
use crate::feed::subscription::Subject;
use crate::rpc::methods::base58;
use crate::rpc::{AccountFilter, Commitment};

/// The filter of all accounts that are followed for themselves: servers allow few filters, and many addresses in one.
const ACCOUNTS: &str = "a";

/// What makes a request differ from the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// The name of the slots.
    pub(super) number: u64,
    /// Tell everything from this slot on.
    pub(super) from_slot: Option<u64>,
    pub(super) ping: Option<i32>,
}

/// The name of a filter, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Accounts,
    Program(u64),
    Logs(u64),
    Signature(u64),
    /// The slots of a request.
    Slots(u64),
}

#[derive(Debug, Default)]
pub(super) struct Filters {
    accounts: HashMap<Address, Vec<Place>>,
    /// Each with a number that is never given to another, so that what is told under an old name is nobody else's.
    others: BTreeMap<Subject, u64>,
    told: HashMap<u64, Vec<Place>>,
    programs: HashMap<u64, Vec<AccountFilter>>,
    roots: Vec<Place>,
    next: u64,
}

impl Filters {
    /// From now on this is what the stream should tell; `filters` gives those of a program's watch.
    pub(super) fn aim(
        &mut self,
        targets: Vec<Target>,
        filters: impl Fn(Place) -> Option<Vec<AccountFilter>>,
    ) {
        let before = std::mem::take(&mut self.others);
        self.accounts.clear();
        self.told.clear();
        self.programs.clear();
        self.roots.clear();
        for (subject, places) in targets {
            match subject {
                Subject::Account(address) => {
                    self.accounts.insert(address, places);
                    continue;
                }
                Subject::Root => {
                    self.roots = places;
                    continue;
                }
                _ => {}
            }
            let number = before.get(&subject).copied().unwrap_or(self.next);
            if let Subject::Program(..) = subject {
                // One that was let go a moment ago has none, and a request without it is on its way.
                let Some(filters) = places.first().and_then(|place| filters(*place)) else {
                    continue;
                };
                self.programs.insert(number, filters);
            }
            self.next = self.next.max(number.saturating_add(1));
            self.told.insert(number, places);
            self.others.insert(subject, number);
        }
    }

    /// Who follows an account for itself.
    pub(super) fn of_account(&self, address: &Address) -> &[Place] {
        self.accounts.get(address).map(Vec::as_slice).unwrap_or_default()
    }

    /// Who is told of a program, of logs or of a signature.
    pub(super) fn of_number(&self, number: u64) -> &[Place] {
        self.told.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn of_roots(&self) -> &[Place] {
        &self.roots
    }

    /// Who was told of these.
    pub(super) fn of_told(&self, told: &Told) -> Vec<Place> {
        let accounts = told.accounts.iter().flat_map(|address| self.of_account(address));
        let programs = told.programs.iter().flat_map(|number| self.of_number(*number));
        accounts.chain(programs).copied().collect()
    }

    /// Everybody.
    pub(super) fn of_all(&self) -> Vec<Place> {
        let accounts = self.accounts.values().flatten();
        let programs = self.programs.keys().flat_map(|number| self.of_number(*number));
        accounts.chain(programs).copied().collect()
    }

    /// By which filters an account was told, of the names that stand on it.
    pub(super) fn of_names(names: &[String]) -> Of {
        let mut of = Of::default();
        for name in names.iter().filter_map(|name| named(name)) {
            match name {
                Named::Accounts => of.account = true,
                Named::Program(number) => of.programs.push(number),
                _ => {}
            }
        }
        of
    }

    pub(super) fn request(&self, asked: Asked, commitment: Commitment) -> SubscribeRequest {
        let mut request = SubscribeRequest {
            commitment: Some(level(commitment).into()),
            from_slot: asked.from_slot,
            ping: asked.ping.map(|id| SubscribeRequestPing { id }),
            ..SubscribeRequest::default()
        };
        // Every status, of which this commitment's ends a slot, and the start of a slot besides.
        let slots = SubscribeRequestFilterSlots {
            filter_by_commitment: Some(false),
            interslot_updates: Some(true),
        };
        request.slots.insert(format!("s{}", asked.number), slots);
        if !self.accounts.is_empty() {
            let account = self.accounts.keys().map(Address::to_string).collect();
            let filter = SubscribeRequestFilterAccounts { account, ..Default::default() };
            request.accounts.insert(ACCOUNTS.to_owned(), filter);
        }
        for (subject, number) in &self.others {
            match subject {
                Subject::Program(program, _) => {
                    let filters = self.programs.get(number).into_iter().flatten();
                    let filter = SubscribeRequestFilterAccounts {
                        owner: vec![program.to_string()],
                        filters: filters.map(account_filter).collect(),
                        ..Default::default()
                    };
                    request.accounts.insert(format!("p{number}"), filter);
                }
                Subject::Logs(mentions) => {
                    let filter = SubscribeRequestFilterTransactions {
                        account_include: vec![mentions.to_string()],
                        ..Default::default()
                    };
                    request.transactions.insert(format!("l{number}"), filter);
                }
                Subject::Signature(signature) => {
                    let filter = SubscribeRequestFilterTransactions {
                        signature: Some(base58(signature)),
                        ..Default::default()
                    };
                    request.transactions_status.insert(format!("t{number}"), filter);
                }
                Subject::Account(_) | Subject::Root => {}
            }
        }
        request
    }
}

/// What a filter's name stands for, if it is one of ours.
pub(super) fn named(name: &str) -> Option<Named> {
    if name == ACCOUNTS {
        return Some(Named::Accounts);
    }
    let (kind, number) = name.split_at_checked(1)?;
    let number = number.parse().ok()?;
    match kind {
        "p" => Some(Named::Program(number)),
        "l" => Some(Named::Logs(number)),
        "t" => Some(Named::Signature(number)),
        "s" => Some(Named::Slots(number)),
        _ => None,
    }
}

fn account_filter(filter: &AccountFilter) -> SubscribeRequestFilterAccountsFilter {
    let filter = match filter {
        AccountFilter::DataSize(size) => Filter::Datasize(*size),
        AccountFilter::Memcmp { offset, bytes } => {
            let data = Some(Data::Bytes(bytes.clone()));
            let offset = u64::try_from(*offset).unwrap_or(u64::MAX);
            Filter::Memcmp(SubscribeRequestFilterAccountsFilterMemcmp { offset, data })
        }
    };
    SubscribeRequestFilterAccountsFilter { filter: Some(filter) }
}

const fn level(commitment: Commitment) -> CommitmentLevel {
    match commitment {
        Commitment::Processed => CommitmentLevel::Processed,
        Commitment::Confirmed => CommitmentLevel::Confirmed,
        Commitment::Finalized => CommitmentLevel::Finalized,
    }
}
