//! The local chain as a process of its own: its memory and its time are not the engine's.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

/// What a local chain says of itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Announced {
    pub(crate) rpc_urls: Vec<String>,
    pub(crate) ws_urls: Vec<String>,
    pub(crate) price_url: String,
    pub(crate) genesis_hash: String,
    pub(crate) mints: Vec<AnnouncedMint>,
    pub(crate) pools: Vec<AnnouncedPool>,
    /// Pools of concentrated liquidity, listed apart.
    #[serde(default)]
    pub(crate) whirlpools: Vec<AnnouncedPool>,
}

/// A mint of the local chain.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AnnouncedMint {
    pub(crate) address: String,
    pub(crate) symbol: String,
}

/// A pool of the local chain.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AnnouncedPool {
    pub(crate) address: String,
}

/// A local chain that ends with us: it watches its standard input, which closes when we are gone, however we go.
#[derive(Debug)]
pub(crate) struct LocalChain {
    child: Child,
}

impl LocalChain {
    /// Starts the chain from the same binary and waits until it serves. With `launch_every` a new coin is launched on it
    /// that often.
    pub(crate) fn start(
        seed: u64,
        ports: usize,
        launch_every: Option<Duration>,
    ) -> anyhow::Result<(Self, Announced)> {
        let launches = launch_every
            .map(|every| ["--launch-every".to_owned(), format!("{}ms", every.as_millis())]);
        let seed = seed.to_string();
        let mut args = ["--port", "0"].repeat(ports);
        args.extend(["--seed", &seed]);
        args.extend(launches.iter().flatten().map(String::as_str));
        Self::start_with(&args)
    }

    /// Starts the chain with these arguments of `localnet`.
    pub(crate) fn start_with(args: &[&str]) -> anyhow::Result<(Self, Announced)> {
        let binary = std::env::current_exe().context("find this program's own file")?;
        let mut child = Command::new(binary)
            .args(["localnet", "--until-stdin-closes", "--json", "--log-level", "warn"])
            .args(args)
            // Ctrl-C reaches the whole group of the terminal; orders in flight need their chain to the end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the local chain")?;
        let stdout = child.stdout.take().context("read what the local chain says")?;
        let chain = Self { child };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("read what the local chain says")?;
        if line.is_empty() {
            bail!("the local chain ended before it served; its messages are above");
        }
        let announced =
            serde_json::from_str(&line).context("understand what the local chain says")?;
        Ok((chain, announced))
    }
}

impl Drop for LocalChain {
    fn drop(&mut self) {
        // Closing its input asks it to end; the signal is for one that does not listen.
        drop(self.child.stdin.take());
        for _ in 0..30 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            tracing::warn!("the local chain could not be stopped");
        }
    }
}
