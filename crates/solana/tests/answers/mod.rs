//! A server that answers every request alike, and tells what it was asked.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Its address, and the requests that come. `head` is the first line of the answer after the protocol, and headers.
pub(crate) async fn server(
    head: &str,
    body: impl Into<Vec<u8>>,
) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/below", listener.local_addr().unwrap());
    let (told, asked) = unbounded_channel();
    let (head, body) = (head.to_owned(), body.into());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) && stream.read_buf(&mut request).await.unwrap() > 0 {}
            told.send(String::from_utf8_lossy(&request).into_owned()).ok();
            let length = body.len();
            let head =
                format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok();
            stream.write_all(&body).await.ok();
        }
    });
    sniper_solana::install_crypto_provider();
    (url, asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

/// All that an error says, to whoever looks.
pub(crate) fn text(error: &dyn std::error::Error) -> String {
    let mut all = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(source) = next {
        all.push_str(&format!(" {source} {source:?}"));
        next = source.source();
    }
    all
}
