//! Hands the lines of a ledger to several threads, in batches, and puts what they print in order.
//!
//! One thread reads, because finding newlines is cheap beside judging. Batches are numbered, so
//! what is printed does not depend on which thread was faster. Memory is bounded by the queue.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::ledger::DirectoryLines;

/// A batch is handed on when it has grown to this.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that wait for each thread.
const WAITING: usize = 2;

/// Where a line stands.
pub(super) struct Place<'a> {
    pub(super) segment: &'a Path,
    pub(super) offset: u64,
    /// False for a last line without newline.
    pub(super) complete: bool,
}

struct Entry {
    bytes: Range<usize>,
    offset: u64,
    complete: bool,
}

/// Lines of one segment.
struct Batch {
    number: u64,
    segment: Arc<PathBuf>,
    bytes: Vec<u8>,
    lines: Vec<Entry>,
}

/// Gives every line to one of `threads` workers, each with a state of its own made by `begin`;
/// `take` adds to what is printed. Gives the states, and whether there was any line.
///
/// # Errors
/// Where the ledger cannot be read, or stdout not be written.
pub(super) fn in_parallel<S: Send>(
    lines: DirectoryLines,
    threads: usize,
    begin: impl Fn() -> S + Sync,
    take: impl Fn(&mut S, &Place<'_>, &[u8], &mut String) + Sync,
) -> io::Result<(Vec<S>, bool)> {
    let (send, receive) = bounded::<Batch>(threads * WAITING);
    let printer = Printer::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                let (receive, begin, take, printer) = (receive.clone(), &begin, &take, &printer);
                scope.spawn(move || work(&receive, begin(), take, printer))
            })
            .collect();
        drop(receive);
        let any = read(lines, send);
        let states: io::Result<Vec<S>> = workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a thread of the replay panicked")))
            })
            .collect();
        Ok((states?, any?))
    })
}

/// Reads all lines; gives whether there was one. Ends early when no worker is left.
fn read(mut lines: DirectoryLines, send: Sender<Batch>) -> io::Result<bool> {
    let (mut number, mut any) = (0, false);
    let mut batch: Option<Batch> = None;
    while let Some((segment, line)) = lines.next()? {
        any = true;
        if let Some(full) = batch
            .take_if(|batch| batch.bytes.len() >= BATCH_BYTES || *batch.segment != segment.path)
            && send.send(full).is_err()
        {
            return Ok(any);
        }
        let open = batch.get_or_insert_with(|| {
            number += 1;
            Batch {
                number: number - 1,
                segment: Arc::new(segment.path.clone()),
                bytes: Vec::with_capacity(BATCH_BYTES + 4_096),
                lines: Vec::new(),
            }
        });
        let start = open.bytes.len();
        open.bytes.extend_from_slice(line.bytes);
        open.lines.push(Entry {
            bytes: start..open.bytes.len(),
            offset: line.offset,
            complete: line.complete,
        });
    }
    if let Some(last) = batch {
        // No worker is left only after an error, which its own answer tells.
        let _ = send.send(last);
    }
    Ok(any)
}

fn work<S>(
    receive: &Receiver<Batch>,
    mut state: S,
    take: &impl Fn(&mut S, &Place<'_>, &[u8], &mut String),
    printer: &Printer,
) -> io::Result<S> {
    for batch in receive {
        let mut printed = String::new();
        for line in &batch.lines {
            let place = Place {
                segment: &batch.segment,
                offset: line.offset,
                complete: line.complete,
            };
            let bytes = batch.bytes.get(line.bytes.clone()).unwrap_or_default();
            take(&mut state, &place, bytes, &mut printed);
        }
        printer.put(batch.number, printed)?;
    }
    Ok(state)
}

/// Prints what belongs to a batch once everything before it is printed.
#[derive(Default)]
struct Printer(Mutex<(u64, BTreeMap<u64, String>)>);

impl Printer {
    fn put(&self, number: u64, text: String) -> io::Result<()> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, waiting) = &mut *guard;
        waiting.insert(number, text);
        while let Some(text) = waiting.remove(next) {
            *next += 1;
            if !text.is_empty() {
                write(&text)?;
            }
        }
        Ok(())
    }
}

/// Writes to stdout before the report.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let done = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    // The kind stays: a closed pipe is no failure, and whoever asked tells them apart.
    done.map_err(|e| io::Error::new(e.kind(), format!("stdout: {e}")))
}
