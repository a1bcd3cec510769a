//! A local chain for tests of the whole program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sniperforge");

/// A local chain that ends with the test, however that ends.
pub(crate) struct Chain {
    child: Child,
    #[allow(dead_code, reason = "not every test that shares this module asks")]
    pub(crate) url: String,
    /// What it said when it was ready.
    #[allow(dead_code, reason = "not every test that shares this module asks")]
    pub(crate) ready: Value,
}

impl Chain {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_at(200, more)
    }

    /// With so many milliseconds from block to block.
    pub(crate) fn start_at(slot_ms: u32, more: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["localnet", "--port", "0", "--seed", "7", "--json"])
            .args(["--slot-ms", &slot_ms.to_string()])
            .args(["--until-stdin-closes", "--log-level", "warn"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["rpcUrls"][0].as_str().unwrap().to_owned();
        Self { child, url, ready }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The configuration of paper trading on all pools of the chain.
#[allow(dead_code, reason = "not every suite trades on paper")]
pub(crate) fn paper_config(chain: &Chain, folder: &Path) -> std::path::PathBuf {
    let of = |list: &str| chain.ready[list].as_array().unwrap().iter();
    let pools: Vec<&str> =
        of("pools").chain(of("whirlpools")).map(|p| p["address"].as_str().unwrap()).collect();
    paper_config_of(chain, folder, &pools)
}

/// The same on some pools.
#[allow(dead_code, reason = "not every suite trades on paper")]
pub(crate) fn paper_config_of(chain: &Chain, folder: &Path, pools: &[&str]) -> std::path::PathBuf {
    let of = |list: &str| chain.ready[list].as_array().unwrap().iter();
    // Play money: whoever runs the chain can make more of it.
    let mints: Vec<&str> = of("mints").map(|mint| mint["address"].as_str().unwrap()).collect();
    let path = folder.join("paper.toml");
    let text = format!(
        "[node]\nendpoints = [{{ name = \"local\", http = {}, ws = {} }}]\n\
         [trading]\ncandle_ms = 1000\npools = {pools:?}\ntrusted_mints = {mints:?}\n\
         [prices]\nurl = {}\n\
         [store]\ndata_dir = {:?}\n\
         [sim]\nlanding_odds_bps = 10000\n\
         [strategies.mean_reversion.params]\nwindow = 5\n",
        chain.ready["rpcUrls"][0],
        chain.ready["wsUrls"][0],
        chain.ready["priceUrl"],
        folder.join("data"),
    );
    std::fs::write(&path, text).unwrap();
    path
}
