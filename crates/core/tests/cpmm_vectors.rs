//! Raydium CPMM against what its own program and SDK do.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use std::path::PathBuf;

use base64::Engine;
use serde_json::Value;
use sniper_core::amm::cpmm::{
    self, Config, Curve, EpochFees, Keys, PoolState, Swap, TransferFee, decode_config_account,
    decode_pool, decode_transfer_fees,
};
use sniper_core::amm::{QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

/// The vectors of a file; none, and a line that says so, where the reference data is absent.
fn vectors(name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors/raydium_cpmm")
        .join(format!("{name}.json"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: {name}.json absent\n"),
        )
        .ok();
        return Vec::new();
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    let vectors = file["vectors"].as_array().unwrap().clone();
    assert_eq!(file["header"]["count"], vectors.len(), "{name}.json is cut short");
    vectors
}

fn bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

/// The transfer fee of one side: from the mint's bytes, which must agree with the plain form beside them.
fn transfer_fee(vector: &Value, side: usize) -> TransferFee {
    let plain = &vector[format!("mint_{side}_transfer_fee")];
    let part = |part: &Value| TransferFee {
        max: number(&part["max"]),
        bps: u16::try_from(number(&part["bps"])).unwrap(),
    };
    let fees = if plain.is_null() {
        EpochFees::NONE
    } else {
        EpochFees {
            older: part(&plain["older"]),
            newer: part(&plain["newer"]),
            newer_epoch: number(&plain["newer"]["epoch"]),
        }
    };
    let data = &vector[format!("mint_{side}_data_b64")];
    if !data.is_null() {
        assert_eq!(decode_transfer_fees(&bytes(data)), Ok(fees), "{}", vector["id"]);
    }
    fees.at(number(&vector["epoch"]))
}

fn run(vector: &Value, exact_in: bool) -> Result<Swap, QuoteError> {
    let (pool, _) = decode_pool(&bytes(&vector["pool_data_b64"])).unwrap();
    let config = cpmm::decode_config(&bytes(&vector["config_data_b64"])).unwrap();
    let vaults =
        [&vector["vault_0_amount"], &vector["vault_1_amount"]].map(|v| Atoms::new(number(v)));
    let fees = [transfer_fee(vector, 0), transfer_fee(vector, 1)];
    let forward = vector["zero_for_one"].as_bool().unwrap();
    let now = i64::try_from(number(&vector["clock_unix_timestamp"])).unwrap();
    let amount = Atoms::new(number(&vector["amount"]));
    let curve = Curve::new(vaults, &pool, &config, fees)?;
    if exact_in {
        curve.swap_exact_in(forward, amount, now)
    } else {
        curve.swap_exact_out(forward, amount, now)
    }
}

fn check_swap(vector: &Value, exact_in: bool) {
    let id = &vector["id"];
    let expected = &vector["expected"];
    let got = run(vector, exact_in);
    if !expected["ok"].as_bool().unwrap() {
        let error = got.expect_err(&format!("{id}: the program refuses"));
        // 6000 is the one code with a single meaning per state: the pool is closed.
        let closed = matches!(error, QuoteError::Paused | QuoteError::NotOpen);
        let custom = &expected["error"]["custom"];
        assert_eq!(closed, custom == 6000, "{id}: {error:?} for {custom}");
        assert_eq!(error == QuoteError::Unsupported, custom == 6013, "{id}: {error:?}");
        return;
    }
    let swap = got.unwrap_or_else(|error| panic!("{id}: {error:?}"));
    let is = |field: &str, got: Atoms, expected: &Value| {
        assert_eq!(got.get(), number(expected), "{id}: {field}");
    };
    is("paid", swap.paid, &expected["user_paid"]);
    is("received", swap.received, &expected["user_received"]);
    is("vault_in", swap.vault_in, &expected["vault_in_delta"]);
    is("vault_out", swap.vault_out, &expected["vault_out_delta"]);
    let event = &expected["event"];
    is("input_amount", swap.input_amount, &event["input_amount"]);
    is("output_amount", swap.vault_out, &event["output_amount"]);
    is("input_transfer_fee", swap.input_transfer_fee, &event["input_transfer_fee"]);
    is("output_transfer_fee", swap.output_transfer_fee, &event["output_transfer_fee"]);
    is("trade_fee", swap.trade_fee, &event["trade_fee"]);
    is("creator_fee", swap.creator_fee, &event["creator_fee"]);
    assert_eq!(event["creator_fee_on_input"], swap.creator_fee_on_input, "{id}");
    let side_in = usize::from(!vector["zero_for_one"].as_bool().unwrap());
    let accrued = &expected["accrued"];
    let creator_side = if swap.creator_fee_on_input { side_in } else { 1 - side_in };
    for side in 0..2 {
        let when = |here: bool, amount: Atoms| if here { amount } else { Atoms::ZERO };
        let input = side == side_in;
        is("protocol", when(input, swap.protocol_fee), &accrued[format!("protocol_{side}")]);
        is("fund", when(input, swap.fund_fee), &accrued[format!("fund_{side}")]);
        let creator = when(side == creator_side, swap.creator_fee);
        is("creator", creator, &accrued[format!("creator_{side}")]);
    }
}

#[test]
fn a_swap_of_a_fixed_input_does_what_the_program_does() {
    for vector in vectors("swap_base_input") {
        check_swap(&vector, true);
    }
}

#[test]
fn a_swap_of_a_fixed_output_does_what_the_program_does() {
    for vector in vectors("swap_base_output") {
        check_swap(&vector, false);
    }
}

fn check_pool(vector: &Value) {
    let (state, keys) = decode_pool(&bytes(&vector["data_b64"])).unwrap();
    let e = &vector["expected"];
    let a = |name: &str| address(&e[name]);
    let n = |name: &str| number(&e[name]);
    let pair = |first: &str, second: &str| [first, second].map(|name| Atoms::new(n(name)));
    let id = &vector["id"];
    assert_eq!(keys.config, a("configId"), "{id}");
    assert_eq!(keys.creator, a("poolCreator"), "{id}");
    assert_eq!(keys.vaults, [a("vaultA"), a("vaultB")], "{id}");
    assert_eq!(keys.lp_mint, a("mintLp"), "{id}");
    assert_eq!(keys.mints, [a("mintA"), a("mintB")], "{id}");
    assert_eq!(keys.token_programs, [a("mintProgramA"), a("mintProgramB")], "{id}");
    assert_eq!(keys.observation, a("observationId"), "{id}");
    assert_eq!(u64::from(keys.auth_bump), n("bump"), "{id}");
    assert_eq!(u64::from(keys.lp_decimals), n("lpDecimals"), "{id}");
    assert_eq!(keys.decimals.map(u64::from), [n("mintDecimalA"), n("mintDecimalB")], "{id}");
    assert_eq!(keys.recent_epoch, n("epoch"), "{id}");
    let expected = PoolState {
        status: u8::try_from(n("status")).unwrap(),
        open_time: n("openTime"),
        lp_supply: Atoms::new(n("lpAmount")),
        protocol_fees: pair("protocolFeesMintA", "protocolFeesMintB"),
        fund_fees: pair("fundFeesMintA", "fundFeesMintB"),
        creator_fees: pair("creatorFeesMintA", "creatorFeesMintB"),
        shared_creator_fees: [Atoms::ZERO; 2],
        creator_fee_on: u8::try_from(n("feeOn")).unwrap(),
        enable_creator_fee: e["enableCreatorFee"].as_bool().unwrap(),
    };
    assert_eq!(state, expected, "{id}");
}

fn check_config(vector: &Value) {
    let account = decode_config_account(&bytes(&vector["data_b64"])).unwrap();
    let e = &vector["expected"];
    let n = |name: &str| number(&e[name]);
    let expected = cpmm::ConfigAccount {
        config: Config {
            trade_fee_rate: n("tradeFeeRate"),
            protocol_fee_rate: n("protocolFeeRate"),
            fund_fee_rate: n("fundFeeRate"),
            creator_fee_rate: n("creatorFeeRate"),
        },
        bump: u8::try_from(n("bump")).unwrap(),
        disable_create_pool: e["disableCreatePool"].as_bool().unwrap(),
        index: u16::try_from(n("index")).unwrap(),
        create_pool_fee: n("createPoolFee"),
        protocol_owner: address(&e["protocolOwner"]),
        fund_owner: address(&e["fundOwner"]),
        creator_fee_share_rate: n("creatorFeeShareRate"),
    };
    assert_eq!(account, expected, "{}", vector["id"]);
}

#[test]
fn account_bytes_read_as_the_sdk_reads_them() {
    for vector in vectors("layout").iter().chain(&vectors("real_accounts")) {
        match vector["account"].as_str().unwrap() {
            "PoolState" => check_pool(vector),
            "AmmConfig" => check_config(vector),
            other => panic!("{other}: unknown account"),
        }
    }
}

#[test]
fn a_swap_instruction_is_the_sdk_s_byte_for_byte() {
    for vector in vectors("instructions") {
        let args = &vector["args"];
        let a = |name: &str| address(&args[name]);
        let n = |name: &str| Atoms::new(number(&args[name]));
        let amount = match vector["kind"].as_str().unwrap() {
            "swap_base_input" => {
                LegAmount::ExactIn { amount_in: n("amount_in"), min_out: n("minimum_amount_out") }
            }
            "swap_base_output" => {
                LegAmount::ExactOut { amount_out: n("amount_out"), max_in: n("max_amount_in") }
            }
            other => {
                // The engine trades; it neither makes pools nor provides liquidity.
                assert!(!other.starts_with("swap"), "{other}: unknown swap");
                continue;
            }
        };
        assert_eq!(a("authority"), cpmm::AUTHORITY);
        // Both ways round: a pool whose mint 0 is the input, and one whose mint 1 is.
        for forward in [true, false] {
            let order = |input: Address, output: Address| {
                if forward { [input, output] } else { [output, input] }
            };
            let keys = Keys {
                config: a("amm_config"),
                observation: a("observation"),
                vaults: order(a("input_vault"), a("output_vault")),
                token_programs: order(a("input_token_program"), a("output_token_program")),
            };
            let accounts = SwapAccounts {
                owner: a("payer"),
                source: a("user_input"),
                destination: a("user_output"),
            };
            let mints = order(a("input_mint"), a("output_mint"));
            let got = cpmm::swap_instruction(a("pool"), &keys, mints, forward, amount, accounts);
            let id = &vector["id"];
            assert_eq!(got.program_id, address(&vector["program_id"]), "{id}");
            let hex: String = got.data.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(vector["data_hex"], hex, "{id}");
            let metas: Vec<Value> = got
                .accounts
                .iter()
                .map(|meta| {
                    serde_json::json!({
                        "pubkey": meta.pubkey.to_string(),
                        "is_signer": meta.is_signer,
                        "is_writable": meta.is_writable,
                    })
                })
                .collect();
            assert_eq!(vector["accounts"], Value::from(metas), "{id}");
        }
    }
}

#[test]
fn derived_addresses_are_the_sdk_s() {
    for vector in vectors("pda") {
        let inputs = &vector["inputs"];
        let expected = &vector["expected"];
        assert_eq!(address(&inputs["program"]), cpmm::PROGRAM_ID);
        let mints = [address(&inputs["mint_0"]), address(&inputs["mint_1"])];
        let derived = cpmm::derive(&address(&inputs["amm_config"]), mints);
        let id = &vector["id"];
        assert_eq!(derived.pool, address(&expected["poolId"]), "{id}");
        assert_eq!(derived.lp_mint, address(&expected["lpMint"]), "{id}");
        let vaults = [address(&expected["vaultA"]), address(&expected["vaultB"])];
        assert_eq!(derived.vaults, vaults, "{id}");
        assert_eq!(derived.observation, address(&expected["observationId"]), "{id}");
        assert_eq!(address(&expected["authority"]), cpmm::AUTHORITY, "{id}");
        let authority = Address::find_program_address(&[cpmm::AUTHORITY_SEED], &cpmm::PROGRAM_ID);
        assert_eq!(authority.0, cpmm::AUTHORITY, "{id}");
    }
}
