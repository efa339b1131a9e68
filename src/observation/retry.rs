//! Retries: declared in a header, or seen because the same request failed a moment ago.
//!
//! Anybody can send such a header, so it may only lower a request's standing, never raise it.

use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::contract::Method;
use crate::observation::ClientKey;

const ENVOY: &str = "x-envoy-attempt-count";

/// The earlier attempts that the value of a retry field declares; `None` where it declares none.
#[must_use]
pub fn declared_retries(name: &str, value: &str) -> Option<u8> {
    let count: u64 = value.trim().parse().ok()?;
    // Envoy counts attempts, the first one included; the others count what came before.
    let retries = if name.eq_ignore_ascii_case(ENVOY) {
        count.saturating_sub(1)
    } else {
        count
    };
    Some(u8::try_from(retries).unwrap_or(u8::MAX))
}

/// What makes a request the same as another: client, method, canonical path and query.
///
/// Not a secret hash: the client's key is one, and nobody gains by a collision with himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestKey(u64);

impl RequestKey {
    /// The key of a request.
    #[must_use]
    #[inline]
    pub fn of(client: ClientKey, method: Method, path: &[u8], query: Option<&[u8]>) -> Self {
        let seed = client.0.rotate_left(8) ^ method as u64;
        let mut hasher = foldhash::fast::FixedState::with_seed(seed).build_hasher();
        hasher.write(path);
        if let Some(query) = query {
            hasher.write(query);
        }
        Self(hasher.finish())
    }
}

/// The requests that failed in the last ten seconds, as far as there is room. One that the gateway
/// itself refused has not failed, and one that went through after all is forgotten.
///
/// One word each: 40 bits of the key, 24 bits of time. A newer one overwrites an older one of the
/// same place, so a retry may be taken for a first attempt, but hardly ever the other way round.
#[derive(Debug, Default)]
pub struct RetryTable {
    words: OnceLock<Box<[AtomicU64]>>,
    /// When the last one was noted: while that is long ago nothing needs to be looked up.
    last: AtomicU64,
}

/// Words of the table.
pub const RETRY_WORDS: usize = 1 << 16;
/// 2^26 ns, 67 ms.
const UNIT_SHIFT: u32 = 26;
const TIME_MASK: u64 = 0x00ff_ffff;
/// Ten seconds in those units.
const REMEMBERED: u64 = 10_000_000_000 >> UNIT_SHIFT;

impl RetryTable {
    /// Notes that the upstream failed a request, or was silent until its client gave up.
    pub fn note(&self, request: RequestKey, now_ns: u64) {
        let words = self
            .words
            .get_or_init(|| (0..RETRY_WORDS).map(|_| AtomicU64::new(0)).collect());
        if let Some(word) = words.get(request.0 as usize % RETRY_WORDS) {
            let now = now_ns >> UNIT_SHIFT;
            word.store(request.0 & !TIME_MASK | now & TIME_MASK, Ordering::Relaxed);
            self.last.store(now, Ordering::Relaxed);
        }
    }

    /// Notes that a request went through after all: what comes again later is no retry of it.
    pub fn forget(&self, request: RequestKey, now_ns: u64) {
        let words = self.words.get().map(|words| &**words).unwrap_or_default();
        let word = words.get(request.0 as usize % RETRY_WORDS);
        if let Some(word) = word.filter(|_| self.finds(request, now_ns >> UNIT_SHIFT)) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the same request failed in the last ten seconds, and has not gone through since.
    #[must_use]
    #[inline]
    pub fn knows(&self, request: RequestKey, now_ns: u64) -> bool {
        let now = now_ns >> UNIT_SHIFT;
        let last = self.last.load(Ordering::Relaxed);
        last != 0 && now.saturating_sub(last) <= REMEMBERED && self.finds(request, now)
    }

    fn finds(&self, request: RequestKey, now: u64) -> bool {
        let words = self.words.get().map(|words| &**words).unwrap_or_default();
        let word = words.get(request.0 as usize % RETRY_WORDS);
        word.is_some_and(|word| {
            let word = word.load(Ordering::Relaxed);
            let age = now.wrapping_sub(word) & TIME_MASK;
            (word ^ request.0) & !TIME_MASK == 0 && age <= REMEMBERED
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestKey, RetryTable, declared_retries};
    use crate::contract::Method;
    use crate::observation::ClientKey;

    #[test]
    fn only_numbers_declare() {
        let table = [
            ("x-envoy-attempt-count", "1", Some(0)),
            ("X-Envoy-Attempt-Count", "3", Some(2)),
            ("x-retry-count", " 4 ", Some(4)),
            ("grpc-previous-rpc-attempts", "70000", Some(255)),
            ("x-retry-count", "-1", None),
        ];
        for (name, value, want) in table {
            assert_eq!(declared_retries(name, value), want, "{name}: {value}");
        }
    }

    #[test]
    fn the_same_request_is_known_for_ten_seconds() {
        // R044
        const SECOND: u64 = 1_000_000_000;
        let key = |client, method, path: &str, query: Option<&str>| {
            RequestKey::of(
                ClientKey(client),
                method,
                path.as_bytes(),
                query.map(str::as_bytes),
            )
        };
        let table = RetryTable::default();
        let failed = key(1, Method::Get, "/a", Some("b"));
        assert!(!table.knows(failed, 100 * SECOND));
        table.note(failed, 100 * SECOND);
        assert!(table.knows(failed, 100 * SECOND));
        assert!(table.knows(failed, 109 * SECOND));
        assert!(!table.knows(failed, 111 * SECOND));
        table.note(failed, 115 * SECOND);
        table.forget(failed, 116 * SECOND);
        assert!(!table.knows(failed, 116 * SECOND), "it went through");
        table.note(failed, 120 * SECOND);
        for other in [
            key(2, Method::Get, "/a", Some("b")),
            key(1, Method::Post, "/a", Some("b")),
            key(1, Method::Get, "/A", Some("b")),
            key(1, Method::Get, "/a", Some("c")),
            key(1, Method::Get, "/a", None),
        ] {
            assert!(!table.knows(other, 120 * SECOND), "{other:?}");
        }
    }
}
