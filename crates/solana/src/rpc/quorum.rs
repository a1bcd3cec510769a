//! Money reads: what several endpoints must agree on before it counts.
//!
//! # Design
//! Asked are all verified endpoints, those that are ejected for now as well, and a majority of all of them must agree.
//! Were it a majority of those in good health, a node that makes the others look bad would be a majority of one.
//! So with two endpoints both must agree, and while one of them is away nothing is proved: remove it, and the
//! other decides. With one endpoint its word is taken, for there is no other. "Agree" means what matters to each:
//! - a block height proves that orders are dead, so what a majority has reached counts: in each majority there is an
//!   honest endpoint as long as fewer lie, and its height is not inflated. The lowest of all would be no safer, and one
//!   endpoint that is stuck would keep every order alive;
//! - accounts must be equal. Of different slots they may be: what neither has seen change did not. Where they differ,
//!   they are asked again, for a change may be under way;
//! - a status seen by anybody is seen. That nobody has seen one is no proof of anything: see `venue::expiry`.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sniper_core::ids::{Address, Signature};
use sniper_core::units::{BlockHeight, Slot};

use super::error::RpcError;
use super::floor::Since;
use super::methods::{ACCOUNTS_MAX, Options, SIGNATURES_MAX, commitment_params, status_params};
use super::pool::{EndpointHandle, RpcConnectionPool};
use super::raw::{AtMost, RawAccount, RawStatus, Wrapped};
use super::read::Doubt;
use super::types::{AccountInfo, At, Commitment, SignatureStatus};

/// Accounts as one endpoint tells them.
type Accounts = At<Vec<Option<AccountInfo>>>;

/// How often endpoints that differ are asked.
const ROUNDS: u32 = 4;
/// Pause between: about a slot, after which a change that was under way has come to all.
const PAUSE: Duration = Duration::from_millis(400);

impl RpcConnectionPool {
    /// The height that a majority of the verified endpoints has reached, each on its own word: the lowest of the
    /// majority that is furthest. An endpoint that runs ahead of the truth, or mistakes slots for heights, cannot raise
    /// it above what an honest one tells, and one that lags cannot hold it back.
    ///
    /// # Errors
    /// [`RpcError::NoQuorum`] when too few answer.
    pub async fn block_height_quorum(
        &self,
        commitment: Commitment,
    ) -> Result<BlockHeight, RpcError> {
        let method = "getBlockHeight";
        let told: Told<u64> = self.ask_all(method, &commitment_params(commitment)).await;
        let reached = reached_by_majority(&told.good, told.asked);
        reached.map(BlockHeight::new).ok_or_else(|| told.no_quorum(method))
    }

    /// Accounts in the order of `addresses`, equal at a majority of the verified endpoints. The slot is one that a
    /// majority has reached with these contents: one that lags does not make them look old.
    ///
    /// # Errors
    /// [`RpcError::NoQuorum`] when too few answer, [`RpcError::Disagree`] when they tell different things for longer
    /// than a change takes to reach all. With one endpoint as every read.
    pub async fn agreed_accounts(
        &self,
        addresses: &[Address],
        commitment: Commitment,
    ) -> Result<Accounts, RpcError> {
        let method = "getMultipleAccounts";
        if self.sworn().len() < 2 {
            return self.multiple_accounts(addresses, commitment, None).await;
        }
        // Of any state: were each bound to the newest that another has told, one that is a slot behind could never agree.
        let since = Since { commitment, least: 0 };
        let mut round = 1;
        loop {
            let voters = self.sworn();
            let asked = voters.iter().map(|voter| accounts_of(voter, addresses, since));
            let told = Told::of(voters.len(), join_all(asked).await);
            let agreeing = largest_agreement(&told.good);
            let slots: Vec<u64> = agreeing.iter().map(|accounts| accounts.slot.get()).collect();
            if let Some(slot) = reached_by_majority(&slots, told.asked)
                && let Some(accounts) = agreeing.first()
            {
                return Ok(At { slot: Slot::new(slot), value: accounts.value.clone() });
            }
            let (agreeing, asked) = (agreeing.len(), told.asked);
            if round >= ROUNDS {
                return Err(if told.is_majority(told.good.len()) {
                    RpcError::Disagree { method, agreeing, asked }
                } else {
                    told.no_quorum(method)
                });
            }
            tracing::debug!(agreeing, asked, "no majority for balances yet, asking again");
            round += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How far transactions have come, whoever has seen them, histories searched: the furthest that any verified
    /// endpoint tells. None means that no endpoint which answered has seen it, never "failed".
    ///
    /// # Errors
    /// What the last endpoint said where none answered.
    pub async fn statuses_seen_by_any(
        &self,
        signatures: &[Signature],
    ) -> Result<At<Vec<Option<SignatureStatus>>>, RpcError> {
        let method = "getSignatureStatuses";
        let mut all = At { slot: Slot::MAX, value: Vec::with_capacity(signatures.len()) };
        for part in signatures.chunks(SIGNATURES_MAX) {
            let told: Told<Wrapped<AtMost<Option<RawStatus>, SIGNATURES_MAX>>> =
                self.ask_all(method, &status_params(part, true)).await;
            let mut good: Vec<_> =
                told.good.into_iter().filter(|a| a.value.0.len() == part.len()).collect();
            let Some(slot) = good.iter().map(Wrapped::slot).min() else {
                return Err(told.last_error.unwrap_or(RpcError::NoEndpoint { method }));
            };
            all.slot = all.slot.min(slot);
            for place in 0..part.len() {
                let seen =
                    good.iter_mut().filter_map(|answer| answer.value.0.get_mut(place)?.take());
                all.value.push(seen.map(SignatureStatus::from).max_by_key(|seen| seen.commitment));
            }
        }
        Ok(all)
    }

    /// Asks each verified endpoint.
    async fn ask_all<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
    ) -> Told<T> {
        let voters = self.sworn();
        let answers = join_all(voters.iter().map(|voter| voter.ask(method, params))).await;
        Told::of(voters.len(), answers)
    }
}

/// What several endpoints said.
struct Told<T> {
    asked: usize,
    good: Vec<T>,
    last_error: Option<RpcError>,
}

impl<T> Told<T> {
    fn of(asked: usize, answers: Vec<Result<T, RpcError>>) -> Self {
        let mut told = Self { asked, good: Vec::with_capacity(answers.len()), last_error: None };
        for answer in answers {
            match answer {
                Ok(good) => told.good.push(good),
                Err(error) => {
                    tracing::debug!(%error, "no word of an endpoint");
                    told.last_error = Some(error);
                }
            }
        }
        told
    }

    const fn is_majority(&self, count: usize) -> bool {
        count.saturating_mul(2) > self.asked
    }

    fn no_quorum(&self, method: &'static str) -> RpcError {
        RpcError::NoQuorum { method, answers: self.good.len(), asked: self.asked }
    }
}

/// The highest number that more than half of those asked have told, or gone beyond.
fn reached_by_majority(told: &[u64], asked: usize) -> Option<u64> {
    let mut told = told.to_vec();
    told.sort_unstable_by(|one, other| other.cmp(one));
    told.get(asked / 2).copied()
}

/// The answers that most tell alike.
fn largest_agreement(told: &[Accounts]) -> Vec<&Accounts> {
    let alike = |one: &Accounts| told.iter().filter(|other| other.value == one.value).collect();
    told.iter().map(alike).max_by_key(Vec::len).unwrap_or_default()
}

async fn accounts_of(
    voter: &EndpointHandle,
    addresses: &[Address],
    since: Since,
) -> Result<Accounts, RpcError> {
    let mut all = At { slot: Slot::MAX, value: Vec::with_capacity(addresses.len()) };
    for part in addresses.chunks(ACCOUNTS_MAX) {
        let keys: Vec<String> = part.iter().map(Address::to_string).collect();
        let check = |answer: &Wrapped<AtMost<Option<RawAccount>, ACCOUNTS_MAX>>| {
            if answer.value.0.len() != part.len() {
                return Err(Doubt::Impossible("another number of accounts than asked for"));
            }
            Ok(())
        };
        let params = (keys, Options::base64(since));
        let answer = voter.ask_checked("getMultipleAccounts", &params, &check).await?;
        all.slot = all.slot.min(answer.slot());
        all.value.extend(answer.value.0.into_iter().map(|raw| raw.map(AccountInfo::from)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sniper_core::units::Lamports;

    fn accounts(slot: u64, lamports: u64) -> Accounts {
        let owner = Address::new_from_array([0; 32]);
        let account = AccountInfo {
            lamports: Lamports::new(lamports),
            owner,
            data: Vec::new(),
            executable: false,
        };
        At { slot: Slot::new(slot), value: vec![Some(account)] }
    }

    proptest! {
        #[test]
        fn liars_in_the_minority_cannot_raise_a_height_above_an_honest_one_or_hold_it_below_all(
            honest in proptest::collection::vec(0_u64..1_000, 1..6),
            lies in proptest::collection::vec(any::<u64>(), 0..6),
            silent in 0_usize..3,
        ) {
            let asked = honest.len() + lies.len() + silent;
            prop_assume!(lies.len() + silent < honest.len());
            let told = [honest.as_slice(), lies.as_slice()].concat();
            let reached = reached_by_majority(&told, asked).unwrap();
            prop_assert!(reached <= *honest.iter().max().unwrap());
            prop_assert!(reached >= *honest.iter().min().unwrap());
        }

        #[test]
        fn a_minority_never_makes_a_majority(
            honest in 1_usize..6, liars in 0_usize..6, balance: u64, lie: u64,
        ) {
            prop_assume!(balance != lie && liars < honest);
            let mut told: Vec<_> = (0..liars).map(|_| accounts(7, lie)).collect();
            told.extend((0..honest).map(|_| accounts(7, balance)));
            let alike = largest_agreement(&told);
            prop_assert!(alike.iter().all(|one| **one == accounts(7, balance)));
            let told = Told { asked: told.len(), good: told.clone(), last_error: None };
            prop_assert!(!told.is_majority(liars));
            prop_assert!(told.is_majority(honest));
        }
    }
}
