//! The real Solana test validator, as a child process that dies with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sniper_solana::rpc::EndpointConfig;

const ARCHIVE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/tools/solana-test-validator.xz");

pub(crate) struct Validator {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Validator {
    /// Starts one on free ports; none, with a word on the output, where it or `xz` is absent.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(ARCHIVE).exists() {
            std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("skipped: {ARCHIVE} absent\n"),
            )
            .ok();
            return None;
        }
        if Command::new("xz").arg("--version").stdout(Stdio::null()).status().is_err() {
            std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("skipped: the xz command is absent\n"),
            )
            .ok();
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = unpack(folder.path());
        let ports = free_ports();
        let process = Command::new(&program)
            .arg("--ledger")
            .arg(folder.path().join("ledger"))
            .args(["--bind-address", "127.0.0.1", "--reset", "--quiet"])
            .args(["--rpc-port", &ports.rpc.to_string()])
            .args(["--faucet-port", &ports.faucet.to_string()])
            .args(["--gossip-port", &ports.gossip.to_string()])
            .args(["--dynamic-port-range", &format!("{}-{}", ports.range, ports.range + 30)])
            .args(["--limit-ledger-size", "10000", "--ticks-per-slot", "16"])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.path().join("out.txt")).unwrap())
            .stderr(std::fs::File::create(folder.path().join("err.txt")).unwrap())
            .spawn()
            .unwrap();
        Some(Self { process, folder, port: ports.rpc })
    }

    #[allow(dead_code, reason = "not every test that shares this module asks")]
    pub(crate) fn endpoint(&self, name: &str) -> EndpointConfig {
        let (http, ws) = self.urls();
        EndpointConfig::new(name, &http, &ws, 500).unwrap()
    }

    /// Where it takes requests and subscriptions.
    pub(crate) fn urls(&self) -> (String, String) {
        let (http, ws) = (self.port, self.port + 1);
        (format!("http://127.0.0.1:{http}"), format!("ws://127.0.0.1:{ws}"))
    }

    /// What it printed, for a failed test.
    #[allow(dead_code, reason = "not every test that shares this module asks")]
    pub(crate) fn words(&mut self) -> String {
        let read =
            |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        let (out, err) = (read("out.txt"), read("err.txt"));
        format!("validator: {:?}\n{out}\n{err}", self.process.try_wait())
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn unpack(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let program = folder.join("solana-test-validator");
    let file = std::fs::File::create(&program).unwrap();
    let done = Command::new("xz").args(["-dkc", ARCHIVE]).stdout(file).status().unwrap();
    assert!(done.success(), "xz cannot unpack {ARCHIVE}");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

struct Ports {
    rpc: u16,
    faucet: u16,
    gossip: u16,
    range: u16,
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
        && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
}

/// How many ports a validator is given, one beside the other.
const RUN: u16 = 41;

/// A run of free ports, below those that the system hands out to clients: thousands of these wait
/// out their last minute after a test with many connections, so that hardly a run among them is
/// free.
fn free_ports() -> Ports {
    const BLOCKS: u16 = 400;
    // Two test processes begin at different places.
    let begin = (std::process::id() % u32::from(BLOCKS)) as u16;
    for turn in 0..BLOCKS {
        let first = 12_000 + (begin + turn) % BLOCKS * 50;
        if (first..first + RUN).all(is_free) {
            return Ports { rpc: first, faucet: first + 2, gossip: first + 3, range: first + 5 };
        }
    }
    panic!("no run of {RUN} free ports from 12000 to 32000");
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
