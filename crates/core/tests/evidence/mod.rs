//! A mint that nothing speaks against, and ways in which it can be worse.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee};
use sniper_core::gate::{
    Creator, Evidence, Extension, Fact, Holder, HolderKind, Liquidity, Metadata, MintAccount,
    MintExtension, Policy, Reason, RoundTrip, Subject, Supply, TokenProgram, Untrusted, Verdict,
    Why, judge,
};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Bps, Slot};

pub(crate) const NOW: Slot = Slot::new(1_000);
pub(crate) const SUPPLY: u64 = 1_000_000_000;

pub(crate) fn key(byte: u8) -> Address {
    Address::new_from_array([byte; 32])
}

pub(crate) fn known<T>(value: T) -> Fact<T> {
    Fact::Known(value, NOW)
}

pub(crate) fn holder(byte: u8, owner: u8, amount: u64, kind: HolderKind) -> Holder {
    Holder { account: key(byte), owner: key(owner), amount: Atoms::new(amount), kind }
}

/// Nothing speaks against this one, and little would have to change.
pub(crate) fn fine() -> Evidence {
    let holders = vec![
        holder(10, 60, 700_000_000, HolderKind::Pool),
        holder(11, 61, 40_000_000, HolderKind::Wallet),
        holder(12, 62, 40_000_000, HolderKind::Wallet),
        holder(13, 61, 20_000_000, HolderKind::Wallet),
        holder(14, 63, 100_000_000, HolderKind::Burn),
        holder(15, 64, 50_000_000, HolderKind::Lock),
    ];
    Evidence {
        mint: key(1),
        program: known(TokenProgram::Token2022),
        account: known(MintAccount {
            mint_authority: None,
            supply: Atoms::new(SUPPLY),
            decimals: 6,
            initialized: true,
            freeze_authority: None,
            extensions: vec![MintExtension::CloseAuthority(None)],
        }),
        supply: known(Supply { amount: Atoms::new(SUPPLY), decimals: 6 }),
        holders: known(holders),
        liquidity: known(Liquidity::Tokens {
            minted: Atoms::new(10_000),
            supply: Atoms::new(1_000),
            locked: Atoms::new(600),
        }),
        creator: known(Creator { address: key(2), amount: Atoms::new(40_000_000) }),
        metadata: known(Some(Metadata {
            mint: key(1),
            update_authority: None,
            mutable: false,
            name: Untrusted::new(b"Fine"),
            symbol: Untrusted::new(b"FINE"),
        })),
        sell: known(RoundTrip::Sold { paid: Atoms::new(1_000), received: Atoms::new(950) }),
    }
}

pub(crate) fn verdict(evidence: &Evidence) -> Verdict {
    judge(evidence, &Policy::default(), NOW)
}

pub(crate) fn value<T>(fact: &mut Fact<T>) -> Option<&mut T> {
    match fact {
        Fact::Known(value, _) => Some(value),
        Fact::Unknown(_) => None,
    }
}

pub(crate) fn whys() -> impl Strategy<Value = Why> {
    prop_oneof![
        Just(Why::NotAsked),
        Just(Why::Late),
        Just(Why::Missing),
        Just(Why::Impossible),
        any::<i64>().prop_map(Why::Refused),
    ]
}

pub(crate) const SUBJECTS: [Subject; 8] = [
    Subject::Program,
    Subject::Account,
    Subject::Supply,
    Subject::Holders,
    Subject::Liquidity,
    Subject::Creator,
    Subject::Metadata,
    Subject::Sell,
];

/// Takes one piece of evidence away.
pub(crate) fn forget(evidence: &mut Evidence, subject: Subject, why: Why) {
    match subject {
        Subject::Program => evidence.program = Fact::Unknown(why),
        Subject::Account => evidence.account = Fact::Unknown(why),
        Subject::Supply => evidence.supply = Fact::Unknown(why),
        Subject::Holders => evidence.holders = Fact::Unknown(why),
        Subject::Liquidity => evidence.liquidity = Fact::Unknown(why),
        Subject::Creator => evidence.creator = Fact::Unknown(why),
        Subject::Metadata => evidence.metadata = Fact::Unknown(why),
        Subject::Sell => evidence.sell = Fact::Unknown(why),
    }
}

/// Makes one piece of evidence older.
pub(crate) fn age(evidence: &mut Evidence, subject: Subject, slots: u64) {
    fn older<T>(fact: &mut Fact<T>, slots: u64) {
        if let Fact::Known(_, slot) = fact {
            *slot = slot.saturating_sub(Slot::new(slots));
        }
    }
    match subject {
        Subject::Program => older(&mut evidence.program, slots),
        Subject::Account => older(&mut evidence.account, slots),
        Subject::Supply => older(&mut evidence.supply, slots),
        Subject::Holders => older(&mut evidence.holders, slots),
        Subject::Liquidity => older(&mut evidence.liquidity, slots),
        Subject::Creator => older(&mut evidence.creator, slots),
        Subject::Metadata => older(&mut evidence.metadata, slots),
        Subject::Sell => older(&mut evidence.sell, slots),
    }
}

/// Ways in which a mint can be worse than it was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Worse {
    Forget(Subject, Why),
    Older(Subject, u64),
    MintAuthority,
    FreezeAuthority,
    Unused,
    Extension(u16),
    Fee(u16),
    Pause,
    Told(u64),
    Decimals(u8),
    Dump { from: usize, to: usize, amount: u64 },
    Unlock(usize),
    Hide(usize),
    SameOwner(usize, usize),
    CreatorBuys(u64),
    FreeLiquidity(u64),
    Mutable,
    Pointer,
    Nameless,
    Foreign,
    Receives(u64),
    CannotSell,
}

pub(crate) fn worse() -> impl Strategy<Value = Worse> {
    let subject = || prop::sample::select(&SUBJECTS[..]);
    let amount = || prop_oneof![0_u64..100_000_000, 0..SUPPLY, any::<u64>()];
    let few = || 0_u64..2_000;
    prop_oneof![
        (subject(), whys()).prop_map(|(subject, why)| Worse::Forget(subject, why)),
        (subject(), 0_u64..400).prop_map(|(subject, slots)| Worse::Older(subject, slots)),
        Just(Worse::MintAuthority),
        Just(Worse::FreezeAuthority),
        Just(Worse::Unused),
        (0_u16..40).prop_map(Worse::Extension),
        (0_u16..10_000).prop_map(Worse::Fee),
        Just(Worse::Pause),
        amount().prop_map(Worse::Told),
        (0_u8..30).prop_map(Worse::Decimals),
        (0_usize..6, 0_usize..6, amount()).prop_map(|(from, to, amount)| Worse::Dump {
            from,
            to,
            amount
        }),
        (0_usize..6).prop_map(Worse::Unlock),
        (0_usize..6).prop_map(Worse::Hide),
        (0_usize..6, 0_usize..6).prop_map(|(one, two)| Worse::SameOwner(one, two)),
        amount().prop_map(Worse::CreatorBuys),
        few().prop_map(Worse::FreeLiquidity),
        Just(Worse::Mutable),
        Just(Worse::Pointer),
        Just(Worse::Nameless),
        Just(Worse::Foreign),
        few().prop_map(Worse::Receives),
        Just(Worse::CannotSell),
    ]
}

pub(crate) fn extend(account: &mut MintAccount, extension: MintExtension) {
    account.extensions.retain(|one| one.kind() != extension.kind());
    account.extensions.push(extension);
}

pub(crate) fn worsen(evidence: &mut Evidence, how: Worse) {
    match how {
        Worse::Forget(subject, why) => forget(evidence, subject, why),
        Worse::Older(subject, slots) => age(evidence, subject, slots),
        Worse::Told(amount) => {
            if let Some(told) = value(&mut evidence.supply) {
                told.amount = told.amount.min(Atoms::new(amount));
            }
        }
        Worse::CreatorBuys(amount) => {
            if let Some(creator) = value(&mut evidence.creator) {
                creator.amount = creator.amount.saturating_add(Atoms::new(amount));
            }
        }
        Worse::FreeLiquidity(amount) => {
            if let Some(Liquidity::Tokens { supply, locked, .. }) = value(&mut evidence.liquidity) {
                *locked = locked.saturating_sub(Atoms::new(amount / 2));
                *supply = supply.saturating_add(Atoms::new(amount));
            }
        }
        Worse::Receives(amount) => {
            if let Some(RoundTrip::Sold { received, .. }) = value(&mut evidence.sell) {
                *received = (*received).min(Atoms::new(amount));
            }
        }
        Worse::CannotSell => evidence.sell = known(RoundTrip::Failed { code: Some(6_000) }),
        Worse::Nameless => {
            let mint = evidence.mint;
            if let Some(metadata) = value(&mut evidence.metadata) {
                // Another mint's metadata is no better than none: not a way to be worse.
                *metadata = metadata.take().filter(|metadata| metadata.mint != mint);
            }
        }
        Worse::Mutable | Worse::Foreign => {
            if let Some(Some(metadata)) = value(&mut evidence.metadata) {
                match how {
                    Worse::Mutable => metadata.mutable = true,
                    _ => metadata.mint = key(99),
                }
            }
        }
        Worse::Dump { .. } | Worse::Unlock(_) | Worse::Hide(_) | Worse::SameOwner(..) => {
            if let Some(holders) = value(&mut evidence.holders) {
                rearrange(holders, how);
            }
        }
        _ => {
            if let Some(account) = value(&mut evidence.account) {
                spoil(account, how);
            }
        }
    }
}

pub(crate) fn rearrange(holders: &mut [Holder], how: Worse) {
    match how {
        // Tokens leave a pool or a lock for somebody's wallet.
        Worse::Dump { from, to, amount } => {
            let kinds = [holders[from].kind, holders[to].kind];
            if matches!(kinds, [HolderKind::Pool | HolderKind::Lock, HolderKind::Wallet]) {
                let moved = holders[from].amount.min(Atoms::new(amount));
                holders[from].amount = holders[from].amount.checked_sub(moved).unwrap();
                holders[to].amount = holders[to].amount.checked_add(moved).unwrap();
            }
        }
        Worse::Unlock(which) => {
            if matches!(holders[which].kind, HolderKind::Pool | HolderKind::Lock) {
                holders[which].kind = HolderKind::Wallet;
            }
        }
        // A node leaves an account out that was no cause for worry.
        Worse::Hide(which)
            if matches!(holders[which].kind, HolderKind::Pool | HolderKind::Lock) =>
        {
            holders[which].amount = Atoms::ZERO;
        }
        Worse::SameOwner(one, two) => {
            let [from, to] = [holders[one].owner, holders[two].owner];
            for holder in holders.iter_mut().filter(|holder| holder.owner == from) {
                holder.owner = to;
            }
        }
        _ => {}
    }
}

pub(crate) fn spoil(account: &mut MintAccount, how: Worse) {
    match how {
        Worse::MintAuthority => account.mint_authority = Some(key(3)),
        Worse::FreezeAuthority => account.freeze_authority = Some(key(3)),
        Worse::Unused => account.initialized = false,
        Worse::Decimals(more) => {
            // Further from the accepted range and from what the node tells, never back.
            let further = account.decimals.max(12 + more);
            account.decimals = if more % 2 == 0 { further } else { account.decimals };
        }
        Worse::Pause => extend(account, MintExtension::Pausable { authority: None, paused: true }),
        Worse::Pointer => extend(
            account,
            MintExtension::MetadataPointer { authority: Some(key(4)), address: None },
        ),
        Worse::Extension(number) => {
            let kind = Extension::of(number);
            if account.extensions.iter().all(|one| one.kind() != kind) {
                // The number alone is what the policy goes by.
                account.extensions.push(match kind {
                    Extension::NonTransferable => MintExtension::NonTransferable,
                    Extension::PermanentDelegate => MintExtension::PermanentDelegate(None),
                    Extension::ConfidentialMintBurn => MintExtension::ConfidentialMintBurn,
                    Extension::DefaultState => MintExtension::DefaultState { frozen: true },
                    _ => MintExtension::Other { number: 900, length: 0 },
                });
            }
        }
        Worse::Fee(bps) => {
            let old = account.extensions.iter().find_map(|one| match one {
                MintExtension::TransferFee { fees, .. } => Some(fees.newer.bps),
                _ => None,
            });
            extend(account, fee(bps.max(old.unwrap_or(0))));
        }
        _ => {}
    }
}

pub(crate) fn fee(bps: u16) -> MintExtension {
    let newer = TransferFee { max: u64::MAX, bps };
    MintExtension::TransferFee {
        authority: None,
        withdraw_authority: None,
        withheld: Atoms::ZERO,
        fees: EpochFees { newer, ..EpochFees::NONE },
    }
}

/// A policy somewhere between the strictest and one that allows everything.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let bps = || (0_u16..=10_000).prop_map(Bps::capped);
    let all = (0_u16..40).map(Extension::of).chain([Extension::Other(900)]).collect::<Vec<_>>();
    (
        prop::sample::subsequence(all, 0..=41),
        prop::array::uniform3(any::<bool>()),
        prop::array::uniform6(bps()),
        0_u64..400,
    )
        .prop_map(|(extensions, flags, bps, age_max_slots)| Policy {
            extensions: extensions.into_iter().collect(),
            mint_authority: flags[0],
            freeze_authority: flags[1],
            mutable_metadata: flags[2],
            transfer_fee_max: bps[0],
            top_holder_max: bps[1],
            top_ten_max: bps[2],
            creator_max: bps[3],
            liquidity_locked_min: bps[4],
            round_trip_loss_max: bps[5],
            age_max_slots,
            ..Policy::default()
        })
}

/// Accepts whatever it can, so that one more fault is as often the first as not.
pub(crate) fn lenient() -> Policy {
    let whole = Bps::capped(Bps::WHOLE);
    Policy {
        extensions: (0..40).map(Extension::of).chain([Extension::Other(900)]).collect(),
        transfer_fee_max: whole,
        mint_authority: true,
        freeze_authority: true,
        mutable_metadata: true,
        top_holder_max: whole,
        top_ten_max: whole,
        creator_max: whole,
        liquidity_locked_min: Bps::ZERO,
        supply_min: Atoms::ZERO,
        decimals_min: 0,
        decimals_max: u8::MAX,
        round_trip_loss_max: whole,
        age_max_slots: u64::MAX,
    }
}

pub(crate) fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::default()), Just(lenient()), policy()]
}

pub(crate) fn names(verdict: &Verdict) -> BTreeSet<&'static str> {
    verdict.reasons().iter().map(Reason::name).collect()
}
