//! Layouts, instructions and addresses of the concentrated exchange against recorded vectors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]
#![allow(dead_code, unreachable_pub, reason = "shared by several test crates")]

#[path = "common/vectors.rs"]
mod vectors;

use serde_json::Value;
use sniper_localnet::whirlpool::instruction::{
    DecodeError, Remaining, Side, SwapAccounts, SwapArgs, Version, swap,
};
use sniper_localnet::whirlpool::math::Way;
use sniper_localnet::whirlpool::state::{POOL_LEN, Whirlpool};
use sniper_localnet::whirlpool::swap::Request;
use sniper_localnet::whirlpool::tick_array::{FIXED_LEN, Tick, TickArray};
use sniper_localnet::whirlpool::{CONFIG, error, oracle_address, pool_address, tick_array_address};
use solana_address::{Address, address};
use vectors::{bytes, key, number, vectors};

fn list(value: &Value) -> Vec<u128> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn check_pool(pool: &Whirlpool, want: &Value) {
    for (got, name) in [
        (pool.config, "whirlpoolsConfig"),
        (pool.mint_a, "tokenMintA"),
        (pool.vault_a, "tokenVaultA"),
        (pool.mint_b, "tokenMintB"),
        (pool.vault_b, "tokenVaultB"),
    ] {
        assert_eq!(got, key(&want[name]), "{name}");
    }
    for (got, name) in [
        (pool.tick_spacing.into(), "tickSpacing"),
        (pool.fee_rate.into(), "feeRate"),
        (pool.protocol_fee_rate.into(), "protocolFeeRate"),
        (pool.liquidity, "liquidity"),
        (pool.sqrt_price, "sqrtPrice"),
        (pool.protocol_fees_a.into(), "protocolFeeOwedA"),
        (pool.protocol_fees_b.into(), "protocolFeeOwedB"),
        (pool.fee_growth_a, "feeGrowthGlobalA"),
        (pool.fee_growth_b, "feeGrowthGlobalB"),
        (pool.rewards_updated.into(), "rewardLastUpdatedTimestamp"),
    ] {
        assert_eq!(got, number::<u128>(&want[name]), "{name}");
    }
    assert_eq!(pool.tick, number::<i32>(&want["tickCurrentIndex"]));
    assert_eq!(vec![u128::from(pool.bump)], list(&want["whirlpoolBump"]));
    let tier = pool.fee_tier.to_le_bytes().map(u128::from).to_vec();
    assert_eq!(tier, list(&want["feeTierIndexSeed"]));
    // Only the real accounts come with their rewards.
    let rewards = want["rewardInfos"].as_array().cloned().unwrap_or_default();
    for (reward, want) in pool.rewards.iter().zip(&rewards) {
        assert_eq!(reward.mint, key(&want["mint"]));
        assert_eq!(reward.vault, key(&want["vault"]));
        assert_eq!(reward.emissions, number(&want["emissionsPerSecondX64"]));
        assert_eq!(reward.growth, number(&want["growthGlobalX64"]));
    }
}

fn check_ticks(array: &TickArray, want: &Value) {
    assert_eq!(array.pool, key(&want["whirlpool"]));
    assert_eq!(array.start, number::<i32>(&want["startTickIndex"]));
    let mut expected = vec![None; 88];
    for tick in want["ticks"].as_array().unwrap() {
        expected[number::<usize>(&tick["idx"])] = Some(Tick {
            liquidity_net: number(&tick["liquidityNet"]),
            liquidity_gross: number(&tick["liquidityGross"]),
            fee_growth_outside_a: number(&tick["feeGrowthOutsideA"]),
            fee_growth_outside_b: number(&tick["feeGrowthOutsideB"]),
            reward_growths_outside: list(&tick["rewardGrowthsOutside"]).try_into().unwrap(),
        });
    }
    assert_eq!(array.ticks, expected);
}

#[test]
fn accounts_read_field_by_field_and_write_back_byte_by_byte() {
    let (mut pools, mut arrays) = (0, 0);
    for file in ["whirlpool/layout.json", "whirlpool/real_accounts.json"] {
        let Some(vectors) = vectors(file) else { return };
        for vector in &vectors {
            let (data, want) = (bytes(&vector["data_b64"]), &vector["expected"]);
            let kind = vector["account"].as_str().unwrap();
            match kind {
                "Whirlpool" => {
                    assert_eq!(data.len(), POOL_LEN);
                    let pool = Whirlpool::decode(&data).unwrap();
                    check_pool(&pool, want);
                    assert_eq!(pool.encode(), data, "{}", vector["id"]);
                    pools += 1;
                }
                "TickArray" | "DynamicTickArray" => {
                    let array = TickArray::decode(&data).unwrap();
                    check_ticks(&array, want);
                    if kind == "TickArray" {
                        assert_eq!(data.len(), FIXED_LEN);
                        assert_eq!(array.encode(), data, "{}", vector["id"]);
                    }
                    overwrites_one_tick_alone(&data, &array);
                    arrays += 1;
                }
                "Oracle" => {}
                other => panic!("unknown account {other}"),
            }
        }
    }
    assert!(pools > 5 && arrays > 5, "{pools} pools, {arrays} arrays");
}

fn overwrites_one_tick_alone(data: &[u8], array: &TickArray) {
    for place in 0..array.ticks.len() {
        let new = Tick { liquidity_net: -7, fee_growth_outside_b: 9, ..Tick::default() };
        let mut copy = data.to_vec();
        let done = TickArray::overwrite(&mut copy, place, &new);
        assert_eq!(done.is_some(), array.ticks[place].is_some());
        let mut expected = array.clone();
        if done.is_some() {
            expected.ticks[place] = Some(new);
        }
        assert_eq!(TickArray::decode(&copy), Some(expected));
    }
}

#[test]
fn damaged_accounts_are_refused() {
    let array = TickArray::empty(CONFIG, -5_632);
    let data = array.encode();
    assert_eq!(TickArray::decode(&data), Some(array));
    assert_eq!(TickArray::decode(&data[..FIXED_LEN - 1]), None);
    assert_eq!(TickArray::decode(&data[1..]), None);
    assert_eq!(TickArray::overwrite(&mut data.clone(), 0, &Tick::default()), None, "not in use");
    assert_eq!(TickArray::overwrite(&mut data.clone(), 88, &Tick::default()), None, "no place");
    assert_eq!(Whirlpool::decode(&vec![0; POOL_LEN]), None);
    assert_eq!(Whirlpool::decode(&[]), None);
}

fn accounts(args: &Value) -> SwapAccounts {
    let program = |name: &str| match args.get(name) {
        Some(program) => key(program),
        None => spl_token_interface::ID,
    };
    let side = |token: &str| Side {
        mint: args.get(format!("tokenMint{token}")).map(key).unwrap_or_default(),
        program: program(&format!("tokenProgram{token}")),
        user: key(&args[format!("tokenOwnerAccount{token}")]),
        vault: key(&args[format!("tokenVault{token}")]),
    };
    SwapAccounts {
        authority: key(&args["tokenAuthority"]),
        pool: key(&args["whirlpool"]),
        a: side("A"),
        b: side("B"),
        tick_arrays: [0, 1, 2].map(|nth| key(&args[format!("tickArray{nth}")])),
        oracle: key(&args["oracle"]),
        supplemental: args
            .get("supplemental_tick_arrays")
            .map(|keys| keys.as_array().unwrap().iter().map(key).collect())
            .unwrap_or_default(),
    }
}

#[test]
fn instructions_have_the_accounts_flags_and_bytes_of_the_sdk() {
    let Some(vectors) = vectors("whirlpool/instructions.json") else { return };
    for vector in &vectors {
        let args = &vector["args"];
        let accounts = accounts(args);
        let more = u8::try_from(accounts.supplemental.len()).unwrap();
        let version = match vector["kind"].as_str().unwrap() {
            "swap" => Version::One,
            _ => Version::Two((more > 0).then(|| Remaining::tick_arrays(more))),
        };
        let swap_args = SwapArgs {
            request: Request {
                amount: number(&args["amount"]),
                sqrt_price_limit: number(&args["sqrtPriceLimit"]),
                way: Way {
                    a_to_b: args["aToB"].as_bool().unwrap(),
                    exact_in: args["amountSpecifiedIsInput"].as_bool().unwrap(),
                },
            },
            other_amount_threshold: number(&args["otherAmountThreshold"]),
            version,
        };
        let built = swap(&accounts, &swap_args);
        assert_eq!(built.program_id, key(&vector["program_id"]));
        let hex: String = built.data.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, vector["data_hex"].as_str().unwrap(), "{}", vector["id"]);
        assert_eq!(SwapArgs::decode(&built.data), Ok(swap_args));
        let short = SwapArgs::decode(&built.data[..built.data.len() - 1]);
        assert_eq!(short, Err(DecodeError::BadArguments));
        let want = vector["accounts"].as_array().unwrap();
        assert_eq!(built.accounts.len(), want.len());
        for (got, want) in built.accounts.iter().zip(want) {
            assert_eq!(got.pubkey, key(&want["pubkey"]), "{}", vector["id"]);
            assert_eq!(Value::Bool(got.is_signer), want["is_signer"], "{}", vector["id"]);
            assert_eq!(Value::Bool(got.is_writable), want["is_writable"], "{}", vector["id"]);
        }
    }
}

#[test]
fn recorded_instructions_are_read() {
    let Some(vectors) = vectors("whirlpool/real_instructions.json") else { return };
    for vector in &vectors {
        let hex = vector["data_hex"].as_str().unwrap();
        let data: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let read = SwapArgs::decode(&data);
        if vector["id"].as_str().unwrap().contains("two_hop") {
            assert_eq!(read, Err(DecodeError::UnknownInstruction));
        } else {
            assert_eq!(read.unwrap().encode(), data);
        }
    }
}

#[test]
fn remaining_accounts_are_held_to_what_a_swap_takes() {
    let find = |slices: &[(u8, u8)], given| Remaining(slices.to_vec()).supplemental(given);
    assert_eq!(find(&[], 0), Ok(0..0));
    assert_eq!(find(&[(6, 2)], 2), Ok(0..2));
    assert_eq!(find(&[(0, 1), (1, 0), (6, 3)], 5), Ok(1..4));
    assert_eq!(find(&[(6, 2)], 1), Err(error::REMAINING_ACCOUNTS_INSUFFICIENT));
    assert_eq!(find(&[(2, 1)], 1), Err(error::REMAINING_ACCOUNTS_INVALID_SLICE));
    assert_eq!(find(&[(6, 1), (6, 1)], 2), Err(error::REMAINING_ACCOUNTS_DUPLICATED));
    assert_eq!(find(&[(6, 4)], 4), Err(error::TOO_MANY_SUPPLEMENTAL_TICK_ARRAYS));
}

#[test]
fn addresses_derive_as_the_sdk_derives_them() {
    let Some(vectors) = vectors("whirlpool/pda.json") else { return };
    for vector in &vectors {
        let (inputs, want) = (&vector["inputs"], &vector["expected"]);
        let mints = [&key(&inputs["mint_a"]), &key(&inputs["mint_b"])];
        let (pool, bump) =
            pool_address(&key(&inputs["config"]), mints, number(&inputs["fee_tier_index"]));
        assert_eq!(pool, key(&want["whirlpool"]), "{}", vector["id"]);
        assert_eq!(u64::from(bump), number::<u64>(&want["bump"]), "{}", vector["id"]);
        let start = number(&inputs["tick_array_start"]);
        assert_eq!(tick_array_address(&pool, start), key(&want["tick_array"]));
        assert_eq!(oracle_address(&pool), key(&want["oracle"]));
    }
}

#[test]
fn the_pool_of_sol_and_usdc_has_its_address_on_mainnet() {
    const SOL: Address = address!("So11111111111111111111111111111111111111112");
    const USDC: Address = address!("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
    let known = address!("Czfq3xZZDmsdGdUyrNLtRhGc47cXcZtLG4crryfu44zE");
    assert_eq!(pool_address(&CONFIG, [&SOL, &USDC], 4).0, known);
}
