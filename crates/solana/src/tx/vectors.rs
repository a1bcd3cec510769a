//! Instructions and messages as `@solana/web3.js` and `@solana/spl-token` make them, byte for byte.

use serde_json::Value;
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Lamports};
use solana_instruction::{AccountMeta, Instruction};

use super::instructions as ix;
use super::message::{LookupTable, compile_any};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/core_programs");

fn vectors(file: &str) -> Option<Vec<Value>> {
    let path = format!("{FOLDER}/{file}");
    let Ok(text) = std::fs::read_to_string(&path) else {
        std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {path} absent\n"))
            .ok();
        return None;
    };
    let mut all: Value = serde_json::from_str(&text).unwrap();
    Some(serde_json::from_value(all["vectors"].take()).unwrap())
}

fn key(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).parse().unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn instruction(value: &Value) -> Instruction {
    let meta = |account: &Value| AccountMeta {
        pubkey: key(&account["pubkey"]),
        is_signer: account["is_signer"].as_bool().unwrap(),
        is_writable: account["is_writable"].as_bool().unwrap(),
    };
    Instruction {
        program_id: key(&value["program_id"]),
        accounts: value["accounts"].as_array().unwrap().iter().map(meta).collect(),
        data: hex(&value["data_hex"]),
    }
}

/// Our instruction of a vector's kind; none for kinds we never send.
fn ours(kind: &str, args: &Value) -> Option<Instruction> {
    Some(match kind {
        "compute_budget.set_unit_limit" => ix::compute_unit_limit(number(&args["units"])),
        "compute_budget.set_unit_price" => ix::compute_unit_price(number(&args["micro_lamports"])),
        "system.transfer" => {
            let lamports = Lamports::new(number(&args["lamports"]));
            ix::transfer(key(&args["from"]), key(&args["to"]), lamports)
        }
        "ata.create_idempotent" => ix::create_associated_token_account(
            key(&args["payer"]),
            key(&args["owner"]),
            key(&args["mint"]),
            key(&args["token_program"]),
        ),
        "token.sync_native" if key(&args["token_program"]) == ix::TOKEN_PROGRAM => {
            ix::sync_native(key(&args["account"]))
        }
        "token.close_account" => ix::close_account(
            key(&args["account"]),
            key(&args["destination"]),
            key(&args["owner"]),
            key(&args["token_program"]),
        ),
        "token.transfer_checked" => ix::transfer_checked(
            key(&args["token_program"]),
            (key(&args["mint"]), number(&args["decimals"])),
            key(&args["source"]),
            key(&args["destination"]),
            key(&args["owner"]),
            Atoms::new(number(&args["amount"])),
        ),
        _ => return None,
    })
}

#[test]
fn our_instructions_are_those_of_the_official_sdk() {
    let Some(vectors) = vectors("instructions.json") else { return };
    let mut kinds = std::collections::BTreeMap::new();
    for vector in &vectors {
        let kind = vector["kind"].as_str().unwrap();
        if let Some(ours) = ours(kind, &vector["args"]) {
            assert_eq!(ours, instruction(vector), "{}", vector["id"]);
            *kinds.entry(kind).or_insert(0) += 1;
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

#[test]
fn our_messages_are_those_of_the_official_sdk() {
    let Some(vectors) = vectors("messages.json") else { return };
    let mut seen = std::collections::BTreeMap::new();
    for vector in &vectors {
        let kind = vector["kind"].as_str().unwrap();
        let instructions: Vec<_> =
            vector["instructions"].as_array().unwrap().iter().map(instruction).collect();
        let table =
            vector.get("lookup_table").filter(|table| !table.is_null()).map(|table| LookupTable {
                address: key(&table["key"]),
                addresses: table["addresses"].as_array().unwrap().iter().map(key).collect(),
            });
        let blockhash = vector["recent_blockhash"].as_str().unwrap().parse().unwrap();
        let payer = key(&vector["payer"]);
        let mut message = compile_any(payer, &instructions, &blockhash, table.as_slice()).unwrap();
        if kind == "legacy" {
            // The same without the version before and the (empty) list of tables behind.
            message.remove(0);
            assert_eq!(message.pop(), Some(0));
        }
        assert_eq!(message, hex(&vector["message_hex"]), "{}", vector["id"]);
        *seen.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}
