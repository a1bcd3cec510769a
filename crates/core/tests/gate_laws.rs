//! The gate fails closed: laws of the verdict that hold for every evidence.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod evidence;

use evidence::{
    NOW, SUBJECTS, Worse, fine, forget, key, known, lenient, names, policies, value, whys, worse,
    worsen,
};
use proptest::prelude::*;
use sniper_core::gate::{Creator, Liquidity, Reason, RoundTrip, Verdict, judge};
use sniper_core::units::{Atoms, Slot};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever spoke against a mint still does when it is worse, unless what it was read from is not known any more.
    #[test]
    fn worse_evidence_never_makes_an_unsafe_mint_safe(
        policy in policies(), first in prop::collection::vec(worse(), 0..3), last in worse(),
    ) {
        let mut evidence = fine();
        first.iter().for_each(|how| worsen(&mut evidence, *how));
        // To leave out what contradicts is no worse than to contradict.
        prop_assume!(!matches!(last, Worse::Hide(_)));
        let before = judge(&evidence, &policy, NOW);
        worsen(&mut evidence, last);
        let after = judge(&evidence, &policy, NOW);
        prop_assert!(before.safe() || !after.safe(), "{:?} -> {:?}", before, after);
        let replaced = matches!(last, Worse::Forget(..) | Worse::CannotSell | Worse::Nameless);
        if !replaced {
            let (before, after) = (names(&before), names(&after));
            prop_assert!(before.is_subset(&after), "{:?} -> {:?}", before, after);
        }
    }

    #[test]
    fn a_single_unknown_makes_any_mint_unsafe_under_any_policy(
        policy in policies(), which in 0_usize..8, why in whys(),
    ) {
        let mut evidence = fine();
        forget(&mut evidence, SUBJECTS[which], why);
        let verdict = judge(&evidence, &policy, NOW);
        let unknown = Reason::Unknown { subject: SUBJECTS[which], why };
        prop_assert!(!verdict.safe() && verdict.reasons().contains(&unknown));
    }

    #[test]
    fn a_stricter_policy_never_accepts_what_a_looser_one_refuses(
        policy in policies(), faults in prop::collection::vec(worse(), 0..3),
    ) {
        let mut evidence = fine();
        faults.iter().for_each(|how| worsen(&mut evidence, *how));
        if !judge(&evidence, &lenient(), NOW).safe() {
            prop_assert!(!judge(&evidence, &policy, NOW).safe());
        }
    }

    #[test]
    fn any_numbers_are_judged_without_a_panic_and_a_verdict_reads_back(
        numbers in prop::array::uniform8(any::<u64>()), decimals: u8, now: u64, policy in policies(),
    ) {
        let mut evidence = fine();
        let atoms = numbers.map(Atoms::new);
        let account = value(&mut evidence.account).unwrap();
        (account.supply, account.decimals) = (atoms[0], decimals);
        let holders = value(&mut evidence.holders).unwrap();
        holders.iter_mut().zip(atoms).for_each(|(holder, amount)| holder.amount = amount);
        let [minted, supply, locked] = [atoms[1], atoms[2], atoms[3]];
        evidence.liquidity = known(Liquidity::Tokens { minted, supply, locked });
        evidence.creator = known(Creator { address: key(2), amount: atoms[4] });
        evidence.sell = known(RoundTrip::Sold { paid: atoms[5], received: atoms[6] });
        let verdict = judge(&evidence, &policy, Slot::new(now));
        let text = serde_json::to_string(&verdict).unwrap();
        prop_assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict.clone());
        for reason in verdict.reasons() {
            prop_assert!(!reason.to_string().is_empty());
        }
    }
}
