//! What fits one transaction: swaps of every kind, and the token accounts that they need.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test may panic")]

use serde_json::json;
use sniper_core::amm::pump_fees::{Recipients, Schedule};
use sniper_core::amm::{Kind, PoolKind, PoolSpec, amm_v4, clmm, cpmm, dlmm, pump_swap, whirlpool};
use sniper_core::event::MintSpec;
use sniper_core::ids::{Address, Symbol};
use sniper_core::order::Order;
use sniper_core::units::Lamports;
use sniper_solana::tx::instructions::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use sniper_solana::tx::{BuildError, LookupTable, TransactionBuilder, WIRE_MAX};
use solana_message::VersionedMessage;

/// Addresses that are all different.
struct Fresh(u16);

impl Fresh {
    fn key(&mut self) -> Address {
        self.0 += 1;
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&self.0.to_le_bytes());
        Address::new_from_array(bytes)
    }

    /// A pool of that kind, with all the accounts that it may have.
    fn pool(&mut self, kind: Kind, token_programs: [Address; 2]) -> PoolKind {
        let vaults = [self.key(), self.key()];
        match kind {
            Kind::Cpmm => PoolKind::Cpmm(cpmm::Keys {
                config: self.key(),
                observation: self.key(),
                vaults,
                token_programs,
            }),
            Kind::AmmV4 => PoolKind::AmmV4(amm_v4::Keys { vaults }),
            Kind::Clmm => PoolKind::Clmm {
                keys: clmm::Keys { config: self.key(), observation: self.key(), vaults },
                bitmap_extension: Some(self.key()),
            },
            Kind::Whirlpool => PoolKind::Whirlpool {
                keys: whirlpool::Keys { oracle: self.key(), vaults, token_programs },
                adaptive: true,
            },
            Kind::Dlmm => PoolKind::Dlmm(dlmm::Keys {
                vaults,
                token_programs,
                oracle: self.key(),
                bitmap_extension: Some(self.key()),
            }),
            Kind::PumpSwap => PoolKind::PumpSwap(pump_swap::Keys {
                vaults,
                token_programs,
                schedule: Schedule::Sol,
                recipients: Recipients { protocol: self.key(), buyback: self.key() },
                recipient_accounts: [self.key(), self.key()],
                creator_authority: self.key(),
                creator_vault: self.key(),
                pool_v2: Some(self.key()),
                cashback: true,
            }),
            Kind::PumpCurve => unreachable!("curves are not traded"),
        }
    }
}

/// The bytes of a transaction through pools of these kinds, which makes accounts after these swaps.
fn length(kinds: &[Kind], opens: &[usize]) -> usize {
    match built(kinds, opens, false).message {
        Ok(message) => message.len() + 65,
        Err(BuildError::TooLarge { length }) => {
            assert!(length > WIRE_MAX);
            length
        }
        Err(error) => panic!("{error}"),
    }
}

struct Built {
    message: Result<Vec<u8>, BuildError>,
    /// Messages of each of its swaps alone.
    alone: Vec<Vec<u8>>,
    /// All that a lookup table could name.
    keys: Vec<Address>,
}

/// A builder of pools of these kinds, each from the mint before to the next, and the swaps through them.
fn through(kinds: &[Kind]) -> (TransactionBuilder, Vec<serde_json::Value>) {
    let mut fresh = Fresh(0);
    let mut builder = TransactionBuilder::new(fresh.key());
    let mints = kinds.len() + 1;
    // Every other mint is of Token-2022, so that both programs are named.
    let programs =
        |nth: usize| if nth.is_multiple_of(2) { TOKEN_PROGRAM } else { TOKEN_2022_PROGRAM };
    for nth in 0..mints {
        builder.add_mint(&MintSpec {
            address: fresh.key(),
            token_program: programs(nth),
            decimals: 6,
            symbol: Symbol::new("T"),
            is_usd: false,
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        });
    }
    let mut legs = vec![];
    for (nth, kind) in kinds.iter().enumerate() {
        let id = |nth: usize| u16::try_from(nth + 1).unwrap();
        let mints = [id(nth), id(nth + 1)].map(sniper_core::ids::MintId);
        let kind = fresh.pool(*kind, [programs(nth), programs(nth + 1)]);
        builder.add_pool(&PoolSpec { address: fresh.key(), mints, kind }).unwrap();
        legs.push(json!({"arrays": [0, 88, 176], "hop": {"pool": nth, "mint_in": id(nth), "mint_out": id(nth + 1)},
            "amount": {"ExactIn": {"amount_in": 5, "min_out": 5}}}));
    }
    (builder, legs)
}

/// The message of a transaction through such pools, perhaps with a lookup table of all that they name.
fn built(kinds: &[Kind], opens: &[usize], with_table: bool) -> Built {
    let (mut builder, legs) = through(kinds);
    let opens: Vec<serde_json::Value> =
        opens.iter().map(|nth| json!([nth + 2, 2_039_280])).collect();
    let order = |legs: &[serde_json::Value], opens: &[serde_json::Value]| -> Order {
        serde_json::from_value(json!({
            "id": {"cause": 1, "nth": 0}, "strategy": 0, "legs": legs, "opens": opens,
            "amount_in": 5, "min_out": 5, "expected_out": 5,
            "fee_cap": 10_000, "compute_unit_limit": 200_000, "compute_unit_price": 10_001,
            "value": 0, "unpriced": false, "expires": i64::MAX, "at": 0, "reason": "TrendEntry",
        }))
        .unwrap()
    };
    let hash = Default::default();
    let one = |leg: &serde_json::Value| {
        builder.swap(&order(std::slice::from_ref(leg), &[]), &hash).unwrap()
    };
    let alone = legs.iter().map(one).collect();
    let keys = builder.table_keys();
    if with_table {
        builder.add_table(LookupTable {
            address: Address::new_from_array([8; 32]),
            addresses: keys.clone(),
        });
    }
    Built { message: builder.swap(&order(&legs, &opens), &hash), alone, keys }
}

const KINDS: [Kind; 6] =
    [Kind::Cpmm, Kind::AmmV4, Kind::Clmm, Kind::Whirlpool, Kind::Dlmm, Kind::PumpSwap];

#[test]
fn one_swap_of_any_kind_fits_with_the_account_it_needs() {
    for kind in KINDS {
        let (there, new) = (length(&[kind], &[]), length(&[kind], &[0]));
        // Two programs at most, and the instruction itself.
        assert!(new - there <= 64 + 74, "{}: {there} bytes, {new} with a new account", kind.name());
        assert!(new <= WIRE_MAX, "{}: {new} bytes", kind.name());
    }
}

/// Two swaps in one transaction, of which the second needs an account, as when a coin that SOL quotes is bought for
/// dollars: these name too many accounts together, with every account that such pools may have. An order through them is
/// never sent ([`BuildError::TooLarge`]). A lookup table makes room.
const TOO_LARGE: [[Kind; 2]; 18] = [
    [Kind::Cpmm, Kind::PumpSwap],
    [Kind::AmmV4, Kind::PumpSwap],
    [Kind::Clmm, Kind::Clmm],
    [Kind::Clmm, Kind::Whirlpool],
    [Kind::Clmm, Kind::Dlmm],
    [Kind::Clmm, Kind::PumpSwap],
    [Kind::Whirlpool, Kind::Clmm],
    [Kind::Whirlpool, Kind::Dlmm],
    [Kind::Whirlpool, Kind::PumpSwap],
    [Kind::Dlmm, Kind::Clmm],
    [Kind::Dlmm, Kind::Whirlpool],
    [Kind::Dlmm, Kind::PumpSwap],
    [Kind::PumpSwap, Kind::Cpmm],
    [Kind::PumpSwap, Kind::AmmV4],
    [Kind::PumpSwap, Kind::Clmm],
    [Kind::PumpSwap, Kind::Whirlpool],
    [Kind::PumpSwap, Kind::Dlmm],
    [Kind::PumpSwap, Kind::PumpSwap],
];

#[test]
fn two_swaps_of_any_kinds_and_a_new_account_fit_but_for_those_named() {
    let mut found = vec![];
    for first in KINDS {
        for second in KINDS {
            let bytes = length(&[first, second], &[1]);
            if bytes > WIRE_MAX {
                found.push([first, second]);
            }
        }
    }
    assert_eq!(found, TOO_LARGE);
}

#[test]
fn three_constant_product_swaps_fit_with_accounts_of_the_older_exchange_alone() {
    assert!(length(&[Kind::AmmV4; 3], &[0, 1, 2]) <= WIRE_MAX);
    assert!(length(&[Kind::Cpmm; 3], &[]) <= WIRE_MAX);
    assert!(length(&[Kind::Cpmm; 3], &[0]) > WIRE_MAX);
}

/// What an instruction names, keys of tables put in for their numbers as the chain does: program, accounts with whether
/// each may be written, data.
type Named = (Address, Vec<(Address, bool)>, Vec<u8>);

fn named(message: &[u8], table: &[Address]) -> Vec<Named> {
    let VersionedMessage::V0(message) = wincode::deserialize(message).unwrap() else {
        panic!("a message of another version")
    };
    let fixed = message.account_keys.len();
    let signers = usize::from(message.header.num_required_signatures);
    let unwritten = usize::from(message.header.num_readonly_unsigned_accounts);
    let at = |nth: u8| table.get(usize::from(nth)).copied().unwrap();
    let mut keys: Vec<(Address, bool)> = message
        .account_keys
        .iter()
        .enumerate()
        .map(|(nth, key)| {
            (Address::new_from_array(key.to_bytes()), nth < signers || nth < fixed - unwritten)
        })
        .collect();
    let lookups = &message.address_table_lookups;
    keys.extend(lookups.iter().flat_map(|l| &l.writable_indexes).map(|nth| (at(*nth), true)));
    keys.extend(lookups.iter().flat_map(|l| &l.readonly_indexes).map(|nth| (at(*nth), false)));
    let key = |nth: u8| keys.get(usize::from(nth)).copied().unwrap();
    let read = message.instructions.iter().map(|one| {
        let accounts = one.accounts.iter().map(|nth| key(*nth)).collect();
        (key(one.program_id_index).0, accounts, one.data.clone())
    });
    read.collect()
}

#[test]
fn with_a_lookup_table_every_pair_fits_and_says_the_same() {
    for of in KINDS.into_iter().flat_map(|first| KINDS.map(|second| [first, second])) {
        let Built { message, alone, keys } = built(&of, &[1], true);
        let message = message.unwrap_or_else(|error| panic!("{of:?}: {error}"));
        assert!(message.len() + 65 <= WIRE_MAX);
        match built(&of, &[1], false).message {
            Ok(plain) => assert_eq!(plain, message, "{of:?} fits, and was built with a table"),
            Err(_) => assert!(TOO_LARGE.contains(&of), "{of:?}"),
        }
        let together = named(&message, &keys);
        for (swap, alone) in together.iter().rev().zip(alone.iter().rev()) {
            let alone = named(alone, &[]);
            let (program, accounts, data) = alone.last().unwrap();
            assert_eq!((&swap.0, &swap.2), (program, data), "{of:?}");
            assert_eq!(swap.1.len(), accounts.len(), "{of:?}");
            for ((here, is_written), (there, must_be)) in swap.1.iter().zip(accounts) {
                assert_eq!(here, there, "{of:?}");
                // What one swap only reads, the other may write.
                assert!(*is_written || !must_be, "{of:?}: {here} cannot be written");
            }
        }
    }
}

#[test]
fn of_every_kind_it_is_known_what_all_swaps_write_and_that_is_neither_ours_nor_everybodys() {
    let (builder, _) = through(&KINDS);
    let sets = builder.fees().sets();
    assert_eq!(sets.len(), KINDS.len());
    let own: Vec<_> = builder.mints().map(|(_, _, account)| account).collect();
    for (set, kind) in sets.iter().zip(KINDS) {
        assert!((1..=3).contains(&set.accounts().len()), "{}: {set:?}", kind.name());
        assert!(!set.accounts().iter().any(|one| own.contains(one)), "{}", kind.name());
    }
}
