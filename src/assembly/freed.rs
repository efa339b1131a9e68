//! Memory that only a start or a change needed goes back to the system.
//!
//! The allocator gives freed memory back when somebody asks it for much or a thread ends, and a
//! gateway at work does neither; and what one thread took and others freed waits for that thread to
//! take more. So whatever loads rules does it on a thread that ends, and a while later another
//! thread ends, when all of it has been free for longer than the allocator keeps it.
//!
//! Memory that was just freed is what the allocator hands out first, and whoever takes a little of it
//! keeps a page that is dirty from end to end: a dozen threads that start right after the rules were
//! read, each with small things of twenty sizes, kept some 20 MiB alive that nobody used. So what
//! reading leaves is held until they have started on fresh pages, and goes back after that.
//!
//! Not here: memory that is needed. Nothing depends on this but how much is resident.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

/// Longer than the second for which the allocator keeps what is free, twice: the last of the old
/// rules is freed after the new ones are in force.
const FREE_FOR: [Duration; 2] = [Duration::from_millis(1_300), Duration::from_millis(2_500)];

/// As much as the first thread of a process has: rules may be deeply nested.
const STACK_BYTES: usize = 8 << 20;

/// What is held: in pieces that the larger holes left by reading have room for, of a size that the
/// allocator gives pages of their own. Nothing is written to them, so they add nothing themselves.
const HELD: [(usize, usize); 2] = [(1 << 20, 96), (600 << 10, 32)];

static HELD_NOW: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Keeps what has been freed by now from being handed out before [`give_back`]. A second call holds
/// what came free since the first one.
pub(super) fn hold() {
    // Where there is no room it is not needed: what is short is not left lying about either.
    let pieces = HELD.iter().flat_map(|(bytes, count)| {
        let piece = |_| {
            let mut piece = Vec::new();
            let had = piece.try_reserve_exact(*bytes);
            had.ok().map(|()| black_box(piece))
        };
        (0..*count).map_while(piece)
    });
    let mut held = HELD_NOW.lock().unwrap_or_else(PoisonError::into_inner);
    // Twice at a start; whoever opens a gateway and never runs it holds no more than that.
    if held.len() <= HELD.iter().map(|(_, count)| count).sum() {
        held.extend(pieces);
    }
}

/// Does `work` on a thread of its own and waits for it; here where no thread can be had.
///
/// # Panics
/// As `work` does.
pub fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let held = Mutex::new(Some(work));
    let take = || {
        let work = held.lock().unwrap_or_else(PoisonError::into_inner).take();
        work.map(|work| work())
    };
    let done = thread::scope(|scope| {
        let builder = Builder::new().name("loading".to_owned());
        let thread = builder.stack_size(STACK_BYTES).spawn_scoped(scope, take);
        thread
            .ok()?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    match done.or_else(take) {
        Some(done) => done,
        None => unreachable!("work is done once"),
    }
}

/// Has freed memory given back soon. Does not wait.
pub(super) fn give_back() {
    let spawned = Builder::new().name("memory".to_owned()).spawn(|| {
        let held = std::mem::take(&mut *HELD_NOW.lock().unwrap_or_else(PoisonError::into_inner));
        drop(held);
        for rest in FREE_FOR {
            thread::sleep(rest);
            // A thread that ends after it took something makes the allocator look.
            let looked = Builder::new().spawn(|| drop(black_box(Box::new(0_u64))));
            drop(looked.map(thread::JoinHandle::join));
        }
    });
    if let Err(error) = spawned {
        tracing::debug!(event = "memory_kept", %error);
    }
}
