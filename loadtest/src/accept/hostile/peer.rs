//! An upstream for what is long: big bodies that are checked byte by byte, events, WebSockets, and
//! the page that a browser tries them with. One thread for each connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::interrupted;

/// What a piece of a big body is made in.
const PIECE: usize = 64 * 1024;
/// Between two events.
const PAUSE: Duration = Duration::from_millis(100);
/// Where the events behind the first are held back until a client has seen it, and for how long at most.
pub(super) const HELD_EVENTS: &str = "/events?held";
pub(super) const HELD_MAX: Duration = Duration::from_secs(20);
/// Events of a stream.
pub(super) const EVENTS: usize = 5;

const PAGE: &str = r#"<!doctype html><title>waits</title><pre id="told">waits</pre><script>
const told = {};
function done(name, value) {
  told[name] = value;
  if (Object.keys(told).length === 2) {
    document.getElementById('told').textContent = 'events=' + told.events + ' echo=' + told.echo;
    fetch('/told?events=' + told.events + '&echo=' + told.echo);
  }
}
let events = 0;
const source = new EventSource('/events');
source.onmessage = () => { events += 1; if (events === 5) { source.close(); done('events', events); } };
const socket = new WebSocket('ws://' + location.host + '/ws');
socket.onopen = () => socket.send('hello');
socket.onmessage = (message) => { done('echo', message.data); socket.close(); };
</script>"#;

/// Byte `at` of every big body.
fn byte_at(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Fills `piece` with what stands at `from`.
pub(super) fn fill(piece: &mut [u8], from: u64) {
    for (at, byte) in piece.iter_mut().enumerate() {
        *byte = byte_at(from + at as u64);
    }
}

/// Reads `bytes` of a big body; how many were right.
pub(super) fn check(stream: &mut impl Read, bytes: u64) -> std::io::Result<u64> {
    let (mut piece, mut at, mut right) = (vec![0; PIECE], 0, 0);
    while at < bytes {
        let most = piece.len().min((bytes - at) as usize);
        let read = interrupted::read(stream, piece.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            break;
        }
        let came = piece.get(..read).unwrap_or_default();
        let good = came
            .iter()
            .zip(at..)
            .filter(|(byte, at)| **byte == byte_at(*at));
        right += good.count() as u64;
        at += read as u64;
    }
    Ok(right)
}

/// Writes `bytes` of a big body.
pub(super) fn send(stream: &mut impl Write, bytes: u64) -> std::io::Result<()> {
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    while at < bytes {
        let most = piece.len().min((bytes - at) as usize);
        let next = piece.get_mut(..most).unwrap_or_default();
        fill(next, at);
        stream.write_all(next)?;
        at += most as u64;
    }
    Ok(())
}

/// Starts it on a free port; it ends with the process. `told` gets what the page reports; `first_seen` is
/// set by a client that has seen the first of the held events.
pub(super) fn start(
    told: std::sync::mpsc::Sender<String>,
    first_seen: Arc<AtomicBool>,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new()
        .name("peer".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, first_seen) = (told.clone(), Arc::clone(&first_seen));
                // How a connection ends is the other side's affair.
                std::thread::spawn(move || drop(serve(stream, &told, &first_seen)));
            }
        })?;
    Ok(address)
}

fn serve(
    stream: TcpStream,
    told: &std::sync::mpsc::Sender<String>,
    first_seen: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(PIECE, stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let number = |prefix: &str| target.strip_prefix(prefix)?.parse::<u64>().ok();
        if let Some(bytes) = number("/up/") {
            let right = check(&mut reader, bytes)?;
            answer(&mut writer, "text/plain", &right.to_string())?;
        } else if let Some(bytes) = number("/down/") {
            write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
            send(&mut writer, bytes)?;
        } else if target == "/events" {
            events(&mut writer, |_| std::thread::sleep(PAUSE))?;
        } else if target == HELD_EVENTS {
            events(&mut writer, |number| {
                if number == 0 {
                    hold(first_seen);
                }
            })?;
        } else if target == "/ws" {
            return websocket(&head, writer);
        } else if let Some(report) = target.strip_prefix("/told?") {
            // Nobody waits for it any more when the run is over.
            drop(told.send(report.to_owned()));
            answer(&mut writer, "text/plain", "thanks")?;
        } else {
            answer(&mut writer, "text/html", PAGE)?;
        }
    }
}

fn answer(writer: &mut TcpStream, kind: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Waits until a client has seen the first event; not for ever, for it may never get it alone.
fn hold(first_seen: &AtomicBool) {
    let began = Instant::now();
    while !first_seen.load(Ordering::SeqCst) && began.elapsed() < HELD_MAX {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends events; `between` is done behind each.
fn events(writer: &mut TcpStream, between: impl Fn(usize)) -> std::io::Result<()> {
    writer.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    for number in 0..EVENTS {
        let event = format!("data: {number}\n\n");
        write!(writer, "{:x}\r\n{event}\r\n", event.len())?;
        between(number);
    }
    writer.write_all(b"0\r\n\r\n")
}

/// Sends back every message.
fn websocket(head: &str, mut stream: TcpStream) -> std::io::Result<()> {
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then(|| value.trim().to_owned())
    });
    let accept = tungstenite::handshake::derive_accept_key(key.unwrap_or_default().as_bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    let role = tungstenite::protocol::Role::Server;
    let mut socket = tungstenite::WebSocket::from_raw_socket(stream, role, None);
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            break;
        }
    }
    Ok(())
}
