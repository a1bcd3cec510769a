//! The client against servers that behave, and others.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers each request with the next of `answers`, its head written as it is given; after one that says so the
/// connection is closed without a word. Gives what was asked and how often it was connected to.
async fn serve(
    answers: Vec<Vec<u8>>,
    close_after: usize,
) -> (u16, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let (counted, heard) = (Arc::clone(&connections), Arc::clone(&asked));
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            for _ in 0..close_after {
                let mut read = Vec::new();
                while !read.ends_with(b"}") {
                    if stream.read_buf(&mut read).await.unwrap() == 0 {
                        break;
                    }
                }
                if read.is_empty() {
                    break;
                }
                let read = String::from_utf8(read).unwrap();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(read);
                let Some(answer) = answers.next() else { return };
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    (port, connections, asked)
}

fn client(address: &str) -> Arc<Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let url = SecretUrl::parse(address, ["http", "https"]).unwrap();
    Arc::new(Client::new(&url, tls).unwrap())
}

fn plain(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    let body = encoder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

async fn whole(answer: &mut Answer) -> Result<Vec<u8>, HttpError> {
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

#[tokio::test]
async fn a_connection_that_ended_unseen_costs_no_answer() {
    let answers = (0..9).map(|nth| plain(&nth.to_string())).collect();
    let (port, connections, _) = serve(answers, 3).await;
    let client = client(&format!("http://127.0.0.1:{port}/"));
    for nth in 0..9 {
        let mut answer = client.post(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(whole(&mut answer).await.unwrap(), nth.to_string().into_bytes());
        // So that its end is seen at times before the next request, and at times by it.
        if nth % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(connections.load(Ordering::Relaxed), 3, "each was used until it ended");
}

#[tokio::test]
async fn an_answer_half_read_is_not_taken_for_the_next() {
    let (port, connections, _) = serve(vec![plain("first"), plain("second")], 1).await;
    let client = client(&format!("http://127.0.0.1:{port}/"));
    drop(client.post(Bytes::from_static(b"{}")).await.unwrap());
    let mut answer = client.post(Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(whole(&mut answer).await.unwrap(), b"second");
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn credentials_of_the_address_are_sent_and_never_printed() {
    let (port, _, asked) = serve(vec![plain("7")], 1).await;
    let client = client(&format!("http://us%20er:pass@127.0.0.1:{port}/key?a=b"));
    client.post(Bytes::from_static(b"{}")).await.unwrap();
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).concat();
    assert!(asked.starts_with("POST /key?a=b HTTP/1.1\r\n"), "{asked}");
    let pair = STANDARD.encode("us er:pass");
    assert!(asked.contains(&format!("authorization: Basic {pair}\r\n")), "{asked}");
    assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{asked}");
    assert_eq!(format!("{client:?}"), "Client { .. }");
}

#[tokio::test]
async fn what_is_packed_is_unpacked_and_never_beyond_the_bound() {
    let text: Vec<u8> = (0..200_000_u32).map(|nth| b'a' + (nth % 23) as u8).collect();
    let bomb = vec![b'0'; 8 << 20];
    let broken =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 7\r\n\r\nno gzip".to_vec();
    let (port, ..) = serve(vec![packed(&text), packed(&bomb), broken], 1).await;
    let client = client(&format!("http://127.0.0.1:{port}/"));
    let ask = || client.post(Bytes::from_static(b"{}"));
    assert_eq!(whole(&mut ask().await.unwrap()).await.unwrap(), text);
    let mut answer = ask().await.unwrap();
    answer.bound(1 << 20);
    assert!(matches!(whole(&mut answer).await, Err(HttpError::Coding(_))));
    let mut answer = ask().await.unwrap();
    assert!(matches!(whole(&mut answer).await, Err(HttpError::Coding(_))));
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_said_to_be_that() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = client(&format!("http://127.0.0.1:{port}/"));
    let error = client.post(Bytes::from_static(b"{}")).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
}
