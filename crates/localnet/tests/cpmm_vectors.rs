//! The exchange's arithmetic, layouts, instructions and addresses against recorded vectors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use base64::Engine;
use serde_json::Value;
use sniper_localnet::cpmm::instruction::{SwapAccounts, SwapArgs, swap};
use sniper_localnet::cpmm::math::{Direction, Quote, Refusal, Swap, TransferFee};
use sniper_localnet::cpmm::state::{AmmConfig, PoolState};
use sniper_localnet::cpmm::{self, PoolAddresses};
use solana_address::Address;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/raydium_cpmm/");

fn vectors(file: &str) -> Option<Vec<Value>> {
    let Ok(text) = std::fs::read_to_string(format!("{DIR}{file}")) else {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: ../shared/vectors/raydium_cpmm/{file} absent\n"),
        )
        .ok();
        return None;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    let vectors = document["vectors"].as_array().unwrap().clone();
    assert!(!vectors.is_empty());
    Some(vectors)
}

fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_u64().unwrap(),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn key(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

fn fee(vector: &Value, token: u8) -> TransferFee {
    let Some(mint) = vector.get(format!("mint_{token}_data_b64")) else {
        return TransferFee::default();
    };
    if vector["token_2022"][usize::from(token)] != Value::Bool(true) {
        return TransferFee::default();
    }
    let read = cpmm::token::transfer_fee(&bytes(mint), number(&vector["epoch"]));
    if let Some(config) = vector.get(format!("mint_{token}_transfer_fee")) {
        let newer = number(&vector["epoch"]) >= number(&config["newer"]["epoch"]);
        let named = &config[if newer { "newer" } else { "older" }];
        assert_eq!(u64::from(read.bps), number(&named["bps"]), "{}", vector["id"]);
        assert_eq!(read.max, number(&named["max"]), "{}", vector["id"]);
    }
    read
}

fn run(vector: &Value) -> (Result<Swap, Refusal>, Direction) {
    let pool = PoolState::decode(&bytes(&vector["pool_data_b64"])).unwrap();
    let config = AmmConfig::decode(&bytes(&vector["config_data_b64"])).unwrap();
    let zero_for_one = vector["zero_for_one"].as_bool().unwrap();
    let (direction, fee_in, fee_out) = if zero_for_one {
        (Direction::ZeroForOne, fee(vector, 0), fee(vector, 1))
    } else {
        (Direction::OneForZero, fee(vector, 1), fee(vector, 0))
    };
    let quote = Quote {
        pool: &pool,
        config: &config,
        vault_0: number(&vector["vault_0_amount"]),
        vault_1: number(&vector["vault_1_amount"]),
        direction,
        fee_in,
        fee_out,
        now: number(&vector["clock_unix_timestamp"]),
    };
    let amount = number(&vector["amount"]);
    let result = match vector["kind"].as_str().unwrap() {
        "swap_base_input" => quote.base_input(amount),
        "swap_base_output" => quote.base_output(amount),
        other => panic!("unknown kind {other}"),
    };
    (result, direction)
}

fn check(vector: &Value) -> Result<(), String> {
    let (result, direction) = run(vector);
    let expected = &vector["expected"];
    if expected["ok"] == Value::Bool(true) {
        let swap = result.map_err(|refusal| format!("refused {refusal:?}, expected {expected}"))?;
        let event = &expected["event"];
        let (vault_in, vault_out) = (swap.user_pays - swap.input_transfer_fee, swap.pool_pays);
        let pairs = [
            ("user_paid", swap.user_pays, &expected["user_paid"]),
            ("user_received", swap.user_receives, &expected["user_received"]),
            ("vault_in_delta", vault_in, &expected["vault_in_delta"]),
            ("vault_out_delta", vault_out, &expected["vault_out_delta"]),
            ("input_vault_before", swap.reserve_in, &event["input_vault_before"]),
            ("output_vault_before", swap.reserve_out, &event["output_vault_before"]),
            ("input_amount", swap.input_amount, &event["input_amount"]),
            ("output_amount", swap.pool_pays, &event["output_amount"]),
            ("input_transfer_fee", swap.input_transfer_fee, &event["input_transfer_fee"]),
            ("output_transfer_fee", swap.output_transfer_fee, &event["output_transfer_fee"]),
            ("trade_fee", swap.trade_fee, &event["trade_fee"]),
            ("creator_fee", swap.creator_fee, &event["creator_fee"]),
        ];
        for (name, got, want) in pairs {
            if got != number(want) {
                return Err(format!("{name}: got {got}, expected {want}; {swap:?}"));
            }
        }
        if Value::Bool(swap.creator_fee_on_input) != event["creator_fee_on_input"] {
            return Err("creator_fee_on_input differs".into());
        }
        let accrued = &expected["accrued"];
        let (side, other) = if direction == Direction::ZeroForOne { (0, 1) } else { (1, 0) };
        let creator = if swap.creator_fee_on_input { side } else { other };
        for (name, token, got) in [
            ("protocol", side, swap.protocol_fee),
            ("fund", side, swap.fund_fee),
            ("creator", creator, swap.creator_fee),
        ] {
            let want = number(&accrued[format!("{name}_{token}")]);
            if got != want {
                return Err(format!("accrued {name}_{token}: got {got}, expected {want}"));
            }
        }
        return Ok(());
    }
    let error = &expected["error"];
    let want = match (&error["abort"], &error["in"]) {
        (Value::Bool(true), _) => Refusal::Abort,
        (_, Value::String(place)) if place == "amm" => {
            Refusal::Custom(u32::try_from(number(&error["custom"])).unwrap())
        }
        // The arithmetic agrees to the swap; the token program then refuses the transfer.
        _ => return result.map(|_| ()).map_err(|refusal| format!("refused {refusal:?}")),
    };
    match result {
        Err(got) if got == want => Ok(()),
        other => Err(format!("got {other:?}, expected {want:?}")),
    }
}

fn check_all(file: &str) {
    let Some(vectors) = vectors(file) else { return };
    let failures: Vec<String> = vectors
        .iter()
        .filter_map(|vector| check(vector).err().map(|e| format!("{}: {e}", vector["id"])))
        .collect();
    let count = vectors.len();
    assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), failures.join("\n"));
    println!("{count} vectors of {file} agree");
}

#[test]
fn every_exact_input_swap_equals_what_the_program_did() {
    check_all("swap_base_input.json");
}

#[test]
fn every_exact_output_swap_equals_what_the_program_did() {
    check_all("swap_base_output.json");
}

#[test]
fn accounts_read_field_by_field_and_write_back_byte_by_byte() {
    for file in ["layout.json", "real_accounts.json"] {
        let Some(vectors) = vectors(file) else { return };
        for vector in &vectors {
            let data = bytes(&vector["data_b64"]);
            let want = &vector["expected"];
            if vector["account"] == "PoolState" {
                let pool = PoolState::decode(&data).unwrap();
                check_pool(&pool, want);
                let mut copy = data.clone();
                copy[8..391].fill(0);
                copy[397..413].fill(0);
                pool.write(&mut copy).unwrap();
                assert_eq!(copy[..391], data[..391], "{}", vector["id"]);
                assert_eq!(copy[397..], data[397..], "{}", vector["id"]);
            } else {
                let config = AmmConfig::decode(&data).unwrap();
                check_config(&config, want);
                assert_eq!(config.encode()[..124], data[..124], "{}", vector["id"]);
            }
        }
    }
}

fn check_pool(pool: &PoolState, want: &Value) {
    for (got, name) in [
        (pool.amm_config, "configId"),
        (pool.creator, "poolCreator"),
        (pool.vault_0, "vaultA"),
        (pool.vault_1, "vaultB"),
        (pool.lp_mint, "mintLp"),
        (pool.mint_0, "mintA"),
        (pool.mint_1, "mintB"),
        (pool.program_0, "mintProgramA"),
        (pool.program_1, "mintProgramB"),
        (pool.observation, "observationId"),
    ] {
        assert_eq!(got, key(&want[name]), "{name}");
    }
    for (got, name) in [
        (pool.auth_bump.into(), "bump"),
        (pool.status.into(), "status"),
        (pool.lp_decimals.into(), "lpDecimals"),
        (pool.decimals_0.into(), "mintDecimalA"),
        (pool.decimals_1.into(), "mintDecimalB"),
        (pool.lp_supply, "lpAmount"),
        (pool.protocol_fees_0, "protocolFeesMintA"),
        (pool.protocol_fees_1, "protocolFeesMintB"),
        (pool.fund_fees_0, "fundFeesMintA"),
        (pool.fund_fees_1, "fundFeesMintB"),
        (pool.open_time, "openTime"),
        (pool.recent_epoch, "epoch"),
        (pool.creator_fee_on.into(), "feeOn"),
        (pool.creator_fees_0, "creatorFeesMintA"),
        (pool.creator_fees_1, "creatorFeesMintB"),
    ] {
        assert_eq!(got, number(&want[name]), "{name}");
    }
    assert_eq!(Value::Bool(pool.enable_creator_fee), want["enableCreatorFee"]);
}

fn check_config(config: &AmmConfig, want: &Value) {
    for (got, name) in [
        (config.bump.into(), "bump"),
        (config.index.into(), "index"),
        (config.trade_fee_rate, "tradeFeeRate"),
        (config.protocol_fee_rate, "protocolFeeRate"),
        (config.fund_fee_rate, "fundFeeRate"),
        (config.create_pool_fee, "createPoolFee"),
        (config.creator_fee_rate, "creatorFeeRate"),
        (config.creator_fee_share_rate, "creatorFeeShareRate"),
    ] {
        assert_eq!(got, number(&want[name]), "{name}");
    }
    assert_eq!(Value::Bool(config.disable_create_pool), want["disableCreatePool"]);
    assert_eq!(config.protocol_owner, key(&want["protocolOwner"]));
    assert_eq!(config.fund_owner, key(&want["fundOwner"]));
}

#[test]
fn instructions_have_the_accounts_flags_and_bytes_of_the_sdk() {
    let Some(vectors) = vectors("instructions.json") else { return };
    for vector in &vectors {
        let args = &vector["args"];
        let accounts = SwapAccounts {
            payer: key(&args["payer"]),
            authority: key(&args["authority"]),
            amm_config: key(&args["amm_config"]),
            pool: key(&args["pool"]),
            user_input: key(&args["user_input"]),
            user_output: key(&args["user_output"]),
            input_vault: key(&args["input_vault"]),
            output_vault: key(&args["output_vault"]),
            input_token_program: key(&args["input_token_program"]),
            output_token_program: key(&args["output_token_program"]),
            input_mint: key(&args["input_mint"]),
            output_mint: key(&args["output_mint"]),
            observation: key(&args["observation"]),
        };
        let swap_args = if vector["kind"] == "swap_base_input" {
            SwapArgs::BaseInput {
                amount_in: number(&args["amount_in"]),
                minimum_amount_out: number(&args["minimum_amount_out"]),
            }
        } else {
            SwapArgs::BaseOutput {
                max_amount_in: number(&args["max_amount_in"]),
                amount_out: number(&args["amount_out"]),
            }
        };
        let built = swap(&accounts, swap_args);
        assert_eq!(built.program_id, key(&vector["program_id"]));
        let hex: String = built.data.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, vector["data_hex"].as_str().unwrap(), "{}", vector["id"]);
        assert_eq!(SwapArgs::decode(&built.data), Ok(swap_args));
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
fn addresses_derive_as_the_sdk_derives_them() {
    let Some(vectors) = vectors("pda.json") else { return };
    let mut checked = 0;
    for vector in &vectors {
        let (inputs, want) = (&vector["inputs"], &vector["expected"]);
        if want.get("pool").is_some() {
            let derived = PoolAddresses::derive(
                &key(&inputs["amm_config"]),
                [&key(&inputs["mint_0"]), &key(&inputs["mint_1"])],
            );
            assert_eq!(derived.pool, key(&want["pool"]), "{}", vector["id"]);
            assert_eq!(derived.lp_mint, key(&want["lpMint"]), "{}", vector["id"]);
            assert_eq!(derived.vault_0, key(&want["vaultA"]), "{}", vector["id"]);
            assert_eq!(derived.vault_1, key(&want["vaultB"]), "{}", vector["id"]);
            assert_eq!(derived.observation, key(&want["observationId"]), "{}", vector["id"]);
            assert_eq!(cpmm::authority().0, key(&want["authority"]), "{}", vector["id"]);
            checked += 1;
        } else {
            let index = u16::try_from(number(&inputs["index"])).unwrap();
            assert_eq!(cpmm::config_address(index).0, key(&want["amm_config"]));
            checked += 1;
        }
    }
    assert_eq!(checked, vectors.len());
}
