//! The client against a server that is written here: it hangs up, refuses and lies.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server;

use super::*;
use crate::cli::replay::SendAs;
use crate::domain::audio::{AudioFormat, Encoding};

type Peer = WebSocketStream<TcpStream>;

fn two_seconds() -> Audio {
    let format = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: 16_000, channels: 1 };
    Audio { format, bytes: (0..64_000_u32).map(|n| (n / 7) as u8).collect(), duration_ms: 2000 }
}

fn args(listener: &TcpListener) -> ReplayArgs {
    let url = format!("http://{}", listener.local_addr().unwrap());
    ReplayArgs {
        audio: "visit.ogg".into(),
        visit: "vis_1".into(),
        speed: 0.0,
        url: url.parse().unwrap(),
        key: "secret".into(),
        encoding: SendAs::Pcm,
        json: false,
    }
}

#[allow(clippy::result_large_err)]
fn upgrade(
    request: &server::Request,
    mut response: server::Response,
) -> Result<server::Response, server::ErrorResponse> {
    assert_eq!(request.uri().path(), "/v1/visits/vis_1/stream");
    assert_eq!(request.headers()["authorization"], "Bearer secret");
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("visit.v1"));
    Ok(response)
}

/// Accepts a client, reads its `start` and says `ready`.
async fn accept(listener: &TcpListener, next_offset: usize) -> Peer {
    let (tcp, _) = listener.accept().await.unwrap();
    let mut peer = accept_hdr_async(tcp, upgrade).await.unwrap();
    let start: Value = serde_json::from_str(peer.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(start["audio"], json!({"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}));
    say(&mut peer, json!({"type": "ready", "next_offset": next_offset, "epoch": 1})).await;
    peer
}

async fn say(peer: &mut Peer, message: Value) {
    peer.send(Message::text(message.to_string())).await.unwrap();
}

/// Appends sound until there are `bytes` of it, or until `stop`.
async fn take(peer: &mut Peer, kept: &mut Vec<u8>, bytes: usize) {
    while kept.len() < bytes {
        match peer.next().await.unwrap().unwrap() {
            Message::Binary(chunk) => {
                assert_eq!(chunk[..8], (kept.len() as u64).to_le_bytes());
                kept.extend_from_slice(&chunk[8..]);
            }
            other => panic!("expected sound, got {other:?}"),
        }
    }
}

fn serve<F: Future<Output = ()> + Send + 'static>(server: F) -> JoinHandle<()> {
    tokio::spawn(server)
}

#[tokio::test]
async fn goes_on_where_the_server_stands_after_a_lost_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (args, audio) = (args(&listener), two_seconds());
    let expected = audio.bytes.clone();
    let server = serve(async move {
        let mut kept = Vec::new();
        let mut peer = accept(&listener, 0).await;
        take(&mut peer, &mut kept, 32_000).await;
        say(&mut peer, json!({"type": "ack", "received": 32_000, "durable": 16_000})).await;
        say(
            &mut peer,
            json!({"type": "final", "segment_id": "seg_0001", "text": "您好", "start_ms": 0, "end_ms": 400}),
        )
        .await;
        peer.close(None).await.unwrap();

        // What was not durable is asked for again.
        kept.truncate(16_001);
        let mut peer = accept(&listener, kept.len()).await;
        take(&mut peer, &mut kept, 64_000).await;
        assert_eq!(kept, expected);
        let stop = peer.next().await.unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(stop.to_text().unwrap()).unwrap()["total_bytes"], 64_000);
        // A final that is told again counts once.
        say(
            &mut peer,
            json!({"type": "final", "segment_id": "seg_0001", "text": "您好", "start_ms": 0, "end_ms": 400}),
        )
        .await;
        say(&mut peer, json!({"type": "done", "coverage": 1.0, "gaps": [], "card": {"id": "crd_1"}})).await;
    });
    let report = Client::new(&args, &audio).run().await.unwrap();
    server.await.unwrap();
    assert_eq!((report.reconnects, report.final_ms.len()), (1, 1));
    assert_eq!(report.card["id"], "crd_1");
}

#[tokio::test]
async fn a_server_that_forgets_durable_audio_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (args, audio) = (args(&listener), two_seconds());
    let server = serve(async move {
        let mut peer = accept(&listener, 0).await;
        say(&mut peer, json!({"type": "ack", "received": 9_600, "durable": 9_600})).await;
        say(&mut peer, json!({"type": "error", "code": "shutting_down", "message": "restarting", "retryable": true, "retry_after_ms": 1}))
            .await;
        accept(&listener, 3_200).await;
    });
    let error = Client::new(&args, &audio).run().await.unwrap_err();
    server.await.unwrap();
    assert!(error.to_string().contains("promised to keep 9600 bytes and asks from 3200"), "{error}");
}

#[tokio::test]
async fn an_error_that_is_for_good_is_not_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (args, audio) = (args(&listener), two_seconds());
    let server = serve(async move {
        let mut peer = accept(&listener, 0).await;
        say(&mut peer, json!({"type": "error", "code": "consent_withdrawn", "message": "taken back"})).await;
    });
    let error = Client::new(&args, &audio).run().await.unwrap_err();
    server.await.unwrap();
    assert!(error.to_string().contains("consent_withdrawn"), "{error}");
}
