//! Laws of the chain: time, commitment, fees, expiry, order and lookup tables.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::{Net, quiet, runtime, sign};
use serde_json::{Value, json};
use sniper_localnet::{LocalnetConfig, LocalnetError, PortConfig};
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::{AddressLookupTableAccount, VersionedMessage, v0};
use solana_signer::Signer;
use solana_system_interface::instruction::transfer;
use solana_transaction::versioned::VersionedTransaction;

const SOL: &str = "So11111111111111111111111111111111111111112";

#[test]
fn a_transfer_moves_lamports_and_charges_base_and_priority_fee_rounded_up() {
    let net = Net::start(quiet(20));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(10).await;
        let to = Address::new_unique();
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(
            &[
                ComputeBudgetInstruction::set_compute_unit_limit(1_001),
                ComputeBudgetInstruction::set_compute_unit_price(1_000),
                transfer(&payer.pubkey(), &to, 3_000_000),
            ],
            hash,
            &[&payer],
        );
        let signature = client.send(&tx).await.unwrap();
        client.wait_for(&signature, "confirmed").await;
        // 1001 units at 1000 micro-lamports are 1.001 lamports: 2.
        let fee = 5_000 + 2;
        let left = 10_000_000_000 - 3_000_000 - fee;
        assert_eq!(client.balance(&payer.pubkey(), "confirmed").await, left);
        assert_eq!(client.balance(&to, "confirmed").await, 3_000_000);
        let config = json!({"commitment": "confirmed", "maxSupportedTransactionVersion": 0});
        let found = client.ok("getTransaction", json!([signature, config])).await;
        assert_eq!(found["meta"]["fee"], fee);
        assert_eq!(found["meta"]["err"], Value::Null);
        assert_eq!(found["meta"]["preBalances"][0], 10_000_000_000u64);
        assert_eq!(found["meta"]["postBalances"][0], left);
        assert_eq!(found["version"], 0);
        let message = BASE64_STANDARD.encode(tx.message.serialize());
        let params = json!([message, {"commitment": "processed"}]);
        assert_eq!(client.ok("getFeeForMessage", params).await["value"], fee);
    });
}

#[test]
fn a_failed_transaction_is_in_a_block_and_pays_its_fee() {
    let net = Net::start(quiet(20));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(1).await;
        let (hash, _) = client.blockhash("processed").await;
        let too_much = transfer(&payer.pubkey(), &Address::new_unique(), 5_000_000_000);
        let tx = sign(&[too_much], hash, &[&payer]);
        let error = client.send(&tx).await.unwrap_err();
        assert_eq!(error["code"], -32002);
        assert_eq!(error["data"]["err"], json!({"InstructionError": [0, {"Custom": 1}]}));
        assert!(error["data"]["logs"].as_array().unwrap().len() > 1, "{error}");
        let signature = client.send_unchecked(&tx).await;
        let status = client.wait_for(&signature, "confirmed").await;
        assert_eq!(status["err"], json!({"InstructionError": [0, {"Custom": 1}]}));
        assert_eq!(client.balance(&payer.pubkey(), "confirmed").await, 1_000_000_000 - 5_000);
    });
}

#[test]
fn the_same_transaction_is_executed_once_and_refused_afterwards() {
    let net = Net::start(quiet(20));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(1).await;
        let to = Address::new_unique();
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &to, 1_000_000)], hash, &[&payer]);
        let signature = client.send(&tx).await.unwrap();
        client.send_unchecked(&tx).await;
        client.wait_for(&signature, "processed").await;
        let error = client.send(&tx).await.unwrap_err();
        assert_eq!(error["code"], -32002);
        assert_eq!(error["data"]["err"], "AlreadyProcessed");
        client.send_unchecked(&tx).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(client.balance(&to, "processed").await, 1_000_000);
    });
}

#[test]
fn a_blockhash_is_usable_for_150_blocks_and_not_one_more() {
    let net = Net::start(quiet(5));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(1).await;
        let (hash, last_valid) = client.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &payer.pubkey(), 1)], hash, &[&payer]);
        let height = async || {
            client
                .ok("getBlockHeight", json!([{"commitment": "processed"}]))
                .await
                .as_u64()
                .unwrap()
        };
        assert!(last_valid.abs_diff(height().await + 150) < 40);
        while height().await <= last_valid {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let valid = client
            .ok("isBlockhashValid", json!([hash.to_string(), {"commitment": "processed"}]))
            .await;
        assert_eq!(valid["value"], false);
        let error = client.send(&tx).await.unwrap_err();
        assert_eq!(error["code"], -32002);
        assert_eq!(error["data"]["err"], "BlockhashNotFound");
        let signature = client.send_unchecked(&tx).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(client.status(&signature).await, Value::Null, "an expired one never lands");
    });
}

#[test]
fn each_commitment_level_reads_the_state_it_promises() {
    let net = Net::start(quiet(60));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(2).await;
        let to = Address::new_unique();
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &to, 1_000_000)], hash, &[&payer]);
        let signature = client.send(&tx).await.unwrap();
        let landed = client.wait_for(&signature, "processed").await["slot"].as_u64().unwrap();
        assert_eq!(client.balance(&to, "processed").await, 1_000_000);
        let mut finalized_seen = false;
        for _ in 0..1_000 {
            let params = json!([to.to_string(), {"commitment": "finalized"}]);
            let read = client.ok("getBalance", params).await;
            let (slot, lamports) =
                (read["context"]["slot"].as_u64().unwrap(), read["value"].as_u64().unwrap());
            assert_eq!(lamports, if slot >= landed { 1_000_000 } else { 0 });
            if slot >= landed {
                finalized_seen = true;
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(finalized_seen);
        let (processed, confirmed, finalized) = (
            client.slot("processed").await,
            client.slot("confirmed").await,
            client.slot("finalized").await,
        );
        assert!(processed >= confirmed && confirmed > finalized);
        assert!(processed - finalized <= 8 + 2, "{processed} {finalized}");
        // A blockhash newer than the preflight's bank is unknown to it.
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &to, 1)], hash, &[&payer]);
        let config = json!({"encoding": "base64", "preflightCommitment": "finalized"});
        let error = client.error("sendTransaction", json!([common::wire(&tx), config])).await;
        assert_eq!(error["data"]["err"], "BlockhashNotFound");
    });
}

#[test]
fn the_best_paid_transaction_comes_first_in_its_block() {
    let net = Net::start(quiet(800));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(10).await;
        let (hash, _) = client.blockhash("processed").await;
        let start = client.slot("processed").await;
        while client.slot("processed").await == start {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut sent = Vec::new();
        let to = |price: u64| Address::new_from_array([u8::try_from(price % 251).unwrap(); 32]);
        for price in [10u64, 30_000, 500] {
            let tx = sign(
                &[
                    ComputeBudgetInstruction::set_compute_unit_price(price),
                    transfer(&payer.pubkey(), &to(price), 1_000_000),
                ],
                hash,
                &[&payer],
            );
            sent.push((price, client.send_unchecked(&tx).await));
        }
        let mut places = Vec::new();
        for (price, signature) in sent {
            client.wait_for(&signature, "confirmed").await;
            let config = json!({"commitment": "confirmed", "maxSupportedTransactionVersion": 0});
            let found = client.ok("getTransaction", json!([signature, config])).await;
            places.push((found["slot"].as_u64(), found["transactionIndex"].as_u64(), price));
        }
        assert!(places.iter().all(|place| place.0 == places[0].0), "one block: {places:?}");
        places.sort_unstable();
        let prices: Vec<u64> = places.iter().map(|place| place.2).collect();
        assert_eq!(prices, [30_000, 500, 10]);
        // By who writes what: the least of the block, and at most the least of each account that is asked for.
        for (keys, least) in [
            (vec![], 10),
            (vec![to(500)], 500),
            (vec![to(500), to(30_000)], 30_000),
            (vec![payer.pubkey()], 10),
            (vec![Address::new_unique()], 10),
        ] {
            let names: Vec<String> = keys.iter().map(Address::to_string).collect();
            let fees = client.ok("getRecentPrioritizationFees", json!([names])).await;
            let of_block =
                fees.as_array().unwrap().iter().find(|fee| fee["slot"].as_u64() == places[0].0);
            assert_eq!(of_block.unwrap()["prioritizationFee"], least, "{names:?}");
        }
    });
}

/// `CreateLookupTable` and `ExtendLookupTable`, spelled out.
fn lookup_table(owner: &Address, slot: u64, keys: &[Address]) -> (Address, Vec<Instruction>) {
    let program = solana_sdk_ids::address_lookup_table::ID;
    let seeds: &[&[u8]] = &[owner.as_ref(), &slot.to_le_bytes()];
    let (table, bump) = Address::find_program_address(seeds, &program);
    let accounts = vec![
        AccountMeta::new(table, false),
        AccountMeta::new_readonly(*owner, true),
        AccountMeta::new(*owner, true),
        AccountMeta::new_readonly(solana_sdk_ids::system_program::ID, false),
    ];
    let mut create = 0u32.to_le_bytes().to_vec();
    create.extend(slot.to_le_bytes());
    create.push(bump);
    let mut extend = 2u32.to_le_bytes().to_vec();
    extend.extend(u64::try_from(keys.len()).unwrap().to_le_bytes());
    extend.extend(keys.iter().flat_map(|key| key.to_bytes()));
    let instruction = |data| Instruction { program_id: program, accounts: accounts.clone(), data };
    (table, vec![instruction(create), instruction(extend)])
}

#[test]
fn keys_of_a_lookup_table_work_from_the_next_slot_on() {
    let net = Net::start(quiet(30));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(5).await;
        let to = Keypair::new().pubkey();
        let recent = client.slot("confirmed").await;
        let (table, instructions) = lookup_table(&payer.pubkey(), recent, &[to]);
        let (hash, _) = client.blockhash("processed").await;
        let made = client.send(&sign(&instructions, hash, &[&payer])).await.unwrap();
        assert_eq!(client.wait_for(&made, "confirmed").await["err"], Value::Null);
        let (hash, _) = client.blockhash("processed").await;
        let known = AddressLookupTableAccount { key: table, addresses: vec![to] };
        let pay = transfer(&payer.pubkey(), &to, 4_000_000);
        let message = v0::Message::try_compile(&payer.pubkey(), &[pay], &[known], hash).unwrap();
        assert!(!message.account_keys.contains(&to), "the message names only the table");
        let tx = VersionedTransaction::try_new(VersionedMessage::V0(message), &[&payer]).unwrap();
        let signature = client.send(&tx).await.unwrap();
        assert_eq!(client.wait_for(&signature, "confirmed").await["err"], Value::Null);
        assert_eq!(client.balance(&to, "confirmed").await, 4_000_000);
        let config = json!({"commitment": "confirmed", "maxSupportedTransactionVersion": 0});
        let found = client.ok("getTransaction", json!([signature, config])).await;
        let loaded = json!({"writable": [to.to_string()], "readonly": []});
        assert_eq!(found["meta"]["loadedAddresses"], loaded);
        assert_eq!(found["meta"]["postBalances"][2], 4_000_000);
    });
}

#[test]
fn a_taken_port_and_an_impossible_setting_are_told_plainly() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let run = |config| sniper_localnet::run_blocking(config, async {}, |_| {});
    let taken = vec![PortConfig { port, ..PortConfig::default() }];
    let error = run(LocalnetConfig { ports: taken, ..quiet(40) }).unwrap_err();
    assert!(matches!(error, LocalnetError::Port { port: named, .. } if named == port), "{error}");
    assert!(error.to_string().contains("choose another port"), "{error}");
    let none = run(LocalnetConfig { ports: Vec::new(), ..quiet(40) }).unwrap_err();
    assert!(matches!(none, LocalnetError::NoPorts));
    let zero = run(LocalnetConfig { slot_time: Duration::ZERO, ..quiet(40) }).unwrap_err();
    assert!(matches!(zero, LocalnetError::Setting { name: "slot_time", .. }), "{zero}");
    let tape = Some("no/such/tape.csv".into());
    let absent = run(LocalnetConfig { tape, ..quiet(40) }).unwrap_err();
    assert!(absent.to_string().contains("no/such/tape.csv"), "{absent}");
}

#[test]
fn a_real_tape_plays() {
    let tape = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/market/ohlcv/binance_spot/SOLUSDT_1h.csv.zst"
    );
    if !std::path::Path::new(tape).exists() {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!(
                "skipped: ../shared/market/ohlcv/binance_spot/SOLUSDT_1h.csv.zst absent\n"
            ),
        )
        .ok();
        return;
    }
    let config = LocalnetConfig {
        tape: Some(tape.into()),
        tape_bars_per_second: 20.0,
        agents: true,
        ..quiet(20)
    };
    let net = Net::start(config);
    runtime().block_on(async {
        let client = net.client();
        let price = async || {
            let (_, body) = client.get(&format!("/price/v3?ids={SOL}")).await;
            let prices: Value = serde_json::from_str(&body).unwrap();
            prices[SOL]["usdPrice"].as_f64().unwrap()
        };
        let mut seen = vec![price().await];
        assert!((1.0..10.0).contains(&seen[0]), "the tape begins in August 2020: {seen:?}");
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            seen.push(price().await);
        }
        seen.dedup();
        assert!(seen.len() > 20, "{seen:?}");
    });
}

#[test]
fn the_fee_told_beforehand_is_the_fee_charged() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(5).await;
        let other = client.funded(1).await;
        let memo = Instruction {
            program_id: "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr".parse().unwrap(),
            accounts: Vec::new(),
            data: b"hello".to_vec(),
        };
        let pay = transfer(&payer.pubkey(), &payer.pubkey(), 1);
        let both = transfer(&other.pubkey(), &payer.pubkey(), 1);
        let price = ComputeBudgetInstruction::set_compute_unit_price;
        let limit = ComputeBudgetInstruction::set_compute_unit_limit;
        let alone: &[&Keypair] = &[&payer];
        let cases: [(Vec<Instruction>, &[&Keypair], u64); 5] = [
            (vec![pay.clone()], alone, 5_000),
            (vec![pay.clone(), both], &[&payer, &other], 10_000),
            (vec![price(1_000_001), pay.clone()], alone, 5_000 + 6_001),
            (vec![price(7), memo.clone()], alone, 5_000 + 2),
            (vec![price(1_000), limit(2_000_000), memo], alone, 5_000 + 1_400),
        ];
        for (instructions, signers, want) in cases {
            let (hash, _) = client.blockhash("processed").await;
            let tx = sign(&instructions, hash, signers);
            let message = BASE64_STANDARD.encode(tx.message.serialize());
            let told = json!([message, {"commitment": "processed"}]);
            assert_eq!(client.ok("getFeeForMessage", told).await["value"], want);
            let before = client.balance(&payer.pubkey(), "processed").await;
            let signature = client.send(&tx).await.unwrap();
            client.wait_for(&signature, "confirmed").await;
            let config = json!({"commitment": "confirmed", "maxSupportedTransactionVersion": 0});
            let found = client.ok("getTransaction", json!([signature, config])).await;
            assert_eq!(found["meta"]["fee"], want);
            let received = u64::from(signers.len() > 1);
            let after = client.balance(&payer.pubkey(), "processed").await;
            assert_eq!(after, before - want + received);
        }
    });
}
