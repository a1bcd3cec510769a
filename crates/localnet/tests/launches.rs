//! New coins as a client sees them: told by PubSub, listed with what is wrong with them, held, named and priced.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use common::{Client, Net, Socket, quiet, runtime};
use serde_json::{Value, json};
use sniper_localnet::{LocalnetConfig, LocalnetError, cpmm};

async fn price(client: &Client, mint: &str) -> Option<f64> {
    let (status, text) = client.get(&format!("/price/v3?ids={mint}")).await;
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    answer[mint]["usdPrice"].as_f64()
}

async fn launches(client: &Client) -> Vec<Value> {
    client.ok("localnet_info", json!([])).await["launches"].as_array().unwrap().clone()
}

#[test]
fn a_launch_is_told_listed_held_and_after_a_while_priced() {
    let net = Net::start(LocalnetConfig {
        launch_every: Some(Duration::from_millis(400)),
        price_delay: Duration::from_secs(3),
        launches_traded: 64,
        ..quiet(20)
    });
    runtime().block_on(async {
        let client = net.client();
        let mut socket = Socket::open(&net.ready.ws_urls[0]).await;
        let mentions =
            json!([{"mentions": [cpmm::PROGRAM_ID.to_string()]}, {"commitment": "confirmed"}]);
        let logs = socket.subscribe("logsSubscribe", mentions).await;
        let (_, notice) = socket.notification(logs).await;
        let value = &notice["value"];
        assert_eq!(value["err"], Value::Null);
        let lines = value["logs"].as_array().unwrap();
        assert!(lines.contains(&json!("Program log: Instruction: Initialize")), "{lines:?}");

        let listed = launches(&client).await;
        let launch =
            listed.iter().find(|launch| launch["signature"] == value["signature"]).unwrap();
        assert_eq!(launch["slot"], notice["context"]["slot"]);
        assert_eq!(launch["sound"], json!(launch["kind"] == "sound"));
        let mint = launch["mint"].as_str().unwrap();
        assert_eq!(price(&client, mint).await, None, "nobody knows it yet");
        let confirmed = json!([mint, {"commitment": "confirmed"}]);
        let largest = client.ok("getTokenLargestAccounts", confirmed.clone()).await;
        assert_eq!(largest["value"].as_array().unwrap().len(), 20);
        let supply = client.ok("getTokenSupply", confirmed).await;
        assert_eq!(supply["value"]["decimals"], launch["decimals"]);

        let until = Instant::now() + Duration::from_secs(30);
        let known = loop {
            if let Some(price) = price(&client, mint).await {
                break price;
            }
            assert!(Instant::now() < until, "no price");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(known > 0.0);
        // Nobody trades on this chain: what a coin is worth goes on without its pool.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_ne!(price(&client, mint).await, Some(known));
    });
}

#[test]
fn without_being_asked_nobody_launches_anything() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(launches(&client).await, [Value::Null; 0]);
    });
}

#[test]
fn an_impossible_pace_is_refused() {
    for (config, name) in [
        (
            LocalnetConfig { launch_every: Some(Duration::from_millis(99)), ..quiet(40) },
            "launch_every",
        ),
        (
            LocalnetConfig { launch_every: Some(Duration::from_secs(3_601)), ..quiet(40) },
            "launch_every",
        ),
        (LocalnetConfig { launches_traded: 65, ..quiet(40) }, "launches_traded"),
        (LocalnetConfig { price_delay: Duration::from_secs(3_601), ..quiet(40) }, "price_delay"),
    ] {
        let error = config.check().unwrap_err();
        assert!(
            matches!(error, LocalnetError::Setting { name: bad, .. } if bad == name),
            "{error}"
        );
    }
}
