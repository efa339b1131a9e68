//! The targets by name. These files are read by the workspace's tests as well, which run every seed
//! and a few thousand mutations of each: nothing here may need more than those have at hand.

pub mod bundle;
mod changes;
pub mod chunked;
pub mod contracts;
pub mod differential;
pub mod head;
pub mod ledger;
pub mod path;
pub mod proxy;
mod reference;

/// One target: its name, which is that of its folder of seeds, and its laws.
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Panics where a law is broken.
    pub run: fn(&[u8]),
    /// Longer inputs are cut: what is long is slow, and says little that is new.
    pub bytes_max: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), bytes_max: usize) -> Target {
    Target {
        name,
        run,
        bytes_max,
    }
}

/// All targets.
pub const ALL: &[Target] = &[
    target("path", path::run, 256),
    target("differential", differential::run, 160),
    target("contracts", contracts::run, 512),
    target("bundle", bundle::run, 3200),
    target("ledger", ledger::run, 512),
    target("head", head::run, 512),
    target("chunked", chunked::run, 256),
    target("proxy", proxy::run, 320),
];
