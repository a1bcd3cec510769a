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
pub(super) struct Announced {
    pub(super) rpc_urls: Vec<String>,
    pub(super) ws_urls: Vec<String>,
    pub(super) price_url: String,
    pub(super) genesis_hash: String,
    pub(super) mints: Vec<AnnouncedMint>,
    pub(super) pools: Vec<AnnouncedPool>,
    /// Pools of concentrated liquidity, listed apart.
    #[serde(default)]
    pub(super) whirlpools: Vec<AnnouncedPool>,
}

/// A mint of the local chain.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AnnouncedMint {
    pub(super) address: String,
    pub(super) symbol: String,
}

/// A pool of the local chain.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AnnouncedPool {
    pub(super) address: String,
}

/// A local chain that ends with us: it watches its standard input, which closes when we are gone, however we go.
#[derive(Debug)]
pub(super) struct LocalChain {
    child: Child,
}

impl LocalChain {
    /// Starts the chain from the same binary and waits until it serves. With `launch_every` a new coin is launched on it
    /// that often.
    pub(super) fn start(
        seed: u64,
        launch_every: Option<Duration>,
    ) -> anyhow::Result<(Self, Announced)> {
        let binary = std::env::current_exe().context("find this program's own file")?;
        let launches = launch_every
            .map(|every| ["--launch-every".to_owned(), format!("{}ms", every.as_millis())]);
        let mut child = Command::new(binary)
            .args(["localnet", "--port", "0", "--port", "0", "--until-stdin-closes", "--json"])
            .args(["--seed", &seed.to_string(), "--log-level", "warn"])
            .args(launches.into_iter().flatten())
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
