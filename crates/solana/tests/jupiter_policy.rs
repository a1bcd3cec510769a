//! Nothing that would move money elsewhere is signed: every change of a good offer that matters is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;
use proptest::sample::Index;
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Lamports};
use sniper_solana::jupiter::{
    EVENT_AUTHORITY, JUPITER, Offer, Part, RouteKind, Rule, Terms, check,
};
use sniper_solana::tx::associated_token_address;
use sniper_solana::tx::instructions::{
    ATA_PROGRAM, TOKEN_PROGRAM, close_account, compute_unit_limit, compute_unit_price,
    create_associated_token_account, sync_native, transfer, transfer_checked,
};
use solana_instruction::{AccountMeta, Instruction};

const WALLET: Address = key(1);
const GIVEN: Address = key(2);
const TAKEN: Address = key(3);
const AMOUNT: u64 = 1_000_000;
const LEAST: u64 = 990_000;
/// Quoted, and how much less is taken: the least follows, exactly.
const QUOTED: u64 = 1_000_000;
const SLIPPAGE: u16 = 100;

const fn key(byte: u8) -> Address {
    Address::new_from_array([byte; 32])
}

fn account(mint: Address) -> Address {
    associated_token_address(&WALLET, &mint, &TOKEN_PROGRAM)
}

/// Another token account of ours, of a mint that the order does not touch.
fn savings() -> Address {
    account(key(4))
}

fn terms(ours: &[Address]) -> Terms<'_> {
    Terms {
        wallet: WALLET,
        mint_in: GIVEN,
        mint_out: TAKEN,
        programs: [TOKEN_PROGRAM; 2],
        source: account(GIVEN),
        destination: account(TAKEN),
        amount_in: Atoms::new(AMOUNT),
        min_out: Atoms::new(LEAST),
        ours,
    }
}

fn judged(offer: &Offer) -> Result<(), (Part, Rule)> {
    let ours = [account(GIVEN), account(TAKEN), savings()];
    check(offer, &terms(&ours)).map(drop).map_err(|refused| (refused.part, refused.rule))
}

/// The numbers of a swap, in the order in which its bytes hold them.
fn numbers(amount: u64, quoted: u64, slippage: u16, platform: u16, positive: u16) -> Vec<u8> {
    let mut data = amount.to_le_bytes().to_vec();
    data.extend(quoted.to_le_bytes());
    data.extend([slippage, platform, positive].iter().flat_map(|number| number.to_le_bytes()));
    // One step through some pool, all of it.
    data.extend(1_u32.to_le_bytes());
    data.extend([46, 0x10, 0x27, 0, 1]);
    data
}

fn head(kind: RouteKind) -> Vec<u8> {
    match kind {
        RouteKind::Own => vec![0xbb, 0x64, 0xfa, 0xcc, 0x31, 0xc4, 0xaf, 0x14],
        RouteKind::Shared => vec![0xd1, 0x98, 0x53, 0x93, 0x7c, 0xfe, 0xd8, 0xe9, 3],
    }
}

fn swap(kind: RouteKind) -> Instruction {
    let read = |address| AccountMeta::new_readonly(address, false);
    let write = |address| AccountMeta::new(address, false);
    let signer = AccountMeta::new_readonly(WALLET, true);
    let (source, destination) = (write(account(GIVEN)), write(account(TAKEN)));
    let [given, taken] = [GIVEN, TAKEN].map(read);
    let programs = [TOKEN_PROGRAM, TOKEN_PROGRAM].map(read);
    let ends = [EVENT_AUTHORITY, JUPITER].map(read);
    let mut accounts = match kind {
        RouteKind::Own => {
            let mut accounts = vec![signer.clone(), source, destination, given, taken];
            accounts.extend(programs);
            accounts.push(read(JUPITER));
            accounts
        }
        RouteKind::Shared => {
            let theirs = [write(key(31)), write(key(32))];
            let mut accounts = vec![read(key(30)), signer.clone(), source];
            accounts.extend(theirs);
            accounts.extend([destination, given, taken]);
            accounts.extend(programs);
            accounts
        }
    };
    accounts.extend(ends);
    // A pool, as its program wants it: with our signature, our accounts, and its own.
    accounts.extend([read(key(40)), signer, write(key(41)), write(account(GIVEN))]);
    accounts.extend([write(account(TAKEN)), write(key(42)), write(key(43)), read(TOKEN_PROGRAM)]);
    let data = [head(kind), numbers(AMOUNT, QUOTED, SLIPPAGE, 0, 0)].concat();
    Instruction { program_id: JUPITER, accounts, data }
}

fn good(kind: RouteKind) -> Offer {
    Offer {
        quoted_out: Atoms::new(QUOTED),
        budget: vec![compute_unit_price(5_000), compute_unit_limit(200_000)],
        setup: vec![create_associated_token_account(WALLET, WALLET, TAKEN, TOKEN_PROGRAM)],
        swap: swap(kind),
        cleanup: None,
        others: vec![],
        tip: None,
        tables: vec![key(60)],
    }
}

fn kinds() -> impl Strategy<Value = RouteKind> {
    prop_oneof![Just(RouteKind::Own), Just(RouteKind::Shared)]
}

/// Instructions that move money of ours, or give somebody the power to.
fn thefts() -> Vec<Instruction> {
    let thief = key(99);
    let approve = {
        let accounts = vec![
            AccountMeta::new(account(GIVEN), false),
            AccountMeta::new_readonly(thief, false),
            AccountMeta::new_readonly(WALLET, true),
        ];
        let data = [&[4_u8][..], &u64::MAX.to_le_bytes()].concat();
        Instruction { program_id: TOKEN_PROGRAM, accounts, data }
    };
    let set_owner = {
        let accounts =
            vec![AccountMeta::new(savings(), false), AccountMeta::new_readonly(WALLET, true)];
        let data = [&[6_u8, 2, 1][..], thief.as_array()].concat();
        Instruction { program_id: TOKEN_PROGRAM, accounts, data }
    };
    vec![
        transfer(WALLET, thief, Lamports::new(1)),
        // To wrap it takes lamports that no order reserves.
        transfer(WALLET, account(GIVEN), Lamports::new(AMOUNT)),
        sync_native(account(GIVEN)),
        close_account(account(GIVEN), WALLET, WALLET, TOKEN_PROGRAM),
        close_account(savings(), thief, WALLET, TOKEN_PROGRAM),
        transfer_checked(TOKEN_PROGRAM, (GIVEN, 6), account(GIVEN), thief, WALLET, Atoms::new(1)),
        approve,
        set_owner,
        create_associated_token_account(WALLET, thief, TAKEN, TOKEN_PROGRAM),
        create_associated_token_account(WALLET, WALLET, key(5), TOKEN_PROGRAM),
        Instruction {
            program_id: key(98),
            accounts: vec![AccountMeta::new(WALLET, true)],
            data: vec![],
        },
    ]
}

#[test]
fn an_offer_that_does_what_was_approved_is_taken() {
    for kind in [RouteKind::Own, RouteKind::Shared] {
        let mut offer = good(kind);
        assert_eq!(judged(&offer), Ok(()));
        // Its budget and its making of accounts are not taken over: without them it is as good.
        offer.budget.clear();
        offer.setup.clear();
        assert_eq!(judged(&offer), Ok(()));
        let ours = [account(GIVEN)];
        let approved = check(&offer, &terms(&ours)).unwrap();
        assert_eq!(approved.swap, offer.swap, "untouched");
        assert_eq!(approved.route.min_out(), Atoms::new(LEAST));
    }
}

#[test]
fn no_instruction_that_moves_money_has_a_place_anywhere() {
    for kind in [RouteKind::Own, RouteKind::Shared] {
        for theft in thefts() {
            let mut offer = good(kind);
            offer.cleanup = Some(theft.clone());
            assert_eq!(judged(&offer), Err((Part::Cleanup, Rule::Unwanted)));
            let mut offer = good(kind);
            offer.others.push(theft.clone());
            assert_eq!(judged(&offer), Err((Part::Other(0), Rule::Unwanted)));
            let mut offer = good(kind);
            offer.tip = Some(theft.clone());
            assert_eq!(judged(&offer), Err((Part::Tip, Rule::Unwanted)));
            let mut offer = good(kind);
            offer.setup.push(theft.clone());
            let (part, rule) = judged(&offer).unwrap_err();
            assert_eq!(part, Part::Setup(1), "{theft:?}: {rule}");
            let mut offer = good(kind);
            offer.budget.insert(0, theft.clone());
            assert_eq!(judged(&offer).unwrap_err().0, Part::Budget(0));
            let mut offer = good(kind);
            offer.swap = theft;
            assert_eq!(judged(&offer), Err((Part::Swap, Rule::Program)));
        }
    }
}

#[test]
fn accounts_are_made_for_us_by_us_and_of_the_orders_mints_alone() {
    let make = |change: &dyn Fn(&mut Instruction)| {
        let mut offer = good(RouteKind::Own);
        change(&mut offer.setup[0]);
        judged(&offer)
    };
    let refused = |rule| Err((Part::Setup(0), rule));
    for place in [0, 1, 2, 3, 4, 5] {
        let changed = make(&|one| one.accounts[place].pubkey = key(77));
        assert_eq!(changed, refused(Rule::OtherAccount), "account {place}");
    }
    assert_eq!(
        make(&|one| one.data = vec![2]),
        refused(Rule::Unknown),
        "takes out what was nested"
    );
    assert_eq!(make(&|one| one.accounts.truncate(5)), refused(Rule::AccountCount));
    assert_eq!(make(&|one| one.program_id = key(9)), refused(Rule::Program));
    assert_eq!(make(&|one| one.data.clear()), Ok(()), "made even if it is there");
    assert_eq!(make(&|one| assert_eq!(one.program_id, ATA_PROGRAM)), Ok(()));
}

proptest! {
    #[test]
    fn another_amount_is_refused(kind in kinds(), amount in any::<u64>()) {
        prop_assume!(amount != AMOUNT);
        let mut offer = good(kind);
        offer.swap.data = [head(kind), numbers(amount, QUOTED, SLIPPAGE, 0, 0)].concat();
        let rule = Rule::AmountIn { found: Atoms::new(amount), wanted: Atoms::new(AMOUNT) };
        prop_assert_eq!(judged(&offer), Err((Part::Swap, rule)));
    }

    #[test]
    fn whatever_the_quote_and_the_slippage_the_least_is_at_least_the_orders(
        kind in kinds(), quoted in prop_oneof![any::<u64>(), 900_000_u64..1_100_000], slippage in any::<u16>(),
    ) {
        let mut offer = good(kind);
        // What it says beside the instruction counts for nothing.
        offer.quoted_out = Atoms::new(u64::MAX);
        offer.swap.data = [head(kind), numbers(AMOUNT, quoted, slippage, 0, 0)].concat();
        let kept = 10_000_u128.checked_sub(slippage.into());
        let is_enough = kept.is_some_and(|kept| u128::from(quoted) * kept / 10_000 >= LEAST.into());
        prop_assert_eq!(judged(&offer).is_ok(), is_enough);
    }

    #[test]
    fn nobody_takes_a_share(
        kind in kinds(), platform in prop_oneof![Just(0), any::<u16>()], positive in prop_oneof![Just(0), any::<u16>()],
    ) {
        prop_assume!(platform != 0 || positive != 0);
        let mut offer = good(kind);
        offer.swap.data = [head(kind), numbers(AMOUNT, QUOTED, SLIPPAGE, platform, positive)].concat();
        prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::PlatformFee)));
    }

    #[test]
    fn no_account_that_belongs_somewhere_is_another(
        kind in kinds(), place in any::<Index>(), other in any::<[u8; 32]>(),
    ) {
        let fixed: &[usize] = match kind {
            RouteKind::Own => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            RouteKind::Shared => &[1, 2, 5, 6, 7, 8, 9, 10, 11],
        };
        let place = *place.get(fixed);
        let mut offer = good(kind);
        offer.swap.accounts[place].pubkey = Address::new_from_array(other);
        prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::Account { place })));
    }

    #[test]
    fn nobody_else_signs_and_we_do_not_lend_other_accounts(
        kind in kinds(), place in any::<Index>(), at in any::<Index>(), other in any::<[u8; 32]>(),
    ) {
        let mut offer = good(kind);
        let place = place.index(offer.swap.accounts.len());
        let meta = &mut offer.swap.accounts[place];
        if meta.pubkey != WALLET {
            meta.is_signer = true;
            prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::Signer { place })));
        }
        // Behind the fixed accounts, wherever.
        let mut offer = good(kind);
        let first = if kind == RouteKind::Own { 10 } else { 12 };
        let place = first + at.index(offer.swap.accounts.len() - first + 1);
        offer.swap.accounts.insert(place, AccountMeta::new(savings(), false));
        prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::OursWritable { place })));
        let stranger = AccountMeta::new(Address::new_from_array(other), true);
        offer.swap.accounts[place] = stranger;
        prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::Signer { place })));
    }

    #[test]
    fn a_signature_that_is_not_asked_for_where_it_belongs_is_no_swap(kind in kinds()) {
        let mut offer = good(kind);
        let place = if kind == RouteKind::Own { 0 } else { 1 };
        offer.swap.accounts[place].is_signer = false;
        prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::Signer { place })));
    }

    #[test]
    fn whatever_is_taken_gives_the_amount_and_demands_the_least(
        kind in kinds(), changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Option<Index>>(),
    ) {
        let mut offer = good(kind);
        let data = &mut offer.swap.data;
        for (at, byte) in changes {
            let at = at.index(data.len());
            data[at] = byte;
        }
        if let Some(cut) = cut {
            let cut = cut.index(data.len());
            data.truncate(cut);
        }
        if judged(&offer).is_ok() {
            // By hand, apart from what reads it.
            let data = &offer.swap.data;
            let own = data.starts_with(&head(RouteKind::Own));
            prop_assert!(own || data.starts_with(&head(RouteKind::Shared)[..8]));
            let at = if own { 8 } else { 9 };
            let number = |from: usize, bytes: usize| {
                data[from..from + bytes].iter().rev().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte))
            };
            prop_assert_eq!(number(at, 8), AMOUNT.into());
            let least = number(at + 8, 8) * (10_000 - number(at + 16, 2)) / 10_000;
            prop_assert!(least >= LEAST.into());
            prop_assert_eq!(number(at + 18, 4), 0, "fees");
        }
    }

    #[test]
    fn too_few_accounts_and_too_many_are_refused(kind in kinds(), kept in 0_usize..10) {
        let mut offer = good(kind);
        offer.swap.accounts.truncate(kept);
        prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::AccountCount)));
        let mut offer = good(kind);
        offer.swap.accounts.resize(65, AccountMeta::new_readonly(key(50), false));
        prop_assert_eq!(judged(&offer), Err((Part::Swap, Rule::AccountCount)));
    }
}
