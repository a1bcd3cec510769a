//! `fault-proxy`: a node as it is on a bad day.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use sniper_localnet::proxy::{
    FAULT_NAMES, Fault, FaultProxy, ProxyConfig, ProxyReport, Script, Step,
};

use super::localnet::ended;
use super::output::{aligned, print, report};
use super::{Global, parse_duration};

/// Arguments of `fault-proxy`.
#[derive(Debug, clap::Args)]
pub struct FaultProxyArgs {
    /// The node's JSON-RPC: http or https. It is never printed.
    #[arg(long, value_name = "URL", env = "SNIPERFORGE_FAULT_PROXY_HTTP", hide_env_values = true)]
    http: String,
    /// The node's PubSub: ws or wss. It is never printed.
    #[arg(long, value_name = "URL", env = "SNIPERFORGE_FAULT_PROXY_WS", hide_env_values = true)]
    ws: String,
    /// Where to listen, on this machine alone; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What goes wrong when: a TOML file.
    #[arg(long, value_name = "FILE", conflicts_with = "fault")]
    script: Option<PathBuf>,
    /// Which requests are struck, where not all are; wins over the script's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A fault that holds all the time, with its usual size; may be given more than once.
    #[arg(long, value_name = "NAME", value_parser = fault)]
    fault: Vec<Fault>,
    /// Part of requests and messages that each --fault strikes, above 0 and at most 1.
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = share, requires = "fault")]
    share: f64,
    /// How long to stand there, such as 60s; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    run_for: Option<Duration>,
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::named(name).ok_or_else(|| format!("one of {}", FAULT_NAMES.join(", ")))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "a number above 0 and at most 1".to_owned())
}

impl FaultProxyArgs {
    fn script(&self) -> anyhow::Result<Script> {
        let mut script = match &self.script {
            Some(file) => Script::read(file).with_context(|| file.display().to_string())?,
            None => Script::default(),
        };
        let always = |fault: &Fault| Step { share: self.share, ..Step::always(fault.clone()) };
        script.steps.extend(self.fault.iter().map(always));
        script.seed = self.seed.unwrap_or(script.seed);
        Ok(script)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Announced {
    rpc_urls: [String; 1],
    ws_urls: [String; 1],
}

/// Stands in front of a node until a signal or the end of its time; says once where it is found, and at the end what it
/// did. With `--json` each is one line.
pub(super) fn fault_proxy(args: &FaultProxyArgs, global: &Global) -> anyhow::Result<()> {
    let script = args.script()?;
    let config =
        ProxyConfig { listen: args.listen, http: args.http.clone(), ws: args.ws.clone(), script };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let proxy = FaultProxy::start(config).await?;
        announce(&proxy, global)?;
        match args.run_for {
            Some(time) => drop(tokio::time::timeout(time, ended(None)).await),
            None => ended(None).await,
        }
        let done = proxy.report();
        if global.json {
            return print(&format!("{}\n", serde_json::to_string(&done)?));
        }
        report(false, &done, || table(&done))
    })
}

fn announce(proxy: &FaultProxy, global: &Global) -> anyhow::Result<()> {
    if global.json {
        let announced = Announced { rpc_urls: [proxy.http_url()], ws_urls: [proxy.ws_url()] };
        return print(&format!("{}\n", serde_json::to_string(&announced)?));
    }
    print(&aligned([("endpoint", format!("{}  {}", proxy.http_url(), proxy.ws_url()))]))
}

fn table(done: &ProxyReport) -> String {
    let mut rows = vec![
        ("seconds", format!("{:.1}", done.seconds)),
        ("connections", format!("{}, {} refused", done.connections, done.connections_refused)),
        ("requests", done.requests.to_string()),
        ("messages", done.messages.to_string()),
        ("node failed", done.upstream_failures.to_string()),
    ];
    rows.extend(done.faults.iter().map(|(name, count)| (*name, count.to_string())));
    aligned(rows)
}
