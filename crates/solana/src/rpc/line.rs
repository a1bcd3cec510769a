//! A connection of its own for sends: open before an order needs it, and with nothing between it and the order.
//!
//! A general HTTP client chooses, counts and wraps connections for every request; a send has no time for that. The
//! line holds one HTTP/1.1 connection per endpoint, and a request is written in the very call that hands it over, not when
//! a task of the connection's own is next run. Who finds it busy or down takes the ordinary way.

use std::future::Future;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::sync::oneshot;
use tokio_util::io::poll_read_buf;

use super::answer::{self, Reply};
use super::dial::{Dial, Wire};
use super::endpoint::SecretUrl;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between two tries to connect, from the first to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Room for what is read at once.
const READ: usize = 4 << 10;

/// Why a line gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No connection, or it broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not made in time.
    #[error("no connection within {PATIENCE:?}")]
    Slow,
    /// The connection ended before an answer was whole.
    #[error("the connection ended before the answer did")]
    Ended,
    /// What came is no answer by the rules of HTTP/1.1.
    #[error("what came is not an HTTP answer")]
    NotHttp,
    /// The answer passed the limit.
    #[error("an answer above {0} bytes")]
    TooLarge(usize),
}

/// The connection of one endpoint.
pub(crate) struct Line {
    dial: Dial,
    /// A request up to the number of its bytes.
    head: Box<[u8]>,
    life: Mutex<Life>,
}

/// The connection, if there is one, and who keeps it. Whoever moves it on does so with the keeper's waker, so that the
/// keeper never misses what it waits for.
#[derive(Default)]
struct Life {
    link: Option<Link>,
    keeper: Option<Waker>,
}

/// An open connection.
struct Link {
    stream: Wire,
    /// What is still to be written.
    out: BytesMut,
    /// What was read and belongs to no answer yet.
    read: BytesMut,
    /// Who waits for an answer.
    asked: Option<Asked>,
}

struct Asked {
    answer_bytes: usize,
    tell: oneshot::Sender<Result<Reply, LineError>>,
}

impl Link {
    /// Writes and reads what can be written and read now. Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LineError>> {
        while !self.out.is_empty() {
            match self.stream.as_mut().poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(LineError::Ended)),
                Poll::Ready(Ok(written)) => self.out.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => break,
            }
        }
        // What a layer in between holds back goes out as well; if not now, the next poll asks again.
        if let Poll::Ready(Err(error)) = self.stream.as_mut().poll_flush(cx) {
            return Poll::Ready(Err(error.into()));
        }
        self.poll_answer(cx)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LineError>> {
        loop {
            self.read.reserve(READ);
            let read = match poll_read_buf(self.stream.as_mut(), cx, &mut self.read) {
                Poll::Ready(read) => read?,
                Poll::Pending => return Poll::Pending,
            };
            let ended = read == 0;
            let Some(asked) = &self.asked else {
                // Nobody asked: it is over, or says what nobody can tell the meaning of.
                return Poll::Ready(if ended { Ok(()) } else { Err(LineError::NotHttp) });
            };
            let Some(reply) = answer::take(&mut self.read, ended, asked.answer_bytes)? else {
                continue;
            };
            let stays = reply.stays && self.read.is_empty();
            if let Some(asked) = self.asked.take() {
                // Who does not wait any more needs no answer.
                asked.tell.send(Ok(reply)).ok();
            }
            if !stays {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Life {
    /// Moves the connection on. Ready when there is none any more; who waited for an answer has been told then.
    fn poll(&mut self) -> Poll<Result<(), LineError>> {
        let (Some(link), Some(keeper)) = (&mut self.link, &self.keeper) else {
            return Poll::Pending;
        };
        let polled = link.poll(&mut Context::from_waker(keeper));
        let Poll::Ready(ended) = polled else { return Poll::Pending };
        let asked = self.link.take().and_then(|link| link.asked);
        match (asked, ended) {
            (Some(asked), Err(error)) => {
                asked.tell.send(Err(error)).ok();
                Poll::Ready(Ok(()))
            }
            (_, ended) => Poll::Ready(ended),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its path may hold a key.
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    /// A line to `url`, not yet open; none where the address cannot be asked in this way.
    pub(crate) fn new(url: &SecretUrl, tls: rustls::ClientConfig) -> Option<Self> {
        let dial = Dial::new(url, tls, &["http/1.1"])?;
        let url = url.expose();
        let named = url.host_str()?;
        // Credentials in the address are the general client's business.
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let authority =
            url.port().map_or_else(|| named.to_owned(), |port| format!("{named}:{port}"));
        // An address is written in visible characters alone, or it could say more than a path.
        if !path.bytes().chain(authority.bytes()).all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let agent = concat!("sniperforge/", env!("CARGO_PKG_VERSION"));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\nuser-agent: {agent}\r\n\
             content-length: "
        );
        let head = head.into_bytes().into();
        Some(Self { dial, head, life: Mutex::default() })
    }

    /// Writes a request on the connection, if it is open and idle. The future is the answer: dropping it does not take
    /// the request back.
    pub(crate) fn begin(
        &self,
        body: &[u8],
        answer_bytes: usize,
    ) -> Option<impl Future<Output = Result<Reply, LineError>> + Send + use<>> {
        let mut life = self.life();
        let link = life.link.as_mut().filter(|link| link.asked.is_none() && link.out.is_empty())?;
        link.out.reserve(self.head.len().saturating_add(body.len()).saturating_add(32));
        link.out.extend_from_slice(&self.head);
        write!(bytes::BufMut::writer(&mut link.out), "{}\r\n\r\n", body.len()).ok()?;
        link.out.extend_from_slice(body);
        let (tell, answer) = oneshot::channel();
        link.asked = Some(Asked { answer_bytes, tell });
        // What does not go out at once, the keeper writes on; and it is told when this was the end.
        if life.poll().is_ready()
            && let Some(keeper) = life.keeper.take()
        {
            keeper.wake();
        }
        drop(life);
        Some(async move { answer.await.unwrap_or(Err(LineError::Ended)) })
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // A connection that something panicked in the middle of ends by what it says next.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lives until the connection's end.
    async fn live(&self, stream: Wire) -> Result<(), LineError> {
        let (out, read) = (BytesMut::new(), BytesMut::new());
        self.life().link = Some(Link { stream, out, read, asked: None });
        std::future::poll_fn(|context| {
            let mut life = self.life();
            if life.link.is_none() {
                // It ended under the hands of who wrote last, or was hung up.
                return Poll::Ready(Ok(()));
            }
            if !life.keeper.as_ref().is_some_and(|keeper| keeper.will_wake(context.waker())) {
                life.keeper = Some(context.waker().clone());
            }
            life.poll()
        })
        .await
    }

    /// Closes the connection, such as after an answer that did not come: the next request finds a new one.
    pub(crate) fn hang_up(&self) {
        let mut life = self.life();
        life.link = None;
        if let Some(keeper) = life.keeper.take() {
            keeper.wake();
        }
    }

    /// Keeps the connection open, for ever.
    pub(crate) async fn keep(&self) {
        let (least, most) = PAUSE;
        let mut pause = least;
        loop {
            let ended = match tokio::time::timeout(PATIENCE, self.dial.open()).await {
                Ok(Ok((stream, _))) => {
                    pause = least;
                    self.live(stream).await
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(LineError::Slow),
            };
            self.hang_up();
            if let Err(error) = ended {
                tracing::debug!(%error, "the line for sends is down");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A certificate of `localhost` and its key, made for this run alone.
    fn certificate() -> Option<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let folder = tempfile::tempdir().unwrap();
        let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no openssl\n").ok();
            return None;
        }
        let certificate = CertificateDer::from_pem_file(&certificate).unwrap();
        Some((certificate, PrivateKeyDer::from_pem_file(&key).unwrap()))
    }

    /// Answers each request in two pieces with the number of its body's bytes.
    async fn serve(listener: TcpListener, tls: TlsAcceptor) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tls.accept(stream).await.unwrap();
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8(read.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                assert!(head.starts_with("POST /key?a=b HTTP/1.1\r\nhost: localhost:"), "{head}");
                let length: usize =
                    head.rsplit_once("content-length: ").unwrap().1.parse().unwrap();
                if body.len() == length {
                    read.clear();
                    let told = length.to_string();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", told.len());
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    stream.write_all(told.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
            if stream.read_buf(&mut read).await.unwrap() == 0 {
                return;
            }
        }
    }

    #[tokio::test]
    async fn requests_of_any_size_travel_over_tls() {
        let Some((certificate, key)) = certificate() else { return };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(server))));
        let url = SecretUrl::parse(&format!("https://localhost:{port}/key?a=b"), ["http", "https"]);
        let line = Arc::new(Line::new(&url.unwrap(), client).unwrap());
        let keeper = Arc::clone(&line);
        tokio::spawn(async move { keeper.keep().await });
        // More than a socket takes at once is written on by the keeper.
        for length in [1, 1_000, 3 << 20] {
            let body = vec![b'x'; length];
            let answer = loop {
                match line.begin(&body, 100) {
                    Some(answer) => break answer,
                    None => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            };
            assert!(line.begin(&body, 100).is_none(), "one request at a time");
            let reply = answer.await.unwrap();
            assert_eq!((reply.status.as_u16(), &*reply.body), (200, length.to_string().as_bytes()));
        }
    }
}
