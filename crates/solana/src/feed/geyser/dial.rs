//! The way to a stream: TLS by the same library and the same roots as everything else, HTTP/2, one call.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use yellowstone_grpc_proto::geyser::geyser_client::GeyserClient;
use yellowstone_grpc_proto::geyser::{SubscribeRequest, SubscribeUpdate};
use yellowstone_grpc_proto::tonic::codegen::Service;
use yellowstone_grpc_proto::tonic::codegen::http::Uri;
use yellowstone_grpc_proto::tonic::transport::Endpoint;
use yellowstone_grpc_proto::tonic::{Request, Status, Streaming};

use crate::rpc::endpoint::grpc::Grpc;

/// Largest message read: no account that we follow is near that.
const MESSAGE_MAX: usize = 8 << 20;
/// Requests that may wait to be written.
const REQUESTS_MAX: usize = 16;
/// What may be under way to us unread, of the stream and of the connection: a busy slot must not wait for our word.
const WINDOWS: (u32, u32) = (2 << 20, 4 << 20);
/// How often an open connection is asked for a sign of life, and how long that is waited for.
const ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// Why there is no stream.
pub(super) enum NotOpen {
    /// Nobody was reached.
    Connect,
    /// The server said so.
    Refused(Box<Status>),
}

/// A stream that was opened.
pub(super) struct Open {
    pub(super) requests: mpsc::Sender<SubscribeRequest>,
    pub(super) updates: Streaming<SubscribeUpdate>,
}

/// Opens a stream with its first request.
pub(super) async fn open(grpc: &Grpc, first: SubscribeRequest) -> Result<Open, NotOpen> {
    let url = grpc.url();
    let dial = Dial { tls: if url.is_tls() { Some(tls().ok_or(NotOpen::Connect)?) } else { None } };
    let endpoint = Endpoint::from_shared(url.expose().as_str().to_owned());
    let endpoint = endpoint.map_err(|_| NotOpen::Connect)?;
    let channel = endpoint
        .http2_keep_alive_interval(ALIVE.0)
        .keep_alive_timeout(ALIVE.1)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .connect_with_connector(dial)
        .await
        // Its text can hold the address.
        .map_err(|_| NotOpen::Connect)?;
    let (requests, mut waiting) = mpsc::channel(REQUESTS_MAX);
    // There is room: it is the first.
    requests.try_send(first).map_err(|_| NotOpen::Connect)?;
    let stream = futures_util::stream::poll_fn(move |cx| waiting.poll_recv(cx));
    let mut request = Request::new(stream);
    if let Some(token) = grpc.token() {
        request.metadata_mut().insert("x-token", token.clone());
    }
    let mut client = GeyserClient::new(channel).max_decoding_message_size(MESSAGE_MAX);
    let answer = client.subscribe(request).await;
    let updates = answer.map_err(|status| NotOpen::Refused(Box::new(status)))?.into_inner();
    Ok(Open { requests, updates })
}

fn tls() -> Option<TlsConnector> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let mut config = config
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(Arc::<rustls::RootCertStore>::new(roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Makes the connection that tonic speaks over.
struct Dial {
    tls: Option<TlsConnector>,
}

type Dialled = Pin<Box<dyn Future<Output = io::Result<TokioIo<Box<dyn Duplex>>>> + Send>>;

impl Service<Uri> for Dial {
    type Response = TokioIo<Box<dyn Duplex>>;
    type Error = io::Error;
    type Future = Dialled;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Dialled {
        let tls = self.tls.clone();
        Box::pin(async move {
            let host = to.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = to.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
            let socket = TcpStream::connect((host.as_str(), port)).await?;
            socket.set_nodelay(true)?;
            let socket: Box<dyn Duplex> = match tls {
                None => Box::new(socket),
                Some(tls) => {
                    let name = ServerName::try_from(host).map_err(io::Error::other)?;
                    Box::new(tls.connect(name, socket).await?)
                }
            };
            Ok(TokioIo::new(socket))
        })
    }
}
