//! What verbs write to stdout and stderr, and what becomes of an error there.
//!
//! Invariant: nothing that was asked for gets lost with exit code 0. A reader that has seen enough
//! and closed its end is no error; a full disk is one. What goes to stderr is a message to whoever
//! listens: that nobody does is no reason to fail, let alone to panic as `eprintln!` does, so the
//! printing macros have no place in this program.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind, Write};

use super::offline::{FAILED, OK};

/// Writes all of `text` to stdout.
///
/// # Errors
/// What kept it from being written, a closed pipe aside.
pub(super) fn print(text: &str) -> io::Result<()> {
    write_all(&mut io::stdout().lock(), text.as_bytes())
}

/// Writes `text` to stdout and ends a verb: gives its exit code, or 1 where it was 0 and the text
/// could not be written.
pub(super) fn put(text: &str, code: u8) -> u8 {
    match print(text) {
        Ok(()) => code,
        Err(error) => unwritten(&error, code),
    }
}

/// Tells on stderr that stdout could not be written; gives the exit code, as [`put`] does.
pub(super) fn unwritten(error: &dyn Display, code: u8) -> u8 {
    note(format_args!("tidegate: stdout: {error}"));
    // What was found weighs more than that it could not be printed.
    if code == OK { FAILED } else { code }
}

/// Writes a line to stderr, if somebody takes it.
pub(super) fn note(line: Arguments<'_>) {
    note_text(&format!("{line}\n"));
}

/// Writes lines to stderr, if somebody takes them.
pub(super) fn note_text(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes and flushes: what a buffer takes is not written yet.
fn write_all(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with this when it is flushed, as a buffered disk that is full.
    struct Full(ErrorKind);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_closed_pipe_is_no_error() {
        for (kind, expected) in [
            (ErrorKind::BrokenPipe, None),
            (ErrorKind::StorageFull, Some(ErrorKind::StorageFull)),
            (ErrorKind::Other, Some(ErrorKind::Other)),
        ] {
            let found = write_all(&mut Full(kind), b"x").err().map(|e| e.kind());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_finding_keeps_its_exit_code() {
        for (code, expected) in [(OK, FAILED), (3, 3), (65, 65)] {
            assert_eq!(unwritten(&"no space", code), expected);
        }
    }
}
