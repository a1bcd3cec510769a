//! A connection of its own for sends: open before an order needs it, and with nothing between it and the order.
//!
//! A general HTTP client chooses, counts and wraps connections for every request; a send has no time for that. The
//! line holds one HTTP/1.1 connection per endpoint, and a request is written in the very call that hands it over, not when
//! a task of the connection's own is next run. Who finds it busy or down takes the ordinary way.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::endpoint::SecretUrl;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between two tries to connect, from the first to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A silent connection is probed by the system after this long.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Why a line gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The connection broke, or the other side does not speak HTTP.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] std::io::Error),
    /// Not made in time.
    #[error("no connection within {PATIENCE:?}")]
    Slow,
    /// The answer passed the limit.
    #[error("an answer above {0} bytes")]
    TooLarge(usize),
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Sender = SendRequest<Full<Bytes>>;

/// The connection of one endpoint.
pub(crate) struct Line {
    host: Arc<str>,
    port: u16,
    /// What the request line and its `Host` say.
    path: Uri,
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    sender: Mutex<Option<Sender>>,
    life: Mutex<Life>,
}

/// What moves the connection: reading, writing, and its end. Whoever polls it does so with the keeper's waker, so that
/// the keeper never misses what it waits for.
#[derive(Default)]
struct Life {
    connection: Option<BoxFuture<'static, Result<(), LineError>>>,
    keeper: Option<Waker>,
}

impl Life {
    fn poll(&mut self) -> Poll<Result<(), LineError>> {
        let (Some(connection), Some(keeper)) = (&mut self.connection, &self.keeper) else {
            return Poll::Pending;
        };
        let polled = connection.poll_unpin(&mut Context::from_waker(keeper));
        if polled.is_ready() {
            self.connection = None;
        }
        polled
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
    pub(crate) fn new(url: &SecretUrl, mut tls: rustls::ClientConfig) -> Option<Self> {
        let is_tls = url.is_tls();
        let url = url.expose();
        let named = url.host_str()?;
        let host = named.trim_matches(['[', ']']);
        // Credentials in the address are the general client's business.
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let port = url.port_or_known_default()?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let authority =
            url.port().map_or_else(|| named.to_owned(), |port| format!("{named}:{port}"));
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = if is_tls {
            let name = ServerName::try_from(host.to_owned()).ok()?;
            Some((TlsConnector::from(Arc::new(tls)), name))
        } else {
            None
        };
        Some(Self {
            host: host.into(),
            port,
            path: path.parse().ok()?,
            authority: authority.parse().ok()?,
            tls,
            sender: Mutex::new(None),
            life: Mutex::default(),
        })
    }

    /// Writes a request on the connection, if it is open and idle. The future is the answer: dropping it does not take
    /// the request back.
    pub(crate) fn begin(
        &self,
        body: Bytes,
        answer_bytes: usize,
    ) -> Option<impl Future<Output = Result<Reply, LineError>> + Send + use<>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("sniperforge/", env!("CARGO_PKG_VERSION"))),
        );
        let answer = {
            let mut sender = self.sender();
            let sender = sender.as_mut().filter(|sender| sender.is_ready())?;
            sender.send_request(request)
        };
        // What does not go out at once, the keeper writes on.
        let mut life = self.life();
        if life.poll().is_ready()
            && let Some(keeper) = life.keeper.take()
        {
            keeper.wake();
        }
        drop(life);
        Some(async move { read(answer.await?, answer_bytes).await })
    }

    fn sender(&self) -> MutexGuard<'_, Option<Sender>> {
        // Replaced whole: a panic elsewhere leaves it usable.
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // A poll that panicked has left a future that says so when it is polled again.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lives until the connection's end.
    async fn live(
        &self,
        connection: BoxFuture<'static, Result<(), LineError>>,
    ) -> Result<(), LineError> {
        self.life().connection = Some(connection);
        std::future::poll_fn(|context| {
            let mut life = self.life();
            if life.connection.is_none() {
                // It ended under the hands of who wrote last.
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
        *self.sender() = None;
    }

    /// Keeps the connection open, for ever.
    pub(crate) async fn keep(&self) {
        let (least, most) = PAUSE;
        let mut pause = least;
        loop {
            let opened = tokio::time::timeout(PATIENCE, self.open()).await;
            let ended = match opened.unwrap_or(Err(LineError::Slow)) {
                Ok(connection) => {
                    pause = least;
                    self.live(connection).await
                }
                Err(error) => Err(error),
            };
            self.hang_up();
            if let Err(error) = ended {
                tracing::debug!(%error, "the line for sends is down");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(most);
        }
    }

    /// Connects. The inner future is the connection's life.
    async fn open(&self) -> Result<BoxFuture<'static, Result<(), LineError>>, LineError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)
            .and_then(|()| rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE))
            .and_then(|()| rustix::net::sockopt::set_tcp_keepintvl(&stream, KEEPALIVE / 3))
            .and_then(|()| rustix::net::sockopt::set_tcp_keepcnt(&stream, 3))
            .map_err(std::io::Error::from)?;
        match &self.tls {
            None => self.speak(stream).await,
            Some((tls, name)) => self.speak(tls.connect(name.clone(), stream).await?).await,
        }
    }

    async fn speak<S>(
        &self,
        stream: S,
    ) -> Result<BoxFuture<'static, Result<(), LineError>>, LineError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection): (Sender, Connection<_, _>) =
            handshake(TokioIo::new(stream)).await?;
        *self.sender() = Some(sender);
        Ok(Box::pin(async move { Ok(connection.await?) }))
    }
}

async fn read(
    answer: hyper::Response<hyper::body::Incoming>,
    limit: usize,
) -> Result<Reply, LineError> {
    let (head, mut body) = answer.into_parts();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if all.len().saturating_add(data.len()) > limit {
                return Err(LineError::TooLarge(limit));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(Reply { status: head.status, headers: head.headers, body: all.freeze() })
}
