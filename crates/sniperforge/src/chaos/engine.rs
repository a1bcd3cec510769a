//! Every endpoint is gone for a while: the engine must stop trading, say why, and go on by itself with nothing lost.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sniper_localnet::proxy::Fault;

use super::stage::{Stage, figure};
use super::{Scale, Scenario};

/// From the return of the endpoints until it trades again.
const RESUME_MAX: Duration = Duration::from_secs(2);
/// From the loss of the endpoints until it says so: what is silent must be seen against the slot clock.
const PAUSED_WITHIN: Duration = Duration::from_secs(5);
/// Longest that anything may take at all.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// The engine under its own page; killed when this is dropped.
struct Engine {
    child: Child,
    page: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Engine {
    fn start(stage: &Stage, run_for: Duration) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("find this program's own file")?;
        let folder = tempfile::tempdir().context("make a temporary folder")?;
        let free = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let port = free.local_addr()?.port();
        drop(free);
        let chain = stage.chain.rpc_urls.first().context("the local chain has no port")?;
        let mut command = Command::new(binary);
        command
            .args(["demo", "--json", "--log-level", "warn", "--attach", chain])
            .args(["--for", &format!("{}ms", run_for.as_millis())])
            .args(["--port", &port.to_string(), "--data"])
            .arg(folder.path());
        for proxy in &stage.proxies {
            command.args(["--through", &proxy.http_url()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .no_proxy()
            .build()
            .context("make an HTTP client")?;
        Ok(Self {
            child,
            page: format!("http://127.0.0.1:{port}/api/view"),
            client,
            _folder: folder,
        })
    }

    /// What it shows of itself; none while it does not.
    async fn view(&self) -> Option<Value> {
        self.client.get(&self.page).send().await.ok()?.json().await.ok()
    }

    /// Waits until what it shows is as wanted.
    async fn until(
        &self,
        what: &'static str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<(Value, Duration)> {
        let start = Instant::now();
        loop {
            if let Some(view) = self.view().await
                && wanted(&view)
            {
                return Ok((view, start.elapsed()));
            }
            ensure!(start.elapsed() < PATIENCE, "the engine did not {what} in two minutes");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What it says when it has ended by itself.
    async fn summary(mut self) -> anyhow::Result<Value> {
        let stdout = self.child.stdout.take().context("read the engine's summary")?;
        let read = tokio::task::spawn_blocking(move || std::io::read_to_string(stdout));
        let text =
            tokio::time::timeout(PATIENCE, read).await.context("the engine did not end")??;
        serde_json::from_str(&text?).context("understand the engine's summary")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn is_well(view: &Value) -> bool {
    view.pointer("/health/ok").and_then(Value::as_bool).unwrap_or(false)
}

fn submitted(view: &Value) -> usize {
    let count = view.pointer("/orders/submitted").and_then(Value::as_u64).unwrap_or(0);
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Why it does not trade, as it says itself.
fn problems(view: &Value) -> String {
    let problems = view.pointer("/health/problems").and_then(Value::as_array);
    let texts = problems.into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(", ")
}

pub(super) async fn outage(scale: Scale) -> anyhow::Result<Vec<Scenario>> {
    let stage = Stage::set(14).await?;
    // A while before the outage, and one after it: both must show orders.
    let around = Duration::from_secs(12);
    let engine = Engine::start(&stage, scale.outage + around * 3)?;
    engine.until("trade", |view| is_well(view) && submitted(view) > 0).await?;

    stage.play_all(&[Fault::Reset]);
    stage.cut_all();
    let gone = Instant::now();
    let (paused, within) =
        engine.until("say that it is cut off", |view| problems(view).contains("missing")).await?;
    let reason = problems(&paused);
    // Orders of the very moment may still be counted.
    let (settled, _) = engine.until("answer", |_| true).await?;
    tokio::time::sleep(scale.outage.saturating_sub(gone.elapsed())).await;
    let (before_return, _) = engine.until("answer", |_| true).await?;
    let in_the_dark = submitted(&before_return) - submitted(&settled);

    stage.play_all(&[]);
    let (resumed, took) = engine.until("resume", is_well).await?;
    let before = submitted(&resumed);
    let traded = engine.until("trade again", |view| submitted(view) > before).await;
    let summary = engine.summary().await?;
    let text = |key: &str| summary.get(key).cloned().unwrap_or_default();
    let off = text("lamports_difference").as_i64().unwrap_or(i64::MAX);
    let whole = text("ledger_matches_chain") == true && text("replay_matches") == true && off == 0;
    Ok(vec![
        Scenario {
            name: "outage_safe",
            ok: within <= PAUSED_WITHIN && in_the_dark == 0 && whole,
            figure: figure(in_the_dark),
            unit: "orders",
            limit: 0.0,
            detail: format!(
                "paused after {:.1} s ({reason}); ledger matches: {}, lamports off: {off}, replay \
                 matches: {}",
                within.as_secs_f64(),
                text("ledger_matches_chain"),
                text("replay_matches"),
            ),
        },
        Scenario {
            name: "outage_resumed",
            ok: took <= RESUME_MAX && traded.is_ok(),
            figure: took.as_secs_f64(),
            unit: "s",
            limit: RESUME_MAX.as_secs_f64(),
            detail: format!(
                "away for {} s; traded again: {}",
                scale.outage.as_secs(),
                traded.is_ok()
            ),
        },
    ])
}
