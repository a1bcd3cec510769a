//! The HTTP client of one endpoint.
//!
//! # Design
//! A thin layer over `hyper`'s connections. A general client wraps every request in layers that know about redirects,
//! proxies, cookies and retries, none of which may happen here; and it lets a connection keep the largest buffer that an
//! answer ever filled. Idle HTTP/1.1 connections are kept in a stack, so that the one used last is used next and those
//! not needed grow old; over HTTP/2 there is one, for everything.

use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::write::GzDecoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST,
    HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;

use super::dial::Dial;
use super::endpoint::SecretUrl;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// An unused connection is closed after this long.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// How often an idle HTTP/2 connection is asked for a sign of life, and how long that is waited for. A request that is
/// given up leaves such a connection open: without this, one that leads nowhere would be used on and on.
const ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// Most that one connection reads at once, and so the most that it keeps for reading.
const READ_MAX: usize = 64 << 10;
/// Most that one piece of a compressed answer may become.
const PIECE_MAX: usize = 64 << 20;
/// Connections that are tried for one request when they end before it is written.
const TRIES_MAX: u32 = 4;

type Post = Request<Full<Bytes>>;
type Idle = http1::SendRequest<Full<Bytes>>;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Not connected in time.
    #[error("no connection within {PATIENCE:?}")]
    Slow,
    /// Not connected, or TLS could not be agreed on.
    #[error("not connected")]
    Connect(#[source] io::Error),
    /// The connection broke, or what came over it is no answer.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// The body is not in the coding that its head names.
    #[error("the answer is not in the coding that it names")]
    Coding(#[source] io::Error),
}

/// Speaks with one endpoint.
pub(crate) struct Client {
    dial: Dial,
    /// Path and query alone, and the whole address, which HTTP/2 takes apart itself.
    path: Uri,
    whole: Uri,
    fields: HeaderMap,
    state: Mutex<State>,
    /// Held by who connects while nobody knows whether one connection will do for all.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    idle: Vec<(Idle, Instant)>,
    shared: Option<http2::SendRequest<Full<Bytes>>>,
    /// The endpoint does not speak HTTP/2.
    is_old: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its address may hold a key.
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// None where the address cannot be asked. Connects when it is first asked something.
    pub(crate) fn new(url: &SecretUrl, tls: rustls::ClientConfig) -> Option<Self> {
        let dial = Dial::new(url, tls, &["h2", "http/1.1"])?;
        let url = url.expose();
        let host = match (url.host_str()?, url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let whole = format!("{}://{host}{path}", url.scheme()).parse().ok()?;
        let mut fields = HeaderMap::new();
        let agent = concat!("sniperforge/", env!("CARGO_PKG_VERSION"));
        fields.insert(HOST, HeaderValue::from_str(&host).ok()?);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        fields.insert(USER_AGENT, HeaderValue::from_static(agent));
        if !url.username().is_empty() || url.password().is_some() {
            let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
            pair.push(b':');
            pair.extend(percent_decode_str(url.password().unwrap_or_default()));
            let text = format!("Basic {}", STANDARD.encode(pair));
            let mut value = HeaderValue::from_str(&text).ok()?;
            value.set_sensitive(true);
            fields.insert(AUTHORIZATION, value);
        }
        let state = State { is_old: !dial.is_tls(), ..State::default() };
        Some(Self {
            dial,
            path: path.parse().ok()?,
            whole,
            fields,
            state: Mutex::new(state),
            connecting: tokio::sync::Mutex::new(()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A list of connections: each says itself whether it still is one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, uri: &Uri, body: Bytes, with_host: bool) -> Post {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.fields.clone();
        if !with_host {
            // It travels as part of the address.
            request.headers_mut().remove(HOST);
            *request.version_mut() = Version::HTTP_2;
        }
        request
    }

    /// Posts a body. The answer's own is still to be read. A request that a connection ended before it was written goes out
    /// on another; one that may have been written does not.
    ///
    /// # Errors
    /// Only that no answer came; one of any status is an answer.
    pub(crate) async fn post(self: &Arc<Self>, body: Bytes) -> Result<Answer, HttpError> {
        let mut tries = TRIES_MAX;
        loop {
            let way = self.way().await?;
            let error = match self.try_on(way, &body).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Sent(error)) => return Err(HttpError::Broken(error)),
                Err(Failed::Unsent(error)) => error,
            };
            tries = tries.saturating_sub(1);
            if tries == 0 {
                return Err(HttpError::Broken(error));
            }
        }
    }

    /// A connection to ask on, made where there is none.
    async fn way(&self) -> Result<Way, HttpError> {
        if let Some(way) = self.known() {
            return Ok(way);
        }
        // While nobody knows whether one connection will do for all, one is made at a time.
        let is_old = self.state().is_old;
        let _turn = if is_old { None } else { Some(self.connecting.lock().await) };
        if !is_old && let Some(way) = self.known() {
            return Ok(way);
        }
        self.connect().await
    }

    fn known(&self) -> Option<Way> {
        let mut state = self.state();
        if state.shared.as_ref().is_some_and(http2::SendRequest::is_closed) {
            state.shared = None;
        }
        if let Some(shared) = &state.shared {
            return Some(Way::Shared(shared.clone()));
        }
        while let Some((sender, since)) = state.idle.pop() {
            if !sender.is_closed() && since.elapsed() < IDLE_MAX {
                return Some(Way::Own(sender));
            }
        }
        None
    }

    async fn try_on(self: &Arc<Self>, way: Way, body: &Bytes) -> Result<Answer, Failed> {
        match way {
            Way::Shared(mut sender) => {
                sender.ready().await.map_err(Failed::Unsent)?;
                let request = self.request(&self.whole, body.clone(), false);
                let answered = sender.try_send_request(request).await;
                answered.map(|response| Answer::new(response, None)).map_err(Failed::of)
            }
            Way::Own(mut sender) => {
                sender.ready().await.map_err(Failed::Unsent)?;
                let request = self.request(&self.path, body.clone(), true);
                let answered = sender.try_send_request(request).await;
                let home = Some((Arc::clone(self), sender));
                answered.map(|response| Answer::new(response, home)).map_err(Failed::of)
            }
        }
    }

    fn keep(&self, sender: Idle) {
        let now = Instant::now();
        let mut state = self.state();
        // The oldest are those at the bottom.
        let is_old = |(sender, since): &(Idle, Instant)| {
            sender.is_closed() || now.saturating_duration_since(*since) >= IDLE_MAX
        };
        let old = state.idle.iter().take_while(|one| is_old(one)).count();
        drop(state.idle.drain(..old));
        state.idle.push((sender, now));
    }

    async fn connect(&self) -> Result<Way, HttpError> {
        let made = tokio::time::timeout(PATIENCE, self.dial.open()).await;
        let (stream, is_h2) = made.map_err(|_| HttpError::Slow)?.map_err(HttpError::Connect)?;
        let stream = TokioIo::new(stream);
        if is_h2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(ALIVE.0)
                .keep_alive_timeout(ALIVE.1)
                .keep_alive_while_idle(true)
                .handshake(stream)
                .await
                .map_err(HttpError::Broken)?;
            tokio::spawn(driven(connection));
            self.state().shared = Some(sender.clone());
            return Ok(Way::Shared(sender));
        }
        let made = http1::Builder::new().max_buf_size(READ_MAX).handshake(stream).await;
        let (sender, connection) = made.map_err(HttpError::Broken)?;
        tokio::spawn(driven(connection));
        self.state().is_old = true;
        Ok(Way::Own(sender))
    }
}

/// A connection's own work. How it ends, who asks over it hears.
async fn driven(connection: impl Future<Output = Result<(), hyper::Error>> + Send) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}

/// What a request goes out on.
enum Way {
    Shared(http2::SendRequest<Full<Bytes>>),
    Own(Idle),
}

/// Why no answer came on a connection.
enum Failed {
    /// Nothing of the request was written.
    Unsent(hyper::Error),
    /// It may have been.
    Sent(hyper::Error),
}

impl Failed {
    fn of(mut error: hyper::client::conn::TrySendError<Post>) -> Self {
        match error.take_message() {
            Some(_) => Self::Unsent(error.into_error()),
            None => Self::Sent(error.into_error()),
        }
    }
}

/// An answer whose head has come.
pub(crate) struct Answer {
    head: hyper::http::response::Parts,
    body: Incoming,
    gzip: Option<GzDecoder<Bounded>>,
    /// Where its connection is put back once all of the body was read.
    home: Option<(Arc<Client>, Idle)>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.head.status).finish_non_exhaustive()
    }
}

impl Answer {
    fn new(response: Response<Incoming>, home: Option<(Arc<Client>, Idle)>) -> Self {
        let (head, body) = response.into_parts();
        let coding = head.headers.get(CONTENT_ENCODING);
        let gzip = coding
            .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"))
            .then(|| GzDecoder::new(Bounded { held: Vec::new(), room: PIECE_MAX }));
        Self { head, body, gzip, home }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub(crate) const fn version(&self) -> Version {
        self.head.version
    }

    /// Bytes on the wire that its head promises.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Refuses what unpacks to more than that at once.
    pub(crate) fn bound(&mut self, bytes: usize) {
        if let Some(gzip) = &mut self.gzip {
            gzip.get_mut().room = bytes;
        }
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// The connection broke, or the piece is not in its coding.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = match self.body.is_end_stream() {
                true => None,
                false => self.body.frame().await.transpose().map_err(HttpError::Broken)?,
            };
            if self.body.is_end_stream() {
                self.go_home();
            }
            let Some(frame) = frame else {
                self.go_home();
                return self.rest();
            };
            // Anything else is what follows a body, and says nothing that we ask for.
            let Ok(data) = frame.into_data() else { continue };
            let Some(gzip) = &mut self.gzip else { return Ok(Some(data)) };
            let piece = gzip.write_all(&data).and_then(|()| gzip.flush());
            piece.map_err(HttpError::Coding)?;
            let plain = std::mem::take(&mut gzip.get_mut().held);
            if !plain.is_empty() {
                return Ok(Some(plain.into()));
            }
        }
    }

    /// Whether all of the body was handed out, by its head's word.
    pub(crate) fn is_over(&self) -> bool {
        self.gzip.is_none() && self.body.is_end_stream()
    }

    /// What a decoder still holds.
    fn rest(&mut self) -> Result<Option<Bytes>, HttpError> {
        let Some(gzip) = self.gzip.take() else { return Ok(None) };
        let plain = gzip.finish().map_err(HttpError::Coding)?.held;
        Ok((!plain.is_empty()).then(|| plain.into()))
    }

    fn go_home(&mut self) {
        if let Some((client, sender)) = self.home.take() {
            client.keep(sender);
        }
    }
}

/// A place for what is unpacked that takes no more than it is allowed.
struct Bounded {
    held: Vec<u8>,
    room: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len().saturating_add(bytes.len()) > self.room {
            return Err(io::Error::other("it unpacks to more than is held"));
        }
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
