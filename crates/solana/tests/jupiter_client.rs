//! The aggregator's client against servers that answer as they please.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod answers;

use std::time::Duration;

use answers::{server, text};
use serde_json::{Value, json};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Bps};
use sniper_solana::jupiter::{Ask, JUPITER, Jupiter, JupiterConfig};
use sniper_solana::{ServiceError, ServiceKey};
use tokio::net::TcpListener;

const WITHIN: Duration = Duration::from_secs(5);
const SECRET: &str = "very-secret-key";

fn ask() -> Ask {
    let key = |byte| Address::new_from_array([byte; 32]);
    Ask {
        mint_in: key(1),
        mint_out: key(2),
        amount_in: Atoms::new(5_000),
        slippage: Bps::capped(30),
    }
}

fn quote() -> Value {
    let ask = ask();
    json!({
        "inputMint": ask.mint_in.to_string(),
        "outputMint": ask.mint_out.to_string(),
        "inAmount": "5000",
        "outAmount": "4900",
        "routePlan": [],
    })
}

fn build() -> Value {
    let mut build = quote();
    let swap = json!({
        "programId": JUPITER.to_string(),
        "accounts": [{"pubkey": ask().mint_in.to_string(), "isSigner": false, "isWritable": true}],
        "data": "AQID",
    });
    let table = Address::new_from_array([9; 32]).to_string();
    let more = json!({
        "computeBudgetInstructions": [],
        "setupInstructions": [],
        "swapInstruction": swap,
        "cleanupInstruction": null,
        "otherInstructions": [],
        "tipInstruction": null,
        "addressesByLookupTableAddress": {table: [ask().mint_in.to_string()]},
    });
    build.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    build
}

async fn client(
    head: &str,
    body: impl Into<Vec<u8>>,
) -> (Jupiter, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (url, asked) = server(head, body).await;
    let key = ServiceKey::new(SECRET).unwrap();
    (Jupiter::new(JupiterConfig::new(&url, Some(key), 600).unwrap()).unwrap(), asked)
}

#[tokio::test]
async fn what_is_asked_is_what_was_meant_with_the_key_where_it_belongs() {
    let (jupiter, mut asked) = client("200 OK", build().to_string()).await;
    let taker = Address::new_from_array([7; 32]);
    let offer = jupiter.build(&ask(), taker, WITHIN).await.unwrap();
    assert_eq!(offer.swap.program_id, JUPITER);
    assert_eq!((offer.swap.data.as_slice(), offer.quoted_out), (&[1, 2, 3][..], Atoms::new(4_900)));
    assert_eq!(offer.tables, [Address::new_from_array([9; 32])]);
    let request = asked.recv().await.unwrap();
    assert!(request.starts_with("GET /below/swap/v2/build?"), "{request}");
    for part in [
        format!("inputMint={}", ask().mint_in),
        format!("outputMint={}", ask().mint_out),
        "amount=5000".to_owned(),
        "slippageBps=30".to_owned(),
        format!("taker={taker}"),
        "wrapAndUnwrapSol=false".to_owned(),
        format!("x-api-key: {SECRET}"),
    ] {
        assert!(request.contains(&part), "{part} in {request}");
    }
    assert!(!format!("{jupiter:?}").contains(SECRET));

    let (jupiter, mut asked) = client("200 OK", quote().to_string()).await;
    assert_eq!(jupiter.quote(&ask(), WITHIN).await.unwrap().amount_out, Atoms::new(4_900));
    assert!(asked.recv().await.unwrap().starts_with("GET /below/swap/v2/order?"));
}

#[tokio::test]
async fn hostile_answers_are_typed_errors_that_name_the_call_and_no_secret() {
    let with = |field: &str, value: Value| {
        let mut build = build();
        build[field] = value;
        build.to_string().into_bytes()
    };
    let meta = json!({"pubkey": ask().mint_in.to_string(), "isSigner": false, "isWritable": true});
    let swap = |accounts: usize, data: String| json!({"programId": JUPITER.to_string(), "accounts": vec![meta.clone(); accounts], "data": data});
    let tables: serde_json::Map<String, Value> =
        (0..17).map(|n| (Address::new_from_array([n; 32]).to_string(), json!([]))).collect();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("200 OK", b"<html>".to_vec(), "unreadable"),
        ("200 OK", b"{}".to_vec(), "unreadable"),
        ("200 OK", vec![b' '; 600 << 10], "more than"),
        ("200 OK", with("outputMint", json!(ask().mint_in.to_string())), "other mints"),
        ("200 OK", with("inAmount", json!("5001")), "another amount"),
        ("200 OK", with("inAmount", json!(5000)), "unreadable"),
        ("200 OK", with("outAmount", json!("0")), "brings nothing"),
        ("200 OK", with("outAmount", json!("-1")), "unreadable"),
        ("200 OK", with("swapInstruction", Value::Null), "unreadable"),
        ("200 OK", with("swapInstruction", swap(257, String::new())), "unreadable"),
        ("200 OK", with("swapInstruction", swap(1, "A".repeat(1_700))), "unreadable"),
        ("200 OK", with("swapInstruction", swap(1, "?".to_owned())), "unreadable"),
        (
            "200 OK",
            with("otherInstructions", json!(vec![swap(1, String::new()); 17])),
            "unreadable",
        ),
        ("200 OK", with("addressesByLookupTableAddress", json!(tables)), "unreadable"),
        (
            "400 Bad Request",
            br#"{"error":"no route","errorCode":"NO_ROUTES_FOUND"}"#.to_vec(),
            "400: no route",
        ),
        ("401 Unauthorized", br#"{"code":401,"message":"bad key"}"#.to_vec(), "401: bad key"),
        ("500 Oops", vec![b'x'; 1 << 20], "500: no reason given"),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", vec![], "302"),
        ("429 Slow down\r\nretry-after: 7", vec![], "rate limited"),
    ];
    for (head, body, words) in cases {
        let (jupiter, _asked) = client(head, body).await;
        let error = jupiter.build(&ask(), Address::default(), WITHIN).await.unwrap_err();
        let told = text(&error);
        assert!(told.contains(words), "{words}: {told}");
        assert!(told.contains("jupiter: build:"), "{told}");
        assert!(!told.contains(SECRET) && !told.contains("127.0.0.1"), "{told}");
    }
}

#[tokio::test]
async fn who_asks_for_a_pause_gets_it_and_a_silent_one_is_not_waited_for() {
    let (jupiter, mut asked) = client("429 Slow down\r\nretry-after: 7", vec![]).await;
    let first = jupiter.quote(&ask(), WITHIN).await.unwrap_err();
    assert!(
        matches!(first, ServiceError::RateLimited { retry_after: Some(pause), .. } if pause.as_secs() == 7)
    );
    assert!(asked.recv().await.is_some());
    let second = jupiter.quote(&ask(), WITHIN).await.unwrap_err();
    assert!(matches!(second, ServiceError::Paced { wait, .. } if wait.as_secs() >= 6), "{second}");
    assert!(asked.try_recv().is_err(), "it was not even asked");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let jupiter = Jupiter::new(JupiterConfig::new(&url, None, 60).unwrap()).unwrap();
    let error = jupiter.quote(&ask(), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, ServiceError::Timeout { .. }), "{error}");
}
