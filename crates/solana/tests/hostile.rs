//! A node that answers with anything at all: every method of ours ends in an error that names endpoint and method, the
//! endpoint is worse for it, nothing panics, and no answer is held beyond its bound.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use sniper_core::ids::{Address, Signature};
use sniper_core::units::Lamports;
use sniper_solana::rpc::{
    Commitment, EndpointConfig, PoolSettings, RpcConnectionPool, RpcError, SendRequest,
};

const GENESIS: &str = "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY";
const NAME: &str = "hostile";
/// Stands in the address, as a provider's key would.
const KEY: &str = "s3cr3t-k3y";

/// What the node answers to all but the questions by which it is let in.
#[derive(Clone)]
enum Says {
    /// This.
    Bytes(Bytes),
    /// Spaces for ever; counts the bytes that were taken.
    Endless,
    /// The length of a gigantic answer, and then nothing of it.
    Announced,
}

struct Node {
    says: Mutex<Says>,
    /// Methods to which it says that; all others are answered as they should be.
    methods: Mutex<Vec<&'static str>>,
    taken: AtomicUsize,
}

async fn answer(State(node): State<Arc<Node>>, request: String) -> Response {
    let request: Value = serde_json::from_str(&request).unwrap();
    let asked = request.as_array().cloned().unwrap_or_else(|| vec![request.clone()]);
    let is_struck = |one: &Value| {
        let methods = node.methods.lock().unwrap();
        methods.iter().any(|method| one["method"] == *method)
    };
    if !asked.iter().any(is_struck) {
        let answers: Vec<Value> = asked.iter().map(honest).collect();
        let whole = if request.is_array() { json!(answers) } else { answers[0].clone() };
        return whole.to_string().into_response();
    }
    let says = node.says.lock().unwrap().clone();
    match says {
        Says::Bytes(bytes) => bytes.into_response(),
        Says::Endless => {
            let node = Arc::clone(&node);
            let pieces = futures_util::stream::repeat_with(move || {
                let piece = Bytes::from_static(&[b' '; 64 << 10]);
                node.taken.fetch_add(piece.len(), Ordering::Relaxed);
                Ok::<_, std::io::Error>(piece)
            });
            Body::from_stream(pieces).into_response()
        }
        Says::Announced => {
            let nothing = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
            let mut response = Body::from_stream(nothing).into_response();
            let length = (1_u64 << 40).into();
            response.headers_mut().insert("content-length", length);
            response
        }
    }
}

fn honest(request: &Value) -> Value {
    let result = match request["method"].as_str().unwrap() {
        "getGenesisHash" => json!(GENESIS),
        "getHealth" => json!("ok"),
        "getSlot" => json!(1_000),
        "getBlockHeight" => json!(900),
        other => panic!("not scripted: {other}"),
    };
    json!({"jsonrpc": "2.0", "id": request["id"], "result": result})
}

struct Stage {
    node: Arc<Node>,
    port: u16,
    _serving: Serving,
}

struct Serving(tokio::task::JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage {
    async fn set() -> Self {
        let node = Arc::new(Node {
            says: Mutex::new(Says::Bytes(Bytes::new())),
            methods: Mutex::default(),
            taken: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/{key}", post(answer)).with_state(Arc::clone(&node));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { node, port, _serving: Serving(task) }
    }

    /// A pool that has let the node in before it shows what it is.
    async fn pool(&self, method: &'static str, says: &Says) -> RpcConnectionPool {
        self.node.methods.lock().unwrap().clear();
        let (http, ws) = ("http", "ws");
        let url = |scheme| format!("{scheme}://127.0.0.1:{}/{KEY}", self.port);
        let endpoint = EndpointConfig::new(NAME, &url(http), &url(ws), 10_000).unwrap();
        let settings = PoolSettings { attempts_max: 1, ..PoolSettings::default() };
        let pool = RpcConnectionPool::connect(vec![endpoint], settings).await.unwrap();
        *self.node.says.lock().unwrap() = says.clone();
        self.node.methods.lock().unwrap().push(method);
        pool
    }
}

const OWNER: Address = Address::new_from_array([7; 32]);
const SIGNATURE: Signature = Signature([5; 64]);

type Outcome = Result<(), RpcError>;
type Asking = Pin<Box<dyn Future<Output = Outcome> + Send>>;

type Ask = fn(RpcConnectionPool) -> Asking;

/// Every method of ours, by the node's name for it.
fn asks() -> Vec<(&'static str, Ask)> {
    const AT: Commitment = Commitment::Confirmed;
    macro_rules! ask {
        ($pool:ident => $call:expr) => {
            |$pool| Box::pin(async move { $call.await.map(drop) })
        };
    }
    vec![
        ("getGenesisHash", ask!(p => p.genesis_hash())),
        ("getLatestBlockhash", ask!(p => p.latest_blockhash(AT))),
        ("getSlot", ask!(p => p.slot(AT))),
        ("getBlockHeight", ask!(p => p.block_height(AT))),
        ("getBalance", ask!(p => p.balance(&OWNER, AT))),
        ("getAccountInfo", ask!(p => p.account(&OWNER, AT))),
        ("getMultipleAccounts", ask!(p => p.multiple_accounts(&[OWNER], AT, None))),
        ("getMultipleAccounts", ask!(p => p.agreed_accounts(&[OWNER], AT))),
        ("getProgramAccounts", ask!(p => p.program_accounts(&OWNER, &[], AT))),
        ("getTokenAccountBalance", ask!(p => p.token_account_balance(&OWNER, AT))),
        ("getTokenAccountsByOwner", ask!(p => p.token_accounts_by_owner(&OWNER, &OWNER, AT))),
        ("getTokenAccountsByOwner", ask!(p => p.token_accounts_of_mint(&OWNER, &OWNER, AT))),
        ("getTokenSupply", ask!(p => p.token_supply(&OWNER, AT))),
        ("getTokenLargestAccounts", ask!(p => p.token_largest_accounts(&OWNER, AT))),
        ("getMinimumBalanceForRentExemption", ask!(p => p.minimum_balance_for_rent_exemption(165))),
        ("getSignatureStatuses", ask!(p => p.signature_statuses(&[SIGNATURE], false))),
        ("getSignatureStatuses", ask!(p => p.statuses_seen_by_any(&[SIGNATURE]))),
        ("getTransaction", ask!(p => p.transaction(&SIGNATURE, &OWNER, AT))),
        ("getTransaction", ask!(p => p.transaction_calls(&SIGNATURE, AT))),
        ("simulateTransaction", ask!(p => p.simulate("AAAA", AT))),
        ("simulateTransaction", ask!(p => p.rehearse("AAAA", AT, &[OWNER]))),
        ("requestAirdrop", ask!(p => p.request_airdrop(&OWNER, Lamports::new(1)))),
        ("sendTransaction", |p| Box::pin(async move { send(&p).await })),
    ]
}

async fn send(pool: &RpcConnectionPool) -> Outcome {
    let request = SendRequest::new("AAAA", SIGNATURE, false).unwrap();
    let sent = pool.send_transaction(&request).await;
    sent.map(drop).map_err(|mut errors| errors.pop().unwrap())
}

fn bytes(text: impl Into<Vec<u8>>) -> Says {
    Says::Bytes(text.into().into())
}

fn result(result: &str) -> Says {
    bytes(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
}

/// Answers that no method has.
fn lies() -> Vec<(String, Says)> {
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    let nested = [
        deep("[", "]", 100_000),
        "[".repeat(1_000_000),
        deep(r#"{"value":"#, "}", 50_000).replace(":}", ":1}"),
        r#"{"a":"#.repeat(100_000),
    ];
    let mut out = vec![
        ("nothing".to_owned(), bytes("")),
        ("a page".to_owned(), bytes("<html>welcome</html>")),
        (
            "half an answer".to_owned(),
            bytes(r#"{"jsonrpc":"2.0","id":1,"result":{"context":{"slot""#),
        ),
        (
            "no UTF-8".to_owned(),
            bytes([b"{\"result\":\"".as_slice(), &[0xff, 0xfe, 0], b"\"}"].concat()),
        ),
        ("zeros".to_owned(), bytes(vec![0; 4_096])),
        ("neither result nor error".to_owned(), bytes(r#"{"jsonrpc":"2.0","id":1}"#)),
        ("an error that is text".to_owned(), bytes(r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#)),
        ("an error without a number".to_owned(), bytes(r#"{"id":1,"error":{"message":"no"}}"#)),
        (
            "an error of a huge number".to_owned(),
            bytes(r#"{"id":1,"error":{"code":1e400,"message":"no"}}"#),
        ),
        (
            "two answers after another".to_owned(),
            bytes(r#"{"id":1,"result":1}{"id":1,"result":1}"#),
        ),
        ("a list".to_owned(), bytes(r#"[1,2,3]"#)),
    ];
    for nested in &nested {
        let name = &nested[..nested.len().min(12)];
        out.push((format!("{name} deep as result"), result(nested)));
        out.push((
            format!("{name} deep as value"),
            result(&format!(r#"{{"context":{{"slot":1000}},"value":{nested}}}"#)),
        ));
        out.push((format!("{name} deep alone"), bytes(nested.clone())));
    }
    for value in [
        "\"text\"",
        "true",
        "-1",
        "1.5",
        "1e400",
        "-1e400",
        "99999999999999999999999999",
        "{}",
        "{\"context\":{},\"value\":7}",
        "{\"value\":7}",
        "{\"value\":null}",
        "{\"value\":[]}",
        "{\"context\":{\"slot\":-1},\"value\":7}",
        "{\"context\":{\"slot\":1e400},\"value\":7}",
        "{\"context\":{\"slot\":\"7\"},\"value\":7}",
        "{\"context\":null,\"value\":7}",
        "{\"context\":{\"slot\":18446744073709551616},\"value\":7}",
        "{\"context\":{\"slot\":1000}}",
        "{\"context\":{\"slot\":1000},\"value\":\"\"}",
        "{\"context\":{\"slot\":1000},\"value\":{}}",
        "{\"context\":{\"slot\":1000},\"value\":-7}",
        "{\"context\":{\"slot\":1000},\"value\":[7]}",
        "{\"context\":{\"slot\":1000},\"value\":[{\"lamports\":1e99,\"owner\":7,\"data\":0}]}",
        "{\"context\":{\"slot\":1000},\"value\":{\"lamports\":1,\"owner\":\"x\",\"data\":[\"\",\"base64\"]}}",
        "{\"slot\":1000,\"transaction\":{\"signatures\":[],\"message\":{\"accountKeys\":[]}},\"meta\":null}",
        "[{}]",
        "[null]",
        "[[[[]]]]",
    ] {
        out.push((value.to_owned(), result(value)));
    }
    out
}

/// Everything an operator could see of an error.
fn words(error: &RpcError) -> String {
    let mut words = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        words.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    words
}

#[tokio::test]
async fn whatever_a_node_answers_is_an_error_that_names_it_and_makes_it_worse() {
    let stage = Stage::set().await;
    let mut count = 0;
    for (name, says) in lies() {
        for (method, ask) in asks() {
            let pool = stage.pool(method, &says).await;
            let before = pool.report()[0].error_rate;
            let outcome = tokio::time::timeout(Duration::from_secs(20), ask(pool.clone())).await;
            let what = format!("{method} answered by {name}");
            let Err(error) = outcome.unwrap_or_else(|_| panic!("{what}: no end")) else {
                panic!("{what} was believed");
            };
            let words = words(&error);
            assert!(words.contains(method), "{what}: {words}");
            assert!(words.contains(NAME), "{what}: {words}");
            assert!(!words.contains(KEY), "{what}: {words}");
            assert!(words.len() < 4_000, "{what}: an error of {} bytes", words.len());
            let after = pool.report()[0].error_rate;
            assert!(after > before, "{what}: it is as good as before ({after}): {words}");
            count += 1;
        }
    }
    println!("{count} answers refused");
}

#[tokio::test]
async fn an_answer_without_end_is_left_at_its_bound_and_one_that_says_so_before_it_begins() {
    let stage = Stage::set().await;
    for (method, ask) in asks() {
        // What may be as long as all accounts of a program has a bound that takes too long here.
        if method == "getProgramAccounts" {
            continue;
        }
        let pool = stage.pool(method, &Says::Announced).await;
        let begun = std::time::Instant::now();
        let error = ask(pool).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2), "{method}: it was waited for: {error}");
        assert!(words(&error).contains(NAME), "{method}: {error}");

        let pool = stage.pool(method, &Says::Endless).await;
        stage.node.taken.store(0, Ordering::Relaxed);
        let error = ask(pool).await.unwrap_err();
        assert!(
            words(&error).contains(NAME) && words(&error).contains(method),
            "{method}: {error}"
        );
        // The bound, and what lies in the buffers between us.
        let taken = stage.node.taken.load(Ordering::Relaxed);
        assert!(taken <= (16 << 20) + (16 << 20), "{method}: {taken} bytes were taken");
    }
}

#[tokio::test]
async fn a_gigantic_word_of_a_node_is_cut_before_anybody_sees_it() {
    let stage = Stage::set().await;
    let text = "x\\u001b[31m\\n".repeat(200_000);
    let says =
        bytes(format!(r#"{{"id":1,"error":{{"code":-32000,"message":"{text}","data":[1]}}}}"#));
    let pool = stage.pool("getTransaction", &says).await;
    let error = pool.transaction(&SIGNATURE, &OWNER, Commitment::Confirmed).await.unwrap_err();
    let words = words(&error);
    assert!(words.len() < 4_000, "{} bytes", words.len());
    assert!(words.chars().all(|c| !c.is_control()), "no control characters");
}

#[tokio::test]
async fn a_simulation_told_as_a_list_is_no_success() {
    let stage = Stage::set().await;
    // Read by position its first field would be the error, and there would be none.
    let says = result(r#"{"context":{"slot":1000},"value":[null]}"#);
    let pool = stage.pool("simulateTransaction", &says).await;
    let error = pool.simulate("AAAA", Commitment::Confirmed).await.unwrap_err();
    assert!(matches!(error, RpcError::Decode { .. }), "{error:?}");
}
