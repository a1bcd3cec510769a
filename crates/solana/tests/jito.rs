//! The block engine's client: what it asks, what it takes for an answer, and how often.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod answers;

use std::time::Duration;

use answers::{server, text};
use serde_json::{Value, json};
use sniper_core::ids::{Address, OrderId};
use sniper_core::units::{Seq, Slot};
use sniper_solana::jito::{
    Bundle, InFlight, Jito, JitoConfig, JitoError, TIP_ACCOUNTS, tip_account,
};
use sniper_solana::{ServiceError, ServiceKey};

const SECRET: &str = "very-secret-key";

async fn jito(answer: &Value) -> (Jito, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let body = json!({"jsonrpc": "2.0", "id": 1, "result": answer}).to_string();
    jito_saying("200 OK", body).await
}

async fn jito_saying(
    head: &str,
    body: impl Into<Vec<u8>>,
) -> (Jito, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (url, asked) = server(head, body).await;
    let key = ServiceKey::new(SECRET).unwrap();
    (Jito::new(JitoConfig::new("engine", &url, Some(key)).unwrap()).unwrap(), asked)
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn each_method_goes_where_it_belongs_with_its_encoding_and_key() {
    let (engine, mut asked) = jito(&json!("abc")).await;
    assert_eq!(engine.send_transaction("AAAA").await.unwrap(), "abc");
    let request = asked.recv().await.unwrap();
    assert!(request.starts_with("POST /below/api/v1/transactions "), "{request}");
    assert!(request.contains(&format!("x-jito-auth: {SECRET}")), "{request}");
    assert_eq!(body(&request)["params"], json!(["AAAA", {"encoding": "base64"}]));

    let (engine, mut asked) = jito(&json!("abc123")).await;
    let id = engine.send_bundle(Bundle::new(&["AAAA", "BBBB"]).unwrap()).await.unwrap();
    assert_eq!(id.as_str(), "abc123");
    let request = asked.recv().await.unwrap();
    assert!(request.starts_with("POST /below/api/v1/bundles "), "{request}");
    assert_eq!(body(&request)["params"], json!([["AAAA", "BBBB"], {"encoding": "base64"}]));

    let told = json!([{"bundle_id": "abc123", "status": "Landed", "landed_slot": 7}]);
    let (engine, _asked) = jito(&json!({"context": {"slot": 9}, "value": told})).await;
    let landed = InFlight::Landed(Some(Slot::new(7)));
    assert_eq!(engine.inflight_statuses(std::slice::from_ref(&id)).await.unwrap(), [landed]);

    let signature = bs58::encode([5; 64]).into_string();
    let told = json!([null, {"bundle_id": "abc123", "transactions": [signature], "slot": 7,
        "confirmation_status": "confirmed", "err": {"Ok": null}}]);
    let (engine, mut asked) = jito(&json!({"context": {"slot": 9}, "value": told})).await;
    let told = engine.bundle_statuses(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(told[0].as_ref().unwrap().slot, Slot::new(7));
    assert_eq!(body(&asked.recv().await.unwrap())["params"], json!([["abc123"]]));

    let (engine, _asked) = jito(&json!({"context": {"slot": 9}, "value": null})).await;
    assert_eq!(engine.inflight_statuses(&[id]).await.unwrap(), [InFlight::Invalid]);

    let names: Vec<String> = TIP_ACCOUNTS.iter().map(Address::to_string).collect();
    let (engine, _asked) = jito(&json!(names)).await;
    assert_eq!(engine.tip_accounts().await.unwrap(), TIP_ACCOUNTS);
}

#[tokio::test]
async fn hostile_answers_are_typed_errors_that_hold_no_secret() {
    let many = vec![TIP_ACCOUNTS[0].to_string(); 65];
    let result = |value: Value| json!({"jsonrpc": "2.0", "id": 1, "result": value}).to_string();
    let error =
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "bad\nbundle"}});
    let throttled =
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32429, "message": "slow"}});
    for (head, body, words) in [
        ("200 OK", result(json!("not a name!")), "not the name of a bundle"),
        ("200 OK", result(json!("a".repeat(129))), "not the name of a bundle"),
        ("200 OK", result(json!(7)), "unreadable"),
        ("200 OK", result(json!(many)), "unreadable"),
        ("200 OK", " ".repeat(100 << 10), "more than"),
        ("200 OK", error.to_string(), "bad bundle"),
        ("400 Bad", error.to_string(), "400: bad bundle"),
        ("200 OK", throttled.to_string(), "rate limited"),
        ("429 Slow", String::new(), "rate limited"),
        ("503 Gone", "<html>".to_owned(), "503"),
    ] {
        let (engine, _asked) = jito_saying(head, body).await;
        let failed = engine.send_bundle(Bundle::new(&["AAAA"]).unwrap()).await.unwrap_err();
        let told = text(&failed);
        assert!(told.contains(words) && told.contains("engine: sendBundle"), "{words}: {told}");
        assert!(!told.contains(SECRET) && !told.contains("127.0.0.1"), "{told}");
    }
}

#[tokio::test]
async fn it_is_asked_once_a_second_whatever_is_asked() {
    let (engine, mut asked) = jito(&json!("abc")).await;
    engine.send_transaction("AAAA").await.unwrap();
    let again = engine.send_bundle(Bundle::new(&["AAAA"]).unwrap()).await.unwrap_err();
    assert!(matches!(again, JitoError::Service(ServiceError::Paced { .. })), "{again}");
    assert!(asked.recv().await.is_some() && asked.try_recv().is_err());
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    engine.send_transaction("AAAA").await.unwrap();
}

#[test]
fn a_bundle_holds_one_to_five_and_orders_spread_over_the_accounts() {
    assert!(Bundle::new(&[]).is_none() && Bundle::new(&["A"; 6]).is_none());
    assert!(Bundle::new(&["A"; 5]).is_some());
    let order = |seq| OrderId { cause: Seq::new(seq), nth: 0 };
    let drawn: std::collections::BTreeSet<Address> =
        (100..108).map(|seq| tip_account(order(seq))).collect();
    assert_eq!(drawn, TIP_ACCOUNTS.into_iter().collect());
    assert_eq!(tip_account(order(5)), tip_account(order(5)));
}
