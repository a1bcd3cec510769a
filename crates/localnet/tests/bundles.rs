//! The block engine: bundles are in a block together or not at all, and only with a tip.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{Client, Net, quiet, runtime, sign, wire};
use serde_json::{Value, json};
use sniper_localnet::jito::TIP_ACCOUNTS;
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use solana_system_interface::instruction::transfer;
use solana_transaction::versioned::VersionedTransaction;

/// Asks the engine as often as it may be asked.
struct Engine {
    http: reqwest::Client,
    url: String,
}

impl Engine {
    fn new(client: &Client) -> Self {
        Self { http: reqwest::Client::new(), url: client.url.clone() }
    }

    async fn raw(&self, path: &str, method: &str, params: &Value) -> (u16, Value) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let url = format!("{}/api/v1/{path}", self.url);
        let sent = self.http.post(url).body(body.to_string()).send().await.unwrap();
        let status = sent.status().as_u16();
        (status, serde_json::from_str(&sent.text().await.unwrap()).unwrap())
    }

    async fn ask(&self, path: &str, method: &str, params: Value) -> Value {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (status, answer) = self.raw(path, method, &params).await;
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }

    async fn bundle(&self, transactions: &[&VersionedTransaction]) -> Value {
        let all: Vec<String> = transactions.iter().map(|one| wire(one)).collect();
        self.ask("bundles", "sendBundle", json!([all, {"encoding": "base64"}])).await
    }

    /// What it says of a bundle once it no longer waits.
    async fn fate(&self, id: &Value) -> Value {
        loop {
            let params = json!([[id]]);
            let answer =
                self.ask("getInflightBundleStatuses", "getInflightBundleStatuses", params).await;
            let told = answer["result"]["value"][0].clone();
            if told["status"] != "Pending" {
                return told;
            }
        }
    }
}

/// Pays lamports to a few; `number` makes it another transaction.
async fn pays(client: &Client, from: &Keypair, to: &[(Address, u64)]) -> VersionedTransaction {
    let all: Vec<_> =
        to.iter().map(|(to, lamports)| transfer(&from.pubkey(), to, *lamports)).collect();
    let (hash, _) = client.blockhash("processed").await;
    sign(&all, hash, &[from])
}

const TIP: u64 = 5_000;

#[test]
fn a_bundle_lands_as_a_whole_in_order_and_in_one_block() {
    let net = Net::start(quiet(100));
    runtime().block_on(async {
        let client = net.client();
        let (engine, payer) = (Engine::new(&client), client.funded(10).await);
        let accounts = engine.ask("getTipAccounts", "getTipAccounts", json!([])).await;
        let accounts: Vec<_> = accounts["result"].as_array().unwrap().clone();
        assert_eq!(accounts, TIP_ACCOUNTS.map(|tip| Value::String(tip.to_string())));
        // The second spends what only the first brings.
        let next = Keypair::new();
        let first = pays(&client, &payer, &[(next.pubkey(), 2_000_000_000)]).await;
        let second =
            pays(&client, &next, &[(payer.pubkey(), 1_000_000_000), (TIP_ACCOUNTS[3], TIP)]).await;
        let tips = client.balance(&TIP_ACCOUNTS[3], "confirmed").await;
        let id = engine.bundle(&[&first, &second]).await["result"].clone();
        let fate = engine.fate(&id).await;
        assert_eq!(fate["status"], "Landed", "{fate}");
        let slots = [&first, &second].map(|one| one.signatures[0].to_string());
        for signature in &slots {
            let status = client.wait_for(signature, "confirmed").await;
            assert_eq!((&status["slot"], &status["err"]), (&fate["landed_slot"], &Value::Null));
        }
        assert_eq!(client.balance(&TIP_ACCOUNTS[3], "confirmed").await, tips + TIP);
        let told =
            engine.ask("getBundleStatuses", "getBundleStatuses", json!([[id, "nobody"]])).await;
        let told = told["result"]["value"].clone();
        assert_eq!(told[0]["transactions"], json!(slots));
        assert_eq!((&told[0]["slot"], &told[1]), (&fate["landed_slot"], &Value::Null));
    });
}

#[test]
fn a_bundle_of_which_one_fails_or_that_tips_too_little_leaves_no_trace() {
    let net = Net::start(quiet(100));
    runtime().block_on(async {
        let client = net.client();
        let (engine, payer) = (Engine::new(&client), client.funded(10).await);
        let friend = Keypair::new().pubkey();
        let before = client.balance(&payer.pubkey(), "confirmed").await;
        let tips = client.balance(&TIP_ACCOUNTS[0], "confirmed").await;
        let good = pays(&client, &payer, &[(friend, 1_000_000_000), (TIP_ACCOUNTS[0], TIP)]).await;
        let bad = pays(&client, &payer, &[(friend, 100_000_000_000)]).await;
        let mean = pays(&client, &payer, &[(friend, 1_000_000_001), (TIP_ACCOUNTS[0], 999)]).await;
        for bundle in [&[&good, &bad][..], &[&mean]] {
            let id = engine.bundle(bundle).await["result"].clone();
            assert_eq!(engine.fate(&id).await["status"], "Failed");
        }
        assert_eq!(client.balance(&payer.pubkey(), "confirmed").await, before, "not even a fee");
        assert_eq!(client.balance(&friend, "confirmed").await, 0);
        assert_eq!(client.balance(&TIP_ACCOUNTS[0], "confirmed").await, tips);
        // The good one alone still can.
        let id = engine.bundle(&[&good]).await["result"].clone();
        assert_eq!(engine.fate(&id).await["status"], "Landed");
        assert_eq!(client.balance(&friend, "confirmed").await, 1_000_000_000);
    });
}

#[test]
fn what_is_no_bundle_is_refused_and_so_is_who_asks_too_often() {
    let net = Net::start(quiet(100));
    runtime().block_on(async {
        let client = net.client();
        let (engine, payer) = (Engine::new(&client), client.funded(10).await);
        let plain = pays(&client, &payer, &[(Keypair::new().pubkey(), 1_000_000_000)]).await;
        let tip = pays(&client, &payer, &[(TIP_ACCOUNTS[7], TIP)]).await;
        let mut forged = tip.clone();
        forged.signatures[0] = plain.signatures[0];
        let many = [&tip; 6];
        for (bundle, words) in [
            (&[][..], "1 to 5"),
            (&many, "1 to 5"),
            (&[&plain], "tip account"),
            (&[&forged], "signature"),
            (&[&tip, &tip], "tip account"),
        ] {
            let answer = engine.bundle(bundle).await;
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains(words), "{words}: {answer}");
        }
        let fate = engine.fate(&json!("nobody")).await;
        assert_eq!(fate["status"], "Invalid");
        let none = json!([]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(engine.raw("getTipAccounts", "getTipAccounts", &none).await.0, 200);
        assert_eq!(engine.raw("getTipAccounts", "getTipAccounts", &none).await.0, 429);
        // By itself a transaction needs no tip, unless it is to be a bundle alone.
        let text = wire(&plain);
        let params = json!([text, {"encoding": "base64"}]);
        let sent =
            engine.ask("transactions?bundleOnly=true", "sendTransaction", params.clone()).await;
        assert_eq!(sent["result"], plain.signatures[0].to_string());
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(client.status(&plain.signatures[0].to_string()).await, Value::Null);
        engine.ask("transactions", "sendTransaction", params).await;
        client.wait_for(&plain.signatures[0].to_string(), "confirmed").await;
    });
}
