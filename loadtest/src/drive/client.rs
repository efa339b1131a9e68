//! One connection's loop: draw a request, send it, read the answer, count.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Shared;
use super::mix::Drawn;
use crate::random::Random;
use crate::wire::Connection;

/// A server that stays silent for so long has lost the request.
const PATIENCE: Duration = Duration::from_secs(30);
/// After so many failed connects in a row the server counts as gone and the loop ends.
const CONNECT_TRIES: u32 = 50;

/// Heads that no HTTP/1.1 server may forward, whatever its policy.
const MALFORMED: [&str; 5] = [
    "GET / HTTP/1.1\r\nHost: load\r\nno colon here\r\n\r\n",
    "GET / HTTP/9.9\r\nHost: load\r\n\r\n",
    "G\u{1}T / HTTP/1.1\r\nHost: load\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: load\r\nBad Name: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: load\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
];

/// Works until the run's requests are used up or the server is gone.
pub(super) async fn work(shared: Rc<Shared>) {
    let mut held: Option<Connection> = None;
    loop {
        let index = shared.next.get();
        if index >= shared.options.requests {
            return;
        }
        shared.next.set(index + 1);
        let mut random = Random::item(shared.options.seed, index);
        if random.chance(shared.options.malformed_share) {
            send_malformed(&shared, &mut random).await;
        }
        let drawn = shared.mix.draw(index, &mut random);
        let abort = random.chance(shared.options.abort_share);
        let id = format!("{:x}-{index:x}", shared.options.seed);
        let mut outcome = attempt(&shared, &mut held, &drawn, &id, abort).await;
        let failed = matches!(outcome, Outcome::Lost | Outcome::Status(500..=599));
        if shared.options.retry && failed && drawn.method == "GET" {
            shared.tally.borrow_mut().retries += 1;
            outcome = attempt(&shared, &mut held, &drawn, &format!("{id}-r"), false).await;
        }
        if matches!(outcome, Outcome::NoConnection) {
            return;
        }
    }
}

/// How one attempt ended.
enum Outcome {
    Status(u16),
    Aborted,
    Lost,
    NoConnection,
}

async fn attempt(
    shared: &Shared,
    held: &mut Option<Connection>,
    drawn: &Drawn,
    id: &str,
    abort: bool,
) -> Outcome {
    let mut connection = match held.take() {
        Some(connection) => connection,
        None => match connect(shared).await {
            Some(connection) => connection,
            None => {
                shared.tally.borrow_mut().not_sent += 1;
                return Outcome::NoConnection;
            }
        },
    };
    let (head, body) = drawn.bytes(id);
    let whole = [head.as_slice(), body.as_slice()].concat();
    let began = Instant::now();
    if connection.send(&whole).await.is_err() {
        // Whether the head arrived cannot be known from here.
        shared.tally.borrow_mut().lost += 1;
        return Outcome::Lost;
    }
    shared.tally.borrow_mut().heads += 1;
    if abort {
        shared.tally.borrow_mut().aborted += 1;
        return Outcome::Aborted;
    }
    match timeout(PATIENCE, answer(&mut connection, &drawn.method)).await {
        Ok(Ok(answered)) => {
            let mut tally = shared.tally.borrow_mut();
            let status = answered.status;
            tally.note(status, answered.decision_id.as_deref(), began.elapsed());
            if answered.problem {
                tally.note_problem(status);
            }
            if answered.keep {
                *held = Some(connection);
            }
            Outcome::Status(status)
        }
        _ => {
            shared.tally.borrow_mut().lost += 1;
            Outcome::Lost
        }
    }
}

async fn connect(shared: &Shared) -> Option<Connection> {
    for _ in 0..CONNECT_TRIES {
        if let Ok(stream) = TcpStream::connect(shared.options.target).await {
            shared.tally.borrow_mut().connections += 1;
            return Connection::new(stream).ok();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// What is kept of an answer.
struct Answered {
    status: u16,
    decision_id: Option<String>,
    // Whether the body is a problem document, which this upstream never sends.
    problem: bool,
    // Whether the connection lives on.
    keep: bool,
}

async fn answer(connection: &mut Connection, method: &str) -> io::Result<Answered> {
    let head = connection
        .response()
        .await?
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let framing = head.response_framing(method)?;
    connection.body(framing, None).await?;
    Ok(Answered {
        status: head.status,
        decision_id: head.header("tidegate-decision-id").map(str::to_owned),
        problem: head
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/problem+json")),
        keep: !head.closes() && framing != crate::wire::Framing::Close,
    })
}

async fn send_malformed(shared: &Shared, random: &mut Random) {
    let Some(mut connection) = connect(shared).await else {
        return;
    };
    let at = usize::try_from(random.below(MALFORMED.len() as u64)).unwrap_or(0);
    let text = MALFORMED.get(at).copied().unwrap_or_default();
    if connection.send(text.as_bytes()).await.is_err() {
        return;
    }
    shared.tally.borrow_mut().malformed += 1;
    let status = match timeout(PATIENCE, connection.response()).await {
        Ok(Ok(Some(head))) => head.status,
        _ => 0,
    };
    *shared
        .tally
        .borrow_mut()
        .malformed_answers
        .entry(status)
        .or_default() += 1;
}
