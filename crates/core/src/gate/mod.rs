//! The token gate: what must be known of a mint before anything of it may be bought.
//!
//! [`judge`] is a pure function of [`Evidence`], gathered elsewhere, and of the operator's [`Policy`]. It **fails
//! closed**: what is not known, is too old or contradicts itself is a [`Reason`] against the mint, like any fact that
//! the policy does not accept, and a [`Verdict`] is safe only without any reason.
//!
//! What it cannot do: see what an authority does in the next slot; tell one person's many wallets from many persons';
//! see holders below the twenty largest accounts; know that a lock opens tomorrow. A safe verdict means that the known
//! tricks were looked for and not found, and nothing more.

mod evidence;
mod extension;
mod metadata;
mod mint;
mod policy;
mod reader;
mod text;
mod verdict;

pub use evidence::{
    BURNS, Creator, Evidence, Fact, Holder, HolderKind, LARGEST_MAX, Liquidity, Places,
    RAYDIUM_LOCK, RoundTrip, Subject, Supply, Why,
};
pub use extension::{Extension, UnknownExtension};
pub use metadata::{InMint, METAPLEX, Metadata, Place, decode_metaplex, metaplex_address};
pub use mint::{MintAccount, MintExtension, TokenProgram, decode_mint};
pub use policy::Policy;
pub use text::Untrusted;
pub use verdict::{Reason, Verdict};

use self::evidence::Sums;
use crate::units::{Atoms, Bps, Slot};

/// Judges a mint by what is known of it at slot `now`.
#[must_use]
pub fn judge(evidence: &Evidence, policy: &Policy, now: Slot) -> Verdict {
    let mut judge = Judge { policy, now, reasons: Vec::new() };
    let program = judge.known(Subject::Program, &evidence.program);
    let account = judge.known(Subject::Account, &evidence.account);
    let told = judge.known(Subject::Supply, &evidence.supply);
    let holders = judge.known(Subject::Holders, &evidence.holders);
    let liquidity = judge.known(Subject::Liquidity, &evidence.liquidity);
    let creator = judge.known(Subject::Creator, &evidence.creator);
    let metadata = judge.known(Subject::Metadata, &evidence.metadata);
    let sell = judge.known(Subject::Sell, &evidence.sell);

    if let Some(account) = account {
        judge.account(account, program.copied());
    }
    if let (Some(account), Some(told)) = (account, told) {
        judge.supply(account, *told);
        // Against us: of a smaller supply every share is greater, and of a greater one more is out of sight.
        let (supply, most) = (account.supply.min(told.amount), account.supply.max(told.amount));
        let sums = holders.map(|holders| judge.holders(holders, supply, most));
        if let Some(creator) = creator {
            let sums = sums.unwrap_or_default();
            judge.creator(creator, u128::from(supply.get()).saturating_sub(sums.burnt));
        }
    }
    if let Some(liquidity) = liquidity {
        judge.liquidity(*liquidity);
    }
    if let Some(metadata) = metadata {
        judge.metadata(evidence, account, metadata.as_ref());
    }
    if let Some(sell) = sell {
        judge.sell(*sell);
    }
    Verdict::new(evidence.mint, now, judge.reasons)
}

struct Judge<'a> {
    policy: &'a Policy,
    now: Slot,
    reasons: Vec<Reason>,
}

impl Judge<'_> {
    fn against(&mut self, holds: bool, reason: Reason) {
        if holds {
            self.reasons.push(reason);
        }
    }

    /// The fact, if there is one. A stale one is looked at all the same, so that everything wrong is said at once.
    fn known<'e, T>(&mut self, subject: Subject, fact: &'e Fact<T>) -> Option<&'e T> {
        match fact {
            Fact::Unknown(why) => {
                self.reasons.push(Reason::Unknown { subject, why: *why });
                None
            }
            Fact::Known(value, seen) => {
                let (now, max) = (self.now, self.policy.age_max_slots);
                // Either way: a slot far ahead would never grow old.
                let apart = now.get().abs_diff(seen.get());
                self.against(apart > max, Reason::Stale { subject, seen: *seen, now, max });
                Some(value)
            }
        }
    }

    fn account(&mut self, account: &MintAccount, program: Option<TokenProgram>) {
        let policy = self.policy;
        let count = account.extensions.len();
        let strange = program == Some(TokenProgram::Spl) && count > 0;
        self.against(strange, Reason::NotItsProgram(count));
        self.against(!account.initialized, Reason::Uninitialized);
        if let Some(authority) = account.mint_authority {
            self.against(!policy.mint_authority, Reason::MintAuthority(authority));
        }
        if let Some(authority) = account.freeze_authority {
            self.against(!policy.freeze_authority, Reason::FreezeAuthority(authority));
        }
        for extension in &account.extensions {
            let kind = extension.kind();
            self.against(!policy.extensions.contains(&kind), Reason::Extension(kind));
            match extension {
                MintExtension::TransferFee { fees, .. } => {
                    let (bps, max) = (fees.older.bps.max(fees.newer.bps), policy.transfer_fee_max);
                    self.against(bps > max.get(), Reason::TransferFee { bps, max });
                }
                MintExtension::Pausable { paused, .. } => self.against(*paused, Reason::Paused),
                _ => {}
            }
        }
    }

    fn supply(&mut self, account: &MintAccount, told: Supply) {
        let policy = self.policy;
        let (decimals, supply) = (account.decimals, account.supply.min(told.amount));
        let differ = Reason::DecimalsDiffer { account: decimals, told: told.decimals };
        self.against(decimals != told.decimals, differ);
        let (min, max) = (policy.decimals_min, policy.decimals_max);
        self.against(decimals < min || decimals > max, Reason::Decimals { decimals, min, max });
        let min = policy.supply_min;
        self.against(supply < min || supply == Atoms::ZERO, Reason::Supply { supply, min });
    }

    fn holders(&mut self, holders: &[Holder], supply: Atoms, most: Atoms) -> Sums {
        let sums = Sums::of(holders, most);
        let all = u128::from(supply.get());
        self.against(sums.held > all, Reason::HeldAboveSupply { held: sums.held, supply });
        let afloat = all.saturating_sub(sums.burnt);
        let (share, max) = (share_up(sums.top, afloat), self.policy.top_holder_max);
        self.against(share > max, Reason::TopHolder { share, max });
        let (share, max) = (share_up(sums.top_ten, afloat), self.policy.top_ten_max);
        self.against(share > max, Reason::TopTen { share, max });
        sums
    }

    fn creator(&mut self, creator: &Creator, afloat: u128) {
        let share = share_up(u128::from(creator.amount.get()), afloat);
        let max = self.policy.creator_max;
        self.against(share > max, Reason::CreatorShare { share, max });
    }

    fn liquidity(&mut self, liquidity: Liquidity) {
        let Liquidity::Tokens { minted, supply, locked } = liquidity else { return };
        let impossible = supply > minted || locked > supply;
        self.against(impossible, Reason::LiquidityImpossible { minted, supply, locked });
        let free = supply.saturating_sub(locked);
        let fixed = u128::from(minted.saturating_sub(free).get());
        let (share, min) =
            (share_down(fixed, u128::from(minted.get())), self.policy.liquidity_locked_min);
        self.against(share < min, Reason::LiquidityFree { share, min });
    }

    fn metadata(
        &mut self,
        evidence: &Evidence,
        account: Option<&MintAccount>,
        metadata: Option<&Metadata>,
    ) {
        let allowed = self.policy.mutable_metadata;
        let Some(metadata) = metadata else {
            self.against(!allowed, Reason::NoMetadata);
            return;
        };
        let foreign = metadata.mint != evidence.mint;
        self.against(foreign, Reason::ForeignMetadata(metadata.mint));
        // Whoever may point to other metadata may change it.
        let pointing = account.and_then(|account| {
            account.extensions.iter().find_map(|extension| match extension {
                MintExtension::MetadataPointer { authority, .. } => *authority,
                _ => None,
            })
        });
        let authority =
            if metadata.mutable { metadata.update_authority } else { None }.or(pointing);
        let mutable = metadata.mutable || pointing.is_some();
        self.against(mutable && !allowed, Reason::MutableMetadata { authority });
    }

    fn sell(&mut self, sell: RoundTrip) {
        match sell {
            RoundTrip::Failed { code } => self.reasons.push(Reason::SellFailed { code }),
            RoundTrip::Sold { paid, received } => {
                let lost = paid.saturating_sub(received);
                let loss = share_up(u128::from(lost.get()), u128::from(paid.get()));
                let max = self.policy.round_trip_loss_max;
                self.against(
                    loss > max || paid == Atoms::ZERO,
                    Reason::RoundTrip { paid, received, loss, max },
                );
            }
        }
    }
}

/// `part` of `whole`, rounded up and held at one whole; all of it where there is no whole.
fn share_up(part: u128, whole: u128) -> Bps {
    match part.checked_mul(u128::from(Bps::WHOLE)) {
        Some(product) if whole > 0 => {
            Bps::capped(u16::try_from(product.div_ceil(whole)).unwrap_or(Bps::WHOLE))
        }
        _ => Bps::capped(Bps::WHOLE),
    }
}

/// `part` of `whole`, rounded down and held at one whole; none of it where there is no whole.
fn share_down(part: u128, whole: u128) -> Bps {
    let share = part.checked_mul(u128::from(Bps::WHOLE)).and_then(|part| part.checked_div(whole));
    Bps::capped(share.map_or(0, |share| u16::try_from(share).unwrap_or(Bps::WHOLE)))
}
