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
//! - a status seen by anybody is seen. That nobody has seen one is no proof of anything: see `core::execution`.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sniper_core::execution::{Reached, reached};
use sniper_core::ids::{Address, Signature};
use sniper_core::units::{BlockHeight, Slot};

use super::accounts::ACCOUNTS_MAX;
use super::error::RpcError;
use super::floor::Since;
use super::methods::{Options, SIGNATURES_MAX, base58, commitment_params, status_params};
use super::pool::{EndpointHandle, RpcConnectionPool};
use super::raw::{AtMost, RawAccount, RawStatus, RawTransaction, Wrapped};
use super::read::Doubt;
use super::types::{AccountInfo, At, Commitment, Landed, SignatureStatus};

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
        self.height_reached(commitment).await.map(|(reached, _)| BlockHeight::new(reached.height))
    }

    /// What each verified endpoint tells of its height, and how many there are.
    pub(crate) async fn heights(&self, commitment: Commitment) -> (Vec<u64>, u32) {
        let told: Told<u64> = self.ask_all("getBlockHeight", &commitment_params(commitment)).await;
        (told.good, u32::try_from(told.asked).unwrap_or(u32::MAX))
    }

    /// The same, with how many have reached it, of how many.
    pub(crate) async fn height_reached(
        &self,
        commitment: Commitment,
    ) -> Result<(Reached, u32), RpcError> {
        let method = "getBlockHeight";
        let told: Told<u64> = self.ask_all(method, &commitment_params(commitment)).await;
        let of = u32::try_from(told.asked).unwrap_or(u32::MAX);
        let reached = reached(&told.good, of).ok_or_else(|| told.no_quorum(method))?;
        Ok((reached, of))
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
            let of = u32::try_from(told.asked).unwrap_or(u32::MAX);
            if let Some(slot) = reached(&slots, of)
                && let Some(accounts) = agreeing.first()
            {
                return Ok(At { slot: Slot::new(slot.height), value: accounts.value.clone() });
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

/// The answers that most tell alike.
fn largest_agreement(told: &[Accounts]) -> Vec<&Accounts> {
    let alike = |one: &Accounts| told.iter().filter(|other| other.value == one.value).collect();
    told.iter().map(alike).max_by_key(Vec::len).unwrap_or_default()
}

impl EndpointHandle {
    /// A transaction in its finalized chain, as seen by `owner`; none if it does not know it.
    pub(crate) async fn finalized_transaction(
        &self,
        signature: &Signature,
        owner: &Address,
    ) -> Result<Option<Landed>, RpcError> {
        let method = "getTransaction";
        let name = base58(signature);
        let check = |answer: &Option<RawTransaction>| match answer {
            Some(raw) if !raw.is(&name) => {
                Err(Doubt::Impossible("another transaction than asked for"))
            }
            _ => Ok(()),
        };
        let params = (&name, Options::transaction(Commitment::Finalized));
        let answer = self.ask_checked(method, &params, &check).await?;
        let landed = answer.map(|raw| raw.landed(owner)).transpose();
        landed.map_err(|what| RpcError::Impossible { endpoint: "all".into(), method, what })
    }
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
