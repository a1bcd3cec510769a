//! Sends travel on a connection of their own, and arrive all the same when it breaks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scripted::{KEY, Node, until};
use sniper_core::ids::Signature;
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool, SendRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Stands between us and a node: keeps what each connection asked, and can break one that carries a send.
#[derive(Clone, Default)]
struct Relay {
    asked: Arc<Mutex<Vec<String>>>,
    breaks_sends: Arc<AtomicBool>,
}

impl Relay {
    async fn start(&self, node: u16) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let relay = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let index = {
                    let mut asked = relay.asked.lock().unwrap();
                    asked.push(String::new());
                    asked.len() - 1
                };
                let server = TcpStream::connect(("127.0.0.1", node)).await.unwrap();
                tokio::spawn(relay.clone().carry(index, client, server));
            }
        });
        address
    }

    async fn carry(self, index: usize, mut client: TcpStream, mut server: TcpStream) {
        let (mut out, mut back) = (vec![0; 16 << 10], vec![0; 16 << 10]);
        loop {
            tokio::select! {
                read = client.read(&mut out) => {
                    let Ok(length @ 1..) = read else { return };
                    let text = String::from_utf8_lossy(&out[..length]).into_owned();
                    self.asked.lock().unwrap()[index].push_str(&text);
                    let is_send = text.contains("sendTransaction");
                    if is_send && self.breaks_sends.swap(false, Ordering::SeqCst) {
                        return;
                    }
                    server.write_all(&out[..length]).await.unwrap();
                }
                read = server.read(&mut back) => {
                    let Ok(length @ 1..) = read else { return };
                    client.write_all(&back[..length]).await.unwrap();
                }
            }
        }
    }

    /// What was sent over each connection that carried nothing else.
    fn lines(&self) -> Vec<usize> {
        let asked = self.asked.lock().unwrap();
        let sends = asked.iter().map(|text| text.matches("\"sendTransaction\"").count());
        let others = asked.iter().map(|text| text.matches("\"get").count());
        sends.zip(others).filter(|(_, others)| *others == 0).map(|(sends, _)| sends).collect()
    }
}

fn transaction(tag: u8) -> SendRequest {
    use base64::Engine as _;
    let signature = [tag; 64];
    let bytes = [&[1][..], &signature, &[tag; 100]].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    SendRequest::new(&text, Signature(signature), false).unwrap()
}

async fn pool_behind(relay: &Relay, node: &Node) -> RpcConnectionPool {
    let address = relay.start(node.port).await;
    let (http, ws) = (format!("http://{address}/{KEY}"), format!("ws://{address}/{KEY}"));
    let config = EndpointConfig::new("a", &http, &ws, 1_000).unwrap();
    RpcConnectionPool::connect(vec![config], PoolSettings::default()).await.unwrap()
}

#[tokio::test]
async fn sends_have_a_connection_that_carries_nothing_else() {
    let (node, relay) = (Node::start("a").await, Relay::default());
    let pool = pool_behind(&relay, &node).await;
    pool.send_transaction(&transaction(1)).await.unwrap();
    assert_eq!(relay.lines(), [0_usize; 0], "no line is kept yet: it went the ordinary way");
    tokio::spawn(pool.clone().keep_lines());
    until("the line is open", Duration::from_secs(2), || relay.lines().len() == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for tag in 2..5 {
        pool.send_transaction(&transaction(tag)).await.unwrap();
    }
    assert_eq!(relay.lines(), [3]);
    assert_eq!(node.calls("sendTransaction").len(), 4);
}

#[tokio::test]
async fn a_send_whose_line_breaks_goes_the_ordinary_way_at_once() {
    let (node, relay) = (Node::start("a").await, Relay::default());
    let pool = pool_behind(&relay, &node).await;
    tokio::spawn(pool.clone().keep_lines());
    until("the line is open", Duration::from_secs(2), || relay.lines().len() == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    relay.breaks_sends.store(true, Ordering::SeqCst);
    pool.send_transaction(&transaction(1)).await.unwrap();
    assert_eq!(node.calls("sendTransaction").len(), 1, "it arrived once");
    until("a new line is open", Duration::from_secs(3), || relay.lines().len() == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    pool.send_transaction(&transaction(2)).await.unwrap();
    assert_eq!(relay.lines(), [1, 1]);
}

/// For each socket of ours to that port, whether its keepalive timer runs, as the system lists them.
fn kept_alive(port: u16) -> Vec<bool> {
    let listed = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (to, established) = (format!(":{port:04X}"), "01");
    let fields = listed.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = fields.filter(|fields| fields[2].ends_with(&to) && fields[3] == established);
    // Kind of the timer, then when it is due; two is keepalive.
    ours.map(|fields| fields[5].starts_with("02:")).collect()
}

#[tokio::test]
async fn a_silent_line_is_probed_by_the_system() {
    let (node, relay) = (Node::start("a").await, Relay::default());
    let address = relay.start(node.port).await;
    let (http, ws) = (format!("http://{address}/{KEY}"), format!("ws://{address}/{KEY}"));
    let config = EndpointConfig::new("a", &http, &ws, 1_000).unwrap();
    let pool = RpcConnectionPool::connect(vec![config], PoolSettings::default()).await.unwrap();
    tokio::spawn(pool.keep_lines());
    until("the line is open", Duration::from_secs(2), || relay.lines().len() == 1).await;
    until("keepalive is on for every connection", Duration::from_secs(2), || {
        let kept = kept_alive(address.port());
        kept.len() >= relay.lines().len() && kept.iter().all(|kept| *kept)
    })
    .await;
}
