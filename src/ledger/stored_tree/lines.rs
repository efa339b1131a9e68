//! The lines of records in order, over the segments of a ledger.
//!
//! Invariant: each line is handed out with the number of its record, or the gap is told; a segment
//! that ends early is damage. Not here: what stands in a line.

use std::path::Path;

use super::super::reader::Lines;
use super::{Part, ProofError};

/// One step through the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Step {
    /// The line of this record.
    Line(u64),
    /// Lines are gone; the next one, if any, is of this record.
    Gone(u64),
}

/// Reads lines across segments.
#[derive(Debug)]
pub(in crate::ledger) struct LinesFrom {
    parts: std::vec::IntoIter<Part>,
    from: u64,
    current: Option<(Part, Lines, u64)>,
}

impl LinesFrom {
    /// From record `seq` on, which is in the first of `parts` or before it.
    pub(super) fn new(parts: Vec<Part>, seq: u64) -> Self {
        Self {
            parts: parts.into_iter(),
            from: seq,
            current: None,
        }
    }

    /// The next line, without its newline, into `buffer`.
    pub(in crate::ledger) fn next(
        &mut self,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Step>, ProofError> {
        loop {
            let Some((part, lines, at)) = &mut self.current else {
                let Some(part) = self.parts.next() else {
                    return Ok(None);
                };
                let Some(segment) = &part.lines else {
                    return Ok(Some(Step::Gone(part.next_seq)));
                };
                let lines =
                    Lines::of_segment(segment).map_err(|e| ProofError::io(&segment.path, e))?;
                let first = part.first_seq;
                self.current = Some((part, lines, first));
                continue;
            };
            if *at >= part.next_seq {
                self.current = None;
                continue;
            }
            let path = part
                .lines
                .as_ref()
                .map_or(Path::new(""), |segment| &segment.path);
            let line = lines.next().map_err(|e| ProofError::io(path, e))?;
            let Some(line) = line.filter(|line| line.complete) else {
                let rule = format!("it ends before record {at}");
                return Err(ProofError::damaged(path, rule));
            };
            let seq = *at;
            *at += 1;
            if seq >= self.from {
                buffer.clear();
                buffer.extend_from_slice(line.bytes);
                return Ok(Some(Step::Line(seq)));
            }
        }
    }

    /// The line handed out last is no record.
    pub(in crate::ledger) fn damaged(&self, seq: u64) -> ProofError {
        let path = self.current.as_ref().and_then(|at| at.0.lines.as_ref());
        ProofError::damaged(
            path.map_or(Path::new(""), |segment| &segment.path),
            format!("the line of record {seq} is no record"),
        )
    }
}
