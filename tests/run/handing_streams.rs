//! Another process takes over, and a client of HTTP/2 keeps what it has begun.

use h2::client::SendRequest;

use crate::held::holding;
use crate::installation::Installation;
use crate::process::Process;
use crate::wire::eventually;

type Client = SendRequest<bytes::Bytes>;

fn upload() -> http::Request<()> {
    let request = http::Request::post("http://test/upload");
    request.body(()).unwrap()
}

/// A client, and the end of its connection: `true` where it was a friendly one.
async fn connect(process: &Process) -> (Client, tokio::task::JoinHandle<bool>) {
    let stream = tokio::net::TcpStream::connect(process.addresses[0]).await;
    let (client, connection) = h2::client::handshake(stream.unwrap()).await.unwrap();
    let end = tokio::spawn(async { connection.await.is_ok() });
    (client.ready().await.unwrap(), end)
}

#[test]
fn a_stream_finishes_in_the_old_process_and_the_next_is_for_the_new_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (upstream, release) = holding("");
    let installation = Installation::in_front_of(upstream.address)
        .draining_for_long()
        .with(
            r#"listeners: [{bind: "127.0.0.1:0"}]"#,
            r#"listeners: [{bind: "127.0.0.1:0", h2c: true}]"#,
        );
    let old = Process::start(&installation);
    let (mut client, end) = runtime.block_on(connect(&old));
    let (answer, _) = client.send_request(upload(), true).unwrap();
    old.until_in_flight("upload_v1", 1);
    let new = Process::upgrade(&installation);
    eventually("the hand-over", || old.said("handed_over"));
    // It is told to go, so what it asks next it asks somebody else.
    eventually("GOAWAY", || {
        runtime.block_on(client.clone().ready()).is_err()
    });
    eventually("the old one to let nobody in", || !old.lets_in());
    let (mut next, _) = runtime.block_on(connect(&new));
    let (other, _) = next.send_request(upload(), true).unwrap();
    new.until_in_flight("upload_v1", 1);
    for _ in 0..2 {
        release.send(()).unwrap();
    }
    for answer in [answer, other] {
        assert_eq!(runtime.block_on(answer).unwrap().status(), 200);
    }
    assert!(runtime.block_on(end).unwrap(), "no stream was lost");
    let (status, log) = old.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    drop(next);
    new.stop();
    let records = installation.records();
    let decisions = records.iter().filter(|record| record["kind"] == "decision");
    assert_eq!(decisions.count(), 2);
    assert_eq!(installation.verify(&[]).code, Some(0));
}
