//! Exchanges in which limits, circuits and conduct decide, each on one connection and under
//! contracts that nobody else uses.

use super::answers;
use super::exchange::{Answer, End, Exchange, Step};
use super::requests::{self, Target};

/// Numbers of exchanges of this phase begin here.
const FIRST: u64 = 2_000_000;

/// What is asked one after the other: method, path behind the slot, fields, answer, pause before.
struct Asked {
    method: &'static str,
    path: &'static str,
    fields: &'static str,
    says: Says,
    pause_ms: u64,
}

#[derive(Clone, Copy)]
enum Says {
    Status(&'static str),
    /// Closes without a byte, and says 200 to the second attempt.
    Closes,
    Resets,
}

const fn ask(method: &'static str, path: &'static str, says: Says) -> Asked {
    Asked {
        method,
        path,
        fields: "",
        says,
        pause_ms: 0,
    }
}

const OK: Says = Says::Status("200 OK");
const BAD: Says = Says::Status("502 Bad Gateway");
const FAILS: Says = Says::Status("500 Internal Server Error");

/// All of them, one for each of the first slots.
pub(super) fn exchanges() -> Vec<Exchange> {
    let lists: Vec<(&str, Vec<Asked>)> = vec![
        (
            "limit of a contract",
            times(7, || ask("GET", "/rate/1", OK)),
        ),
        (
            "limit of a contract, bodies",
            times(7, || ask("POST", "/rate/1", OK)),
        ),
        ("limit of a client", times(7, || ask("GET", "/mine/1", OK))),
        ("limits of names", names()),
        // Waits of 2 s are longer than any request runs without a record of its own.
        ("delay", times(4, || ask("GET", "/delay/1", OK))),
        ("circuit", circuit(BAD)),
        ("circuit by resets", circuit(Says::Resets)),
        ("pushing back", pushing_back()),
        ("budget of retries", budget()),
        ("unknown paths", times(14, || ask("GET", "/nowhere", OK))),
        ("foreign methods", times(14, || ask("DELETE", "/g/1", OK))),
        ("declared retries", declared()),
        ("error rate", error_rate()),
        ("quarantined and dropped", mixed()),
        (
            "client errors",
            times(20, || ask("GET", "/o/1", Says::Status("404 Not Found"))),
        ),
        (
            "dropped without a word",
            times(1, || ask("DELETE", "/shut/1", OK)),
        ),
    ];
    lists
        .into_iter()
        .enumerate()
        .map(|(slot, (name, list))| exchange(slot, name, &list))
        .collect()
}

fn times(count: usize, of: impl Fn() -> Asked) -> Vec<Asked> {
    (0..count).map(|_| of()).collect()
}

fn names() -> Vec<Asked> {
    let name = |fields| Asked {
        fields,
        ..ask("GET", "/key/1", OK)
    };
    let (a, b) = ("X-Api-Key: a\r\n", "x-api-key: B\r\n");
    vec![
        name(a),
        name(a),
        name(a),
        name(b),
        name(""),
        name("X-Api-Key: a\r\nX-Api-Key: b\r\n"),
        name(a),
    ]
}

/// Failures until it opens, refusals, and the way back.
fn circuit(says: Says) -> Vec<Asked> {
    let mut list = times(8, || ask("GET", "/frail/1", says));
    list.push(Asked {
        pause_ms: 1_300,
        ..ask("GET", "/frail/1", OK)
    });
    list.extend(times(4, || ask("POST", "/frail/1", OK)));
    list
}

fn pushing_back() -> Vec<Asked> {
    let mut list = vec![ask("GET", "/o/1", OK), ask("GET", "/o/1", Says::Closes)];
    list.push(ask(
        "GET",
        "/o/1",
        Says::Status("429 Too Many\r\nRetry-After: 1"),
    ));
    list.extend([ask("GET", "/o/1", OK), ask("GET", "/o/1", Says::Closes)]);
    list.push(ask(
        "GET",
        "/o/1",
        Says::Status("503 Busy\r\nRetry-After: 1"),
    ));
    list.extend([ask("GET", "/o/1", OK), ask("GET", "/o/1", Says::Closes)]);
    list
}

/// More retries than the budget has.
fn budget() -> Vec<Asked> {
    let pair = || [ask("GET", "/o/1", OK), ask("GET", "/o/1", Says::Closes)];
    (0..12).flat_map(|_| pair()).collect()
}

fn declared() -> Vec<Asked> {
    times(16, || Asked {
        fields: "X-Retry-Count: 2\r\n",
        ..ask("GET", "/o/1", OK)
    })
}

fn error_rate() -> Vec<Asked> {
    let mut list = times(15, || ask("GET", "/o/1", OK));
    list.extend(times(25, || ask("GET", "/o/1", FAILS)));
    list
}

fn mixed() -> Vec<Asked> {
    let mut list = Vec::new();
    for _ in 0..4 {
        list.push(ask("GET", "/nowhere/1", OK));
        list.push(ask("GET", "/o/1", OK));
        list.push(ask("POST", "/g/1", OK));
        list.push(ask("HEAD", "/O/1", OK));
        list.push(ask("GET", "/old/1", OK));
        list.push(ask("GET", "/e/a%2Fb", OK));
        list.push(ask("GET", "/o/a%2Fb", OK));
    }
    list
}

fn exchange(slot: usize, name: &str, list: &[Asked]) -> Exchange {
    let mut exchange = Exchange {
        number: FIRST + slot as u64,
        class: format!("states: {name}"),
        slot,
        requests: list.len(),
        ..Exchange::default()
    };
    for asked in list {
        let case = exchange.case(exchange.scripts.len());
        let target = Target {
            text: format!("/w{slot}{}", asked.path).into_bytes(),
            is_own: true,
            may_push_back: true,
        };
        let body: &[u8] = if asked.method == "POST" { b"abc" } else { b"" };
        let mut request = requests::plain(&case, &target, asked.method, body);
        request.add_fields(asked.fields);
        if asked.pause_ms > 0 {
            exchange.steps.push(Step::Pause(asked.pause_ms));
        }
        exchange.steps.push(Step::Send(request.bytes));
        exchange.steps.push(Step::Expect(vec![request.is_head]));
        exchange
            .scripts
            .push((case, script(asked.says, request.is_head)));
    }
    exchange
}

fn script(says: Says, is_head: bool) -> Vec<Answer> {
    let ends = |end| Answer {
        end,
        ..Answer::default()
    };
    let again = answers::plain("200 OK", b"again", is_head);
    match says {
        Says::Status(status) => vec![answers::plain(status, b"hello", is_head)],
        Says::Closes => vec![ends(End::Close), again],
        Says::Resets => vec![ends(End::Reset)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::generate::SLOTS;

    #[test]
    fn each_has_a_slot_of_its_own() {
        let all = exchanges();
        assert!(all.len() <= SLOTS);
        let slots: std::collections::BTreeSet<usize> = all.iter().map(|one| one.slot).collect();
        assert_eq!(slots.len(), all.len());
    }
}
