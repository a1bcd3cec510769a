//! What every HTTP client of this crate has in common, whoever is asked.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// How often an idle HTTP/2 connection is asked for a sign of life, and how long that is waited for. A request that is
/// given up leaves such a connection open: without this, one that leads nowhere would be used on and on.
const ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// TLS as we speak it with anybody: the one library and the one provider, whatever the process installed.
pub(crate) fn tls(
    roots: std::sync::Arc<rustls::RootCertStore>,
) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config?.with_root_certificates(roots).with_no_client_auth())
}

/// The public authorities; none where nobody is reached by TLS, for they cost memory.
pub(crate) fn roots(needed: bool) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    if needed {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// A client that asks only whom it is told to ask, once.
pub(crate) fn client(mut tls: rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // A proxy of the environment would see keys, and a redirect would carry them elsewhere.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // Our own policy decides what is repeated.
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_secs(90))
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(15))
        .http2_keep_alive_interval(ALIVE.0)
        .http2_keep_alive_timeout(ALIVE.1)
        .http2_keep_alive_while_idle(true)
        .user_agent(concat!("sniperforge/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Why a body was not read.
pub(crate) enum Unread {
    /// The connection failed.
    Broken(reqwest::Error),
    /// It is larger than it may be.
    TooLarge,
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn body(mut response: reqwest::Response, limit: usize) -> Result<Bytes, Unread> {
    // By its own word, before anything of it is held.
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Unread::TooLarge);
    }
    let first = response.chunk().await.map_err(Unread::Broken)?.unwrap_or_default();
    if first.len() > limit {
        return Err(Unread::TooLarge);
    }
    let Some(second) = response.chunk().await.map_err(Unread::Broken)? else {
        return Ok(first); // the common case: one chunk, no copy
    };
    let mut all = BytesMut::from(first.as_ref());
    let mut next = Some(second);
    while let Some(chunk) = next {
        if all.len().saturating_add(chunk.len()) > limit {
            return Err(Unread::TooLarge);
        }
        all.extend_from_slice(&chunk);
        next = response.chunk().await.map_err(Unread::Broken)?;
    }
    Ok(all.freeze())
}
