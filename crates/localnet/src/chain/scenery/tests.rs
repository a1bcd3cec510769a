//! Laws of the scenery, on a chain without a server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use solana_account::ReadableAccount;
use solana_address::Address;

use super::*;
use crate::LocalnetConfig;
use crate::chain::producer::Producer;
use crate::cpmm;
use crate::cpmm::state::PoolState;
use crate::whirlpool::state::Whirlpool;

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
        clmm::PROGRAM_ID,
        dlmm::PROGRAM_ID,
        pump::SWAP_ID,
        pump::CURVE_ID,
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
        let mut producer = chain_of(240, seed);
        let first = accounts(&producer);
        for _ in 0..10 {
            producer.make_block();
        }
        (first, producer)
    });
    let props = &one.1.scenery().props;
    assert_eq!(props.len(), 240);
    for (venue, least) in [
        (Venue::Cpmm, 30),
        (Venue::AmmV4, 30),
        (Venue::Whirlpool, 20),
        (Venue::Clmm, 8),
        (Venue::Dlmm, 8),
        (Venue::PumpSwap, 8),
        (Venue::PumpCurve, 8),
    ] {
        let count = props.iter().filter(|prop| prop.venue == venue).count();
        assert!(count >= least, "{venue:?}: {count}");
    }
    let written = |set: &BTreeMap<Address, Vec<u8>>| {
        let keys = props.iter().flat_map(|p| p.token_accounts().chain([p.address]));
        keys.map(|key| set.get(&key).cloned()).collect::<Vec<_>>()
    };
    assert_eq!(written(&one.0), written(&same.0));
    // A pool over two of the chain's own mints lies where its program puts it, whatever the seed.
    let own = |prop: &&Prop| prop.mints.iter().all(|m| crate::chain::genesis::token(m).is_some());
    let foreign = props.iter().filter(|prop| !own(prop)).map(|prop| prop.address);
    assert!(foreign.into_iter().all(|key| !other.0.contains_key(&key)), "none of another seed");
    let vaults = |producer: &Producer| {
        let now = accounts(producer);
        props.iter().flat_map(Prop::token_accounts).map(|v| amount(&now[&v])).collect::<Vec<_>>()
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
        assert!(tip >= 2 + 3, "three pools of six hundred change in a block: {tip}");
        for prop in &producer.scenery().props {
            let [was, is] = [&before, &after].map(|set| {
                let mut held = [0; 2];
                for (held, vault) in held.iter_mut().zip(prop.token_accounts()) {
                    *held = u128::from(amount(&set[&vault]));
                }
                if prop.venue == Venue::PumpCurve {
                    held[1] = pump::curve_reserves(&set[&prop.address]).unwrap()[1].into();
                }
                held
            });
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
                Venue::PumpSwap => {
                    let net = |state: &[u8], held: [u128; 2]| {
                        let held = held.map(|held| u64::try_from(held).unwrap());
                        let [base, quote] = pump::pool_reserves(state, held).unwrap();
                        u128::from(base) * u128::from(quote)
                    };
                    assert!(net(is_state, is) >= net(was_state, was));
                }
                Venue::PumpCurve => {
                    let k = |state: &[u8]| {
                        let [token, quote] = pump::curve_reserves(state).unwrap();
                        u128::from(token) * u128::from(quote)
                    };
                    assert!(k(is_state) >= k(was_state), "the product never falls");
                }
                Venue::Clmm => {
                    let rose = clmm::sqrt_price(is_state) > clmm::sqrt_price(was_state);
                    assert_eq!(rose, is[1] > was[1], "the price rises when the second is paid");
                    assert_eq!(clmm::liquidity(is_state), clmm::liquidity(was_state));
                }
                Venue::Dlmm => {
                    let bins = [was_state, is_state].map(|state| dlmm::active(state).unwrap());
                    let up = is[1] > was[1];
                    assert!(if up { bins[1] >= bins[0] } else { bins[1] <= bins[0] });
                }
            }
        }
        before = after;
    }
    assert!((400..=600).contains(&changes), "{changes} changes in 200 blocks");
    assert_eq!(kinds.len(), 7, "{kinds:?}");
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
