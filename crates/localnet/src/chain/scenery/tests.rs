//! Laws of the scenery, on a chain without a server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use solana_account::ReadableAccount;
use solana_address::Address;

use super::*;
use crate::LocalnetConfig;
use crate::chain::producer::Producer;

fn chain_of(pools: usize, seed: u64) -> Producer {
    let config =
        LocalnetConfig { pools, seed, agents: false, skip_rate: 0.0, ..LocalnetConfig::default() };
    Producer::new(&config).unwrap()
}

/// Accounts of pools and vaults at the tip.
fn accounts(producer: &Producer) -> BTreeMap<Address, Vec<u8>> {
    let chain = producer.chain();
    let ledger = chain.read();
    let slot = ledger.tip().slot;
    let owners = [
        cpmm::PROGRAM_ID,
        amm_v4::PROGRAM_ID,
        crate::whirlpool::PROGRAM_ID,
        spl_token_interface::ID,
    ];
    let all = owners.iter().flat_map(|owner| ledger.owned_by(owner, slot));
    // The chain's own mints are as their holders are, and some of those depend on no seed.
    all.map(|(address, account)| (*address, account.data().to_vec())).collect()
}

fn amount(data: &[u8]) -> u64 {
    TokenAccount::decode(data).unwrap().amount
}

#[test]
fn the_same_seed_sets_the_same_scenery_and_another_seed_another() {
    let [one, same, other] = [7, 7, 8].map(|seed| {
        let mut producer = chain_of(120, seed);
        let first = accounts(&producer);
        for _ in 0..10 {
            producer.make_block();
        }
        (first, producer)
    });
    let props = &one.1.scenery().props;
    assert_eq!(props.len(), 120);
    for venue in [Venue::Cpmm, Venue::AmmV4, Venue::Whirlpool] {
        assert!(props.iter().filter(|prop| prop.venue == venue).count() >= 20, "{venue:?}");
    }
    let written = |set: &BTreeMap<Address, Vec<u8>>| {
        let keys = props.iter().flat_map(|p| [p.address, p.vaults[0], p.vaults[1]]);
        keys.map(|key| set.get(&key).cloned()).collect::<Vec<_>>()
    };
    assert_eq!(written(&one.0), written(&same.0));
    assert!(written(&other.0).iter().all(Option::is_none), "no address of another seed");
    let vaults = |producer: &Producer| {
        let now = accounts(producer);
        props.iter().flat_map(|p| p.vaults).map(|v| amount(&now[&v])).collect::<Vec<_>>()
    };
    assert_eq!(vaults(&one.1), vaults(&same.1), "and it moves the same way");
    assert_ne!(written(&one.0), written(&accounts(&one.1)));
}

#[test]
fn a_pool_changes_as_a_swap_changes_it() {
    let mut producer = chain_of(600, 3);
    let (mut changes, mut kinds) = (0, BTreeMap::new());
    let mut before = accounts(&producer);
    for _ in 0..200 {
        producer.make_block();
        let after = accounts(&producer);
        let tip = producer.chain().read().tip().accounts.len();
        assert!(tip >= 2 + 3 * 2, "three pools of six hundred change in a block: {tip}");
        for prop in &producer.scenery().props {
            let [was, is] = [&before, &after]
                .map(|set| prop.vaults.map(|vault| u128::from(amount(&set[&vault]))));
            if was == is {
                continue;
            }
            changes += 1;
            *kinds.entry(format!("{:?}", prop.venue)).or_insert(0) += 1;
            assert_ne!(was[0] < is[0], was[1] < is[1], "one side pays the other: {was:?} {is:?}");
            let [was_state, is_state] = [&before, &after].map(|set| &set[&prop.address]);
            match prop.venue {
                Venue::Whirlpool => {
                    let [was, is] = [was_state, is_state].map(|s| Whirlpool::decode(s).unwrap());
                    let rose = is.sqrt_price > was.sqrt_price;
                    let paid_b = amount(&after[&prop.vaults[1]]) > amount(&before[&prop.vaults[1]]);
                    assert!(rose == paid_b || is.sqrt_price == was.sqrt_price);
                }
                Venue::Cpmm => {
                    let net = |state: &[u8], held: [u128; 2]| {
                        let [zero, one] = held.map(|held| u64::try_from(held).unwrap());
                        let (zero, one) =
                            PoolState::decode(state).unwrap().net_reserves(zero, one).unwrap();
                        u128::from(zero) * u128::from(one)
                    };
                    assert!(net(is_state, is) >= net(was_state, was), "the product never falls");
                }
                Venue::AmmV4 => assert!(is[0] * is[1] >= was[0] * was[1]),
            }
        }
        before = after;
    }
    assert!((400..=600).contains(&changes), "{changes} changes in 200 blocks");
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

#[test]
fn a_chain_without_scenery_is_what_it_was() {
    let (plain, with) = (accounts(&chain_of(0, 5)), accounts(&chain_of(50, 5)));
    // Mints count what is in the scenery's vaults too.
    let same = plain.iter().filter(|(_, data)| data.len() != 82);
    for (address, data) in same {
        let (a, b) = (with[address].clone(), data.clone());
        if a.len() == cpmm::state::POOL_LEN {
            continue; // opened at the time of the clock
        }
        if a.len() != crate::whirlpool::state::POOL_LEN {
            assert_eq!(a, b, "{address}");
        }
    }
}
