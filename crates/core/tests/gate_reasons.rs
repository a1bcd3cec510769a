//! What speaks against a mint, each for its own reason and at its own limit.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod evidence;

use std::collections::BTreeSet;

use evidence::{
    NOW, SUBJECTS, SUPPLY, Worse, extend, fee, fine, key, known, lenient, names, value, verdict,
    worsen,
};
use sniper_core::gate::{
    BURNS, Evidence, Extension, HolderKind, Places, Policy, RAYDIUM_LOCK, Reason, Subject,
    TokenProgram, Verdict, Why, judge,
};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Bps, Slot};

#[test]
fn a_mint_that_nothing_speaks_against_is_safe_and_one_that_is_unknown_is_not() {
    let fine = verdict(&fine());
    assert!(fine.safe(), "{fine:?}");
    assert_eq!((fine.mint(), fine.slot()), (key(1), NOW));
    let nothing = Evidence::nothing(key(1), Why::NotAsked);
    let verdict = judge(&nothing, &lenient(), NOW);
    assert!(!verdict.safe());
    assert_eq!(verdict.reasons().len(), SUBJECTS.len());
}

#[test]
fn every_reason_is_reached() {
    let mut reached = BTreeSet::new();
    let mut see = |evidence: &Evidence, policy: &Policy| {
        reached.extend(names(&judge(evidence, policy, NOW)));
    };
    let kinds = [
        Worse::Forget(Subject::Sell, Why::Late),
        Worse::Older(Subject::Sell, 151),
        Worse::MintAuthority,
        Worse::FreezeAuthority,
        Worse::Unused,
        Worse::Extension(9),
        Worse::Fee(1),
        Worse::Pause,
        Worse::Told(999_999),
        Worse::Decimals(2),
        Worse::Unlock(0),
        Worse::CreatorBuys(6_000_000),
        Worse::FreeLiquidity(200),
        Worse::FreeLiquidity(20_000),
        Worse::Mutable,
        Worse::Nameless,
        Worse::Foreign,
        Worse::Receives(899),
        Worse::CannotSell,
    ];
    for how in kinds {
        let mut evidence = fine();
        worsen(&mut evidence, how);
        assert!(!verdict(&evidence).safe(), "{how:?}");
        see(&evidence, &Policy::default());
    }
    let mut evidence = fine();
    evidence.program = known(TokenProgram::Spl);
    see(&evidence, &Policy::default());
    let unreached: Vec<_> = Reason::NAMES.iter().filter(|name| !reached.contains(*name)).collect();
    assert!(unreached.is_empty(), "never reached: {unreached:?}");
    assert_eq!(reached.len(), Reason::NAMES.len(), "a name is not listed");
}

#[test]
fn a_limit_is_still_accepted_and_one_past_it_is_not() {
    // The largest owner has two accounts: 60 of the 900 millions that are not burnt, and the creator 40.
    let bps = |value| Bps::new(value).unwrap();
    let loose = Policy { top_holder_max: bps(667), creator_max: bps(445), ..Policy::default() };
    assert!(judge(&fine(), &loose, NOW).safe());
    let tight = Policy { top_holder_max: bps(666), creator_max: bps(444), ..Policy::default() };
    let wanted = [
        Reason::TopHolder { share: bps(667), max: bps(666) },
        Reason::CreatorShare { share: bps(445), max: bps(444) },
    ];
    assert_eq!(judge(&fine(), &tight, NOW).reasons(), wanted);
    // Two owners, and the fifty millions nobody showed.
    let tight = Policy { top_ten_max: bps(1_666), ..Policy::default() };
    let wanted = [Reason::TopTen { share: bps(1_667), max: bps(1_666) }];
    assert_eq!(judge(&fine(), &tight, NOW).reasons(), wanted);
    // 9 000 of 10 000 were burnt and 600 of the rest are locked.
    let tight = Policy { liquidity_locked_min: bps(9_601), ..Policy::default() };
    let wanted = [Reason::LiquidityFree { share: bps(9_600), min: bps(9_601) }];
    assert_eq!(judge(&fine(), &tight, NOW).reasons(), wanted);
    assert!(
        judge(&fine(), &Policy { liquidity_locked_min: bps(9_600), ..Policy::default() }, NOW)
            .safe()
    );
}

#[test]
fn evidence_from_a_slot_far_ahead_is_as_stale_as_old_one() {
    assert!(judge(&fine(), &Policy::default(), Slot::new(1_150)).safe());
    assert!(!judge(&fine(), &Policy::default(), Slot::new(1_151)).safe());
    assert!(judge(&fine(), &Policy::default(), Slot::new(850)).safe());
    assert!(!judge(&fine(), &Policy::default(), Slot::new(849)).safe());
}

#[test]
fn a_holder_that_a_node_leaves_out_is_counted_all_the_same() {
    let mut evidence = fine();
    // The whale of the list is not told; the list is short, so it is all there is.
    value(&mut evidence.holders).unwrap().remove(0);
    assert!(names(&verdict(&evidence)).contains("top_holder"));
    value(&mut evidence.holders).unwrap().clear();
    assert!(names(&verdict(&evidence)).contains("top_holder"));
}

#[test]
fn a_node_that_tells_a_smaller_supply_hides_nobody_behind_it() {
    let policy = Policy { top_holder_max: Bps::capped(5_000), ..lenient() };
    let mut evidence = fine();
    worsen(&mut evidence, Worse::Hide(0));
    assert_eq!(names(&judge(&evidence, &policy, NOW)), BTreeSet::from(["top_holder"]));
    worsen(&mut evidence, Worse::Told(320_000_000));
    assert_eq!(names(&judge(&evidence, &policy, NOW)), BTreeSet::from(["top_holder"]));
}

#[test]
fn metadata_that_nobody_may_change_but_somebody_may_point_away_from_is_mutable() {
    let mut evidence = fine();
    worsen(&mut evidence, Worse::Pointer);
    let wanted = [Reason::MutableMetadata { authority: Some(key(4)) }];
    assert_eq!(verdict(&evidence).reasons(), wanted);
}

#[test]
fn accounts_that_hold_more_than_there_is_are_a_lie() {
    let mut evidence = fine();
    value(&mut evidence.holders).unwrap()[0].amount = Atoms::new(SUPPLY);
    let held = u128::from(SUPPLY) + 250_000_000;
    let wanted = [Reason::HeldAboveSupply { held, supply: Atoms::new(SUPPLY) }];
    assert_eq!(verdict(&evidence).reasons(), wanted);
}

#[test]
fn extensions_that_can_stop_or_take_are_denied_unless_listed_by_name() {
    let harmless = Extension::HARMLESS;
    for number in 1..40 {
        let kind = Extension::of(number);
        assert_eq!(Policy::default().extensions.contains(&kind), harmless.contains(&kind));
    }
    let mut evidence = fine();
    extend(value(&mut evidence.account).unwrap(), fee(30));
    assert_eq!(names(&verdict(&evidence)), BTreeSet::from(["extension", "transfer_fee"]));
    let text = r#"{"extensions": ["transfer_fee", "close_authority"], "transfer_fee_max": 30}"#;
    let policy: Policy = serde_json::from_str(text).unwrap();
    assert!(judge(&evidence, &policy, NOW).safe());
    for wrong in [r#"{"extensions": ["transfer-fee"]}"#, r#"{"extension": []}"#] {
        assert!(serde_json::from_str::<Policy>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_nobody_can_sign_for_is_burnt_and_a_wallet_is_not() {
    let mut places = Places::default();
    places.vaults.insert(key(20));
    places.lock_programs.insert(key(30));
    let kind = |account: Address, owner: Address, program: Address| {
        places.kind(&account, &owner, Some(&program))
    };
    let system = Address::default();
    for burn in BURNS {
        assert_eq!(kind(key(1), burn, system), HolderKind::Burn);
    }
    // A wallet's own account belongs to the system program: that makes it no burn.
    assert_eq!(kind(key(1), key(2), system), HolderKind::Wallet);
    assert_eq!(kind(key(20), key(2), system), HolderKind::Pool);
    assert_eq!(kind(key(2), key(20), system), HolderKind::Wallet, "an owner is no vault");
    assert_eq!(kind(key(1), RAYDIUM_LOCK, system), HolderKind::Lock);
    assert_eq!(kind(key(1), key(2), key(30)), HolderKind::Lock);
    assert_eq!(
        places.kind(&key(1), &key(30), None),
        HolderKind::Wallet,
        "a program signs for nothing"
    );
}

#[test]
fn a_verdict_that_contradicts_itself_cannot_be_read() {
    let text = serde_json::to_string(&verdict(&fine())).unwrap();
    assert!(text.contains(r#""safe":true"#));
    assert!(serde_json::from_str::<Verdict>(&text.replace("true", "false")).is_err());
    let mut evidence = fine();
    worsen(&mut evidence, Worse::CannotSell);
    let text = serde_json::to_string(&verdict(&evidence)).unwrap();
    assert!(serde_json::from_str::<Verdict>(&text.replace("false", "true")).is_err());
}
