//! Making the connection that HTTP is then spoken on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_ok;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::endpoint::SecretUrl;

/// A silent connection is probed by the system after this long.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// What an address is given before the next of the same host is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of a host that are tried.
const ADDRESSES_MAX: usize = 8;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// An open connection, encrypted or not.
pub(super) type Wire = Pin<Box<dyn Stream>>;

/// Where an endpoint is, and what may be spoken there.
pub(super) struct Dial {
    host: Arc<str>,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dial {
    /// None where the address names no host that can be connected to. `spoken` are the protocols offered over TLS, the
    /// best first.
    pub(super) fn new(
        url: &SecretUrl,
        mut tls: rustls::ClientConfig,
        spoken: &[&str],
    ) -> Option<Self> {
        let is_tls = url.is_tls();
        let url = url.expose();
        let host = url.host_str()?.trim_matches(['[', ']']);
        let port = url.port_or_known_default()?;
        tls.alpn_protocols = spoken.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tls = if is_tls {
            let name = ServerName::try_from(host.to_owned()).ok()?;
            Some((TlsConnector::from(Arc::new(tls)), name))
        } else {
            None
        };
        Some(Self { host: host.into(), port, tls })
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects, and says whether HTTP/2 was agreed on.
    pub(super) async fn open(&self) -> io::Result<(Wire, bool)> {
        let stream = self.reach().await?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)
            .and_then(|()| rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE))
            .and_then(|()| rustix::net::sockopt::set_tcp_keepintvl(&stream, KEEPALIVE / 3))
            .and_then(|()| rustix::net::sockopt::set_tcp_keepcnt(&stream, 3))
            .map_err(io::Error::from)?;
        let Some((tls, name)) = &self.tls else { return Ok((Box::pin(stream), false)) };
        let stream = tls.connect(name.clone(), stream).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::pin(stream), is_h2))
    }

    /// The first of the host's addresses that answers: families take turns, and none waits for one that is silent.
    async fn reach(&self) -> io::Result<TcpStream> {
        let found = tokio::net::lookup_host((&*self.host, self.port)).await?;
        let (mut newer, mut older): (Vec<_>, Vec<_>) = found.partition(|at| at.is_ipv6());
        newer.truncate(ADDRESSES_MAX / 2);
        older.truncate(ADDRESSES_MAX / 2);
        let turns = newer.len().max(older.len());
        let both = (0..turns).flat_map(|nth| [newer.get(nth), older.get(nth)]).flatten();
        let mut wait = Duration::ZERO;
        let mut tries = Vec::new();
        for at in both.copied() {
            let begin = wait;
            wait = wait.saturating_add(HEAD_START);
            tries.push(Box::pin(async move {
                tokio::time::sleep(begin).await;
                TcpStream::connect(at).await
            }));
        }
        if tries.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
        }
        select_ok(tries).await.map(|(stream, _)| stream)
    }
}
