//! Every method, subscription and error number that this crate relies on, asked of a validator that none of us wrote and
//! of the local chain: answers have one shape, field by field, and refusals one number.
//!
//! [`questions`], [`subscriptions`] and [`UNPROVOKED`] are the one table. What the sources name and the table does not
//! fails the test, with or without a validator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;
mod wire;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sniper_core::event::MintSpec;
use sniper_core::ids::{Address, Symbol};
use sniper_core::units::Lamports;
use sniper_solana::rpc::{
    Commitment, EndpointConfig, PoolSettings, RpcConnectionPool, SendRequest,
};
use sniper_solana::tx::instructions::{TOKEN_PROGRAM, WRAPPED_SOL};
use sniper_solana::tx::{Priority, Signed, TransactionBuilder, sign};
use sniper_wallet::{LocalSigner, Signer as _};
use support::{Validator, eventually};
use wire::{Socket, ask, shape};

const SOL: u64 = 1_000_000_000;
const LONG: Duration = Duration::from_secs(60);
/// A slot that no chain reaches.
const FAR: u64 = 1 << 62;

/// What a question should bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brings {
    Result,
    Code(i64),
}
use Brings::{Code, Result as Answer};

/// A server of the chain, and what was made on it to be asked about.
struct Setting {
    http: String,
    ws: String,
    pool: RpcConnectionPool,
    signer: LocalSigner,
    /// A transaction that landed, and one that has not been sent.
    landed: Signed,
    unsent: String,
    /// Well formed, but its signature is another's.
    forged: String,
    /// Well signed, by a key that can pay nothing.
    poor: String,
    account: Address,
}

/// Numbers of nodes that a lone healthy validator cannot be brought to say.
const UNPROVOKED: [(i64, &str); 11] = [
    (-32005, "a node behind the others"),
    (-32603, "a node at its limit, or with a fault of its own"),
    (-32004, "a block that a node has not, told by no method of ours"),
    (-32011, "a node without the history of transactions"),
    (-32014, "a block that is being made, told by no method of ours"),
    (-32019, "a node whose archive is away"),
    (-32010, "a node without an index of that mint or program"),
    (-32017, "the minutes of an epoch's rewards"),
    (-32099, "a gateway without the method"),
    (-32429, "a gateway that throttles"),
    (-32029, "a gateway that throttles"),
];

fn questions(at: &Setting) -> Vec<(&'static str, Value, Brings)> {
    let (owner, account) = (at.signer.address().to_string(), at.account.to_string());
    let (token, sol) = (TOKEN_PROGRAM.to_string(), WRAPPED_SOL.to_string());
    let name = bs58::encode(at.landed.signature.0).into_string();
    let nobody = Address::new_from_array([7; 32]).to_string();
    let nothing = bs58::encode([7_u8; 64]).into_string();
    let confirmed = json!({"commitment": "confirmed"});
    let base64 = json!({"commitment": "confirmed", "encoding": "base64"});
    let later = json!({"commitment": "confirmed", "encoding": "base64", "minContextSlot": FAR});
    let filters = |bytes: &str| {
        json!({"commitment": "confirmed", "encoding": "base64",
            "filters": [{"dataSize": 165}, {"memcmp": {"offset": 32, "bytes": bytes}}]})
    };
    let transaction = json!({"commitment": "confirmed", "encoding": "json",
        "maxSupportedTransactionVersion": 0});
    let simulate = json!({"commitment": "confirmed", "encoding": "base64", "sigVerify": true});
    let rehearse = json!({"commitment": "confirmed", "encoding": "base64", "sigVerify": false,
        "replaceRecentBlockhash": true, "accounts": {"encoding": "base64", "addresses": [owner, nobody]}});
    let send = |preflight: bool| {
        json!({"encoding": "base64", "skipPreflight": !preflight,
            "preflightCommitment": "confirmed", "maxRetries": 0})
    };
    let history = |yes: bool| json!({"searchTransactionHistory": yes});
    vec![
        ("getGenesisHash", json!([]), Answer),
        ("getHealth", json!([]), Answer),
        ("getVersion", json!([]), Answer),
        ("getSlot", json!([confirmed]), Answer),
        ("getSlot", json!([{"commitment": "processed"}]), Answer),
        ("getSlot", json!([later]), Code(-32016)),
        ("getBlockHeight", json!([{"commitment": "finalized"}]), Answer),
        ("getBlockHeight", json!([later]), Code(-32016)),
        ("getEpochInfo", json!([confirmed]), Answer),
        ("getSlotLeaders", json!([1, 4]), Answer),
        ("getSlotLeaders", json!([1, 5_001]), Code(-32602)),
        ("getLeaderSchedule", json!([0, {"identity": nobody}]), Answer),
        ("getLeaderSchedule", json!([0, {"identity": "0OIl"}]), Code(-32602)),
        ("getRecentPrioritizationFees", json!([[account]]), Answer),
        ("getRecentPrioritizationFees", json!([vec![&account; 129]]), Code(-32602)),
        ("getLatestBlockhash", json!([confirmed]), Answer),
        ("getLatestBlockhash", json!([later]), Code(-32016)),
        ("getBalance", json!([owner, confirmed]), Answer),
        ("getBalance", json!([nobody, confirmed]), Answer),
        ("getBalance", json!([owner, later]), Code(-32016)),
        ("getBalance", json!(["0OIl", confirmed]), Code(-32602)),
        ("getAccountInfo", json!([account, base64]), Answer),
        ("getAccountInfo", json!([nobody, base64]), Answer),
        ("getAccountInfo", json!([account, later]), Code(-32016)),
        ("getMultipleAccounts", json!([[account, nobody, sol], base64]), Answer),
        ("getMultipleAccounts", json!([vec![&account; 101], base64]), Code(-32602)),
        ("getMultipleAccounts", json!([[account], later]), Code(-32016)),
        ("getProgramAccounts", json!([token, filters(&owner)]), Answer),
        ("getProgramAccounts", json!([token, filters(&nobody)]), Answer),
        ("getProgramAccounts", json!([token, filters("0")]), Code(-32602)),
        ("getTokenAccountBalance", json!([account, confirmed]), Answer),
        ("getTokenAccountBalance", json!([nobody, confirmed]), Code(-32602)),
        ("getTokenAccountBalance", json!([sol, confirmed]), Code(-32602)),
        ("getTokenAccountsByOwner", json!([owner, {"programId": token}, base64]), Answer),
        ("getTokenAccountsByOwner", json!([owner, {"mint": sol}, base64]), Answer),
        ("getTokenAccountsByOwner", json!([nobody, {"programId": token}, base64]), Answer),
        ("getTokenAccountsByOwner", json!([owner, {"mint": nobody}, base64]), Code(-32602)),
        ("getTokenSupply", json!([sol, confirmed]), Answer),
        ("getTokenSupply", json!([nobody, confirmed]), Code(-32602)),
        ("getTokenLargestAccounts", json!([sol, confirmed]), Answer),
        ("getTokenLargestAccounts", json!([nobody, confirmed]), Code(-32602)),
        ("getMinimumBalanceForRentExemption", json!([165, confirmed]), Answer),
        ("getSignatureStatuses", json!([[name, nothing], history(false)]), Answer),
        ("getSignatureStatuses", json!([[name, nothing], history(true)]), Answer),
        ("getSignatureStatuses", json!([vec![&name; 257], history(true)]), Code(-32602)),
        ("getTransaction", json!([name, transaction]), Answer),
        ("getTransaction", json!([nothing, transaction]), Answer),
        ("getTransaction", json!(["0", transaction]), Code(-32602)),
        ("simulateTransaction", json!([at.unsent, simulate]), Answer),
        ("simulateTransaction", json!([at.poor, simulate]), Answer),
        ("simulateTransaction", json!([at.forged, simulate]), Answer),
        ("simulateTransaction", json!([at.forged, rehearse]), Answer),
        ("simulateTransaction", json!(["AAAA", simulate]), Code(-32602)),
        ("sendTransaction", json!(["AAAA", send(false)]), Code(-32602)),
        ("sendTransaction", json!([at.forged, send(true)]), Code(-32002)),
        ("sendTransaction", json!([at.poor, send(true)]), Code(-32002)),
        ("sendTransaction", json!([at.unsent, send(false)]), Answer),
        ("requestAirdrop", json!([nobody, SOL]), Answer),
        ("requestAirdrop", json!(["0", SOL]), Code(-32602)),
        ("aMethodThatIsNone", json!([]), Code(-32601)),
    ]
}

/// Requests that are no calls, word for word.
const BODIES: [(&str, Brings); 4] = [
    (r#"{"jsonrpc":"2.0","id":1"#, Code(-32700)),
    (r#"{"jsonrpc":"2.0","id":1,"params":[]}"#, Code(-32600)),
    (
        r#"[{"jsonrpc":"2.0","id":1,"method":"getSlot"},{"jsonrpc":"2.0","id":2,"method":"no"}]"#,
        Answer,
    ),
    ("[]", Answer),
];

fn subscriptions(at: &Setting) -> Vec<(&'static str, Value)> {
    let (owner, token) = (at.signer.address().to_string(), TOKEN_PROGRAM.to_string());
    let filters = json!([{"dataSize": 165}, {"memcmp": {"offset": 32, "bytes": owner}}]);
    vec![
        ("slotSubscribe", json!([])),
        ("accountSubscribe", json!([owner, {"encoding": "base64", "commitment": "processed"}])),
        (
            "programSubscribe",
            json!([token,
            {"encoding": "base64", "commitment": "processed", "filters": filters}]),
        ),
        ("logsSubscribe", json!([{"mentions": [token]}, {"commitment": "processed"}])),
    ]
}

/// What the local chain leaves out, as it has no cost model and no loader that counts; nothing of ours reads these.
const LEFT_OUT: [(&str, &[&str]); 2] = [
    ("getTransaction", &["costUnits"]),
    (
        "simulateTransaction",
        &[
            "loadedAccountsDataSize",
            "loadedAddresses",
            "preBalances",
            "postBalances",
            "preTokenBalances",
            "postTokenBalances",
        ],
    ),
];

/// A shape without what the local chain leaves out.
fn without_extras(method: &str, mut shown: Value) -> Value {
    let of = LEFT_OUT.iter().filter(|(name, _)| *name == method);
    for name in of.flat_map(|(_, names)| *names) {
        for place in ["/result/meta", "/result/value"] {
            if let Some(Value::Object(fields)) = shown.pointer_mut(place) {
                fields.remove(*name);
            }
        }
    }
    shown
}

/// Shapes of all answers, each with what was asked.
async fn answers(at: &Setting) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (method, params, brings) in questions(at) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = ask(&at.http, body.to_string()).await;
        let (asked, shown) = judged(format!("{method} {params}"), &answer, brings);
        out.push((asked, without_extras(method, shown)));
    }
    for (body, brings) in BODIES {
        let answer = ask(&at.http, body.to_owned()).await;
        out.push(judged(body.to_owned(), &answer, brings));
    }
    out
}

/// The shape of an answer, and what is wrong with it where it is not of the kind it should be.
fn judged(mut asked: String, answer: &Value, brings: Brings) -> (String, Value) {
    let code = answer.pointer("/error/code").and_then(Value::as_i64);
    asked.truncate(150);
    // Words are for people, and `data` of refusals is read by nobody.
    let shown = code.map_or_else(|| shape(answer), |code| json!({ "code": code }));
    if code.map_or(Answer, Code) == brings {
        return (asked, shown);
    }
    (asked, json!({ "expected": format!("{brings:?}"), "answered": answer }))
}

/// Shapes of a notice of each subscription, and of what ends it.
async fn notices(at: &Setting) -> Vec<(String, Value)> {
    let mut socket = Socket::open(&at.ws).await;
    let mut out = Vec::new();
    let mut open = Vec::new();
    for (method, params) in subscriptions(at) {
        let answer = socket.call(method, params).await;
        out.push((method.to_owned(), shape(&answer)));
        open.push((method, answer["result"].as_u64().unwrap()));
    }
    // Touches our lamports, our token account and the token program.
    let latest = at.pool.latest_blockhash(Commitment::Confirmed).await.unwrap().value;
    let signed = sign(&wrap(&at.signer, SOL / 2, &latest.hash), &at.signer).unwrap();
    land(&at.pool, &signed).await;
    for (method, number) in &open {
        let notice = socket.notice(*number).await;
        out.push((format!("notice of {method}"), shape(&notice)));
    }
    for (method, number) in open {
        let ends = method.replace("Subscribe", "Unsubscribe");
        out.push((ends.clone(), shape(&socket.call(&ends, json!([number])).await)));
        let again = socket.call(&ends, json!([number])).await;
        out.push((format!("{ends} again"), json!(again["error"]["code"])));
    }
    for (method, params) in [
        ("accountSubscribe", json!(["0"])),
        ("logsSubscribe", json!([{"mentions": []}])),
        ("aSubscriptionThatIsNone", json!([])),
    ] {
        let refused = socket.call(method, params).await;
        out.push((format!("{method} refused"), json!(refused["error"]["code"])));
    }
    out
}

fn wrap(signer: &LocalSigner, lamports: u64, hash: &solana_hash::Hash) -> Vec<u8> {
    let mut builder = TransactionBuilder::new(signer.address());
    builder.add_mint(&MintSpec {
        address: WRAPPED_SOL,
        token_program: TOKEN_PROGRAM,
        decimals: 9,
        symbol: Symbol::new("SOL"),
        is_usd: false,
        plain: true,
        trusted: true,
        rent: Lamports::ZERO,
    });
    let lamports = Lamports::new(lamports);
    builder.setup_transactions(lamports, Priority::default(), hash).unwrap().remove(0)
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

async fn land(pool: &RpcConnectionPool, signed: &Signed) {
    let request = SendRequest::new(&base64(&signed.bytes), signed.signature, false).unwrap();
    eventually("a landed transaction", LONG, || async {
        // A node that was told not to retry forwards once, and that may be lost.
        pool.send_transaction(&request).await.ok();
        let statuses = pool.signature_statuses(&[signed.signature], false).await.unwrap().value;
        let status = statuses[0].as_ref()?;
        assert_eq!(status.err, None);
        (status.commitment >= Commitment::Confirmed).then_some(())
    })
    .await;
}

async fn set(http: String, ws: String) -> Setting {
    let endpoint = EndpointConfig::new("asked", &http, &ws, 500).unwrap();
    let settings = PoolSettings::default();
    let pool = eventually("a server", LONG, || async {
        RpcConnectionPool::connect(vec![endpoint.clone()], settings).await.ok()
    })
    .await;
    let signer = LocalSigner::generate().unwrap();
    let owner = signer.address();
    eventually("an airdrop", LONG, || async {
        // A validator's faucet is up a little later than the rest of it.
        pool.request_airdrop(&owner, Lamports::new(10 * SOL)).await.ok()
    })
    .await;
    eventually("its lamports", LONG, || async {
        let held = pool.balance(&owner, Commitment::Confirmed).await.unwrap().value;
        (held > Lamports::ZERO).then_some(())
    })
    .await;
    let hash = pool.latest_blockhash(Commitment::Confirmed).await.unwrap().value.hash;
    let landed = sign(&wrap(&signer, SOL, &hash), &signer).unwrap();
    land(&pool, &landed).await;
    let hash = pool.latest_blockhash(Commitment::Confirmed).await.unwrap().value.hash;
    let transfer = |from: &LocalSigner| {
        let to = Address::new_from_array([42; 32]);
        let builder = TransactionBuilder::new(from.address());
        let lamports = Lamports::new(SOL);
        let message = builder.transfer(to, lamports, Priority::default(), &hash).unwrap();
        sign(&message, from).unwrap().bytes
    };
    let unsent = transfer(&signer);
    let poor = transfer(&LocalSigner::generate().unwrap());
    let mut forged = unsent.clone();
    forged[1..65].copy_from_slice(&poor[1..65]);
    let account = sniper_solana::tx::associated_token_address(&owner, &WRAPPED_SOL, &TOKEN_PROGRAM);
    let (unsent, forged, poor) = (base64(&unsent), base64(&forged), base64(&poor));
    Setting { http, ws, pool, signer, landed, unsent, forged, poor, account }
}

/// A local chain on a thread of its own, until dropped.
struct Local {
    _stop: tokio::sync::oneshot::Sender<()>,
    http: String,
    ws: String,
}

fn local() -> Local {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (told, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let config = sniper_localnet::LocalnetConfig {
            slot_time: Duration::from_millis(200),
            agents: false,
            ..sniper_localnet::LocalnetConfig::default()
        };
        let ended = async move { drop(stopped.await) };
        let tell = |ready: &sniper_localnet::Ready| {
            told.send((ready.rpc_urls[0].clone(), ready.ws_urls[0].clone())).unwrap();
        };
        sniper_localnet::run_blocking(config, ended, tell).unwrap();
    });
    let (http, ws) = ready.recv_timeout(LONG).unwrap();
    Local { _stop: stop, http, ws }
}

#[tokio::test(flavor = "current_thread")]
async fn a_validator_and_the_local_chain_answer_all_that_we_ask_in_one_shape() {
    sniper_solana::install_crypto_provider();
    let chain = local();
    let ours = set(chain.http.clone(), chain.ws.clone()).await;
    let own = [answers(&ours).await, notices(&ours).await].concat();
    let wrong: Vec<_> = own.iter().filter(|(_, got)| got.get("expected").is_some()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let Some(validator) = Validator::start() else { return };
    let (http, ws) = validator.urls();
    let begun = Instant::now();
    let theirs = set(http, ws).await;
    println!("the validator was ready after {:?}", begun.elapsed());
    let real = [answers(&theirs).await, notices(&theirs).await].concat();
    assert_eq!(own.len(), real.len());
    let mut differences = Vec::new();
    for ((asked, want), (_, got)) in real.iter().zip(&own) {
        if want != got || want.get("expected").is_some() {
            differences.push(format!("{asked}\n  real {want}\n  ours {got}"));
        }
    }
    println!("{} answers and notices compared", real.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The sources of the crate, without their tests.
fn sources() -> String {
    fn read(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, out);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                out.push_str(text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    let mut out = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out
}

/// Words in quotes that are called as methods are.
fn methods_of(text: &str) -> BTreeSet<String> {
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let begins = |word: &str, verb: &str| {
        word.strip_prefix(verb)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let is_method = |word: &&str| {
        let verbs = ["get", "send", "simulate", "request", "is"];
        let is_call = verbs.iter().any(|verb| begins(word, verb));
        is_call || word.ends_with("Subscribe") || word.ends_with("Unsubscribe")
    };
    text.split('"').filter(is_word).filter(is_method).map(str::to_owned).collect()
}

/// Numbers that are error codes of a node.
fn codes_of(text: &str) -> BTreeSet<i64> {
    let starts = text.match_indices("-32").map(|(at, _)| &text[at..]);
    let numbers = starts.filter_map(|rest| {
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        (digits == 5).then(|| rest[..6].parse().unwrap())
    });
    numbers.collect()
}

/// Called as methods of a node are, and none: what block engines are asked, and fields of an aggregator's answer.
const ELSEWHERE: [&str; 6] = [
    "getBundleStatuses",
    "getInflightBundleStatuses",
    "getTipAccounts",
    "sendBundle",
    "isSigner",
    "isWritable",
];

#[test]
fn no_method_subscription_or_code_of_the_sources_is_missing_in_the_table() {
    let (sources, table) = (sources(), include_str!("compatibility.rs"));
    let used = methods_of(&sources);
    assert!(used.len() >= 20 && used.contains("getSlot") && used.contains("logsSubscribe"));
    // What ends a subscription is made of its name.
    let known: BTreeSet<String> = methods_of(table)
        .into_iter()
        .flat_map(|name| [name.replace("Subscribe", "Unsubscribe"), name])
        .collect();
    let missing: Vec<_> = used.difference(&known).collect();
    assert!(missing.is_empty(), "add to the table what is used: {missing:?}");
    assert!(ELSEWHERE.iter().all(|name| used.contains(*name)), "what is not used is not listed");
    let missing: Vec<_> = codes_of(&sources).difference(&codes_of(table)).copied().collect();
    assert!(missing.is_empty(), "add to the table what is told apart: {missing:?}");
    let unprovoked: BTreeSet<i64> = UNPROVOKED.iter().map(|(code, _)| *code).collect();
    assert_eq!(unprovoked.len(), UNPROVOKED.len());
}

#[test]
fn a_method_and_a_code_are_found_in_sources_that_name_them() {
    let text = r#"self.read("getSlot", x); format!(r"{"method":"slotSubscribe"}"); code == -32016 || -3 - 320"#;
    assert_eq!(methods_of(text).into_iter().collect::<Vec<_>>(), ["getSlot", "slotSubscribe"]);
    assert_eq!(codes_of(text).into_iter().collect::<Vec<_>>(), [-32016]);
}
