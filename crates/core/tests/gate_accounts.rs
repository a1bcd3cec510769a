//! Mint and metadata accounts read as their programs write them: against the programs' own types.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

use proptest::prelude::*;
use sniper_core::amm::transfer_fee::{TransferFee, decode_transfer_fees};
use sniper_core::gate::{
    Extension, MintAccount, MintExtension, Place, TokenProgram, decode_metaplex, decode_mint,
    metaplex_address,
};
use sniper_core::ids::Address;
use sniper_core::units::Atoms;
use spl_token_2022_interface::extension as spl;
use spl_token_2022_interface::extension::{
    BaseStateWithExtensionsMut as _, Extension as SplExtension, ExtensionType,
    StateWithExtensionsMut,
};
use spl_token_2022_interface::state::Mint;

fn key(byte: u8) -> Address {
    Address::new_from_array([byte; 32])
}

/// A mint as the program writes it, with the extensions that `fill` puts in.
fn account(
    types: &[ExtensionType],
    fill: impl FnOnce(&mut StateWithExtensionsMut<'_, Mint>),
) -> Vec<u8> {
    let length = ExtensionType::try_calculate_account_len::<Mint>(types).unwrap();
    let mut data = vec![0; length];
    let mut state = StateWithExtensionsMut::<Mint>::unpack_uninitialized(&mut data).unwrap();
    fill(&mut state);
    state.base = Mint {
        mint_authority: Some(key(1)).into(),
        supply: u64::MAX - 1,
        decimals: 6,
        is_initialized: true,
        freeze_authority: None.into(),
    };
    state.pack_base();
    state.init_account_type().unwrap();
    data
}

/// The one extension of a mint that has it, as the program's own type writes it.
macro_rules! only {
    ($type:ty, |$extension:ident| $set:block) => {{
        let kind = <$type as SplExtension>::TYPE;
        let data = account(&[kind], |state| {
            let $extension = state.init_extension::<$type>(true).unwrap();
            $set
        });
        let mut mint = decode_mint(TokenProgram::Token2022, &data).unwrap();
        assert_eq!((mint.mint_authority, mint.freeze_authority), (Some(key(1)), None));
        assert_eq!((mint.supply, mint.decimals), (Atoms::new(u64::MAX - 1), 6));
        assert!(mint.initialized && mint.extensions.len() == 1);
        let extension = mint.extensions.remove(0);
        assert_eq!(extension.kind().number(), kind as u16);
        extension
    }};
}

fn some(byte: u8) -> Option<Address> {
    Some(key(byte))
}

#[test]
fn extensions_with_power_read_as_the_program_writes_them() {
    let read = only!(spl::transfer_fee::TransferFeeConfig, |fee| {
        fee.transfer_fee_config_authority = some(2).try_into().unwrap();
        fee.withheld_amount = 5.into();
        fee.older_transfer_fee.transfer_fee_basis_points = 30.into();
        fee.newer_transfer_fee.epoch = 9.into();
        fee.newer_transfer_fee.maximum_fee = 77.into();
        fee.newer_transfer_fee.transfer_fee_basis_points = 10_000.into();
    });
    let MintExtension::TransferFee { authority, withdraw_authority, withheld, fees } = read else {
        panic!("{read:?}");
    };
    assert_eq!((authority, withdraw_authority, withheld), (some(2), None, Atoms::new(5)));
    assert_eq!(fees.at(8), TransferFee { max: 0, bps: 30 });
    assert_eq!(fees.at(9), TransferFee { max: 77, bps: 10_000 });

    let read = only!(spl::default_account_state::DefaultAccountState, |state| { state.state = 2 });
    assert_eq!(read, MintExtension::DefaultState { frozen: true });
    let read = only!(spl::non_transferable::NonTransferable, |_none| {});
    assert_eq!(read, MintExtension::NonTransferable);
    let read = only!(spl::permanent_delegate::PermanentDelegate, |delegate| {
        delegate.delegate = some(3).try_into().unwrap();
    });
    assert_eq!(read, MintExtension::PermanentDelegate(some(3)));
    let read = only!(spl::transfer_hook::TransferHook, |hook| {
        hook.program_id = some(4).try_into().unwrap();
    });
    assert_eq!(read, MintExtension::TransferHook { authority: None, program: some(4) });
    let read = only!(spl::pausable::PausableConfig, |pause| {
        pause.authority = some(5).try_into().unwrap();
        pause.paused = true.into();
    });
    assert_eq!(read, MintExtension::Pausable { authority: some(5), paused: true });
    let read = only!(spl::permissioned_burn::PermissionedBurnConfig, |burn| {
        burn.authority = some(6).try_into().unwrap();
    });
    assert_eq!(read, MintExtension::PermissionedBurn(some(6)));
    let read = only!(spl::mint_close_authority::MintCloseAuthority, |close| {
        close.close_authority = some(7).try_into().unwrap();
    });
    assert_eq!(read, MintExtension::CloseAuthority(some(7)));
}

#[test]
fn extensions_that_hide_or_show_read_as_the_program_writes_them() {
    let read = only!(spl::confidential_transfer::ConfidentialTransferMint, |hidden| {
        hidden.authority = some(2).try_into().unwrap();
        hidden.auto_approve_new_accounts = true.into();
    });
    let wanted = MintExtension::ConfidentialTransfer {
        authority: some(2),
        auto_approve: true,
        audited: false,
    };
    assert_eq!(read, wanted);
    let read = only!(spl::confidential_transfer_fee::ConfidentialTransferFeeConfig, |fee| {
        fee.authority = some(3).try_into().unwrap();
        fee.harvest_to_mint_enabled = true.into();
    });
    assert_eq!(read, MintExtension::ConfidentialTransferFee(some(3)));
    let read = only!(spl::confidential_mint_burn::ConfidentialMintBurn, |_hidden| {});
    assert_eq!(read, MintExtension::ConfidentialMintBurn);
    let read = only!(spl::interest_bearing_mint::InterestBearingConfig, |interest| {
        interest.rate_authority = some(4).try_into().unwrap();
        interest.last_update_timestamp = (-1).into();
        interest.current_rate = (-250).into();
    });
    assert_eq!(read, MintExtension::InterestBearing { authority: some(4), rate_bps: -250 });
    let read = only!(spl::scaled_ui_amount::ScaledUiAmountConfig, |scale| {
        scale.authority = some(5).try_into().unwrap();
        scale.multiplier = 2.5.into();
        scale.new_multiplier_effective_timestamp = 7.into();
        scale.new_multiplier = 0.5.into();
    });
    let wanted = MintExtension::ScaledUiAmount {
        authority: some(5),
        multiplier_bits: 2.5_f64.to_bits(),
        next_from: 7,
        next_multiplier_bits: 0.5_f64.to_bits(),
    };
    assert_eq!(read, wanted);
    let read = only!(spl::metadata_pointer::MetadataPointer, |pointer| {
        pointer.metadata_address = some(6).try_into().unwrap();
    });
    assert_eq!(read, MintExtension::MetadataPointer { authority: None, address: some(6) });
    let read = only!(spl::group_pointer::GroupPointer, |pointer| {
        pointer.authority = some(7).try_into().unwrap();
    });
    assert_eq!(read, MintExtension::GroupPointer { authority: some(7), address: None });
    let read = only!(spl::group_member_pointer::GroupMemberPointer, |pointer| {
        pointer.member_address = some(8).try_into().unwrap();
    });
    assert_eq!(read, MintExtension::MemberPointer { authority: None, address: some(8) });
}

/// An extended mint with these entries after its plain part.
fn extended(entries: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut data = vec![0; 165];
    data[36] = 100;
    data[44] = 9;
    data[45] = 1;
    data.push(1);
    for (number, value) in entries {
        data.extend(number.to_le_bytes());
        data.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        data.extend(value);
    }
    data
}

fn read(data: &[u8]) -> Option<MintAccount> {
    decode_mint(TokenProgram::Token2022, data).ok()
}

fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat()
}

/// Metadata in the mint, and a pointer to `at`.
fn with_metadata(at: Address, authority: Address) -> Vec<u8> {
    let metadata = [
        authority.to_bytes().to_vec(),
        key(9).to_bytes().to_vec(),
        text("Do\u{202e}ge"),
        text("DOGE"),
        text("https://example.org"),
        1_u32.to_le_bytes().to_vec(),
        text("website"),
        text(""),
    ];
    let pointer = [Address::default().to_bytes(), at.to_bytes()].concat();
    extended(&[(18, pointer), (19, metadata.concat())])
}

#[test]
fn metadata_in_the_mint_counts_only_where_the_mint_points_to_itself() {
    let mint = read(&with_metadata(key(9), Address::default())).unwrap();
    let Place::InMint(inside) = Place::of(&key(9), &mint) else { panic!("{mint:?}") };
    assert_eq!((inside.name.as_str(), inside.symbol.as_str()), ("Do\u{fffd}ge", "DOGE"));
    assert_eq!((inside.mint, inside.update_authority), (key(9), None));
    let elsewhere = read(&with_metadata(key(8), key(1))).unwrap();
    assert_eq!(Place::of(&key(9), &elsewhere), Place::Elsewhere);
    let metaplex = read(&with_metadata(metaplex_address(&key(9)), key(1))).unwrap();
    assert_eq!(Place::of(&key(9), &metaplex), Place::Metaplex);
    assert_eq!(Place::of(&key(9), &read(&extended(&[])).unwrap()), Place::Metaplex);
}

#[test]
fn groups_read_and_an_unknown_number_is_kept_as_such() {
    let group =
        [key(2).to_bytes().as_slice(), &[0; 32], &3_u64.to_le_bytes(), &4_u64.to_le_bytes()]
            .concat();
    let member = [&[0; 32], key(3).to_bytes().as_slice(), &5_u64.to_le_bytes()].concat();
    let mint =
        read(&extended(&[(21, group), (23, member), (5, vec![]), (900, vec![1, 2])])).unwrap();
    let wanted = [
        MintExtension::Group { authority: some(2), size: 3, size_max: 4 },
        MintExtension::Member { group: key(3), number: 5 },
        MintExtension::Other { number: 5, length: 0 },
        MintExtension::Other { number: 900, length: 2 },
    ];
    assert_eq!(mint.extensions, wanted);
    assert_eq!(mint.extensions[3].kind(), Extension::Other(900));
}

#[test]
fn a_mint_that_is_not_as_its_program_writes_it_is_refused() {
    let fine = extended(&[(9, vec![])]);
    assert!(read(&fine).is_some());
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut data = fine.clone();
        change(&mut data);
        read(&data)
    };
    assert!(broken(&|data| data[100] = 1).is_none(), "padding");
    assert!(broken(&|data| data[165] = 2).is_none(), "a token account");
    assert!(broken(&|data| data[0] = 2).is_none(), "an authority that is neither there nor not");
    assert!(broken(&|data| data[45] = 2).is_none(), "a state there is not");
    assert!(broken(&|data| data.extend([9, 0, 0, 0])).is_none(), "an extension twice");
    assert!(broken(&|data| data.extend([12, 0])).is_none(), "a number without a length");
    assert!(broken(&|data| data.extend([12, 0, 32, 0])).is_none(), "a length without a value");
    assert!(broken(&|data| data.truncate(165)).is_none(), "no kind");
    assert!(broken(&|data| data.resize(355, 0)).is_none(), "a multisig");
    assert!(
        broken(&|data| data.extend([0, 0, 1, 2, 3])).is_some(),
        "what follows the end is not read"
    );
    for number in [1, 3, 4, 6, 10, 12, 14, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28] {
        assert!(read(&extended(&[(number, vec![])])).is_none(), "{number} without a value");
        assert!(
            read(&extended(&[(number, vec![0; 300])])).is_none(),
            "{number} with too much of one"
        );
    }
    assert!(read(&extended(&[(9, vec![0])])).is_none(), "a value where there is none");
    let many: Vec<_> = (100..140).map(|number| (number, vec![])).collect();
    assert!(read(&extended(&many)).is_none(), "more than any mint has");
    assert!(decode_mint(TokenProgram::Spl, &fine).is_err(), "SPL Token has no extensions");
    assert!(decode_mint(TokenProgram::Spl, &fine[..82]).is_ok());
}

/// As Metaplex writes it: texts padded with zeros to their greatest length.
fn metaplex(mutable: u8, creators: u32) -> Vec<u8> {
    let padded = |text: &str, length: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(length, 0);
        [&u32::try_from(length).unwrap().to_le_bytes(), bytes.as_slice()].concat()
    };
    let mut data = vec![4];
    data.extend(key(7).to_bytes());
    data.extend(key(9).to_bytes());
    data.extend(
        [padded("Bonk", 32), padded("BONK", 10), padded("https://example.org", 200)].concat(),
    );
    data.extend(50_u16.to_le_bytes());
    data.push(u8::from(creators > 0));
    if creators > 0 {
        data.extend(creators.to_le_bytes());
        data.resize(data.len() + 34 * creators as usize, 1);
    }
    data.extend([0, mutable]);
    data.resize(679, 0);
    data
}

#[test]
fn metaplex_metadata_tells_who_may_change_it() {
    for creators in [0, 1, 5] {
        let metadata = decode_metaplex(&metaplex(1, creators)).unwrap();
        assert_eq!(
            (metadata.mint, metadata.update_authority, metadata.mutable),
            (key(9), some(7), true)
        );
        assert_eq!((metadata.name.as_str(), metadata.symbol.as_str()), ("Bonk", "BONK"));
        assert!(!decode_metaplex(&metaplex(0, creators)).unwrap().mutable);
    }
    assert!(decode_metaplex(&metaplex(2, 1)).is_err(), "neither yes nor no");
    assert!(decode_metaplex(&metaplex(0, 6)).is_err(), "more creators than there may be");
    let mut other = metaplex(0, 1);
    other[0] = 6;
    assert!(decode_metaplex(&other).is_err(), "an account of another kind");
    assert!(decode_metaplex(&metaplex(0, 1)[..300]).is_err(), "cut short");
    // As public test vectors of several independent tools have it for wrapped SOL.
    let wrapped = "So11111111111111111111111111111111111111112".parse().unwrap();
    assert_eq!(
        metaplex_address(&wrapped).to_string(),
        "6dM4TqWyWJsbx7obrdLcviBkTafD5E8av61zfU6jq57X"
    );
}

#[test]
fn raydiums_lock_is_its_programs_derived_address() {
    let program: Address = "LockrWmn6K5twhz3y9w1dQERbmgSaRkfnTeTKbpofwE".parse().unwrap();
    let derived = Address::find_program_address(&[b"lock_cp_authority_seed"], &program).0;
    assert_eq!(derived, sniper_core::gate::RAYDIUM_LOCK);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(data in prop::collection::vec(any::<u8>(), 0..700)) {
        drop(decode_mint(TokenProgram::Spl, &data));
        drop(decode_mint(TokenProgram::Token2022, &data));
        drop(decode_metaplex(&data));
        let key_first = [&[4], data.as_slice()].concat();
        drop(decode_metaplex(&key_first));
    }

    /// The list is reached only behind a plain part that reads, so it is made to.
    #[test]
    fn any_extension_list_is_refused_or_read_alike_by_gate_and_pools(
        entries in prop::collection::vec((0_u16..40, prop::collection::vec(any::<u8>(), 0..130)), 0..5),
        tail in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let data = [extended(&entries), tail].concat();
        let fees = decode_transfer_fees(&data);
        if let (Some(mint), Ok(fees)) = (read(&data), fees) {
            let listed = mint.extensions.iter().find_map(|extension| match extension {
                MintExtension::TransferFee { fees, .. } => Some(*fees),
                _ => None,
            });
            prop_assert_eq!(listed.unwrap_or_default(), fees);
        }
    }

    #[test]
    fn a_damaged_account_is_refused_or_read(at in 0_usize..679, byte: u8, cut in 0_usize..679) {
        let mut data = metaplex(1, 2);
        data[at] = byte;
        drop(decode_metaplex(&data[..cut]));
        let mut data = with_metadata(key(9), key(2));
        let at = at % data.len();
        data[at] = byte;
        drop(read(&data[..cut.min(data.len())]));
    }
}
