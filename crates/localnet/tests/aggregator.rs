//! Swaps through the aggregator's service and program: quoted from the pools, built, and landed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::{Client, Net, quiet, runtime, sign};
use serde_json::{Value, json};
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};
use solana_signer::Signer;

const SOL: &str = "So11111111111111111111111111111111111111112";
const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const PYUSD: &str = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo";

fn instruction(value: &Value) -> Instruction {
    let address = |value: &Value| value.as_str().unwrap().parse::<Address>().unwrap();
    let flag = |value: &Value| value.as_bool().unwrap();
    let meta = |meta: &Value| AccountMeta {
        pubkey: address(&meta["pubkey"]),
        is_signer: flag(&meta["isSigner"]),
        is_writable: flag(&meta["isWritable"]),
    };
    Instruction {
        program_id: address(&value["programId"]),
        accounts: value["accounts"].as_array().unwrap().iter().map(meta).collect(),
        data: BASE64_STANDARD.decode(value["data"].as_str().unwrap()).unwrap(),
    }
}

fn instructions(build: &Value) -> Vec<Instruction> {
    let list = |field: &str| build[field].as_array().unwrap().iter().map(instruction);
    let mut all: Vec<_> =
        list("computeBudgetInstructions").chain(list("setupInstructions")).collect();
    all.push(instruction(&build["swapInstruction"]));
    all
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// Atoms of a mint that an owner holds.
async fn held(client: &Client, owner: &Address, mint: &str) -> u64 {
    let config = json!({"encoding": "base64", "commitment": "confirmed"});
    let params = json!([owner.to_string(), {"mint": mint}, config]);
    let accounts = client.ok("getTokenAccountsByOwner", params).await;
    let data = |one: &Value| {
        let text = one["account"]["data"][0].as_str().unwrap();
        BASE64_STANDARD.decode(text).unwrap()
    };
    let amount = |data: Vec<u8>| u64::from_le_bytes(data[64..72].try_into().unwrap());
    accounts["value"].as_array().unwrap().iter().map(data).map(amount).sum()
}

#[test]
fn a_swap_that_is_built_lands_and_brings_what_was_quoted() {
    let net = Net::start(quiet(50));
    runtime().block_on(async {
        let client = net.client();
        let taker = client.funded(10).await;
        client.mint(&taker.pubkey(), USDC, 10_000_000_000).await;
        // Into a new account of each token program, over both exchanges.
        for (mint_out, amount) in
            [(SOL, 500_000_000_u64), (PYUSD, 30_000_000), (SOL, 3_000_000_000)]
        {
            let query = format!(
                "inputMint={USDC}&outputMint={mint_out}&amount={amount}&slippageBps=10&taker={}",
                taker.pubkey()
            );
            let (status, quote) = client.get(&format!("/swap/v2/order?{query}")).await;
            assert_eq!(status, 200, "{quote}");
            let quote: Value = serde_json::from_str(&quote).unwrap();
            assert!(quote["transaction"].is_null());
            let (status, build) =
                client.get(&format!("/swap/v2/build?{query}&wrapAndUnwrapSol=false")).await;
            assert_eq!(status, 200, "{build}");
            let build: Value = serde_json::from_str(&build).unwrap();
            let out = number(&build["outAmount"]);
            assert_eq!(out, number(&quote["outAmount"]), "nobody trades here");
            let before = held(&client, &taker.pubkey(), mint_out).await;
            let (hash, _) = client.blockhash("processed").await;
            let sent = client.send(&sign(&instructions(&build), hash, &[&taker])).await.unwrap();
            assert_eq!(client.wait_for(&sent, "confirmed").await["err"], Value::Null);
            assert_eq!(held(&client, &taker.pubkey(), mint_out).await - before, out);
        }
    });
}

#[test]
fn what_it_cannot_do_is_refused_in_words_and_too_little_is_refused_by_the_program() {
    let net = Net::start(quiet(50));
    runtime().block_on(async {
        let client = net.client();
        let taker = client.funded(10).await;
        client.mint(&taker.pubkey(), USDC, 10_000_000_000).await;
        let swap = format!("inputMint={USDC}&outputMint={SOL}&amount=500000000");
        let taken = format!("{swap}&taker={}", taker.pubkey());
        for (path, words) in [
            (format!("build?{swap}&wrapAndUnwrapSol=false"), "taker"),
            (format!("build?{taken}"), "wrapAndUnwrapSol=false"),
            (format!("order?inputMint={USDC}&outputMint={USDC}&amount=5"), "No routes"),
            (format!("order?inputMint={USDC}&outputMint={SOL}&amount=0"), "No routes"),
            (format!("order?inputMint=x&outputMint={SOL}&amount=5"), "inputMint"),
            (format!("order?{swap}&slippageBps=10001"), "slippageBps"),
        ] {
            let (status, answer) = client.get(&format!("/swap/v2/{path}")).await;
            assert_eq!(status, 400, "{path}: {answer}");
            assert!(answer.contains(words), "{path}: {answer}");
        }
        let (_, build) = client
            .get(&format!("/swap/v2/build?{taken}&slippageBps=0&wrapAndUnwrapSol=false"))
            .await;
        let build: Value = serde_json::from_str(&build).unwrap();
        let mut all = instructions(&build);
        // One atom more than there is to get.
        let out = number(&build["outAmount"]);
        all.last_mut().unwrap().data[16..24].copy_from_slice(&(out + 1).to_le_bytes());
        let before = held(&client, &taker.pubkey(), USDC).await;
        let (hash, _) = client.blockhash("processed").await;
        let refused = client.send(&sign(&all, hash, &[&taker])).await.unwrap_err();
        let custom = &refused["data"]["err"]["InstructionError"][1]["Custom"];
        assert_eq!(*custom, 6001, "{refused}");
        assert_eq!(held(&client, &taker.pubkey(), USDC).await, before, "nothing has moved");
    });
}
