//! Where live orders go: built, signed, sent, and followed to their end.
//!
//! # Design
//! [`SolanaVenue::prepare`] is synchronous and touches no network: what it needs is at hand. Its result must be made
//! durable before [`SolanaVenue::send`]. Nothing here decides what becomes of an order: `core::execution` does, and the
//! [`Tracker`] carries out what it wants, sends and asks. An error is no answer.

mod block_engine;
mod chain;
mod prepared;
mod tracker;
mod words;

use std::time::Instant;

use sniper_core::amm::PoolSpec;
use sniper_core::event::{AccountState, MarketEvent, MintSpec, OrderEvent, RejectReason};
use sniper_core::execution::Landing;
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::order::Order;
use sniper_core::units::{Atoms, Lamports, Timestamp};
use sniper_wallet::Signer;
use solana_hash::Hash;
use thiserror::Error;

pub use block_engine::{BlockEngine, Handover};
pub use prepared::{Prepared, ResumeError};
pub use tracker::{Tracker, TrackerSettings};

use crate::jupiter::Checked;
use crate::rpc::{AccountInfo, At, Commitment, RpcConnectionPool, RpcError, TokenAccount};
use crate::tx::{BlockhashCache, BuildError, LookupTable, TransactionBuilder, sign};

/// Takes approved orders to the chain.
#[derive(Debug)]
pub struct SolanaVenue<S> {
    pool: RpcConnectionPool,
    builder: TransactionBuilder,
    signer: S,
    blockhash: BlockhashCache,
    tracker: Tracker,
}

/// What the chain holds for us, all of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainBalances {
    /// Native balance of our key.
    pub lamports: Lamports,
    /// One entry per mint asked for, in that order.
    pub tokens: Vec<TokenBalance>,
}

/// What one of our token accounts holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBalance {
    /// Of which mint.
    pub mint: MintId,
    /// Where.
    pub account: Address,
    /// Atoms; zero where there is no account.
    pub amount: Atoms,
    /// Lamports locked in the account: its rent and, for wrapped SOL, the wrapped amount as well.
    pub lamports: Lamports,
    /// What is wrong with the account, if anything. The rent of one that is not there is not looked up.
    pub state: Option<AccountState>,
}

impl TokenBalance {
    /// The account is there.
    #[must_use]
    pub const fn exists(&self) -> bool {
        !matches!(self.state, Some(AccountState::Closed { .. }))
    }
}

/// Why balances are not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BalanceError {
    /// The chain was not read.
    #[error("balances not read")]
    Rpc(#[source] RpcError),
    /// A mint that was never added.
    #[error("mint {0:?} is not known to the venue")]
    UnknownMint(MintId),
}

impl<S: Signer> SolanaVenue<S> {
    /// A venue that knows no mint and no pool yet. Spawn [`Tracker::run`] of [`Self::tracker`] and
    /// [`BlockhashCache::run`] of the cache beside it.
    pub fn new(
        pool: RpcConnectionPool,
        signer: S,
        blockhash: BlockhashCache,
        settings: TrackerSettings,
    ) -> Self {
        let owner = signer.address();
        let tracker = Tracker::new(pool.clone(), owner, settings);
        Self { pool, builder: TransactionBuilder::new(owner), signer, blockhash, tracker }
    }

    /// Adds a mint, in the market's order.
    pub fn add_mint(&mut self, spec: &MintSpec) -> MintId {
        let id = self.builder.add_mint(spec);
        self.tracker.add_mint(id, spec.address);
        id
    }

    /// Adds a pool, in the market's order.
    ///
    /// # Errors
    /// One of its mints was not added before.
    pub fn add_pool(&mut self, spec: &PoolSpec) -> Result<PoolId, BuildError> {
        self.builder.add_pool(spec)
    }

    /// Learns mints and pools from the very events the core gets, so that both number them alike.
    ///
    /// # Errors
    /// A pool before its mints.
    pub fn learn(&mut self, event: &MarketEvent) -> Result<(), BuildError> {
        match event {
            MarketEvent::Mint(spec) => {
                self.add_mint(spec);
                Ok(())
            }
            MarketEvent::Pool(spec) => self.add_pool(spec).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Adds a lookup table for orders that would be too large without.
    pub fn add_table(&mut self, table: LookupTable) {
        self.builder.add_table(table);
    }

    /// Sends to these block engines too, from here on: the same bytes. Once: later calls do nothing.
    pub fn land_through(&self, engines: Vec<BlockEngine>) {
        self.tracker.land_through(engines);
    }

    /// What builds our transactions, for setup and transfers.
    #[must_use]
    pub const fn builder(&self) -> &TransactionBuilder {
        &self.builder
    }

    /// The signer.
    #[must_use]
    pub const fn signer(&self) -> &S {
        &self.signer
    }

    /// The orders in flight.
    #[must_use]
    pub const fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Builds and signs an order on the blockhash at hand. `now` is compared with the order's own expiry.
    ///
    /// # Errors
    /// Why it will never be sent.
    pub fn prepare(&self, order: &Order, now: Timestamp) -> Result<Prepared, RejectReason> {
        self.prepare_with(order, now, |hash| self.builder.swap(order, hash))
    }

    /// The same around a swap that was built elsewhere and found good.
    ///
    /// # Errors
    /// Why it will never be sent.
    pub fn prepare_around(
        &self,
        order: &Order,
        swap: &Checked,
        now: Timestamp,
    ) -> Result<Prepared, RejectReason> {
        self.prepare_with(order, now, |hash| {
            self.builder.around(order, &swap.swap, swap.units, &swap.tables, hash)
        })
    }

    fn prepare_with(
        &self,
        order: &Order,
        now: Timestamp,
        message: impl FnOnce(&Hash) -> Result<Vec<u8>, BuildError>,
    ) -> Result<Prepared, RejectReason> {
        let id = order.id();
        self.tracker.approve(id, order.expires().saturating_sub(now))?;
        let begun = Instant::now();
        let latest = self.blockhash.get().map_err(|error| {
            tracing::warn!(order = %id, %error, "order not built");
            self.tracker.unsigned(id, RejectReason::Unbuildable)
        })?;
        let message = message(&latest.hash).map_err(|error| {
            tracing::error!(order = %id, %error, "order not built");
            self.tracker.unsigned(id, RejectReason::Unbuildable)
        })?;
        let built = Instant::now();
        let signed = sign(&message, &self.signer).map_err(|error| {
            tracing::error!(order = %id, %error, "order not signed");
            self.tracker.unsigned(id, RejectReason::SignerRefused)
        })?;
        let signed_at = Instant::now();
        if !self.tracker.signed(id, signed.signature, latest.last_valid) {
            tracing::error!(order = %id, "order not sent: another order has the very same bytes");
            return Err(RejectReason::Unbuildable);
        }
        let mut prepared =
            Prepared::new(order.id(), signed.signature, latest.last_valid, signed.bytes);
        prepared.build_took = built.saturating_duration_since(begun);
        prepared.sign_took = signed_at.saturating_duration_since(built);
        Ok(prepared)
    }

    /// Sends an order to every healthy endpoint and follows it from here on. Its bytes must be durable before. Must
    /// be called within a tokio runtime; returns at once, with what the engine is to be told.
    pub fn send(&self, prepared: &Prepared) -> Option<OrderEvent> {
        self.tracker.launch(prepared)
    }

    /// Follows an order found in the journal after a crash: the chain is asked first, and the same bytes go out
    /// again only while it does not know them and they could still land.
    pub fn resume(&self, prepared: &Prepared) {
        self.tracker.resume(prepared, None);
    }

    /// Follows an order whose landing is booked, and was not final when the process before this one ended.
    pub fn resume_landed(&self, prepared: &Prepared, landing: Landing) {
        self.tracker.resume(prepared, Some(landing));
    }

    /// What the chain holds for us at `confirmed`, to compare with the ledger, as a majority of the verified endpoints
    /// tell it; the only endpoint's word where there is one. All of one state when there are fewer than a hundred mints.
    ///
    /// # Errors
    /// Not read, or not agreed on: never a guess.
    pub async fn chain_balances(
        &self,
        mints: &[MintId],
    ) -> Result<At<ChainBalances>, BalanceError> {
        self.balances_at(mints, Commitment::Confirmed)?.await
    }

    /// The same at any commitment, to be waited for without the venue.
    ///
    /// # Errors
    /// A mint that was never added.
    pub fn balances_at(
        &self,
        mints: &[MintId],
        commitment: Commitment,
    ) -> Result<
        impl Future<Output = Result<At<ChainBalances>, BalanceError>> + Send + use<S>,
        BalanceError,
    > {
        let account = |mint: &MintId| {
            let account = self.builder.token_account(*mint);
            account.map(|account| (*mint, account)).ok_or(BalanceError::UnknownMint(*mint))
        };
        let accounts = mints.iter().map(account).collect::<Result<Vec<_>, _>>()?;
        let (owner, pool) = (self.builder.owner(), self.pool.clone());
        Ok(async move {
            let all = std::iter::once(owner).chain(accounts.iter().map(|(_, account)| *account));
            let addresses: Vec<Address> = all.collect();
            let read = pool.agreed_accounts(&addresses, commitment).await;
            let At { slot, value } = read.map_err(BalanceError::Rpc)?;
            let mut value = value.into_iter();
            let lamports = value.next().flatten().map_or(Lamports::ZERO, |found| found.lamports);
            let tokens = accounts.into_iter().zip(value);
            let tokens = tokens.map(|((mint, account), info)| {
                let lamports = info.as_ref().map_or(Lamports::ZERO, |info| info.lamports);
                let (amount, state) = look_at(info.as_ref(), &owner);
                TokenBalance { mint, account, amount, lamports, state }
            });
            Ok(At { slot, value: ChainBalances { lamports, tokens: tokens.collect() } })
        })
    }
}

/// What a token account of ours holds, and what is wrong with it.
fn look_at(info: Option<&AccountInfo>, owner: &Address) -> (Atoms, Option<AccountState>) {
    let Some(info) = info else {
        return (Atoms::ZERO, Some(AccountState::Closed { rent: Lamports::ZERO }));
    };
    let Some(token) = TokenAccount::decode(&info.data).filter(|token| token.owner == *owner) else {
        return (Atoms::ZERO, Some(AccountState::Foreign));
    };
    let others = token.close_authority.filter(|by| by != owner);
    let state = match (token.delegate, others) {
        (Some(to), _) => Some(AccountState::Delegated { to }),
        (None, Some(by)) => Some(AccountState::Closable { by }),
        (None, None) => token.frozen.then_some(AccountState::Frozen),
    };
    (token.amount, state)
}
