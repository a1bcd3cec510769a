//! Ledger against chain while trading goes on, and at each start that follows another.
//!
//! `core::execution::compare` says what a difference means; here is when it is looked for, and who is told. What is compared
//! is a final state, as a majority of the endpoints tells it. Where they do not tell, nothing is concluded.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sniper_core::event::{AccountState, Command, Event};
use sniper_core::execution::{Findings, Holding, Seen};
use sniper_core::ids::{Address, MintId};
use sniper_core::units::{Atoms, Lamports, Seq, Slot};
use sniper_solana::rpc::{At, Commitment, RpcConnectionPool};
use sniper_solana::venue::{BalanceError, ChainBalances};
use sniper_store::failpoint::{Point, pass};
use tokio::sync::oneshot;

use super::session::{Orders, Session, Sources};
use super::universe;

/// A state in which something cannot be told yet is looked at again for so long; then another is asked for. What was in
/// flight must land and become final by then, which takes a chain about fifteen seconds, and be asked after.
const HOLD: Duration = Duration::from_secs(40);
/// Pause after a state that said nothing: it was too old, or nobody told of one.
const AGAIN: Duration = Duration::from_secs(2);
/// Pause while a state that is final already is not yet the one that is wanted.
const SOON: Duration = Duration::from_millis(400);
/// How long a start waits for a state that can be compared.
const START_MAX: Duration = Duration::from_secs(120);

/// Mints that are looked at together: with our key they are one request.
const MINTS_MAX: usize = 99;

type Told = anyhow::Result<At<Vec<Holding>>>;

/// A state that is being compared.
struct Known {
    at: Slot,
    asked: Seq,
    holdings: Vec<Holding>,
    since: Instant,
}

/// When balances are compared, and what came of it.
pub(super) struct Checkup {
    every: Duration,
    due: Instant,
    under_way: Option<oneshot::Receiver<Told>>,
    known: Option<Known>,
    /// Comparisons that are over.
    done: u64,
    /// What does not agree, for a person to read.
    problems: Vec<String>,
    /// What was booked because the chain held more.
    explained: u64,
    /// Of all mints, the first that is looked at next.
    next: usize,
    /// An older state says nothing.
    least: Slot,
}

impl Checkup {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            due: Instant::now() + every,
            under_way: None,
            known: None,
            done: 0,
            problems: Vec::new(),
            explained: 0,
            next: 0,
            least: Slot::ZERO,
        }
    }

    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Differences that were explained and booked in this run.
    pub(super) const fn explained(&self) -> u64 {
        self.explained
    }

    /// How many comparisons are over.
    pub(super) const fn done(&self) -> u64 {
        self.done
    }
}

impl Session {
    /// Looks whether it is time to compare, and compares what is known by now. For each tick.
    pub(super) fn check_up(&mut self) -> anyhow::Result<()> {
        if !matches!(self.orders, Orders::Chain(_)) || self.is_stalled() {
            return Ok(());
        }
        if let Some(told) = self.checkup.under_way.as_mut().map(oneshot::Receiver::try_recv) {
            match told {
                Err(oneshot::error::TryRecvError::Empty) => return Ok(()),
                Ok(Ok(At { slot, .. })) if slot < self.checkup.least => {
                    self.checkup.due = Instant::now() + SOON;
                }
                Ok(Ok(At { slot, value })) => {
                    let asked = Seq::new(self.desk.events());
                    let since = Instant::now();
                    self.checkup.known = Some(Known { at: slot, asked, holdings: value, since });
                }
                Ok(Err(error)) => {
                    // No answer is no difference.
                    let error = format!("{error:#}");
                    tracing::warn!(error, "balances were not compared: asking again");
                    self.checkup.due = Instant::now() + AGAIN;
                }
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
            self.checkup.under_way = None;
        }
        match self.checkup.known.take() {
            Some(known) => self.compare(known),
            None if self.checkup.due <= Instant::now() => self.ask_for_balances(),
            None => Ok(()),
        }
    }

    fn ask_for_balances(&mut self) -> anyhow::Result<()> {
        let Orders::Chain(venue) = &self.orders else { return Ok(()) };
        let (market, ledger) = (self.desk.engine().market(), self.desk.engine().ledger());
        // Of coins that passed by nothing is here, and what others send of them is none of our business.
        let is_ours = |mint: &MintId| {
            let is_open = market.mint(*mint).is_some_and(|known| known.rent == Lamports::ZERO);
            is_open || ledger.held(*mint) != 0
        };
        let all: Vec<MintId> = venue.builder().mints().map(|(id, ..)| id).filter(is_ours).collect();
        // All of one state: what does not fit one request is looked at the next time.
        let first = if self.checkup.next < all.len() { self.checkup.next } else { 0 };
        let mints: Vec<MintId> = all.iter().copied().skip(first).take(MINTS_MAX).collect();
        self.checkup.next = first + mints.len();
        let reading = venue.balances_at(&mints, Commitment::Finalized)?;
        let open = mints.iter().filter_map(|id| market.mint(*id).map(|mint| (*id, mint)));
        let open = open.filter(|(_, mint)| mint.rent == Lamports::ZERO);
        let open: Vec<_> = open.map(|(id, mint)| (id, mint.spec.address)).collect();
        let rpc = self.rpc.clone();
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            // Nobody listens when the run has ended.
            tell.send(read(rpc, reading, open).await).ok();
        });
        self.checkup.under_way = Some(told);
        self.checkup.due = Instant::now() + self.checkup.every;
        Ok(())
    }

    fn compare(&mut self, known: Known) -> anyhow::Result<()> {
        let Known { at, asked, mut holdings, since } = known;
        let engine = self.desk.engine();
        let Findings { commands, open } = engine.compare(Seen { at, asked, holdings: &holdings });
        pass(Point::CompareBefore);
        for command in commands {
            self.found(command)?;
        }
        holdings.retain(|holding| open.contains(&holding.mint));
        if holdings.is_empty() {
            self.checkup.done += 1;
            tracing::debug!(slot = %at, "ledger and chain were compared");
        } else if since.elapsed() < HOLD {
            self.checkup.known = Some(Known { at, asked, holdings, since });
        } else {
            tracing::debug!(slot = %at, mints = ?open, "not comparable yet, asking for another state");
            self.checkup.due = Instant::now() + AGAIN;
        }
        Ok(())
    }

    fn found(&mut self, command: Command) -> anyhow::Result<()> {
        let named = |mint: MintId| match &self.orders {
            Orders::Chain(venue) if mint == MintId::SOL => venue.builder().owner(),
            Orders::Chain(venue) => venue.builder().token_account(mint).unwrap_or_default(),
            Orders::Paper(..) => Address::default(),
        };
        let problem = match &command {
            Command::Missing { mint, ledger, chain } => {
                let account = named(*mint);
                let (ledger, chain) = (ledger.get(), chain.get());
                tracing::error!(
                    %account,
                    ledger,
                    chain,
                    "atoms of ours are gone and no order of ours took them: somebody else has moved them, or this \
                     program has a fault"
                );
                Some(format!("account {account} holds {chain}, the ledger {ledger}"))
            }
            Command::Account { mint, state } => {
                let account = named(*mint);
                let what = state_text(state);
                if state.is_safe() {
                    tracing::warn!(%account, "our token account {what}");
                    None
                } else {
                    tracing::error!(%account, "our token account {what}: trading halts");
                    Some(format!("token account {account} {what}"))
                }
            }
            Command::Explained { mint, amount, why } => {
                let account = named(*mint);
                let amount = amount.get();
                tracing::warn!(%account, amount, ?why, "the chain held more than the ledger: booked");
                self.checkup.explained += 1;
                None
            }
            _ => None,
        };
        if let Some(problem) = problem
            && !self.checkup.problems.contains(&problem)
        {
            self.checkup.problems.push(problem);
        }
        self.step(Event::Command(command), Instant::now())
    }

    /// Compares with a final state that is not older than `least`, however long it takes for there to be one.
    pub(super) async fn compare_now(
        &mut self,
        sources: &mut Sources,
        least: Slot,
    ) -> anyhow::Result<()> {
        let before = self.checkup.done();
        (self.checkup.known, self.checkup.under_way) = (None, None);
        self.checkup.least = self.checkup.least.max(least);
        self.checkup.due = Instant::now();
        let late = tokio::time::timeout(START_MAX, self.until_compared(sources, before));
        late.await.context(
            "no state of the chain could be compared with the ledger within two minutes: the endpoints do not answer, do \
             not agree, or are behind",
        )?
    }
}

const fn state_text(state: &AccountState) -> &'static str {
    match state {
        AccountState::Closed { .. } => "was closed; the next order that needs it makes it anew",
        AccountState::Delegated { .. } => "may be emptied by somebody else: revoke that",
        AccountState::Closable { .. } => "may be closed by somebody else: take that back",
        AccountState::Frozen => "is frozen: nothing in it can be moved",
        AccountState::Foreign => "is none of our key: somebody else owns it now",
    }
}

/// Waits for the balances, and looks up what making an account anew takes where one is gone that should be there.
async fn read(
    rpc: RpcConnectionPool,
    reading: impl Future<Output = Result<At<ChainBalances>, BalanceError>>,
    open: Vec<(MintId, Address)>,
) -> Told {
    let At { slot, value } = reading.await.context("read our balances")?;
    let mut holdings = Vec::with_capacity(value.tokens.len() + 1);
    let amount = Atoms::new(value.lamports.get());
    holdings.push(Holding { mint: MintId::SOL, amount, state: None });
    for token in value.tokens {
        let address = open.iter().find(|(mint, _)| *mint == token.mint);
        let state = match (token.state, address) {
            (Some(AccountState::Closed { .. }), Some((_, address))) => {
                let rent = universe::account_rent(&rpc, address).await?;
                Some(AccountState::Closed { rent })
            }
            (state, _) => state,
        };
        holdings.push(Holding { mint: token.mint, amount: token.amount, state });
    }
    Ok(At { slot, value: holdings })
}
