//! What to check, and against what.

use super::heads::Head;
use super::keys::TrustedKey;
use super::tree::{Hash, from_hex};

/// A head that was kept elsewhere.
#[derive(Debug, Clone)]
pub struct KnownHead(pub(super) Known);

#[derive(Debug, Clone)]
pub(super) enum Known {
    Note(Head),
    Record(u64, Hash),
}

impl KnownHead {
    /// Reads a signed note, or `SEQ:HASH` of one record.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let pair = std::str::from_utf8(bytes)
            .ok()
            .map(str::trim)
            .and_then(|text| {
                let (seq, hash) = text.split_once(':')?;
                Some(Known::Record(seq.parse().ok()?, from_hex(hash.as_bytes())?))
            });
        match pair {
            Some(pair) => Ok(Self(pair)),
            None => Ok(Self(Known::Note(Head::parse(bytes)?))),
        }
    }
}

/// What to check, and against what.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Only notes by these keys count, and one must be there; empty = the ledger's own keys.
    pub keys: Vec<TrustedKey>,
    /// A head kept elsewhere: it must be covered and fit.
    pub head: Option<KnownHead>,
    /// Only records from this number on.
    pub from: Option<u64>,
    /// Only records up to this number.
    pub to: Option<u64>,
    /// Segments that are checked side by side; 0 = as many as there are cores.
    pub threads: usize,
}
