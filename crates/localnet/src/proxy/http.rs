//! Requests by HTTP: one after the other on each connection.

use std::io::Result;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::Shared;
use super::fault::{Fault, Place};
use super::plan::{Ending, Pace, Verdict};
use super::rewrite::{Kept, rewrite};
use super::wire::{Client, Head, answer_head, write, write_fill};
use super::ws;

/// Longest answer of the node that is held in order to be changed; a longer one is refused with 502.
const HELD_MAX: usize = 32 << 20;
const JSON: &str = "application/json";
const NOT_JSON: &[u8] = b"{\"jsonrpc\":\"2.0\",\"result\":{\"context\":{\"slot\":";

/// What the node said.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

enum Body {
    Held(Vec<u8>),
    Streamed(reqwest::Response),
}

impl Reply {
    fn held(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", JSON.to_owned())];
        Self { status, headers, body: Body::Held(body.into()) }
    }

    fn bad_gateway(why: &str) -> Self {
        Self::held(502, format!("{{\"error\":\"{why}\"}}"))
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: &Shared, mut client: Client) -> Result<()> {
    while let Some(head) = client.head().await? {
        if head.has("upgrade", "websocket") {
            return ws::serve(shared, client, &head).await;
        }
        let body = match client.body(&head).await {
            Ok(body) => body,
            Err(error) => {
                let text = error.to_string();
                let head = answer_head(400, u64::try_from(text.len()).ok(), &[]);
                client.stream.write_all(&head).await?;
                client.stream.write_all(text.as_bytes()).await?;
                return client.stream.shutdown().await;
            }
        };
        let closing = head.has("connection", "close");
        match answer(shared, client, &head, body).await? {
            Some(open) if !closing => client = open,
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Answers one request, well or badly; gives the connection back if there still is one.
async fn answer(
    shared: &Shared,
    mut client: Client,
    head: &Head,
    body: Vec<u8>,
) -> Result<Option<Client>> {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let calls = match &request {
        Value::Array(calls) => calls.as_slice(),
        one => std::slice::from_ref(one),
    };
    let name = |call: &Value| call.get("method").and_then(Value::as_str).map(str::to_owned);
    let names: Vec<String> =
        calls.iter().map(|call| name(call).unwrap_or_else(|| head.method.clone())).collect();
    let methods: Vec<&str> = names.iter().map(String::as_str).collect();
    let verdict = shared.plan.judge(Place::Request, &methods);
    tokio::time::sleep(verdict.wait).await;
    match verdict.ending {
        Some(Ending::Drop) => return Ok(None),
        Some(Ending::Reset) => return client.reset().map(|()| None),
        Some(Ending::HalfOpen) => return client.swallow().await.map(|()| None),
        Some(Ending::Status { code, retry_after }) => {
            let mut reply = Reply::held(code, "{\"error\":\"not now\"}");
            if let Some(wait) = retry_after {
                reply.headers.push(("retry-after", wait.as_secs().to_string()));
            }
            put(&mut client, reply, verdict.pace).await?;
        }
        Some(Ending::InvalidJson) => {
            put(&mut client, Reply::held(200, NOT_JSON), verdict.pace).await?;
        }
        Some(Ending::Gigantic(bytes)) => {
            let id = calls.first().and_then(|call| call.get("id")).unwrap_or_default();
            gigantic(&mut client, id, bytes, verdict.pace).await?;
        }
        Some(Ending::Truncate) => {
            let reply = fetch(shared, head, body).await;
            truncated(&mut client, reply, verdict.pace).await?;
            return Ok(None);
        }
        None => {
            let reply = changed(shared, head, body, &request, &verdict).await;
            put(&mut client, reply, verdict.pace).await?;
        }
    }
    Ok(Some(client))
}

/// Asks the node.
async fn fetch(shared: &Shared, head: &Head, body: Vec<u8>) -> Reply {
    let mut url = shared.http.clone();
    // The root is the node's address as it was given, whatever its path; other paths are on the same host.
    if head.path != "/" {
        let (path, query) = match head.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (head.path.as_str(), None),
        };
        url.set_path(path);
        url.set_query(query);
    }
    let request = match head.method.as_str() {
        "POST" => shared.client.post(url).body(body),
        "GET" => shared.client.get(url),
        _ => return Reply::held(405, "{\"error\":\"POST and GET alone\"}"),
    };
    let request = match head.get("content-type") {
        Some(kind) => request.header("content-type", kind),
        None => request,
    };
    match request.send().await {
        Ok(answer) => {
            let kept = |name: &'static str| {
                let value = answer.headers().get(name)?.to_str().ok()?;
                Some((name, value.to_owned()))
            };
            let headers = ["content-type", "retry-after"].into_iter().filter_map(kept).collect();
            let status = answer.status().as_u16();
            Reply { status, headers, body: Body::Streamed(answer) }
        }
        Err(_) => {
            shared.plan.upstream_failures.fetch_add(1, Ordering::Relaxed);
            Reply::bad_gateway("the node did not answer")
        }
    }
}

/// Reads an answer to its end, if that is not too far.
async fn hold(reply: &mut Reply) -> std::result::Result<(), &'static str> {
    let Body::Streamed(answer) = &mut reply.body else { return Ok(()) };
    let mut held = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|_| "the node broke off")? {
        if held.len().saturating_add(piece.len()) > HELD_MAX {
            return Err("the answer is too long to be changed");
        }
        held.extend_from_slice(&piece);
    }
    reply.body = Body::Held(held);
    Ok(())
}

/// The node's answer with what the verdict changes in it.
async fn changed(
    shared: &Shared,
    head: &Head,
    body: Vec<u8>,
    request: &Value,
    verdict: &Verdict,
) -> Reply {
    let generation = shared.plan.generation.load(Ordering::Relaxed);
    let key = if verdict.cached { Kept::key(request) } else { None };
    let id = request.get("id").unwrap_or_default();
    if let Some(key) = &key {
        let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = kept.get(generation, key, id) {
            return Reply::held(200, answer.to_string());
        }
    }
    let mut reply = fetch(shared, head, body).await;
    if key.is_none() && !verdict.rewrite.is_any() {
        return reply;
    }
    if let Err(why) = hold(&mut reply).await {
        return Reply::bad_gateway(why);
    }
    let Body::Held(bytes) = &mut reply.body else { return reply };
    let Ok(mut answer) = serde_json::from_slice::<Value>(bytes) else { return reply };
    let mut stale = false;
    match (&mut answer, request) {
        (Value::Array(answers), Value::Array(calls)) => {
            for one in answers {
                let asked = calls.iter().find(|call| call.get("id") == one.get("id"));
                stale |= rewrite(one, asked.map_or("", method_of), verdict.rewrite);
            }
        }
        (one, call) => stale = rewrite(one, method_of(call), verdict.rewrite),
    }
    if stale {
        shared.plan.count(&Fault::StaleSlot(verdict.rewrite.slots));
    }
    if verdict.rewrite.is_any() {
        *bytes = answer.to_string().into_bytes();
    }
    if let Some(key) = key {
        let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(generation, key, &answer, bytes.len());
    }
    reply
}

fn method_of(call: &Value) -> &str {
    call.get("method").and_then(Value::as_str).unwrap_or_default()
}

/// Writes an answer out.
async fn put(client: &mut Client, reply: Reply, pace: Option<Pace>) -> Result<()> {
    let stream = &mut client.stream;
    match reply.body {
        Body::Held(bytes) => {
            let mut all =
                answer_head(reply.status, u64::try_from(bytes.len()).ok(), &reply.headers);
            all.extend(bytes);
            write(stream, &all, pace).await
        }
        Body::Streamed(mut answer) => {
            let length = answer.content_length();
            write(stream, &answer_head(reply.status, length, &reply.headers), pace).await?;
            let broken = |_| std::io::Error::other("the node broke off");
            while let Some(piece) = answer.chunk().await.map_err(broken)? {
                if length.is_some() {
                    write(stream, &piece, pace).await?;
                } else if !piece.is_empty() {
                    write(stream, format!("{:x}\r\n", piece.len()).as_bytes(), pace).await?;
                    write(stream, &piece, pace).await?;
                    write(stream, b"\r\n", pace).await?;
                }
            }
            if length.is_none() { write(stream, b"0\r\n\r\n", pace).await } else { Ok(()) }
        }
    }
}

/// Writes the head of an answer, half of what it promises, and the end.
async fn truncated(client: &mut Client, mut reply: Reply, pace: Option<Pace>) -> Result<()> {
    if let Err(why) = hold(&mut reply).await {
        reply = Reply::bad_gateway(why);
    }
    let Body::Held(bytes) = &reply.body else { return Ok(()) };
    let mut all = answer_head(reply.status, u64::try_from(bytes.len()).ok(), &reply.headers);
    all.extend(bytes.iter().take(bytes.len() / 2));
    write(&mut client.stream, &all, pace).await?;
    client.stream.shutdown().await
}

async fn gigantic(client: &mut Client, id: &Value, bytes: u64, pace: Option<Pace>) -> Result<()> {
    let before = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"");
    let after = "\"}";
    let around = u64::try_from(before.len() + after.len()).unwrap_or(u64::MAX);
    let fill = bytes.saturating_sub(around);
    let head =
        answer_head(200, Some(fill.saturating_add(around)), &[("content-type", JSON.to_owned())]);
    write(&mut client.stream, &head, pace).await?;
    write(&mut client.stream, before.as_bytes(), pace).await?;
    write_fill(&mut client.stream, fill, pace).await?;
    write(&mut client.stream, after.as_bytes(), pace).await
}
