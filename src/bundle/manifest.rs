//! What a bundle says about itself: who made it, for whom, after what, until when.
//!
//! Valid by construction: what a [`Manifest`] holds is within the bounds of docs/bundle-format.md.
//! Whether it holds *now* and *here* is the verifier's question.

use super::text::{is_digest, is_name};
use crate::units::Tier;

/// Serials, epochs and times are whole in every reader of JSON.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The longest reason or reference.
pub const TEXT_CHARS_MAX: usize = 512;

/// The longest that a break-glass bundle holds: 4 hours, in microseconds.
pub const BREAKGLASS_US_MAX: u64 = 4 * 3_600 * 1_000_000;

/// Everything in a bundle but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The name of the line of bundles; a successor has the same.
    pub name: String,
    /// Rises only with the root: raising it makes burned serials usable again.
    pub epoch: u64,
    /// Rises with each bundle of an epoch, from 1.
    pub serial: u64,
    /// The bundle digest of the one that it replaces; `None` for the first under a root.
    pub parent: Option<String>,
    /// The principal who made it.
    pub author: String,
    /// The gateways that it is for: the audience of their root.
    pub audience: String,
    /// When it was made, microseconds since 1970.
    pub created_at_us: u64,
    /// From when it may be activated.
    pub not_before_us: u64,
    /// Until when it may be activated; one in force stays in force, with an alarm.
    pub expires_at_us: u64,
    /// The oldest program that may run it: `MAJOR.MINOR.PATCH`.
    pub engine_min: String,
    /// The most that a gateway may do under it.
    pub tier_max: Tier,
    /// The bundle digest whose content it says to bring back; a claim that nothing compares.
    pub revert_of: Option<String>,
    /// What the change was agreed in, such as a ticket.
    pub change_request: Option<String>,
    /// There for a bundle that fewer may sign because it only protects, and not for long.
    pub breakglass: Option<Breakglass>,
}

/// An emergency measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakglass {
    /// Why.
    pub reason: String,
    /// When the bundle before it comes back by itself, microseconds since 1970.
    pub until_us: u64,
}

impl Manifest {
    /// The place among all bundles of an audience; a later one is greater.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            serial: self.serial,
        }
    }

    /// The rule that it breaks, if any; the first member in the order of the form.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let is_text = |text: &str| {
            !text.is_empty()
                && text.chars().count() <= TEXT_CHARS_MAX
                && !text.chars().any(char::is_control)
        };
        let optional =
            |text: &Option<String>, rule: fn(&str) -> bool| text.as_deref().is_none_or(rule);
        let counts = [self.epoch, self.serial];
        let times = [self.created_at_us, self.not_before_us, self.expires_at_us];
        let rules = [
            (
                is_name(&self.name),
                "name is 1 to 64 of a-z, 0-9, '_', '.', '-'",
            ),
            (
                is_name(&self.author),
                "author is 1 to 64 of a-z, 0-9, '_', '.', '-'",
            ),
            (
                is_name(&self.audience),
                "audience is 1 to 64 of a-z, 0-9, '_', '.', '-'",
            ),
            (
                counts.iter().all(|count| (1..=INTEGER_MAX).contains(count)),
                "epoch and serial are 1 to 2^53 - 1",
            ),
            (
                times.iter().all(|time| *time <= INTEGER_MAX),
                "times are microseconds since 1970, at most 2^53 - 1",
            ),
            (
                self.created_at_us < self.expires_at_us && self.not_before_us < self.expires_at_us,
                "expires_at_us is after created_at_us and not_before_us",
            ),
            // The author chooses all times. What may be activated now was so made before now, by the
            // gateway's clock, and the 4 hours of an emergency count from there at the latest.
            (
                self.not_before_us >= self.created_at_us,
                "not_before_us is not before created_at_us",
            ),
            (optional(&self.parent, is_digest), "parent is 64 hex digits"),
            (
                optional(&self.revert_of, is_digest),
                "revert_of is 64 hex digits",
            ),
            (
                self.change_request.as_deref().is_none_or(is_text),
                "change_request is 1 to 512 printable characters",
            ),
            (
                is_version(&self.engine_min),
                "engine_min is MAJOR.MINOR.PATCH",
            ),
            (
                self.breakglass.as_ref().is_none_or(|glass| {
                    is_text(&glass.reason)
                        && glass.until_us > self.created_at_us
                        && glass.until_us - self.created_at_us <= BREAKGLASS_US_MAX
                }),
                "breakglass has a reason and ends within 4 hours of created_at_us",
            ),
        ];
        rules
            .iter()
            .find(|(holds, _)| !holds)
            .map(|(_, rule)| *rule)
    }
}

/// Epoch and serial: what a high-water mark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The epoch.
    pub epoch: u64,
    /// The serial within it.
    pub serial: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "epoch {} serial {}", self.epoch, self.serial)
    }
}

/// Three numbers with dots, none with a leading zero.
fn is_version(text: &str) -> bool {
    version(text).is_some()
}

/// A version as numbers that compare.
#[must_use]
pub fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(|part| {
        let plain = part == "0" || !part.starts_with('0');
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| plain && digits)
    });
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}
