//! What must hold of an offer before it is signed.

use std::fmt;

use sniper_core::ids::Address;
use sniper_core::order::Order;
use sniper_core::units::Atoms;
use solana_instruction::Instruction;
use thiserror::Error;

use super::offer::Offer;
use super::route::{EVENT_AUTHORITY, JUPITER, Route, RouteKind};
use crate::tx::instructions::{ATA_PROGRAM, COMPUTE_BUDGET, SYSTEM_PROGRAM};
use crate::tx::{TransactionBuilder, associated_token_address};

/// Most accounts that a swap may name: what a transaction can lock.
const ACCOUNTS_MAX: usize = 64;

/// What an order allows.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Who signs and pays, alone.
    pub wallet: Address,
    /// What goes in.
    pub mint_in: Address,
    /// What comes out.
    pub mint_out: Address,
    /// The token programs of both.
    pub programs: [Address; 2],
    /// Where we hold what goes in.
    pub source: Address,
    /// Where we hold what comes out.
    pub destination: Address,
    /// How much goes in: exactly.
    pub amount_in: Atoms,
    /// The least that comes out.
    pub min_out: Atoms,
    /// All token accounts of ours.
    pub ours: &'a [Address],
}

impl<'a> Terms<'a> {
    /// Those of an order, from accounts that the builder knows; `ours` are all of them. None for one that gets what it
    /// gives, or a mint that was never added.
    #[must_use]
    pub fn of(builder: &TransactionBuilder, order: &Order, ours: &'a [Address]) -> Option<Self> {
        let (from, to) = (order.mint_in(), order.mint_out());
        let (given, taken) = (builder.spec(from)?, builder.spec(to)?);
        (from != to).then_some(Self {
            wallet: builder.owner(),
            mint_in: given.address,
            mint_out: taken.address,
            programs: [given.token_program, taken.token_program],
            source: builder.token_account(from)?,
            destination: builder.token_account(to)?,
            amount_in: order.amount_in(),
            min_out: order.min_out(),
            ours,
        })
    }
}

/// What of an offer was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Approved {
    /// The swap, untouched.
    pub swap: Instruction,
    /// What its bytes say.
    pub route: Route,
}

/// Which instruction of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One that sets the budget, by its number.
    Budget(usize),
    /// One that makes accounts, by its number.
    Setup(usize),
    /// The swap.
    Swap,
    /// What would be done after it.
    Cleanup,
    /// What else would be done, by its number.
    Other(usize),
    /// What would be paid to land.
    Tip,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(nth) => write!(f, "budget instruction {nth}"),
            Self::Setup(nth) => write!(f, "setup instruction {nth}"),
            Self::Swap => f.write_str("the swap"),
            Self::Cleanup => f.write_str("the cleanup instruction"),
            Self::Other(nth) => write!(f, "other instruction {nth}"),
            Self::Tip => f.write_str("the tip instruction"),
        }
    }
}

/// What an instruction breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rule {
    /// Another program than belongs there.
    #[error("it calls another program than belongs there")]
    Program,
    /// An instruction that has no place in our transaction: it would move what was not reserved.
    #[error("it would do what the order has not reserved for")]
    Unwanted,
    /// Not an instruction whose bytes we read.
    #[error("its bytes are not those of an instruction we know")]
    Unknown,
    /// Something else than making our own account of a mint of the order.
    #[error("it makes another account than ours of a mint of the order")]
    OtherAccount,
    /// Fewer accounts than the instruction has, or more than a transaction takes.
    #[error("it has too few accounts, or too many")]
    AccountCount,
    /// An account stands where another belongs.
    #[error("account {place} is not the one that belongs there")]
    Account {
        /// Which, from zero.
        place: usize,
    },
    /// It wants a signature that is not ours to give, or ours where it does not belong.
    #[error("account {place} signs and must not, or does not sign and must")]
    Signer {
        /// Which, from zero.
        place: usize,
    },
    /// Another account of ours could be changed by it.
    #[error("account {place} is ours, and could be changed by it")]
    OursWritable {
        /// Which, from zero.
        place: usize,
    },
    /// Another amount goes in.
    #[error("{found} atoms go in instead of {wanted}")]
    AmountIn {
        /// What it says.
        found: Atoms,
        /// What was approved.
        wanted: Atoms,
    },
    /// It would take less than the order allows.
    #[error("as little as {found} atoms may come out, and {least} must")]
    MinOut {
        /// What it would take.
        found: Atoms,
        /// What was approved.
        least: Atoms,
    },
    /// Somebody takes a share.
    #[error("somebody takes a share of what comes out")]
    PlatformFee,
    /// It goes through no pool.
    #[error("it goes through no pool")]
    NoRoute,
}

/// Why an offer is not signed: which instruction breaks what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{part}: {rule}")]
pub struct Refused {
    /// Which instruction.
    pub part: Part,
    /// What it breaks.
    pub rule: Rule,
}

/// Takes an offer apart.
///
/// # Errors
/// The first instruction that breaks a rule, and which.
pub fn check(offer: &Offer, terms: &Terms<'_>) -> Result<Approved, Refused> {
    let numbered = |list: &'_ [Instruction]| (0..list.len()).collect::<Vec<_>>();
    for (nth, instruction) in numbered(&offer.budget).into_iter().zip(&offer.budget) {
        budget(instruction).map_err(|rule| Refused { part: Part::Budget(nth), rule })?;
    }
    for (nth, instruction) in numbered(&offer.setup).into_iter().zip(&offer.setup) {
        setup(instruction, terms).map_err(|rule| Refused { part: Part::Setup(nth), rule })?;
    }
    let rule = Rule::Unwanted;
    if offer.cleanup.is_some() {
        return Err(Refused { part: Part::Cleanup, rule });
    }
    if !offer.others.is_empty() {
        return Err(Refused { part: Part::Other(0), rule });
    }
    if offer.tip.is_some() {
        return Err(Refused { part: Part::Tip, rule });
    }
    let route = swap(&offer.swap, terms).map_err(|rule| Refused { part: Part::Swap, rule })?;
    Ok(Approved { swap: offer.swap.clone(), route })
}

/// It is not taken over, but one that does something else is no honest offer.
fn budget(instruction: &Instruction) -> Result<(), Rule> {
    if instruction.program_id != COMPUTE_BUDGET {
        return Err(Rule::Program);
    }
    // Limit of units, price of a unit, bytes of accounts.
    let is_known = matches!(
        (instruction.data.first(), instruction.data.len()),
        (Some(2 | 4), 5) | (Some(3), 9)
    );
    if is_known && instruction.accounts.is_empty() { Ok(()) } else { Err(Rule::Unknown) }
}

/// The accounts that an order needs are made by our own instructions; theirs must want no other.
fn setup(instruction: &Instruction, terms: &Terms<'_>) -> Result<(), Rule> {
    if instruction.program_id != ATA_PROGRAM {
        return Err(Rule::Program);
    }
    // Made, or made unless it is there.
    if !matches!(instruction.data.as_slice(), [] | [0] | [1]) {
        return Err(Rule::Unknown);
    }
    let [payer, account, owner, mint, system, program] = instruction.accounts.as_slice() else {
        return Err(Rule::AccountCount);
    };
    let ours = [(terms.mint_in, terms.source), (terms.mint_out, terms.destination)];
    let made = ours.iter().zip(terms.programs).find(|((of, _), _)| *of == mint.pubkey);
    let Some(((_, address), token_program)) = made else { return Err(Rule::OtherAccount) };
    let is_ours = payer.pubkey == terms.wallet
        && owner.pubkey == terms.wallet
        && account.pubkey == *address
        && program.pubkey == token_program
        && system.pubkey == SYSTEM_PROGRAM
        && *address == associated_token_address(&terms.wallet, &mint.pubkey, &token_program);
    if is_ours { Ok(()) } else { Err(Rule::OtherAccount) }
}

fn swap(instruction: &Instruction, terms: &Terms<'_>) -> Result<Route, Rule> {
    if instruction.program_id != JUPITER {
        return Err(Rule::Program);
    }
    let route = Route::decode(&instruction.data).ok_or(Rule::Unknown)?;
    accounts(instruction, route.kind, terms)?;
    if route.amount_in != terms.amount_in {
        return Err(Rule::AmountIn { found: route.amount_in, wanted: terms.amount_in });
    }
    if route.platform_fee_bps != 0 || route.positive_slippage_bps != 0 {
        return Err(Rule::PlatformFee);
    }
    if route.steps == 0 {
        return Err(Rule::NoRoute);
    }
    let (found, least) = (route.min_out(), terms.min_out);
    if found < least || found == Atoms::ZERO {
        return Err(Rule::MinOut { found, least });
    }
    Ok(route)
}

fn accounts(instruction: &Instruction, kind: RouteKind, terms: &Terms<'_>) -> Result<(), Rule> {
    let (places, metas) = (kind.places(), &instruction.accounts);
    if metas.len() <= places.program || metas.len() > ACCOUNTS_MAX {
        return Err(Rule::AccountCount);
    }
    let wanted = [
        (places.owner, terms.wallet),
        (places.source, terms.source),
        (places.destination, terms.destination),
        (places.mints[0], terms.mint_in),
        (places.mints[1], terms.mint_out),
        (places.programs[0], terms.programs[0]),
        (places.programs[1], terms.programs[1]),
        (places.event_authority, EVENT_AUTHORITY),
        (places.program, JUPITER),
    ];
    for (place, address) in wanted {
        if metas.get(place).is_none_or(|meta| meta.pubkey != address) {
            return Err(Rule::Account { place });
        }
    }
    // What comes out goes to where it is said to go, and nowhere else.
    if let Some(place) = places.instead
        && metas.get(place).is_none_or(|m| m.pubkey != JUPITER && m.pubkey != terms.destination)
    {
        return Err(Rule::Account { place });
    }
    for (place, meta) in (0..).zip(metas) {
        let is_wallet = meta.pubkey == terms.wallet;
        if (meta.is_signer && !is_wallet) || (place == places.owner && !meta.is_signer) {
            return Err(Rule::Signer { place });
        }
        let is_named = meta.pubkey == terms.source || meta.pubkey == terms.destination;
        if meta.is_writable && !is_named && terms.ours.contains(&meta.pubkey) {
            return Err(Rule::OursWritable { place });
        }
    }
    Ok(())
}
