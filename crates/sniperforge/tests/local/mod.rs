//! A local chain for tests of the whole program.

use std::io::{BufRead, BufReader};
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
        let mut child = Command::new(BINARY)
            .args(["localnet", "--port", "0", "--slot-ms", "200", "--seed", "7", "--json"])
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
