//! Bytes to and from a client: HTTP/1.1 as far as JSON-RPC needs it, written by hand so that it can be written badly.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::plan::Pace;

/// Longest head and body of a request.
const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 1 << 20;
/// What a gigantic answer is written from, piece by piece: the whole is never held.
static FILL: [u8; 64 << 10] = [b'x'; 64 << 10];

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str, word: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Self { method, path, headers })
    }
}

/// A client's connection, with what it sent and nobody has looked at.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) unread: Vec<u8>,
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    async fn read_more(&mut self) -> Result<usize> {
        self.stream.read_buf(&mut self.unread).await
    }

    /// The next request's head; none when the client is gone.
    pub(super) async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                let head = std::mem::replace(&mut self.unread, rest);
                let text = std::str::from_utf8(&head).map_err(|_| invalid("head is not text"))?;
                return Head::parse(text).ok_or_else(|| invalid("head is not HTTP")).map(Some);
            }
            if self.unread.len() > HEAD_MAX {
                return Err(invalid("head is too long"));
            }
            if self.read_more().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The body that belongs to a head.
    pub(super) async fn body(&mut self, head: &Head) -> Result<Vec<u8>> {
        if head.get("transfer-encoding").is_some() {
            return Err(invalid("body without a length"));
        }
        let length = match head.get("content-length") {
            Some(text) => text.parse::<usize>().map_err(|_| invalid("length is no number"))?,
            None => 0,
        };
        if length > BODY_MAX {
            return Err(invalid("body is too long"));
        }
        if head.has("expect", "100-continue") && self.unread.len() < length {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        while self.unread.len() < length {
            if self.read_more().await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Takes whatever comes and says nothing, until the client gives up.
    pub(super) async fn swallow(&mut self) -> Result<()> {
        self.unread = Vec::new();
        let mut scratch = vec![0; 4 << 10];
        while self.stream.read(&mut scratch).await? > 0 {}
        Ok(())
    }

    /// Ends the connection with RST in the place of FIN.
    pub(super) fn reset(self) -> Result<()> {
        self.stream.set_zero_linger()
    }
}

/// Writes bytes, as fast as the pace lets them go.
pub(super) async fn write(stream: &mut TcpStream, bytes: &[u8], pace: Option<Pace>) -> Result<()> {
    let Some(Pace { bytes_per_second, drip }) = pace else { return stream.write_all(bytes).await };
    // Sleeps are not shorter than a millisecond: what is faster than that goes out in pieces.
    let pieces_per_second = if drip { 500 } else { 20 };
    let piece = usize::try_from(bytes_per_second / pieces_per_second).unwrap_or(usize::MAX).max(1);
    for piece in bytes.chunks(piece) {
        stream.write_all(piece).await?;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let micros = length.saturating_mul(1_000_000) / bytes_per_second.max(1);
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
    Ok(())
}

/// Writes this many bytes of nothing in particular.
pub(super) async fn write_fill(
    stream: &mut TcpStream,
    mut bytes: u64,
    pace: Option<Pace>,
) -> Result<()> {
    while bytes > 0 {
        let piece = usize::try_from(bytes).unwrap_or(usize::MAX).min(FILL.len());
        write(stream, FILL.get(..piece).unwrap_or(&FILL), pace).await?;
        bytes = bytes.saturating_sub(u64::try_from(piece).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// The head of an answer.
pub(super) fn answer_head(status: u16, length: Option<u64>, more: &[(&str, String)]) -> Vec<u8> {
    use std::fmt::Write as _;
    let reason = match status {
        200 => "OK",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    };
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    let written = match length {
        Some(length) => write!(head, "content-length: {length}\r\n"),
        None => write!(head, "transfer-encoding: chunked\r\n"),
    };
    let all = more.iter().try_for_each(|(name, value)| write!(head, "{name}: {value}\r\n"));
    debug_assert!(written.and(all).is_ok(), "Invariant: text can always be written to");
    head.push_str("\r\n");
    head.into_bytes()
}

/// The head of a WebSocket frame of text, of a server.
pub(super) fn frame_head(length: u64) -> Vec<u8> {
    let mut head = vec![0x81];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => head.push(short),
        (_, Ok(middle)) => {
            head.push(126);
            head.extend(middle.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend(length.to_be_bytes());
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_without_regard_to_case_and_refused_when_it_is_none() {
        let head =
            Head::parse("POST /a HTTP/1.1\r\nContent-Length: 3\r\nUpgrade: x, WebSocket\r\n")
                .unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/a"));
        assert_eq!(head.get("content-length"), Some("3"));
        assert!(head.has("upgrade", "websocket"));
        assert!(Head::parse("POST / HTTP/1.1\r\nno colon\r\n").is_none());
        assert!(Head::parse("POST").is_none());
    }

    #[test]
    fn a_frame_says_its_length_in_as_few_bytes_as_it_needs() {
        assert_eq!(frame_head(125), [0x81, 125]);
        assert_eq!(frame_head(126), [0x81, 126, 0, 126]);
        assert_eq!(frame_head(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
