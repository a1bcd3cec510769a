//! Reading one HTTP/1.1 answer out of what has come so far (RFC 9112, sections 4 to 7).

use bytes::{Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Response, Status, parse_chunk_size};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::line::LineError;

/// Longest head of an answer.
const HEAD_MAX: usize = 16 << 10;
/// Most fields of a head.
const FIELDS_MAX: usize = 64;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The connection may carry another request.
    pub(super) stays: bool,
}

/// How far the body goes.
enum Extent {
    Length(usize),
    Chunks,
    End,
}

struct Head {
    length: usize,
    status: StatusCode,
    headers: HeaderMap,
    stays: bool,
}

/// Takes an answer from the front of `read` once it is whole; `ended` when no more will come, `limit` for its body.
///
/// # Errors
/// Not HTTP, not whole at the end, or too large: the connection is of no use any more.
pub(super) fn take(
    read: &mut BytesMut,
    ended: bool,
    limit: usize,
) -> Result<Option<Reply>, LineError> {
    let Some(head) = final_head(read)? else {
        return if ended { Err(LineError::Ended) } else { Ok(None) };
    };
    let body = read.get(head.length..).unwrap_or_default();
    let (body, used) = match extent(&head)? {
        Extent::Length(length) if length > limit => return Err(LineError::TooLarge(limit)),
        Extent::Length(length) => match body.get(..length) {
            Some(body) => (Bytes::copy_from_slice(body), length),
            None if ended => return Err(LineError::Ended),
            None => return Ok(None),
        },
        Extent::Chunks => match unchunk(body, limit)? {
            Some(whole) => whole,
            None if ended => return Err(LineError::Ended),
            None => return Ok(None),
        },
        Extent::End if body.len() > limit => return Err(LineError::TooLarge(limit)),
        Extent::End if !ended => return Ok(None),
        Extent::End => (Bytes::copy_from_slice(body), body.len()),
    };
    drop(read.split_to(head.length.saturating_add(used)));
    let Head { status, headers, stays, .. } = head;
    Ok(Some(Reply { status, headers, body, stays: stays && !ended }))
}

/// The head of the answer proper: those that only say that it is to come are taken off.
fn final_head(read: &mut BytesMut) -> Result<Option<Head>, LineError> {
    loop {
        let Some(head) = head(read)? else { return Ok(None) };
        if !head.status.is_informational() {
            return Ok(Some(head));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(LineError::NotHttp);
        }
        drop(read.split_to(head.length));
    }
}

fn head(read: &[u8]) -> Result<Option<Head>, LineError> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut answer = Response::new(&mut fields);
    // No more is looked through again as more comes.
    let start = read.get(..HEAD_MAX).unwrap_or(read);
    let length = match answer.parse(start).map_err(|_| LineError::NotHttp)? {
        Status::Complete(length) => length,
        Status::Partial if read.len() < HEAD_MAX => return Ok(None),
        Status::Partial => return Err(LineError::NotHttp),
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(LineError::NotHttp)?;
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    for field in answer.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else { return Err(LineError::NotHttp) };
        headers.append(name, value);
    }
    let says = |wanted: &str| lists(&headers, "connection", wanted);
    let stays = match answer.version {
        Some(1) => !says("close"),
        _ => says("keep-alive"),
    };
    Ok(Some(Head { length, status, headers, stays }))
}

/// Whether a field that is a list has that member.
fn lists(headers: &HeaderMap, field: &str, wanted: &str) -> bool {
    let values = headers.get_all(field).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(wanted))
}

/// An answer that says two different things of its length could be read in two ways, and is not read at all.
fn extent(head: &Head) -> Result<Extent, LineError> {
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Extent::Length(0));
    }
    let mut lengths = head.headers.get_all("content-length").into_iter();
    let length = lengths.next();
    if lengths.any(|other| Some(other) != length) {
        return Err(LineError::NotHttp);
    }
    match (head.headers.get("transfer-encoding"), length) {
        (Some(_), Some(_)) => Err(LineError::NotHttp),
        (Some(_), None) if lists(&head.headers, "transfer-encoding", "chunked") => {
            Ok(Extent::Chunks)
        }
        (Some(_), None) => Err(LineError::NotHttp),
        (None, Some(length)) => {
            let digits =
                length.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            let length = digits.and_then(|text| text.parse().ok());
            length.map(Extent::Length).ok_or(LineError::NotHttp)
        }
        (None, None) => Ok(Extent::End),
    }
}

/// The chunks put together and the bytes that they took, once all are there.
fn unchunk(body: &[u8], limit: usize) -> Result<Option<(Bytes, usize)>, LineError> {
    let (mut whole, mut at) = (BytesMut::new(), 0_usize);
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let (line, size) = match parse_chunk_size(rest).map_err(|_| LineError::NotHttp)? {
            Status::Complete(found) => found,
            Status::Partial if rest.len() > HEAD_MAX => return Err(LineError::NotHttp),
            Status::Partial => return Ok(None),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if whole.len().saturating_add(size) > limit {
            return Err(LineError::TooLarge(limit));
        }
        at = at.saturating_add(line);
        if size == 0 {
            let Some(trailer) = trailer(body.get(at..).unwrap_or_default())? else {
                return Ok(None);
            };
            return Ok(Some((whole.freeze(), at.saturating_add(trailer))));
        }
        let end = at.saturating_add(size);
        let Some(chunk) = body.get(at..end) else { return Ok(None) };
        whole.extend_from_slice(chunk);
        match body.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => at = end.saturating_add(2),
            Some(_) => return Err(LineError::NotHttp),
            None => return Ok(None),
        }
    }
}

/// The length of what follows the last chunk: fields that are not looked at, and an empty line.
fn trailer(rest: &[u8]) -> Result<Option<usize>, LineError> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    match httparse::parse_headers(rest, &mut fields).map_err(|_| LineError::NotHttp)? {
        Status::Complete((length, _)) => Ok(Some(length)),
        Status::Partial if rest.len() > HEAD_MAX => Err(LineError::NotHttp),
        Status::Partial => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nretry-after: 3\r\n\r\nhello";
    const CHUNKED: &[u8] = b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n\
        2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nt: u\r\n\r\n";

    fn all(bytes: &[u8], ended: bool, limit: usize) -> Result<Option<Reply>, LineError> {
        take(&mut BytesMut::from(bytes), ended, limit)
    }

    fn whole(bytes: &[u8]) -> Reply {
        all(bytes, false, 100).unwrap().unwrap()
    }

    #[test]
    fn answers_are_read_however_their_length_is_told() {
        let plain = whole(PLAIN);
        assert_eq!(
            (plain.status, &*plain.body, plain.stays),
            (StatusCode::OK, &b"hello"[..], true)
        );
        assert_eq!(plain.headers["retry-after"], "3");
        let chunked = whole(CHUNKED);
        assert_eq!((chunked.status.as_u16(), &*chunked.body), (429, &b"hello"[..]));
        let until_end = b"HTTP/1.0 200 OK\r\n\r\nhello";
        assert!(all(until_end, false, 100).unwrap().is_none());
        let reply = all(until_end, true, 100).unwrap().unwrap();
        assert_eq!((&*reply.body, reply.stays), (&b"hello"[..], false));
        assert!(
            !whole(b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n").stays
        );
        assert_eq!(
            &*whole(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
                .body,
            b"x"
        );
        assert_eq!(&*whole(b"HTTP/1.1 204 No\r\n\r\n").body, b"");
    }

    #[test]
    fn what_follows_an_answer_stays_where_it_is() {
        let mut read = BytesMut::from(&[CHUNKED, PLAIN].concat()[..]);
        assert!(take(&mut read, false, 100).unwrap().is_some());
        assert_eq!(&read[..], PLAIN);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
            b"HTTP/1.1 101 Other\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nheXX",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            let text = String::from_utf8_lossy(bytes);
            assert!(matches!(all(bytes, false, 100), Err(LineError::NotHttp)), "{text}");
        }
        let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'a'; HEAD_MAX]].concat();
        assert!(matches!(all(&endless, false, 100), Err(LineError::NotHttp)));
    }

    #[test]
    fn a_body_above_the_limit_is_refused_before_it_has_come() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        ] {
            assert!(matches!(all(bytes, false, 100), Err(LineError::TooLarge(100))));
        }
    }

    proptest! {
        #[test]
        fn an_answer_in_pieces_is_the_answer(at in 0..200_usize, chunked: bool) {
            let bytes = if chunked { CHUNKED } else { PLAIN };
            let at = at.min(bytes.len().saturating_sub(1));
            prop_assert!(all(&bytes[..at], false, 100).unwrap().is_none());
            prop_assert!(matches!(all(&bytes[..at], true, 100), Err(LineError::Ended)));
            prop_assert_eq!(&*whole(bytes).body, b"hello");
        }

        #[test]
        fn no_bytes_make_it_panic_or_pass_the_limit(
            start in prop::sample::select(vec![PLAIN, CHUNKED, b""]),
            cut in 0..80_usize,
            rest in prop::collection::vec(any::<u8>(), 0..200),
            ended: bool,
        ) {
            let bytes = [&start[..cut.min(start.len())], &rest].concat();
            if let Ok(Some(reply)) = all(&bytes, ended, 20) {
                prop_assert!(reply.body.len() <= 20);
            }
        }
    }
}
