//! The result of matching one request.

use crate::contract::{ContractIndex, Folds};

/// Under which contract a request falls. The path is matched first, the method second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Path and method are in this contract.
    Contracted(ContractIndex),
    /// The path is known, the method is in none of its contracts; this is the one of that path
    /// with the smallest id.
    MethodNotAllowed(ContractIndex),
    /// No contract has this path.
    Unknown,
    /// The path has no single meaning, so no contract may claim it.
    Ambiguous(PathFault),
    /// No contract may claim the path, and a server that reads it more loosely would take it for
    /// one of this contract.
    Alias {
        /// The contract that it may reach.
        contract: ContractIndex,
        /// How loosely it has to be read for that; never empty.
        folds: Folds,
        /// Why it is ambiguous besides; `None` = it is just unknown.
        fault: Option<PathFault>,
    },
}

/// Why a path cannot be made canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PathFault {
    /// `.` or `..` as a segment, in any spelling, also before `;`.
    DotSegment,
    /// A backslash, raw or encoded.
    Backslash,
    /// An encoded or raw control byte.
    ControlByte,
    /// `%2F` where no contract of the path allows it.
    EncodedSlash,
    /// `%25` before two hex digits: the path was encoded twice.
    DoubleEncoding,
    /// `%` without two hex digits.
    IncompleteEscape,
    /// Decoded bytes that are not UTF-8.
    NotUtf8,
    /// A raw byte above 0x7F.
    RawHighByte,
    /// `//` where no contract of the path merges slashes.
    EmptySegment,
    /// `#` in the target.
    Fragment,
    /// More than 64 segments.
    TooManySegments,
    /// Not a path at all (does not begin with `/`).
    NotAPath,
    /// A segment that begins with `;`: without its parameters it is empty.
    BareParameters,
    /// One contract has the path, and under a looser reading another one.
    TwoReadings,
}

impl PathFault {
    /// All faults.
    pub const ALL: [Self; 14] = [
        Self::DotSegment,
        Self::Backslash,
        Self::ControlByte,
        Self::EncodedSlash,
        Self::DoubleEncoding,
        Self::IncompleteEscape,
        Self::NotUtf8,
        Self::RawHighByte,
        Self::EmptySegment,
        Self::Fragment,
        Self::TooManySegments,
        Self::NotAPath,
        Self::BareParameters,
        Self::TwoReadings,
    ];

    /// What the client is told.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::DotSegment => "the path has a dot segment",
            Self::Backslash => "the path has a backslash",
            Self::ControlByte => "the path has a control character",
            Self::EncodedSlash => "the path has an encoded slash",
            Self::DoubleEncoding => "the path is encoded twice",
            Self::IncompleteEscape => "the path has an incomplete percent escape",
            Self::NotUtf8 => "the path does not decode to UTF-8",
            Self::RawHighByte => "the path has a raw byte above 0x7F",
            Self::EmptySegment => "the path has an empty segment",
            Self::Fragment => "the path has a fragment",
            Self::TooManySegments => "the path has more than 64 segments",
            Self::NotAPath => "the target is not a path",
            Self::BareParameters => "the path has a segment of parameters alone",
            Self::TwoReadings => "the path can be read as that of another contract",
        }
    }
}
