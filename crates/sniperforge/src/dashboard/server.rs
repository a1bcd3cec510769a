//! Routes, limits and headers.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::history::{self, History};
use super::model::Model;
use super::page;
use super::performance;
use super::stream::Changes;
use crate::telemetry::{View, now_ms, prometheus};

/// Most connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Most watchers of `/events` at a time; more are told to come back.
const WATCHERS_MAX: usize = 8;
/// Open answers get this long to end.
const GRACE: Duration = Duration::from_secs(1);
/// A view older than this means that the engine no longer publishes.
const VIEW_AGE_MS_MAX: i64 = 10_000;

const CSS: &str = include_str!("assets/page.css");
const JS: &str = include_str!("assets/page.js");
const PERFORMANCE_CSS: &str = include_str!("assets/performance.css");
const PERFORMANCE_JS: &str = include_str!("assets/performance.js");

/// Sent with every answer. No inline script or style, nothing from elsewhere, no frame, no form.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

#[derive(Clone)]
struct Shared {
    view: Arc<ArcSwap<View>>,
    changes: Arc<Changes>,
    watchers: Arc<Semaphore>,
    history: History,
    allow_remote: bool,
    shutdown: CancellationToken,
}

/// Serves until `shutdown` is cancelled.
pub(super) fn run(
    runtime: tokio::runtime::Runtime,
    listener: std::net::TcpListener,
    view: Arc<ArcSwap<View>>,
    history: History,
    allow_remote: bool,
    shutdown: CancellationToken,
) {
    let changes = Arc::new(Changes::new(Arc::clone(&view)));
    let watchers = Arc::new(Semaphore::new(WATCHERS_MAX));
    let shared = Shared { view, changes, watchers, history, allow_remote, shutdown };
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => Limited::new(listener),
            Err(error) => {
                tracing::error!(%error, "the dashboard could not take over its listener");
                return;
            }
        };
        let shutdown = shared.shutdown.clone();
        let changes = Arc::clone(&shared.changes);
        let server = axum::serve(listener, router(shared))
            .with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let ended = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = server => {
                if let Err(error) = result {
                    tracing::error!(%error, "the dashboard stopped");
                }
            }
            () = changes.keep_fresh() => {}
            () = ended => {}
        }
    });
    runtime.shutdown_background();
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/performance", get(performance_page))
        .route("/performance.css", get(|| asset("text/css; charset=utf-8", PERFORMANCE_CSS)))
        .route("/performance.js", get(|| asset("text/javascript; charset=utf-8", PERFORMANCE_JS)))
        .route("/page.css", get(|| asset("text/css; charset=utf-8", CSS)))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", JS)))
        .route("/events", get(events))
        .route("/api/view", get(view_json))
        .merge(history::routes(shared.history.clone()))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") })
        .layer(middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

/// Refuses requests that do not name this machine, and adds [`HEADERS`] to every answer.
async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = if names_this_machine(request.headers(), shared.allow_remote) {
        next.run(request).await
    } else {
        let text = "this page answers only under the address it listens on, such as 127.0.0.1\n";
        (StatusCode::MISDIRECTED_REQUEST, text).into_response()
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A web site can point a name of its own at this machine and so read it through the operator's browser; the name it
/// used is then in `Host`. Loopback names cannot be taken over, nor can plain addresses.
fn names_this_machine(headers: &HeaderMap, allow_remote: bool) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next())
    else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok_and(|ip| allow_remote || ip.is_loopback())
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

async fn index(State(shared): State<Shared>) -> impl IntoResponse {
    page::render(&Model::from(&**shared.view.load()))
}

async fn performance_page(State(shared): State<Shared>) -> impl IntoResponse {
    performance::render(&shared.view.load())
}

async fn view_json(State(shared): State<Shared>) -> Response {
    axum::Json(&**shared.view.load()).into_response()
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], prometheus(&shared.view.load()))
}

async fn healthz(State(shared): State<Shared>) -> impl IntoResponse {
    let view = shared.view.load();
    if view.at_ms == 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "the engine has not published yet\n".to_owned());
    }
    let age_ms = now_ms().saturating_sub(view.at_ms);
    if age_ms > VIEW_AGE_MS_MAX {
        let text = format!("the engine last published {} s ago\n", age_ms / 1_000);
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    if view.health.ok {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", view.health.problems.join("\n")))
}

async fn events(State(shared): State<Shared>) -> Response {
    let Ok(permit) = Arc::clone(&shared.watchers).try_acquire_owned() else {
        let text = "too many pages are open already\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], text)
            .into_response();
    };
    let messages = stream::unfold(
        (shared.changes.watch(), 0_u64, permit),
        async |(mut changes, seen, permit)| loop {
            changes.changed().await.ok()?;
            let next = changes.borrow_and_update().since(seen);
            if let Some((round, message)) = next {
                let event = Event::default().data(message).retry(Duration::from_secs(1));
                return Some((Ok::<_, Infallible>(event), (changes, round, permit)));
            }
        },
    );
    let messages = messages.take_until(shared.shutdown.clone().cancelled_owned());
    Sse::new(messages).keep_alive(KeepAlive::default()).into_response()
}

/// A listener that holds back when [`CONNECTIONS_MAX`] are open.
struct Limited {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Limited {
    fn new(listener: TcpListener) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Connection { stream, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection, and its place among the open ones.
struct Connection {
    stream: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())])
    }

    #[test]
    fn only_names_that_nobody_can_point_here_are_answered() {
        for name in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:1",
            "LOCALHOST",
            "[::1]:9",
            "[::1]",
            "127.9.9.9",
        ] {
            assert!(names_this_machine(&host(name), false), "{name}");
        }
        for name in [
            "evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            ":80",
            "::1:evil",
        ] {
            assert!(!names_this_machine(&host(name), false), "{name}");
        }
        assert!(names_this_machine(&host("10.0.0.1:80"), true));
        assert!(!names_this_machine(&host("evil.example"), true));
        assert!(!names_this_machine(&HeaderMap::new(), true));
        let mut twice = host("127.0.0.1");
        twice.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(!names_this_machine(&twice, false));
    }
}
