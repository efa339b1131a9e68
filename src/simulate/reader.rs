//! Reads a traffic file line by line; memory is bounded by one line.

use std::io::{BufRead, Read};

use crate::simulate::{TrafficError, TrafficLine};

/// The longest line of a traffic file, bytes.
pub const TRAFFIC_LINE_BYTES_MAX: usize = 1 << 20;

/// The lines of a traffic file, in order. Blank lines are passed over, and counted.
#[derive(Debug)]
pub struct TrafficLines<R> {
    source: R,
    buffer: Vec<u8>,
    line: u64,
    earliest_ms: u64,
}

impl<R: BufRead> TrafficLines<R> {
    /// The lines that `source` holds.
    pub const fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            line: 0,
            earliest_ms: 0,
        }
    }

    /// The next request; `None` at the end.
    ///
    /// # Errors
    /// [`TrafficError`] names the line and the rule.
    pub fn next_line(&mut self) -> Result<Option<TrafficLine>, TrafficError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let line = self.line;
            let read = (&mut self.source)
                .take(TRAFFIC_LINE_BYTES_MAX as u64 + 1)
                .read_until(b'\n', &mut self.buffer)
                .map_err(|error| TrafficError::Read { line, error })?;
            if read == 0 {
                return Ok(None);
            }
            let range = |rule| Err(TrafficError::Range { line, rule });
            if read > TRAFFIC_LINE_BYTES_MAX {
                return range("it is longer than 1 MiB; write one request per line");
            }
            let Ok(text) = std::str::from_utf8(&self.buffer) else {
                return range("it is not UTF-8; save the file as UTF-8");
            };
            if text.trim_ascii().is_empty() {
                continue;
            }
            let read = TrafficLine::read(text, line, self.earliest_ms)?;
            self.earliest_ms = read.at_ms;
            return Ok(Some(read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TrafficLines;

    fn read_all(bytes: &[u8]) -> Result<Vec<u64>, String> {
        let mut lines = TrafficLines::new(bytes);
        let mut found = Vec::new();
        loop {
            match lines.next_line() {
                Ok(Some(line)) => found.push(line.at_ms),
                Ok(None) => return Ok(found),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn lines_are_numbered_from_one_and_blank_ones_count() {
        let good = br#"{"at_ms":1,"method":"GET","url":"/"}"#;
        let two = [&good[..], b"\r\n\n", &good[..]].concat();
        assert_eq!(read_all(&two), Ok(vec![1, 1]));
        assert_eq!(read_all(b""), Ok(vec![]));
        let table: [(&[u8], &str); 4] = [
            (b"\n\n{", "line 3: "),
            (b"\n\xff\n", "line 2: it is not UTF-8"),
            (&vec![b'x'; (1 << 20) + 5], "line 1: it is longer"),
            (b"[1]\n", "line 1: "),
        ];
        for (bytes, want) in table {
            let error = read_all(bytes).expect_err("a bad file");
            assert!(error.starts_with(want), "{error}");
        }
    }
}
