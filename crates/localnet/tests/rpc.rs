//! Laws of JSON-RPC: shapes, encodings, limits and error codes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::{Net, quiet, runtime, sign, wire};
use serde_json::{Value, json};
use sniper_localnet::cpmm::{self, PROGRAM_ID};
use sniper_localnet::whirlpool;
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use solana_system_interface::instruction::transfer;

const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const SOL: &str = "So11111111111111111111111111111111111111112";
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

#[test]
fn requests_that_are_no_requests_get_the_codes_of_json_rpc() {
    let net = Net::start(quiet(40));
    runtime().block_on(async {
        let client = net.client();
        let code = async |body: &str| {
            let (status, answer) = client.raw(body.to_owned()).await;
            assert_eq!(status, 200);
            answer["error"]["code"].clone()
        };
        assert_eq!(code("{not json").await, -32700);
        assert_eq!(code("7").await, -32700);
        assert_eq!(client.raw("[]").await, (200, json!("")), "no request, no answer");
        assert_eq!(code(r#"{"jsonrpc":"1.0","id":1,"method":"getSlot"}"#).await, -32600);
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"getNothing"}"#).await, -32601);
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","params":{}}"#).await,
            -32602
        );
        let (status, body) = client.raw(r#"{"jsonrpc":"2.0","method":"getSlot"}"#.to_owned()).await;
        assert_eq!((status, body), (200, json!("")), "a notification has no answer");
        let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"getSlot"},
            {"jsonrpc":"2.0","id":"b","method":"nope"},{"jsonrpc":"2.0","method":"getSlot"}]"#;
        let (_, answers) = client.raw(batch.to_owned()).await;
        assert_eq!(answers.as_array().unwrap().len(), 2);
        assert!(answers[0]["result"].is_u64());
        assert_eq!(answers[1]["id"], "b");
        let (status, _) = client.raw("x".repeat(60_000)).await;
        assert_eq!(status, 413);
        assert_eq!(client.get("/health").await, (200, "ok".into()));
    });
}

#[test]
fn an_account_reads_the_same_in_every_encoding() {
    let net = Net::start(quiet(40));
    runtime().block_on(async {
        let client = net.client();
        let read = async |config: Value| {
            client.ok("getAccountInfo", json!([USDC, config])).await["value"].clone()
        };
        let plain = read(json!({"encoding": "base64"})).await;
        let bytes = BASE64_STANDARD.decode(plain["data"][0].as_str().unwrap()).unwrap();
        assert_eq!(
            (bytes.len(), &plain["space"], &plain["owner"]),
            (82, &json!(82), &json!(TOKEN))
        );
        assert_eq!(plain["rentEpoch"], u64::MAX);
        let legacy = read(json!({})).await["data"].clone();
        assert_eq!(bs58::decode(legacy.as_str().unwrap()).into_vec().unwrap(), bytes);
        let named = read(json!({"encoding": "base58"})).await["data"].clone();
        assert_eq!(named, json!([legacy, "base58"]));
        let packed = read(json!({"encoding": "base64+zstd"})).await["data"].clone();
        let packed = BASE64_STANDARD.decode(packed[0].as_str().unwrap()).unwrap();
        assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), bytes);
        let sliced =
            read(json!({"encoding": "base64", "dataSlice": {"offset": 44, "length": 1}})).await;
        assert_eq!(sliced["data"][0], BASE64_STANDARD.encode([6u8]));
        let parsed = read(json!({"encoding": "jsonParsed"})).await["data"].clone();
        assert_eq!(parsed["program"], "spl-token");
        assert_eq!(parsed["parsed"]["type"], "mint");
        assert_eq!(parsed["parsed"]["info"]["decimals"], 6);
        let pool = &net.ready.pools[0].address;
        let long = client.error("getAccountInfo", json!([pool, {"encoding": "base58"}])).await;
        assert_eq!(long["code"], -32600);
        let none = client.ok("getAccountInfo", json!([Address::new_unique().to_string()])).await;
        assert_eq!(none["value"], Value::Null);
        let both = json!([[USDC, Address::new_unique().to_string()], {}]);
        let both = client.ok("getMultipleAccounts", both).await["value"].clone();
        assert_eq!(both[0]["data"], plain["data"]);
        assert_eq!(both[1], Value::Null);
        let many = vec![USDC; 101];
        let error = client.error("getMultipleAccounts", json!([many])).await;
        assert_eq!(error["code"], -32602);
        assert_eq!(error["message"], "Too many inputs provided; max 100");
        assert_eq!(client.error("getBalance", json!(["abc"])).await["code"], -32602);
    });
}

#[test]
fn programs_are_listed_through_filters() {
    let net = Net::start(quiet(40));
    runtime().block_on(async {
        let client = net.client();
        let list = async |filters: Value| {
            let config = json!({"encoding": "base64", "filters": filters});
            client.ok("getProgramAccounts", json!([PROGRAM_ID.to_string(), config])).await
        };
        let pools = list(json!([{"dataSize": 637}])).await;
        assert_eq!(pools.as_array().unwrap().len(), net.ready.pools.len());
        let discriminator = bs58::encode([0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46]);
        let by_bytes = json!({"memcmp": {"offset": 0, "bytes": discriminator.into_string()}});
        assert_eq!(list(json!([by_bytes])).await, pools);
        let mint0 = json!({"memcmp": {"offset": 168, "bytes": SOL}});
        let of_sol = list(json!([{"dataSize": 637}, mint0])).await;
        let known = net.ready.pools.iter().filter(|pool| pool.mint0 == SOL).count();
        assert_eq!(of_sol.as_array().unwrap().len(), known);
        assert!(known >= 2, "two pools of the same pair");
        let config = json!({"encoding": "base64", "withContext": true});
        let wrapped =
            client.ok("getProgramAccounts", json!([PROGRAM_ID.to_string(), config])).await;
        assert!(wrapped["context"]["slot"].is_u64() && wrapped["value"].is_array());
        let five = json!([{"filters": [{"dataSize": 1}, {"dataSize": 1}, {"dataSize": 1},
            {"dataSize": 1}, {"dataSize": 1}]}]);
        let params = json!([PROGRAM_ID.to_string(), five[0]]);
        assert_eq!(client.error("getProgramAccounts", params).await["code"], -32602);
        let odd = json!([PROGRAM_ID.to_string(), {"filters": [{"size": 1}]}]);
        assert_eq!(client.error("getProgramAccounts", odd).await["code"], -32602);
    });
}

#[test]
fn tokens_are_minted_wrapped_and_counted() {
    let net = Net::start(quiet(20));
    runtime().block_on(async {
        let client = net.client();
        let owner = Keypair::new().pubkey();
        let supply = async |mint: &str| {
            let params = json!([mint, {"commitment": "confirmed"}]);
            let answer = client.ok("getTokenSupply", params).await;
            answer["value"]["amount"].as_str().unwrap().parse::<u64>().unwrap()
        };
        let before = supply(USDC).await;
        client.mint(&owner, USDC, 1_500_000).await;
        client.mint(&owner, SOL, 2_000_000_000).await;
        assert_eq!(supply(USDC).await, before + 1_500_000);
        let info = client.ok("localnet_info", json!([])).await;
        assert_eq!(info["rpcUrls"], json!(net.ready.rpc_urls));
        assert_eq!(info["wsUrls"], json!(net.ready.ws_urls));
        assert_eq!(info["genesisHash"], json!(net.ready.genesis_hash));
        // The lists are apart, so that who knows one exchange only is not handed the other's pools.
        for (list, program, count) in
            [("pools", cpmm::PROGRAM_ID, 6), ("whirlpools", whirlpool::PROGRAM_ID, 3)]
        {
            let list = info[list].as_array().unwrap();
            assert_eq!(list.len(), count);
            assert!(list.iter().all(|pool| pool["program"] == program.to_string()));
        }
        let in_order = json!([Address::new_unique().to_string(), USDC, "7"]);
        client.ok("localnet_mint", in_order).await;
        let to_none = json!([{"owner": owner.to_string(), "mint": USDC, "amount": 0}]);
        assert_eq!(client.error("localnet_mint", to_none).await["code"], -32602);
        for mint in &net.ready.mints {
            client.mint(&owner, &mint.address, 10).await;
        }
        let list = async |filter: Value| {
            let config = json!({"encoding": "jsonParsed", "commitment": "confirmed"});
            let params = json!([owner.to_string(), filter, config]);
            client.ok("getTokenAccountsByOwner", params).await["value"].clone()
        };
        let usdc = list(json!({"mint": USDC})).await;
        let info = &usdc[0]["account"]["data"]["parsed"]["info"];
        assert_eq!(info["tokenAmount"]["uiAmountString"], "1.50001");
        assert_eq!(info["owner"], owner.to_string());
        let wrapped = list(json!({"mint": SOL})).await[0].clone();
        assert_eq!(wrapped["account"]["data"]["parsed"]["info"]["isNative"], true);
        assert_eq!(wrapped["account"]["lamports"], 2_000_000_010 + 2_039_280u64);
        let newer = json!({"programId": "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"});
        assert_eq!(list(newer).await.as_array().unwrap().len(), 1);
        let older = list(json!({"programId": TOKEN})).await;
        assert_eq!(older.as_array().unwrap().len(), net.ready.mints.len() - 1);
        let params = json!([owner.to_string(), {"programId": SOL}]);
        let error = client.error("getTokenAccountsByOwner", params).await;
        assert_eq!(error["message"], "Invalid param: unrecognized Token program id");
        let key = wrapped["pubkey"].clone();
        let held =
            client.ok("getTokenAccountBalance", json!([key, {"commitment": "confirmed"}])).await;
        assert_eq!(held["value"]["amount"], "2000000010");
        let error = client.error("getTokenAccountBalance", json!([owner.to_string()])).await;
        assert_eq!(error["code"], -32602);
        assert!(error["message"].as_str().unwrap().contains("could not find account"));
        let largest = client.ok("getTokenLargestAccounts", json!([USDC])).await;
        let largest = largest["value"].as_array().unwrap();
        assert!((2..=20).contains(&largest.len()));
        let amounts: Vec<u64> =
            largest.iter().map(|one| one["amount"].as_str().unwrap().parse().unwrap()).collect();
        assert!(amounts.is_sorted_by(|a, b| a >= b));
    });
}

#[test]
fn a_transaction_that_cannot_be_one_is_refused_where_it_arrives() {
    let net = Net::start(quiet(20));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(1).await;
        let base64 = json!({"encoding": "base64"});
        let code = async |text: String, config: Value| {
            client.error("sendTransaction", json!([text, config])).await["code"].clone()
        };
        assert_eq!(code("!!".into(), base64.clone()).await, -32602);
        assert_eq!(code("AAAA".into(), base64.clone()).await, -32602);
        assert_eq!(code("A".repeat(1_700), base64.clone()).await, -32602);
        assert_eq!(code("AAAA".into(), json!({"encoding": "hex"})).await, -32602);
        let (hash, _) = client.blockhash("processed").await;
        let mut tx = sign(&[transfer(&payer.pubkey(), &payer.pubkey(), 1)], hash, &[&payer]);
        let text = bs58::encode(wincode::serialize(&tx).unwrap()).into_string();
        let config = json!({"preflightCommitment": "processed"});
        client.ok("sendTransaction", json!([text, config])).await;
        let ahead = json!({"encoding": "base64", "minContextSlot": u64::MAX});
        assert_eq!(code(wire(&tx), ahead).await, -32016);
        tx.signatures[0] = solana_signature::Signature::from([7; 64]);
        assert_eq!(code(wire(&tx), base64).await, -32002);
        let lost = client.send_unchecked(&tx).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(client.status(&lost).await, Value::Null, "a leader drops a bad signature");
    });
}

#[test]
fn a_simulation_says_what_would_happen_and_changes_nothing() {
    let net = Net::start(quiet(150));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(1).await;
        let to = Keypair::new().pubkey();
        let tx = sign(
            &[transfer(&payer.pubkey(), &to, 2_000_000)],
            solana_hash::Hash::default(),
            &[&payer],
        );
        let simulate = async |config: Value| {
            client.call("simulateTransaction", json!([wire(&tx), config])).await
        };
        let unknown = json!({"encoding": "base64", "commitment": "processed"});
        let unknown = simulate(unknown).await.unwrap();
        assert_eq!(unknown["value"]["err"], "BlockhashNotFound");
        let config = json!({"encoding": "base64", "commitment": "processed",
            "replaceRecentBlockhash": true,
            "accounts": {"encoding": "base64", "addresses": [to.to_string()]}});
        let done = simulate(config).await.unwrap()["value"].clone();
        assert_eq!(done["err"], Value::Null, "{done}");
        assert_eq!(done["accounts"][0]["lamports"], 2_000_000);
        assert_eq!(done["unitsConsumed"], 150);
        assert_eq!(done["fee"], 5_000);
        assert!(done["replacementBlockhash"]["blockhash"].is_string());
        assert_eq!(client.balance(&to, "processed").await, 0);
        let (hash, _) = client.blockhash("processed").await;
        let landed = sign(&[transfer(&payer.pubkey(), &to, 2_000_000)], hash, &[&payer]);
        let signature = client.send(&landed).await.unwrap();
        client.wait_for(&signature, "processed").await;
        let again = async |replace: bool| {
            let config = json!({"encoding": "base64", "commitment": "processed",
                "replaceRecentBlockhash": replace});
            let answer = client.ok("simulateTransaction", json!([wire(&landed), config])).await;
            answer["value"]["err"].clone()
        };
        assert_eq!(again(false).await, "AlreadyProcessed");
        assert_eq!(again(true).await, Value::Null, "under another blockhash it is another one");
        let both = json!({"encoding": "base64", "sigVerify": true, "replaceRecentBlockhash": true});
        assert_eq!(simulate(both).await.unwrap_err()["code"], -32602);
        let old = json!({"encoding": "base64", "commitment": "finalized",
            "replaceRecentBlockhash": true});
        let old = simulate(old).await.unwrap()["value"]["err"].clone();
        assert_eq!(old, "AccountNotFound", "the payer is not funded in the finalized state yet");
    });
}

#[test]
fn a_v0_transaction_needs_a_client_that_says_it_can_read_it() {
    let net = Net::start(quiet(150));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(1).await;
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &payer.pubkey(), 1)], hash, &[&payer]);
        let signature = client.send(&tx).await.unwrap();
        client.wait_for(&signature, "confirmed").await;
        let read =
            async |config: Value| client.call("getTransaction", json!([signature, config])).await;
        assert_eq!(read(json!({"commitment": "confirmed"})).await.unwrap_err()["code"], -32015);
        assert_eq!(read(json!({"commitment": "processed"})).await.unwrap_err()["code"], -32602);
        let config = json!({"commitment": "confirmed", "maxSupportedTransactionVersion": 0,
            "encoding": "base64"});
        let found = read(config).await.unwrap();
        assert_eq!(found["transaction"][0], wire(&tx));
        let config = json!({"commitment": "finalized", "maxSupportedTransactionVersion": 0});
        assert_eq!(read(config).await.unwrap(), Value::Null, "not final yet");
        let of = json!([payer.pubkey().to_string(), {"commitment": "confirmed", "limit": 5}]);
        let list = client.ok("getSignaturesForAddress", of).await;
        assert_eq!(list[0]["signature"], json!(signature));
        assert_eq!(list.as_array().unwrap().len(), 2, "this one and the airdrop");
    });
}

#[test]
fn prices_come_in_the_price_api_shape_and_do_not_name_what_they_do_not_know() {
    let net = Net::start(quiet(20));
    runtime().block_on(async {
        let client = net.client();
        let stranger = Address::new_unique();
        let (status, body) = client.get(&format!("/price/v3?ids={SOL},{USDC},{stranger}")).await;
        assert_eq!(status, 200);
        let prices: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(prices.as_object().unwrap().len(), 2);
        assert_eq!(prices[USDC]["usdPrice"], 1.0);
        assert_eq!(prices[SOL]["decimals"], 9);
        assert!((50.0..500.0).contains(&prices[SOL]["usdPrice"].as_f64().unwrap()));
        let slot = client.slot("processed").await;
        assert!(prices[SOL]["blockId"].as_u64().unwrap().abs_diff(slot) < 50);
        assert_eq!(client.get("/price/v3?ids=").await.0, 400);
    });
}
