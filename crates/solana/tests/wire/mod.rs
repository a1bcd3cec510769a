//! Requests and subscriptions word for word, and the shape of what comes back.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Names and types, values left out. A list is shown by the kinds of its elements, whatever their number and order.
pub(crate) fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("flag"),
        Value::Number(number) if number.is_f64() => json!("fraction"),
        Value::Number(_) => json!("integer"),
        Value::String(_) => json!("text"),
        Value::Array(values) => {
            let mut kinds: Vec<Value> = values.iter().map(shape).collect();
            kinds.sort_by_key(Value::to_string);
            kinds.dedup();
            Value::Array(kinds)
        }
        Value::Object(fields) => {
            let named = fields.iter().map(|(name, value)| {
                let shown = match name.as_str() {
                    // How far it has come, which is a matter of the moment; null once it is final.
                    "confirmations" => json!("integer or null"),
                    _ => shape(value),
                };
                (name.clone(), shown)
            });
            Value::Object(named.collect::<Map<_, _>>())
        }
    }
}

/// The answer to a request, as JSON; as text where it is none.
pub(crate) async fn ask(url: &str, body: String) -> Value {
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let answer = request.body(body).timeout(Duration::from_secs(30)).send().await.unwrap();
    let text = answer.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

pub(crate) struct Socket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
    /// Notices that came while an answer was waited for.
    early: Vec<Value>,
}

impl Socket {
    pub(crate) async fn open(url: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self { socket, next: 1, early: Vec::new() }
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let frame = self.frame().await;
            if frame["id"] == id {
                return frame;
            }
            self.early.push(frame);
        }
    }

    /// The first notice of a subscription.
    pub(crate) async fn notice(&mut self, number: u64) -> Value {
        let is_of = |frame: &Value| frame["params"]["subscription"] == number;
        if let Some(at) = self.early.iter().position(is_of) {
            return self.early.remove(at);
        }
        loop {
            let frame = self.frame().await;
            if is_of(&frame) {
                return frame;
            }
            self.early.push(frame);
        }
    }

    async fn frame(&mut self) -> Value {
        loop {
            let frame = tokio::time::timeout(Duration::from_secs(60), self.socket.next());
            let frame = frame.await.expect("a frame within a minute").unwrap().unwrap();
            if let Message::Text(text) = frame {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}
