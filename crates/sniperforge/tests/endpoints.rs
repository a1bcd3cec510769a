//! Endpoints that come and go in a run, by the word of the configuration file.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod local;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use local::{BINARY, Chain};
use serde_json::{Value, json};
use sniper_localnet::proxy::{FaultProxy, ProxyConfig, Script};

/// Every line of the engine's log so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// How many lines have these words.
    fn count(&self, words: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }

    #[track_caller]
    fn wait(&self, words: &str, count: usize, within: Duration) {
        let deadline = Instant::now() + within;
        while self.count(words) < count {
            assert!(
                Instant::now() < deadline,
                "{count} times {words:?} not within {within:?}:\n{}",
                self.0.lock().unwrap().join("\n")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The engine on the endpoints of a file; killed when dropped.
struct Engine {
    child: Child,
    log: Log,
}

impl Engine {
    fn start(chain: &Chain, file: &Path, data: &Path) -> Self {
        let mut child = Command::new(BINARY)
            .args(["demo", "--headless", "--json", "--log-level", "info"])
            .args(["--attach", &chain.url, "--endpoints"])
            .arg(file)
            .arg("--data")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::default();
        let (lines, into) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                into.0.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    /// Asks it to stop and gives what it reports.
    fn stop(mut self) -> Value {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(self.child.stdout.as_mut().unwrap(), &mut text).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.log.0.lock().unwrap().join("\n"));
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

async fn proxy(chain: &Chain, nth: usize) -> FaultProxy {
    let url = |list: &str| chain.ready[list][nth].as_str().unwrap().to_owned();
    let config = ProxyConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        http: url("rpcUrls"),
        ws: url("wsUrls"),
        script: Script::default(),
    };
    FaultProxy::start(config).await.unwrap()
}

fn write(file: &Path, endpoints: &[(&str, &FaultProxy)], more: &str) {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(name, proxy)| {
            let (http, ws) = (proxy.http_url(), proxy.ws_url());
            format!(
                "{{ name = '{name}', http = '{http}', ws = '{ws}', requests_per_second = 500 }}"
            )
        })
        .collect();
    let text = format!("[node]\nendpoints = [{}]\n{more}", endpoints.join(", "));
    std::fs::write(file, text).unwrap();
}

/// Of what is sent from now on, all is acknowledged and lost, or nothing.
async fn lose_transactions(chain: &Chain, lose: bool) {
    for port in chain.ready["rpcUrls"].as_array().unwrap() {
        let url = port.as_str().unwrap();
        let number: u16 = url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
        let faults = json!({"port": number, "faults": {"dropRate": if lose { 1.0 } else { 0.0 }}});
        let body =
            json!({"jsonrpc": "2.0", "id": 1, "method": "localnet_faults", "params": [faults]});
        let answer: Value = reqwest::Client::new()
            .post(url)
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
    }
}

const SLOT: Duration = Duration::from_millis(100);
/// Blocks in which a transaction can land.
const LIFE: u32 = 150;
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_of_two_endpoints_gone_for_ever_orders_end_again_once_the_file_says_so() {
    sniper_solana::install_crypto_provider();
    let chain = Chain::start_at(100, &["--port", "0"]);
    let (first, second) = (proxy(&chain, 0).await, proxy(&chain, 1).await);
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("a.toml"), folder.path().join("data"));
    write(&file, &[("first", &first), ("second", &second)], "");
    let engine = Engine::start(&chain, &file, &data);
    engine.log.wait("order landed", 2, LONG);

    lose_transactions(&chain, true).await;
    drop(second);
    let landed = engine.log.count("order landed");
    // Long enough for what was sent since to be past its time, several times over.
    tokio::time::sleep(SLOT * LIFE * 2).await;
    let log = &engine.log;
    assert_eq!(log.count("order expired"), 0, "one of two cannot say that an order is dead");
    assert!(log.count("order landed") <= landed + 2, "what is lost does not land");

    write(&file, &[("first", &first)], "");
    log.wait("endpoint removed", 1, Duration::from_secs(10));
    log.wait("order expired", 1, LONG);
    let landed = log.count("order landed");
    lose_transactions(&chain, false).await;
    log.wait("order landed", landed + 1, LONG);
    let summary = engine.stop();
    assert_eq!(summary["ledger_matches_chain"], true, "{summary:#}");
    assert_eq!(
        (&summary["lamports_difference"], &summary["replay_matches"]),
        (&0.into(), &true.into())
    );
    assert!(summary["orders"]["expired"].as_u64().unwrap() >= 1, "{summary:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_adds_and_replaces_endpoints_and_changes_nothing_else() {
    let chain = Chain::start(&["--port", "0"]);
    let (first, second) = (proxy(&chain, 0).await, proxy(&chain, 1).await);
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("a.toml"), folder.path().join("data"));
    write(&file, &[("first", &first)], "");
    let engine = Engine::start(&chain, &file, &data);
    let log = engine.log.clone();
    log.wait("feed connected", 1, LONG);

    std::fs::write(&file, "[node]\nendpoints = [{ name = 'x', http").unwrap();
    log.wait("nothing of it is taken up", 1, LONG);
    assert_eq!(log.count("endpoint added") + log.count("endpoint removed"), 0);

    let more = "[risk]\nopen_orders = 7\n";
    write(&file, &[("first", &first), ("second", &second)], more);
    log.wait("endpoint added", 1, LONG);
    log.wait("risk.open_orders", 1, LONG);

    // All it listens to is taken away: it listens to what has come.
    write(&file, &[("second", &second)], more);
    log.wait("endpoint removed", 1, LONG);
    log.wait("moving a feed connection", 1, LONG);
    drop(first);
    let landed = log.count("order landed");
    log.wait("order landed", landed + 2, LONG);

    // A third under the name of the second, which is the last: it is told, and nothing is lost.
    let third = proxy(&chain, 0).await;
    write(&file, &[("second", &third)], more);
    log.wait("not those of the configuration yet", 1, LONG);
    write(&file, &[("third", &third)], more);
    log.wait("endpoint removed", 2, LONG);
    drop(second);
    let landed = log.count("order landed");
    log.wait("order landed", landed + 1, LONG);
    let all = log.0.lock().unwrap().join("\n");
    assert!(!all.contains(&third.http_url()) && !all.contains(&third.ws_url()), "names alone");
    let summary = engine.stop();
    assert_eq!(summary["ledger_matches_chain"], true, "{summary:#}");
}
