//! What became of a probe, from the bytes that both sides saw.

use super::file::Probe;
use super::lenient::{TASTES, targets};
use super::recorder::SECOND;
use super::strict;

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An error, or the end of the connection; the other side saw no whole message.
    Refused,
    /// Passed on in a legal form.
    Passed,
    /// Passed on malformed.
    Malformed(String),
    /// Passed on with a field that may not arrive there.
    Leaked(String),
    /// Somebody counts more messages than were sent, or got an answer that is not his.
    Doubled(String),
}

impl Outcome {
    /// One word for tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Passed => "passed",
            Self::Malformed(_) => "MALFORMED",
            Self::Leaked(_) => "LEAKED",
            Self::Doubled(_) => "DOUBLED",
        }
    }

    /// Whether the probe accepts it.
    #[must_use]
    pub fn is_accepted(&self, probe: &Probe) -> bool {
        match self {
            Self::Refused => probe.accept.refuse,
            Self::Passed => probe.accept.normalise || probe.accept.forward,
            Self::Malformed(_) | Self::Leaked(_) | Self::Doubled(_) => false,
        }
    }
}

/// What was seen of a probe.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What reached the upstream, by connection.
    pub(super) upstream: Vec<Vec<u8>>,
    /// What came back to the client, and whether the connection ended.
    pub(super) client: Vec<u8>,
    pub(super) ended: bool,
    /// What a second client got instead of its answer.
    pub(super) second: Option<String>,
}

/// Judges it.
pub(super) fn judge(probe: &Probe, seen: &Seen) -> Outcome {
    for taste in TASTES {
        let counted = seen.upstream.iter().flat_map(|bytes| targets(bytes, taste));
        let counted = counted.filter(|target| !target.contains(SECOND)).count();
        if counted > probe.count {
            return Outcome::Doubled(format!("{counted} for who {}", taste.name));
        }
    }
    if let Some(got) = &seen.second {
        return Outcome::Doubled(format!("the second client got {got:.60}"));
    }
    let requests = match requests(&seen.upstream) {
        Ok(requests) => requests,
        Err(why) => return Outcome::Malformed(why.to_owned()),
    };
    if probe.is_answer() {
        return of_answer(probe, seen);
    }
    for (name, _) in requests.iter().flat_map(|request| &request.fields) {
        if probe.absent.contains(name) {
            return Outcome::Leaked(format!("{name} to the upstream"));
        }
    }
    let passed = requests.len();
    // What a proxy says by itself may be of HTTP/0.9; then nothing was passed on.
    let statuses = answers(&seen.client, seen.ended, is_head(probe)).unwrap_or_default();
    let finals = statuses
        .iter()
        .filter(|answer| answer.status >= 200)
        .count();
    if passed > probe.before && finals >= passed {
        Outcome::Passed
    } else {
        Outcome::Refused
    }
}

fn of_answer(probe: &Probe, seen: &Seen) -> Outcome {
    let answers = match answers(&seen.client, seen.ended, is_head(probe)) {
        Ok(answers) => answers,
        Err(why) => return Outcome::Malformed(format!("to the client: {why}")),
    };
    let finals: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status >= 200)
        .collect();
    match finals.as_slice() {
        [] => Outcome::Refused,
        [one] if one.status >= 500 => Outcome::Refused,
        [one] => {
            let mut names = one.fields.iter().map(|(name, _)| name);
            match names.find(|name| probe.absent.contains(name)) {
                Some(name) => Outcome::Leaked(format!("{name} to the client")),
                None => Outcome::Passed,
            }
        }
        more => Outcome::Doubled(format!("{} answers to one request", more.len())),
    }
}

pub(super) fn is_head(probe: &Probe) -> bool {
    probe
        .sends
        .first()
        .is_some_and(|sent| sent.starts_with(b"HEAD "))
}

fn requests(connections: &[Vec<u8>]) -> Result<Vec<strict::Request>, &'static str> {
    let mut all = Vec::new();
    for connection in connections {
        let mut bytes = connection.as_slice();
        while let Some(request) = strict::request(bytes)? {
            bytes = bytes.get(request.len..).unwrap_or_default();
            if !String::from_utf8_lossy(&request.target).contains(SECOND) {
                all.push(request);
            }
        }
    }
    Ok(all)
}

/// The whole answers in what a client got.
pub(super) fn answers(
    mut bytes: &[u8],
    ended: bool,
    to_head: bool,
) -> Result<Vec<strict::Response>, &'static str> {
    let mut all = Vec::new();
    while !bytes.is_empty()
        && let Some(answer) = strict::response(bytes, ended, to_head)?
    {
        bytes = bytes.get(answer.len..).unwrap_or_default();
        all.push(answer);
    }
    Ok(all)
}
