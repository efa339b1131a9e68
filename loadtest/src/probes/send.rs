//! The clients of a probe: the one that sends it, and the one that comes after it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::file::Probe;
use super::outcome::{Seen, answers, is_head};
use super::recorder::{PAUSE, Recorder, SECOND};

/// How long a legal message may take to be answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a message that may be refused may stay without a byte of an answer.
const DOUBT: Duration = Duration::from_millis(300);
/// After this silence behind an answer nothing more is expected.
const SILENCE: Duration = Duration::from_millis(40);

/// Within this time the last piece of an answer has arrived, on a busy machine too.
const LATE: Duration = Duration::from_millis(300);

/// Sends a probe through `proxy`, asks once more as somebody else, and says what was seen.
pub(super) async fn one(
    proxy: SocketAddr,
    recorder: &Recorder,
    probe: &Probe,
    number: usize,
) -> anyhow::Result<Seen> {
    recorder.begin(&probe.answers, probe.closes)?;
    let (client, ended) = exchange(proxy, probe, number).await?;
    if probe.answers.len() > 1 {
        // What comes late has to come before the next request: behind it nobody could tell whose
        // answer it is.
        tokio::time::sleep(LATE).await;
    }
    let wanted = format!("{SECOND}{number}");
    let got = second(proxy, &wanted, number).await;
    Ok(Seen {
        upstream: recorder.arrived()?,
        client,
        ended,
        second: (got != wanted).then_some(got),
    })
}

/// Each client comes from an address of its own, so that none answers for another's conduct.
async fn connect(proxy: SocketAddr, net: u8, number: usize) -> std::io::Result<TcpStream> {
    let [.., high, low] = number.to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, net, high, low), 0).into())?;
    socket.connect(proxy).await
}

async fn exchange(
    proxy: SocketAddr,
    probe: &Probe,
    number: usize,
) -> std::io::Result<(Vec<u8>, bool)> {
    let mut stream = connect(proxy, 1, number).await?;
    for (n, piece) in probe.sends.iter().enumerate() {
        if n > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        // A proxy that has refused already may have closed.
        if stream.write_all(piece).await.is_err() {
            break;
        }
    }
    let doubtful = probe.accept.refuse;
    let began = Instant::now();
    let mut got = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let answered = finals(&got, probe) >= probe.count;
        let wait = match (answered, got.is_empty()) {
            (true, _) => SILENCE,
            (false, false) if doubtful => DOUBT / 2,
            (false, true) if doubtful => DOUBT,
            (false, _) => PATIENCE.saturating_sub(began.elapsed()),
        };
        match timeout(wait, stream.read(&mut buffer)).await {
            Ok(Ok(read @ 1..)) => got.extend(buffer.get(..read).unwrap_or_default()),
            Ok(_) => return Ok((got, true)),
            Err(_) => return Ok((got, false)),
        }
    }
}

fn finals(got: &[u8], probe: &Probe) -> usize {
    let all = answers(got, false, is_head(probe)).unwrap_or_default();
    all.iter().filter(|answer| answer.status >= 200).count()
}

/// What an ordinary client gets for an ordinary request.
async fn second(proxy: SocketAddr, target: &str, number: usize) -> String {
    let asked = async {
        let mut stream = connect(proxy, 2, number).await?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await?;
        std::io::Result::Ok(got)
    };
    let got = match timeout(PATIENCE, asked).await {
        Ok(Ok(got)) => got,
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return "nothing".to_owned(),
    };
    match answers(&got, true, false).as_deref() {
        Ok([one]) if one.status == 200 => String::from_utf8_lossy(&one.body).into_owned(),
        Ok(_) | Err(_) => String::from_utf8_lossy(&got).escape_debug().to_string(),
    }
}
