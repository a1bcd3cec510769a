//! Laws of subscriptions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use common::{Net, Socket, quiet, runtime, sign};
use serde_json::{Value, json};
use sniper_localnet::{LocalnetConfig, PortConfig};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use solana_system_interface::instruction::transfer;
use tokio_tungstenite::tungstenite::Message;

const SYSTEM: &str = "11111111111111111111111111111111";

#[test]
fn an_account_is_told_once_per_slot_with_its_last_state() {
    let net = Net::start(quiet(400));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(10).await;
        let to = Address::new_unique();
        let mut socket = Socket::open(&net.ready.ws_urls[0]).await;
        let config = json!({"encoding": "base64", "commitment": "processed"});
        let heard = socket.subscribe("accountSubscribe", json!([to.to_string(), config])).await;
        let start = client.slot("processed").await;
        while client.slot("processed").await == start {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (hash, _) = client.blockhash("processed").await;
        let mut signatures = Vec::new();
        for lamports in [1_000_000, 2_000_000, 4_000_000] {
            let tx = sign(&[transfer(&payer.pubkey(), &to, lamports)], hash, &[&payer]);
            signatures.push(client.send_unchecked(&tx).await);
        }
        let (method, result) = socket.notification(heard).await;
        assert_eq!(method, "accountNotification");
        assert_eq!(result["value"]["lamports"], 7_000_000, "all three transfers in one notice");
        assert_eq!(result["value"]["owner"], SYSTEM);
        let mut slots = Vec::new();
        for signature in &signatures {
            slots.push(client.status(signature).await["slot"].clone());
        }
        assert!(slots.iter().all(|slot| *slot == result["context"]["slot"]), "{slots:?}");
        assert!(!socket.hears(heard, Duration::from_millis(900)).await, "and only once");
    });
}

#[test]
fn finality_comes_later_than_confirmation_and_is_the_default() {
    let net = Net::start(quiet(150));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(10).await;
        let mut socket = Socket::open(&net.ready.ws_urls[0]).await;
        let key = payer.pubkey().to_string();
        let confirmed = json!([key, {"commitment": "confirmed", "encoding": "base64"}]);
        let confirmed = socket.subscribe("accountSubscribe", confirmed).await;
        let finalized = socket.subscribe("accountSubscribe", json!([key])).await;
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(
            &[transfer(&payer.pubkey(), &Keypair::new().pubkey(), 5_000_000)],
            hash,
            &[&payer],
        );
        let signature = client.send(&tx).await.unwrap();
        let landed = client.wait_for(&signature, "processed").await["slot"].clone();
        let left = 10_000_000_000u64 - 5_000_000 - 5_000;
        let (_, result) = socket.notification(confirmed).await;
        assert_eq!(result["context"]["slot"], landed);
        assert_eq!(result["value"]["lamports"], left);
        assert!(client.slot("confirmed").await >= landed.as_u64().unwrap());
        assert!(client.slot("finalized").await < landed.as_u64().unwrap(), "not yet final");
        loop {
            // The airdrop that funded the payer may become final after the subscription.
            let (_, result) = socket.notification(finalized).await;
            if result["context"]["slot"] == landed {
                assert_eq!(result["value"]["lamports"], left);
                assert_eq!(result["value"]["data"], "", "legacy base58 is a bare string");
                break;
            }
        }
        assert!(client.slot("finalized").await >= landed.as_u64().unwrap());
    });
}

#[test]
fn a_signature_is_told_once_and_then_forgotten_and_never_told_late() {
    let net = Net::start(quiet(40));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(10).await;
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &payer.pubkey(), 1)], hash, &[&payer]);
        let mut socket = Socket::open(&net.ready.ws_urls[0]).await;
        let signature = tx.signatures[0].to_string();
        let config = json!({"commitment": "confirmed", "enableReceivedNotification": true});
        let params = json!([signature, config]);
        let heard = socket.subscribe("signatureSubscribe", params.clone()).await;
        client.send(&tx).await.unwrap();
        let (method, result) = socket.notification(heard).await;
        assert_eq!(method, "signatureNotification");
        assert_eq!(result["value"], "receivedSignature");
        let (_, result) = socket.notification(heard).await;
        assert_eq!(result["value"], json!({"err": null}));
        let error = socket.call("signatureUnsubscribe", json!([heard])).await.unwrap_err();
        assert_eq!(error["code"], -32602);
        assert_eq!(error["message"], "Invalid subscription id.");
        let late = socket.subscribe("signatureSubscribe", params).await;
        assert!(!socket.hears(late, Duration::from_millis(300)).await);
    });
}

#[test]
fn slots_roots_programs_and_logs_are_told() {
    let net = Net::start(quiet(40));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(10).await;
        let to = Keypair::new().pubkey();
        let mut socket = Socket::open(&net.ready.ws_urls[0]).await;
        let slots = socket.subscribe("slotSubscribe", json!([])).await;
        let roots = socket.subscribe("rootSubscribe", json!([])).await;
        let processed = json!({"commitment": "processed", "encoding": "base64"});
        let programs =
            socket.subscribe("programSubscribe", json!([SYSTEM, processed.clone()])).await;
        let about = json!([{"mentions": [to.to_string()]}, {"commitment": "processed"}]);
        let logs = socket.subscribe("logsSubscribe", about).await;
        let two = json!([{"mentions": [to.to_string(), to.to_string()]}]);
        assert_eq!(socket.call("logsSubscribe", two).await.unwrap_err()["code"], -32602);
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &to, 5_000_000)], hash, &[&payer]);
        let signature = client.send(&tx).await.unwrap();
        let (_, result) = socket.notification(logs).await;
        assert_eq!(result["value"]["signature"], json!(signature));
        assert_eq!(result["value"]["err"], Value::Null);
        assert_eq!(result["value"]["logs"][0], format!("Program {SYSTEM} invoke [1]"));
        loop {
            let (method, result) = socket.notification(programs).await;
            assert_eq!(method, "programNotification");
            if result["value"]["pubkey"] == json!(to.to_string()) {
                assert_eq!(result["value"]["account"]["lamports"], 5_000_000);
                break;
            }
        }
        let (_, first) = socket.notification(slots).await;
        let (_, second) = socket.notification(slots).await;
        assert_eq!(second["parent"], first["slot"]);
        assert!(second["root"].as_u64() < second["slot"].as_u64());
        let (method, root) = socket.notification(roots).await;
        assert_eq!(method, "rootNotification");
        assert!(root.is_u64(), "bare number: {root}");
        assert_eq!(socket.call("slotUnsubscribe", json!([slots])).await, Ok(json!(true)));
        assert_eq!(
            socket.call("slotUnsubscribe", json!([slots])).await.unwrap_err()["code"],
            -32602
        );
        assert_eq!(
            socket.call("rootUnsubscribe", json!([programs])).await.unwrap_err()["code"],
            -32602
        );
        let error = socket.call("blockSubscribe", json!(["all"])).await.unwrap_err();
        assert_eq!(error["code"], -32601);
    });
}

#[test]
fn pings_are_answered_and_a_message_over_4096_bytes_ends_the_connection() {
    let net = Net::start(quiet(40));
    runtime().block_on(async {
        let mut socket = Socket::open(&net.ready.ws_urls[0]).await;
        socket.send_message(Message::Ping(b"are you there".to_vec().into())).await;
        match socket.next().await {
            Some(Message::Pong(data)) => assert_eq!(&data[..], b"are you there"),
            other => panic!("{other:?}"),
        }
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe", "params": []});
        let just = format!("{request}{}", " ".repeat(4_096 - request.to_string().len()));
        socket.send_text(just).await;
        assert!(matches!(socket.next().await, Some(Message::Text(_))), "4096 bytes are allowed");
        socket.send_text(format!("{request}{}", " ".repeat(4_097))).await;
        let ended = tokio::time::timeout(Duration::from_secs(5), async {
            while socket.next().await.is_some() {}
        });
        ended.await.expect("the connection should end");
    });
}

#[test]
fn the_port_above_the_rpc_port_serves_subscriptions_too() {
    let net = Net::start(quiet(40));
    runtime().block_on(async {
        let url = &net.ready.ws_urls[0];
        let (host, port) = url.rsplit_once(':').unwrap();
        let above = format!("{host}:{}", port.parse::<u16>().unwrap() + 1);
        let mut socket = Socket::open(&above).await;
        let slots = socket.subscribe("slotSubscribe", json!([])).await;
        socket.notification(slots).await;
    });
}

#[test]
fn ports_of_one_chain_misbehave_each_in_their_own_way() {
    let ports = vec![PortConfig::default(); 2];
    let net = Net::start(LocalnetConfig { ports, ..quiet(40) });
    runtime().block_on(async {
        let good = net.client();
        let bad = common::Client::new(&net.ready.rpc_urls[1]);
        let hash = good.ok("getGenesisHash", json!([])).await;
        assert_eq!(hash, bad.ok("getGenesisHash", json!([])).await);
        let faults = async |faults: Value| {
            let answer = bad.ok("localnet_faults", json!([{"faults": faults}])).await;
            assert!(answer["port"].is_u64());
        };

        faults(json!({"lagBlocks": 20})).await;
        let until = Instant::now() + Duration::from_secs(5);
        while good.slot("processed").await < bad.slot("processed").await + 20 {
            assert!(Instant::now() < until, "the lagging port never lagged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ahead = good.slot("processed").await;
        let config = json!({"commitment": "processed", "minContextSlot": ahead});
        let error = bad.error("getBalance", json!([SYSTEM, config])).await;
        assert_eq!(error["code"], -32016);
        assert!(error["data"]["contextSlot"].as_u64().unwrap() < ahead);

        faults(json!({"delayMs": 150})).await;
        let start = Instant::now();
        bad.slot("processed").await;
        assert!(start.elapsed() >= Duration::from_millis(150));

        faults(json!({"errorRate": 1.0})).await;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "getSlot"}).to_string();
        let mut kinds = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let (status, body) = bad.raw(request.clone()).await;
            kinds.insert(status);
            assert!(status != 200 || body["error"]["code"] == -32005, "{status} {body}");
        }
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [200, 429, 503]);

        faults(json!({"stallRate": 1.0})).await;
        let stalled = tokio::time::timeout(Duration::from_millis(300), bad.raw(request.clone()));
        assert!(stalled.await.is_err(), "a stalled request is not answered");
        good.slot("processed").await;

        faults(json!({"dropRate": 1.0})).await;
        let payer = good.funded(1).await;
        let (hash, _) = good.blockhash("processed").await;
        let tx = sign(&[transfer(&payer.pubkey(), &payer.pubkey(), 1)], hash, &[&payer]);
        let lost = bad.send(&tx).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(good.status(&lost).await, Value::Null);
        good.send(&tx).await.unwrap();
        good.wait_for(&lost, "processed").await;

        faults(json!({})).await;
        let mut socket = Socket::open(&net.ready.ws_urls[1]).await;
        let slots = socket.subscribe("slotSubscribe", json!([])).await;
        socket.notification(slots).await;
        faults(json!({"mute": true})).await;
        while socket.hears(slots, Duration::from_millis(50)).await {
            socket.notification(slots).await;
        }
        assert!(!socket.hears(slots, Duration::from_millis(300)).await, "open and silent");
        faults(json!({})).await;
        socket.notification(slots).await;
        bad.ok("localnet_disconnect", json!([{}])).await;
        while socket.next().await.is_some() {}
        let refused = bad.error("localnet_faults", json!([{"faults": {"errorRate": 2}}])).await;
        assert_eq!(refused["code"], -32602);
    });
}
