//! Does a program still do what we quote? A swap is simulated now and then and compared with our quote, to the atom.
//!
//! # Design
//! - For each kind of pool that is traded, at the start and then every few minutes: all accounts that a quote needs are
//!   read, a swap of a little of what the wallet holds is simulated, and the accounts are read again. Only where no
//!   byte has changed in between, and the three answers are of slots that do not go back, were quote and simulation of
//!   one state; then they must agree. Anything else says nothing.
//! - Quotes that depend on the time are worked out for the chain's clock of both readings, and say nothing where the
//!   two differ.
//! - What differs is told to the engine as an event, so that a replay has it: the engine leaves all pools of that kind
//!   and says so. A kind is told once.
//! - It costs three requests a try and at most [`TRIES`] tries a kind, one after the other, in a task of its own: an
//!   order waits for none of it.
//!
//! # Limits
//! A wallet that holds nothing tries nothing. A swap that the program refuses is no verdict: it may be our wallet's
//! fault, and a program that refuses takes no money. Pools that change in every slot are rarely caught still.

use std::collections::BTreeSet;
use std::time::Duration;

use sniper_core::amm::{Clock, Kind, PoolSpec, QuoteError};
use sniper_core::event::{Event, MarketEvent, MintSpec};
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::market::Market;
use sniper_core::order::Hop;
use sniper_core::units::{Atoms, BlockHeight, Slot, Timestamp, Usd};
use sniper_solana::feed::{Role, Watch};
use sniper_solana::gate::{Trial, TrialError, try_swap};
use sniper_solana::rpc::{AccountInfo, Commitment, RpcConnectionPool, RpcError, TokenAccount};
use sniper_solana::tx::TransactionBuilder;
use tokio::sync::mpsc;

/// Pause between two rounds over all kinds.
const EVERY: Duration = Duration::from_secs(180);
/// Pause between two tries: the node has other things to do.
const BETWEEN: Duration = Duration::from_millis(500);
/// Tries of a kind in one round.
const TRIES: usize = 8;
/// The longest that one try may take.
const WITHIN: Duration = Duration::from_secs(10);
/// What a swap spends, where the market knows what that is worth; else a hundredth of what is held.
const SPEND: Usd = Usd::dollars(10);
/// What the cluster has agreed on: no fork can stand between two readings.
const COMMITMENT: Commitment = Commitment::Confirmed;
/// Tells the chain's time.
const CLOCK: Address = Address::from_str_const("SysvarC1ock11111111111111111111111111111111");

/// Compares quotes with simulations for one run.
pub(super) struct DriftProbe {
    rpc: RpcConnectionPool,
    /// Builds what is simulated: it knows mints and pools by the engine's numbers.
    builder: TransactionBuilder,
    mints: Vec<MintSpec>,
    pools: Vec<PoolSpec>,
    /// The accounts that each pool is quoted from.
    watches: Vec<Vec<Watch>>,
    events: mpsc::Sender<Event>,
}

/// A quote that the program does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Differs {
    pool: PoolId,
    paid: Atoms,
    quoted: Atoms,
    simulated: Atoms,
}

/// Why a try says nothing.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("an account moved in between")]
    Moved,
    #[error("the answers are of slots {0}, {1} and {2}")]
    Slots(Slot, Slot, Slot),
    #[error("the wallet holds nothing of it")]
    NothingToSell,
    #[error("our curve gives no quote")]
    Quote(#[source] QuoteError),
    #[error("the quote depends on a time that passed in between")]
    Clock,
    #[error("an account is not what it should be")]
    Account,
    #[error("the accounts were not read")]
    Read(#[source] RpcError),
    #[error("the swap was not simulated")]
    Trial(#[source] TrialError),
    #[error("no answer in time")]
    Late,
}

/// All accounts of a try, as one answer had them: those of the pool, ours of both mints, and the chain's clock.
struct Reading {
    slot: Slot,
    accounts: Vec<Option<AccountInfo>>,
}

impl Reading {
    fn clock(&self) -> Option<Clock> {
        let data = &self.accounts.last()?.as_ref()?.data;
        let word = |at: usize| data.get(at..)?.first_chunk::<8>().copied();
        Some(Clock {
            now: i64::from_le_bytes(word(32)?),
            slot: Slot::new(u64::from_le_bytes(word(0)?)),
            epoch: u64::from_le_bytes(word(16)?),
        })
    }

    /// What our own account holds, the `nth` from the end.
    fn held(&self, nth: usize) -> Option<Atoms> {
        let at = self.accounts.len().checked_sub(nth)?;
        match self.accounts.get(at)? {
            Some(account) => TokenAccount::decode(&account.data).map(|token| token.amount),
            None => Some(Atoms::ZERO),
        }
    }

    /// Whether nothing but the clock has changed.
    fn is_still(&self, other: &Self) -> bool {
        let essence = |account: &Option<AccountInfo>| {
            account.as_ref().map(|account| (account.owner, account.data.clone()))
        };
        let all = self.accounts.len().saturating_sub(1);
        self.accounts.len() == other.accounts.len()
            && self
                .accounts
                .iter()
                .zip(&other.accounts)
                .take(all)
                .all(|(a, b)| essence(a) == essence(b))
    }
}

impl DriftProbe {
    /// Over the pools that a market knows, and the accounts that are followed of them.
    pub(super) fn new(
        rpc: RpcConnectionPool,
        builder: TransactionBuilder,
        market: &Market,
        watches: &[Watch],
        events: mpsc::Sender<Event>,
    ) -> Self {
        let pools: Vec<PoolSpec> = market.pools().iter().map(|pool| pool.spec.clone()).collect();
        let mut of_pools = vec![Vec::new(); pools.len()];
        for watch in watches {
            if let Role::Pool { pool, .. } = watch.role
                && let Some(list) = of_pools.get_mut(pool.index())
            {
                list.push(*watch);
            }
        }
        // The first is native SOL, which every market knows.
        let mints = market.mints().iter().skip(1).map(|mint| mint.spec).collect();
        Self { rpc, builder, mints, pools, watches: of_pools, events }
    }

    /// Compares until the run ends.
    pub(super) async fn keep(self) {
        let mut told = BTreeSet::new();
        for round in 0_usize.. {
            let kinds: BTreeSet<Kind> = self.pools.iter().map(|pool| pool.kind.kind()).collect();
            for kind in kinds {
                if told.contains(&kind) {
                    continue;
                }
                let found = tokio::select! {
                    found = self.compare(kind, round) => found,
                    () = self.events.closed() => return,
                };
                let Some(differs) = found else { continue };
                let pool = self.pools.get(differs.pool.index()).map(|pool| pool.address);
                tracing::error!(
                    exchange = kind.name(),
                    pool = %pool.unwrap_or_default(),
                    paid = differs.paid.get(),
                    quoted = differs.quoted.get(),
                    simulated = differs.simulated.get(),
                    "the program gives another amount than we quote"
                );
                told.insert(kind);
                let event = Event::Market(MarketEvent::Drifted { kind });
                if self.events.send(event).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// Tries pools of a kind, one after the other, until one says something.
    async fn compare(&self, kind: Kind, round: usize) -> Option<Differs> {
        let hops = self.hops(kind).await;
        for nth in 0..TRIES.min(hops.len().saturating_mul(TRIES)) {
            let hop = hops.get((round + nth) % hops.len())?;
            let tried = tokio::time::timeout(WITHIN, self.attempt(*hop)).await;
            match tried.unwrap_or(Err(Silent::Late)) {
                Ok(None) => {
                    tracing::debug!(
                        exchange = kind.name(),
                        "a simulated swap agrees with our quote"
                    );
                    return None;
                }
                Ok(Some(differs)) => return Some(differs),
                Err(why) => {
                    let why = format!("{:#}", anyhow::Error::new(why));
                    tracing::debug!(exchange = kind.name(), why, "nothing is said of the program");
                }
            }
            tokio::time::sleep(BETWEEN).await;
        }
        None
    }

    /// What can be sold of what the wallet holds, on pools of a kind.
    async fn hops(&self, kind: Kind) -> Vec<Hop> {
        let own: Vec<(MintId, Address)> =
            self.builder.mints().map(|(mint, _, account)| (mint, account)).collect();
        let addresses: Vec<Address> = own.iter().map(|(_, account)| *account).collect();
        let read = match self.rpc.multiple_accounts(&addresses, COMMITMENT, None).await {
            Ok(read) => read.value,
            Err(error) => {
                tracing::debug!(%error, "nothing is compared: the wallet was not read");
                return Vec::new();
            }
        };
        let held = own.iter().zip(&read).filter_map(|((mint, _), account)| {
            let token = TokenAccount::decode(&account.as_ref()?.data)?;
            (token.amount > Atoms::ZERO).then_some(*mint)
        });
        let held: BTreeSet<MintId> = held.collect();
        let numbered = (0_u32..).map(PoolId).zip(&self.pools);
        let of_kind = numbered.filter(|(_, pool)| pool.kind.kind() == kind);
        of_kind
            .flat_map(|(pool, spec)| {
                let [first, second] = spec.mints;
                [(first, second), (second, first)].map(|(mint_in, mint_out)| Hop {
                    pool,
                    mint_in,
                    mint_out,
                })
            })
            .filter(|hop| held.contains(&hop.mint_in))
            .collect()
    }

    /// One try: none where quote and simulation agree.
    async fn attempt(&self, hop: Hop) -> Result<Option<Differs>, Silent> {
        let watches = self.watches.get(hop.pool.index()).ok_or(Silent::Account)?;
        let own = [hop.mint_in, hop.mint_out].map(|mint| self.builder.token_account(mint));
        let [Some(source), Some(destination)] = own else { return Err(Silent::Account) };
        let addresses: Vec<Address> = watches.iter().map(|watch| watch.address).collect();
        let addresses = [addresses.as_slice(), &[source, destination, CLOCK]].concat();
        let before = self.read(&addresses).await?;
        let market = self.market(watches, &before)?;
        let held = before.held(3).ok_or(Silent::Account)?;
        let wanted = market.atoms(hop.mint_in, SPEND).unwrap_or(Atoms::new(held.get() / 100));
        let spend = wanted.min(held);
        if spend == Atoms::ZERO {
            return Err(Silent::NothingToSell);
        }
        let pool = market.pool(hop.pool).ok_or(Silent::Account)?;
        let forward = pool.direction(hop).ok_or(Silent::Account)?;
        let quote = |clock: Option<Clock>| {
            let clock = clock.ok_or(Silent::Account)?;
            let quote = pool.live.quote_exact_in(forward, spend, &clock);
            quote.map(|quote| quote.amount_out).map_err(Silent::Quote)
        };
        let quoted = quote(before.clock())?;
        let trial = Trial { hop, spend, arrays: pool.live.arrays(forward) };
        let tried = try_swap(&self.rpc, &self.builder, &trial, COMMITMENT).await;
        let tried = tried.map_err(Silent::Trial)?;
        let after = self.read(&addresses).await?;
        if !(before.slot..=after.slot).contains(&tried.slot) {
            return Err(Silent::Slots(before.slot, tried.slot, after.slot));
        }
        if !before.is_still(&after) {
            return Err(Silent::Moved);
        }
        if quote(after.clock())? != quoted {
            return Err(Silent::Clock);
        }
        let had = before.held(2).ok_or(Silent::Account)?;
        let simulated = tried.held.checked_sub(had).ok_or(Silent::Account)?;
        let differs = Differs { pool: hop.pool, paid: spend, quoted, simulated };
        Ok((quoted != simulated).then_some(differs))
    }

    async fn read(&self, addresses: &[Address]) -> Result<Reading, Silent> {
        let read = self.rpc.multiple_accounts(addresses, COMMITMENT, None).await;
        let read = read.map_err(Silent::Read)?;
        Ok(Reading { slot: read.slot, accounts: read.value })
    }

    /// A market in which one pool is as it was read.
    fn market(&self, watches: &[Watch], reading: &Reading) -> Result<Market, Silent> {
        let mut market = Market::new(Timestamp::ZERO, Timestamp::ZERO);
        let mut candles = Vec::new();
        let mut tell = |event: &MarketEvent| market.apply(event, Timestamp::ZERO, &mut candles);
        for mint in &self.mints {
            tell(&MarketEvent::Mint(*mint));
        }
        for pool in &self.pools {
            tell(&MarketEvent::Pool(Box::new(pool.clone())));
        }
        for (watch, account) in watches.iter().zip(&reading.accounts) {
            match watch.read(reading.slot, account.as_ref()) {
                Ok(Some(event)) => tell(&event),
                Ok(None) => {}
                Err(_) => return Err(Silent::Account),
            }
        }
        // Accounts of one reading that differ in their slots really were changed apart.
        let slot = reading.slot.saturating_add(Slot::new(2));
        tell(&MarketEvent::Slot { slot, height: BlockHeight::ZERO });
        Ok(market)
    }
}

#[cfg(all(test, feature = "localnet"))]
mod tests;
