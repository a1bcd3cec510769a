//! What it means that the chain does not hold what the ledger says.
//!
//! Compared is a final state: no fork can take it back, so what is found is so. It is older than the ledger, by about
//! thirty slots; what landed since then is in the books and cannot be in it, and is left out. So nobody has to wait until no
//! order is in flight.
//!
//! - More than the ledger says, and no order of ours that could explain it: somebody has sent it, or a token account was
//!   closed and gave its rent back. It is booked with that reason.
//! - Less: nothing that we know of takes from us but our orders, their fees and rents, and those are booked. It is missing,
//!   and trading halts.
//! - A token account that others may empty, close or keep shut, or that is none of ours: trading halts.
//!
//! What is told or booked by whoever lies, or of a fork, is taken back by a majority before it is called final. Until then
//! its slot is hearsay as well: what is told of a later slot may be in that state all the same. So where a landing that is
//! not final is left out, books that agree do agree; a difference is judged once all such landings are final.

use super::open::{After, OpenOrders};
use crate::event::{AccountState, Command, Explanation};
use crate::ids::MintId;
use crate::ledger::Ledger;
use crate::units::{Atoms, Lamports, Seq, Slot};

/// What the chain holds for us of a mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Of which mint; [`MintId::SOL`] for the lamports of our key.
    pub mint: MintId,
    /// How much.
    pub amount: Atoms,
    /// What is wrong with our token account, if anything.
    pub state: Option<AccountState>,
}

/// What the chain holds for us, in one final state of it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The state's slot.
    pub at: Slot,
    /// The newest event when it was known: an order approved later is not in it.
    pub asked: Seq,
    /// Of each mint.
    pub holdings: &'a [Holding],
}

/// What a comparison comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What the engine is to be told, in this order.
    pub commands: Vec<Command>,
    /// Mints of which nobody can tell yet.
    pub open: Vec<MintId>,
}

/// Compares. `is_open` says whether the engine takes our token account of a mint for there.
pub fn compare(
    ledger: &Ledger,
    orders: &OpenOrders,
    is_open: impl Fn(MintId) -> bool,
    seen: Seen<'_>,
) -> Findings {
    let mut findings = Findings::default();
    let mut returned = Lamports::ZERO;
    let (sol, tokens): (Vec<&Holding>, Vec<&Holding>) =
        seen.holdings.iter().partition(|holding| holding.mint == MintId::SOL);
    let booked_after = |mint| orders.booked_after(mint, seen.at, seen.asked);
    // Lamports are judged last, and not in a later turn than the accounts whose rent explains them.
    let is_sol_sure = sol.iter().all(|sol| booked_after(sol.mint).is_some_and(|it| it.is_sure));
    // Tokens first: the rent of those that were closed explains lamports.
    for holding in tokens.into_iter().chain(sol) {
        let mint = holding.mint;
        let Some(After { change: after, is_sure }) = booked_after(mint) else {
            findings.open.push(mint);
            continue;
        };
        let ledger = ledger.held(mint).saturating_sub(after);
        let more = i128::from(holding.amount.get()).saturating_sub(ledger);
        let is_closed = matches!(holding.state, Some(AccountState::Closed { .. }));
        if more != 0 && !is_sure || is_closed && is_open(mint) && !is_sol_sure {
            findings.open.push(mint);
            continue;
        }
        match holding.state {
            // An order that landed since then may have made it.
            Some(AccountState::Closed { .. }) if !is_open(mint) || after != 0 => {}
            Some(state) => {
                if let AccountState::Closed { rent } = state {
                    returned = returned.saturating_add(rent);
                }
                findings.commands.push(Command::Account { mint, state });
            }
            None => {}
        }
        if more < 0 {
            let ledger = Atoms::new(u64::try_from(ledger).unwrap_or(u64::MAX));
            let chain = holding.amount;
            findings.commands.push(Command::Missing { mint, ledger, chain });
            continue;
        }
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let of_rent = if mint == MintId::SOL { more.min(returned.get()) } else { 0 };
        let parts = [
            (of_rent, Explanation::RentReturned),
            (more.saturating_sub(of_rent), Explanation::FromOutside),
        ];
        for (amount, why) in parts.into_iter().filter(|(amount, _)| *amount > 0) {
            let amount = Atoms::new(amount);
            findings.commands.push(Command::Explained { mint, amount, why });
        }
    }
    if findings.commands.iter().any(|command| matches!(command, Command::Explained { .. })) {
        // An endpoint that is behind may tell of a state without it.
        findings.commands.push(Command::Opened { slot: seen.at });
    }
    findings
}
