//! Which HTTP is spoken with whom, over real sockets.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::rpc::wire;

/// A certificate for this machine, made by the system's `openssl`; none where there is no such program.
fn certificate(folder: &Path) -> Option<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
    let [config, key, cert] = ["openssl.cnf", "key.pem", "cert.pem"].map(|name| folder.join(name));
    let text = "[req]\ndistinguished_name=name\nx509_extensions=of_a_server\n[name]\n[of_a_server]\n\
                subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(&config, text).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=127.0.0.1", "-config"])
        .arg(&config)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let cert = CertificateDer::from_pem_file(cert).unwrap();
    Some((cert, PrivateKeyDer::from_pem_file(key).unwrap()))
}

/// A node that answers everything with a number, and how often it was connected to.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(_: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    // So that requests that can be under way together are.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(hyper::Response::new(Full::from(r#"{"jsonrpc":"2.0","result":7,"id":1}"#)))
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let tls = tls.clone();
                tokio::spawn(async move {
                    let service = service_fn(answer);
                    let http1 = hyper::server::conn::http1::Builder::new();
                    let Some(tls) = tls else {
                        return drop(http1.serve_connection(TokioIo::new(stream), service).await);
                    };
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let stream = TokioIo::new(stream);
                    if is_h2 {
                        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        drop(http2.serve_connection(stream, service).await);
                    } else {
                        drop(http1.serve_connection(stream, service).await);
                    }
                });
            }
        });
        Self { port, connections, task }
    }

    fn endpoint(&self, scheme: &str, roots: rustls::RootCertStore) -> Endpoint {
        let http = format!("{scheme}://127.0.0.1:{}", self.port);
        let ws = http.replacen("http", "ws", 1);
        let config = EndpointConfig::new("a", &http, &ws, 1_000).unwrap();
        Endpoint::new(config, &Arc::new(roots)).unwrap()
    }
}

/// One request, then ten at once: the HTTP that was spoken, and the connections that it took.
async fn spoken(server: &Server, endpoint: &Endpoint) -> (Option<HttpVersion>, usize) {
    let limits = Limits { timeout: Duration::from_secs(10), answer_bytes: 1_000 };
    let ask = || async {
        let body = wire::request("getSlot", &[(); 0]).unwrap();
        let answer = endpoint.ask("getSlot", body, limits).await.unwrap();
        assert_eq!(wire::open::<u64>(endpoint.name(), "getSlot", &answer).unwrap(), 7);
    };
    assert_eq!(endpoint.vitals().http, None, "nothing is known before the first answer");
    ask().await;
    join_all((0..10).map(|_| ask())).await;
    let http = endpoint.vitals().http;
    (http, server.connections.load(Ordering::Relaxed))
}

#[tokio::test]
async fn over_tls_the_newest_http_that_both_know_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let Some((cert, key)) = certificate(folder.path()) else {
        return eprintln!("not run: there is no openssl to make a certificate with");
    };
    for (offered, version, most) in [
        (&["h2", "http/1.1"][..], HttpVersion::Http2, 1),
        (&["http/1.1"][..], HttpVersion::Http1, 11),
        (&[][..], HttpVersion::Http1, 11),
    ] {
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key.clone_key())
        .unwrap();
        tls.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let server = Server::start(Some(Arc::new(tls).into())).await;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(cert.clone()).unwrap();
        let (http, connections) = spoken(&server, &server.endpoint("https", roots)).await;
        assert_eq!(http, Some(version), "offered: {offered:?}");
        let is_shared = version == HttpVersion::Http2;
        assert!(connections <= most && (is_shared || connections > 1), "{connections}");
        // Who is not vouched for is not spoken with.
        let stranger = server.endpoint("https", rustls::RootCertStore::empty());
        let limits = Limits { timeout: Duration::from_secs(10), answer_bytes: 1_000 };
        let refused = stranger.ask("getSlot", Bytes::new(), limits).await.unwrap_err();
        assert!(matches!(refused, RpcError::Transport { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn without_tls_nothing_newer_is_taken_for_granted() {
    let server = Server::start(None).await;
    let endpoint = server.endpoint("http", rustls::RootCertStore::empty());
    let (http, _) = spoken(&server, &endpoint).await;
    assert_eq!(http, Some(HttpVersion::Http1));
}
