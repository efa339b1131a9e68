//! The operational log on stderr: JSON lines, or text when stderr is a terminal.
//!
//! One event is one line: control characters are escaped, whoever they came from. Records of the
//! `log` crate, which Pingora writes, come out like our own. One place in the program writes at
//! most ten lines a second. Deliberately not here: decisions; they stand in the ledger.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Display, Write};
use std::hash::{Hash, Hasher};
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{DefaultFields, Format, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::telemetry::log_limit::{Limiter, Suppressed};
use crate::units::Moment;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Lines that were left out, all places together.
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "{variable}={value}: {error}; write a level (error, warn, info, debug, trace) or target=level, separated by commas"
    )]
    Filter {
        /// The environment variable.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        error: String,
    },
    /// Somebody else set up a log before.
    #[error("the log is set up already: {0}")]
    Twice(String),
}

/// Sets up the log of this process, once: level from `TIDEGATE_LOG`, else `RUST_LOG`, else info.
/// `now` is the shell's clock.
///
/// # Errors
/// [`LogError`] where a filter cannot be read, or a log was set up before.
pub fn init(now: fn() -> Moment) -> Result<(), LogError> {
    let filter = filter_from(|variable| std::env::var(variable).ok())?;
    let twice = |error: &dyn Display| LogError::Twice(error.to_string());
    if io::stderr().is_terminal() {
        let subscriber = text_log(filter, now, io::stderr);
        return subscriber.try_init().map_err(|error| twice(&error));
    }
    let subscriber = json_log(filter, now, io::stderr);
    subscriber.try_init().map_err(|error| twice(&error))
}

/// Lines that the rate limit left out so far.
#[must_use]
pub fn suppressed_total() -> u64 {
    SUPPRESSED.load(Ordering::Relaxed)
}

fn filter_from(read: impl Fn(&'static str) -> Option<String>) -> Result<EnvFilter, LogError> {
    let set = ["TIDEGATE_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|variable| read(variable).map(|value| (variable, value)))
        .filter(|(_, value)| !value.is_empty());
    let Some((variable, value)) = set else {
        return Ok(EnvFilter::new("info"));
    };
    EnvFilter::try_new(&value).map_err(|error| LogError::Filter {
        variable,
        value,
        error: error.to_string(),
    })
}

fn json_log<W>(filter: EnvFilter, now: fn() -> Moment, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let format = Format::default().json().flatten_event(true);
    let format = format.with_current_span(false).with_span_list(false);
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(OneLine::new(format, Shape::Json, now))
        // Otherwise a line that cannot be written would end its thread in a panic of `eprintln!`.
        .log_internal_errors(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter).with(layer)
}

fn text_log<W>(filter: EnvFilter, now: fn() -> Moment, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let format = Format::default().with_ansi(false);
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(DefaultFields::new())
        .with_ansi(false)
        .event_format(OneLine::new(format, Shape::Text, now))
        // Otherwise a line that cannot be written would end its thread in a panic of `eprintln!`.
        .log_internal_errors(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter).with(layer)
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Json,
    Text,
}

/// Writes an event as exactly one line, if its place may write one.
struct OneLine<F> {
    inner: F,
    shape: Shape,
    limiter: Limiter,
    now: fn() -> Moment,
}

impl<F> OneLine<F> {
    fn new(inner: F, shape: Shape, now: fn() -> Moment) -> Self {
        Self {
            inner,
            shape,
            limiter: Limiter::default(),
            now,
        }
    }

    fn notice(&self, out: &mut Writer<'_>, at: Moment, notice: &Suppressed) -> fmt::Result {
        let (seconds, lines) = (at.wall_us / 1_000_000, notice.lines);
        let target = escaped(&notice.target);
        match self.shape {
            Shape::Json => writeln!(
                out,
                r#"{{"unix_time":{seconds},"level":"WARN","message":"log lines suppressed","lines":{lines},"target":"{target}"}}"#
            ),
            Shape::Text => writeln!(
                out,
                " WARN {target}: log lines suppressed lines={lines} unix_time={seconds}"
            ),
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let at = (self.now)();
        let origin = Origin::of(event);
        let second = at.monotonic_ns / NANOS_PER_SECOND;
        let verdict = self.limiter.ask(origin.place, &origin.target, second);
        for notice in &verdict.notices {
            self.notice(&mut out, at, notice)?;
        }
        if !verdict.write {
            SUPPRESSED.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        if matches!(self.shape, Shape::Json) && event.metadata().target() == "log" {
            line = without_origin(&line).unwrap_or(line);
        }
        writeln!(out, "{}", escaped(line.trim_end_matches('\n')))
    }
}

/// A line of the `log` crate without the place in a library's source, which names a folder of the
/// machine that built the program.
fn without_origin(line: &str) -> Option<String> {
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    fields.retain(|name, _| !name.starts_with("log.") || name == "log.target");
    serde_json::to_string(&fields).ok()
}

/// Where in the program an event comes from.
#[derive(Default)]
struct Origin {
    place: u64,
    target: String,
    line: u64,
}

impl Origin {
    fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut hash = DefaultHasher::new();
        let mut origin = Self::default();
        // All records of the `log` crate share one callsite a level; theirs is in the fields.
        if metadata.target() == "log" {
            event.record(&mut origin);
            (&origin.target, origin.line, metadata.level()).hash(&mut hash);
        } else {
            metadata.target().clone_into(&mut origin.target);
            metadata.callsite().hash(&mut hash);
        }
        origin.place = hash.finish();
        origin
    }
}

impl Visit for Origin {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            value.clone_into(&mut self.target);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "log.line" {
            self.line = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// Text with every control character escaped, so that nobody can write a line of their own or
/// speak to the terminal.
fn escaped(text: &str) -> impl Display {
    fmt::from_fn(move |out| {
        for character in text.chars() {
            if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
                write!(out, "\\u{{{:x}}}", u32::from(character))?;
            } else {
                out.write_char(character)?;
            }
        }
        Ok(())
    })
}

/// Bytes that a client sent, for a log field: at most 256 of them, everything unprintable
/// escaped.
#[derive(Debug, Clone, Copy)]
pub struct FromClient<'a>(pub &'a [u8]);

const CLIENT_BYTES_MAX: usize = 256;

impl Display for FromClient<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..CLIENT_BYTES_MAX).unwrap_or(self.0);
        write!(out, "{}", shown.escape_ascii())?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(out, "... ({more} bytes more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::EnvFilter;

    use super::{FromClient, LogError, filter_from, json_log, text_log};
    use crate::units::Moment;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic").clone()).expect("log is text")
        }
    }

    fn at_zero() -> Moment {
        Moment::default()
    }

    fn json(run: impl FnOnce()) -> Vec<serde_json::Value> {
        let sink = Sink::default();
        let maker = sink.clone();
        let log = json_log(EnvFilter::new("info"), at_zero, move || maker.clone());
        tracing::subscriber::with_default(log, run);
        let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
        sink.text().lines().map(parse).collect()
    }

    #[test]
    fn an_event_is_one_line_of_json() {
        let lines = json(|| {
            tracing::info!(
                listener = 3,
                peer = "a\"b\nc\u{1b}[2J",
                "closed\nINFO forged"
            );
            tracing::debug!("not at this level");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "closed\nINFO forged");
        assert_eq!(line["listener"], 3);
        assert_eq!(line["peer"], "a\"b\nc\u{1b}[2J");
    }

    #[test]
    fn a_terminal_gets_one_line_without_control_characters() {
        let sink = Sink::default();
        let maker = sink.clone();
        let log = text_log(EnvFilter::new("info"), at_zero, move || maker.clone());
        tracing::subscriber::with_default(log, || {
            tracing::warn!("path \u{1b}[2J\r\n WARN forged");
        });
        let text = sink.text();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.ends_with('\n') && !text.trim_end().contains(char::is_control));
    }

    #[test]
    fn a_place_that_writes_too_much_is_cut_short() {
        let before = super::suppressed_total();
        let lines = json(|| {
            for number in 0..50 {
                tracing::info!(number, "again");
            }
            tracing::info!("another place");
        });
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[10]["message"], "another place");
        assert!(super::suppressed_total() >= before + 40);
    }

    #[test]
    fn what_was_left_out_is_told_in_the_next_second() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static SECOND: AtomicU64 = AtomicU64::new(5);
        fn clock() -> Moment {
            Moment::default().plus_nanos(SECOND.load(Ordering::Relaxed) * 1_000_000_000)
        }
        let sink = Sink::default();
        let maker = sink.clone();
        let log = json_log(EnvFilter::new("info"), clock, move || maker.clone());
        tracing::subscriber::with_default(log, || {
            for _ in 0..30 {
                tracing::info!("again");
            }
            SECOND.store(6, Ordering::Relaxed);
            tracing::info!("later");
        });
        let text = sink.text();
        let notice: serde_json::Value =
            serde_json::from_str(text.lines().nth(10).expect("a notice")).expect("JSON");
        assert_eq!(notice["lines"], 20);
        assert_eq!(notice["level"], "WARN");
        assert_eq!(notice["target"], module_path!());
    }

    #[test]
    fn the_level_comes_from_our_variable_first() {
        let table = [
            (None, None, "info"),
            (Some("debug"), Some("error"), "debug"),
            (None, Some("error"), "error"),
            (Some(""), None, "info"),
        ];
        for (ours, rust, want) in table {
            let read = |variable: &'static str| match variable {
                "TIDEGATE_LOG" => ours.map(str::to_owned),
                _ => rust.map(str::to_owned),
            };
            let filter = filter_from(read).expect("all of them are levels");
            assert_eq!(filter.to_string(), want, "{ours:?} {rust:?}");
        }
        let error = filter_from(|_| Some("x=loud".to_owned())).expect_err("no such level");
        assert!(matches!(
            error,
            LogError::Filter {
                variable: "TIDEGATE_LOG",
                ..
            }
        ));
    }

    #[test]
    fn bytes_of_clients_are_shown_escaped_and_short() {
        assert_eq!(
            FromClient(b"GET /\r\n\xff\x1b").to_string(),
            r"GET /\r\n\xff\x1b"
        );
        let long = FromClient(&[b'a'; 300]).to_string();
        assert!(long.ends_with("... (44 bytes more)") && long.len() < 300);
    }
}
