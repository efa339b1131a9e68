//! What the upstream is asked to do, read from the path or from `?do=` of the target.
//!
//! The query form lets a request match any contract and still be slow or fail.

use std::time::Duration;

use super::script::Script;

/// One way to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 with the request's body, or a short JSON body.
    Echo,
    /// `/status/CODE`.
    Status(u16),
    /// `/slow/MS`: 200 after so many milliseconds, at most 60,000.
    Slow(Duration),
    /// `/work/MS`: 200 after so many milliseconds of work by one of a few workers; the request
    /// waits for its turn, and is worked on whether or not its client is still there.
    Work(Duration),
    /// `/head`: 200 with the request's head, fields sorted.
    Head,
    /// `/bytes/N`: a body of so many bytes.
    Bytes(u64),
    /// `/chunked/N`: the same in chunks.
    Chunked(u64),
    /// `/reset`: the connection is reset after the request was read.
    Reset,
    /// `/garbage`: bytes that are not HTTP.
    Garbage,
    /// `/hang`: no answer.
    Hang,
    /// `/fault/NAME`: an answer that no upstream should give.
    Fault(Script),
    /// `/_count`: what was seen, as JSON; not itself counted.
    Count,
    /// `/_reset`: counts from zero again.
    Reset0,
}

impl Behaviour {
    /// Reads it from a request target; anything unknown is an echo.
    #[must_use]
    pub fn of(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let asked = query
            .split('&')
            .find_map(|p| p.strip_prefix("do="))
            .unwrap_or(path.trim_start_matches('/'));
        let (name, argument) = asked.split_once('/').unwrap_or((asked, ""));
        if let ("fault", Some(script)) = (name, Script::of(argument)) {
            return Self::Fault(script);
        }
        let number = argument.parse::<u64>().ok();
        match (name, number) {
            ("status", Some(code @ 200..=599)) => Self::Status(u16::try_from(code).unwrap_or(500)),
            ("slow", Some(ms)) => Self::Slow(Duration::from_millis(ms.min(60_000))),
            ("work", Some(ms)) => Self::Work(Duration::from_millis(ms.min(60_000))),
            ("head", None) => Self::Head,
            ("bytes", Some(n)) => Self::Bytes(n),
            ("chunked", Some(n)) => Self::Chunked(n),
            ("reset", None) => Self::Reset,
            ("garbage", None) => Self::Garbage,
            ("hang", None) => Self::Hang,
            ("_count", None) => Self::Count,
            ("_reset", None) => Self::Reset0,
            _ => Self::Echo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_say_what_to_do() {
        let check = |target, expected| assert_eq!(Behaviour::of(target), expected, "{target}");
        check("/", Behaviour::Echo);
        check("/status/503", Behaviour::Status(503));
        check("/status/99", Behaviour::Echo);
        check("/slow/20", Behaviour::Slow(Duration::from_millis(20)));
        check(
            "/api/v1/x?a=1&do=slow/20",
            Behaviour::Slow(Duration::from_millis(20)),
        );
        check("/api/v1/x?do=reset", Behaviour::Reset);
        check("/a?do=work/9", Behaviour::Work(Duration::from_millis(9)));
        check("/a?do=head", Behaviour::Head);
        check("/bytes/7", Behaviour::Bytes(7));
        check("/_count", Behaviour::Count);
    }
}
