//! How an operator talks to a running instance: a socket in its data folder that its own user alone may open.
//!
//! One request is one line of JSON, and so is its answer. Requests wait their turn among the events of the session: what
//! changes anything is a journaled command, and is durable before it is acknowledged. A request is at most [`LINE_MAX`]
//! bytes, must be complete within [`PATIENCE`], and one is served at a time: a client that dawdles holds up no trading and
//! other clients only for so long.

mod act;
mod ask;
mod number;
mod tell;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

pub(crate) use ask::{Leg, LinkName, Request, SideName};

/// Name of the socket in the instance's folder.
const SOCKET: &str = "control.sock";
/// Longest request.
const LINE_MAX: usize = 16 * 1024;
/// Longest answer that a client takes.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;
/// How long a request, and its answer, may take on their way.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request that waits for the session.
pub(crate) struct Asked {
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Value>,
}

/// The socket of a running instance; gone with it.
pub(super) struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // What is left of it answers nobody, and the next start replaces it.
        std::fs::remove_file(&self.path).ok();
    }
}

/// Listens in `folder`, whose journal this process has locked: what is left of a socket there is a dead process's.
pub(super) fn listen(folder: &Path) -> anyhow::Result<(Control, mpsc::Receiver<Asked>)> {
    let path = folder.join(SOCKET);
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(&path)
                .with_context(|| format!("replace the socket {}", path.display()))?;
        }
        Ok(_) => {
            bail!("{} is no socket: an instance is operated there; move it away", path.display())
        }
        Err(_) => {}
    }
    // Made under another name and with nobody's leave but ours before anyone can find it.
    let draft = folder.join(format!("{SOCKET}.{}", std::process::id()));
    std::fs::remove_file(&draft).ok();
    let said = || format!("listen at {}", path.display());
    let listener = UnixListener::bind(&draft).with_context(said)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600)).with_context(said)?;
    std::fs::rename(&draft, &path).with_context(said)?;
    let (asked_in, asked) = mpsc::channel(4);
    let task = tokio::spawn(serve(listener, asked_in));
    Ok((Control { path, task }, asked))
}

async fn serve(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, say: later there may be fewer.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        match tokio::time::timeout(PATIENCE, answer(stream, &asked)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "a request on the control socket was not answered");
            }
            Err(_) => tracing::warn!("a request on the control socket took too long"),
        }
    }
}

async fn answer(stream: UnixStream, asked: &mpsc::Sender<Asked>) -> anyhow::Result<()> {
    let peer = stream.peer_cred().context("ask who is there")?;
    let own = rustix::process::geteuid().as_raw();
    ensure!(peer.uid() == own, "user {} is not the one this instance runs as", peer.uid());
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let most = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    (&mut stream).take(most).read_until(b'\n', &mut line).await.context("read a request")?;
    let told = if line.ends_with(b"\n") {
        match serde_json::from_slice(&line) {
            Ok(request) => {
                let (answer, told) = oneshot::channel();
                asked.send(Asked { request, answer }).await.context("the run has ended")?;
                told.await.context("the run has ended")?
            }
            Err(error) => refusal(&format!("the request does not read: {error}")),
        }
    } else {
        refusal(&format!("a request is one line of at most {LINE_MAX} bytes"))
    };
    let mut bytes = serde_json::to_vec(&told)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await.context("answer")?;
    stream.shutdown().await.context("answer")
}

fn refusal(error: &str) -> Value {
    serde_json::json!({ "ok": false, "error": error })
}

/// Asks the instance that runs in `folder`. `None` when none does.
///
/// # Errors
///
/// It does not answer, or the socket is not this user's.
pub(crate) async fn ask(folder: &Path, request: &Request) -> anyhow::Result<Option<Value>> {
    let path = folder.join(SOCKET);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(error).with_context(|| format!("open {}", path.display()));
        }
        // No socket, or one that nobody listens at any more.
        Err(_) => return Ok(None),
    };
    let exchange = async {
        let peer = stream.peer_cred().context("ask who is there")?;
        let own = rustix::process::geteuid().as_raw();
        ensure!(peer.uid() == own || peer.uid() == 0, "{} is another user's", path.display());
        let mut stream = BufReader::new(stream);
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        ensure!(line.len() <= LINE_MAX, "a request of {} bytes is too long", line.len());
        stream.write_all(&line).await.context("ask")?;
        let mut told = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut told).await.context("read the answer")?;
        ensure!(!told.is_empty(), "the instance ended before it answered: list what stands");
        serde_json::from_slice(&told).context("the answer does not read")
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(told) => told.map(Some),
        Err(_) => Err(crate::cli::TimedOut {
            what: format!("the instance in {}", folder.display()),
            seconds: PATIENCE.as_secs(),
        }
        .into()),
    }
}
