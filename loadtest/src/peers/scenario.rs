//! The scenarios: what is asked, of which subjects, at how many contracts.

use super::load::Way;
use super::subject::{Kind, Speaks, Tuning, Variant};

use Variant::{ByHand, Governed, Plain};

const TIDEGATE: Kind = Kind::Tidegate(Tuning::AsCompared);
const FULL_PROXY: Kind = Kind::Tidegate(Tuning::FullProxy);

/// Requests a second of the open loop.
const RATE: u32 = 2_000;

/// How it is driven.
#[derive(Debug, Clone, Copy)]
pub(super) enum Drive {
    /// As fast as the answers come.
    Closed { way: Way, connections: u32 },
    /// So many requests a second.
    Open { rate: u32 },
    /// Started again and again.
    Starts,
}

/// A subject of a scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Another number of contracts than the scenario's.
    pub(super) contracts: Option<u32>,
    /// Asked for what it refuses.
    pub(super) refused: bool,
}

const fn entry(kind: Kind) -> Entry {
    Entry {
        kind,
        contracts: None,
        refused: false,
    }
}

const fn refused(kind: Kind) -> Entry {
    Entry {
        refused: true,
        ..entry(kind)
    }
}

/// The gateway with so few contracts that finding one costs nothing.
const AT_TEN: Entry = Entry {
    contracts: Some(10),
    ..entry(TIDEGATE)
};

impl Entry {
    /// Its name in tables, which sets it apart from all others of its scenario.
    pub(super) fn label(&self) -> String {
        let mut label = self.kind.label();
        if let Some(contracts) = self.contracts {
            label += &format!(", N = {contracts}");
        }
        if self.refused {
            label += ", refusing";
        }
        label
    }
}

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Whether it runs without being named.
    pub(super) by_default: bool,
    pub(super) contracts: u32,
    pub(super) drive: Drive,
    pub(super) speaks: Speaks,
    /// Whether answers have 64 KiB.
    pub(super) large: bool,
    pub(super) subjects: &'static [Entry],
}

/// Over so many connections at once.
const fn closed(way: Way, connections: u32) -> Drive {
    Drive::Closed { way, connections }
}

/// HTTP/1.1 without TLS.
const PLAIN: Speaks = Speaks {
    tls: false,
    h2c: false,
};

/// What most scenarios have in common.
const BASE: Scenario = Scenario {
    name: "",
    title: "",
    by_default: true,
    contracts: 1_000,
    drive: closed(Way::Kept, 64),
    speaks: PLAIN,
    large: false,
    subjects: &[],
};

/// Those that govern, their rules indexed by hand.
const GOVERNED_BY_HAND: &[Entry] = &[
    entry(TIDEGATE),
    entry(Kind::Nginx(ByHand)),
    entry(Kind::Haproxy(ByHand)),
];

/// Those that govern, their rules written either way.
const GOVERNED: &[Entry] = &[
    entry(TIDEGATE),
    entry(Kind::Nginx(Governed)),
    entry(Kind::Nginx(ByHand)),
    entry(Kind::Haproxy(Governed)),
    entry(Kind::Haproxy(ByHand)),
];

/// Those that govern, by hand, and the engine alone.
const BY_HAND: &[Entry] = &[
    entry(TIDEGATE),
    entry(Kind::Bare),
    entry(Kind::Nginx(ByHand)),
    entry(Kind::Haproxy(ByHand)),
];

/// All scenarios, in the order in which they run.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "n10",
        title: "64 kept connections, N = 10",
        contracts: 10,
        subjects: &[
            entry(TIDEGATE),
            entry(FULL_PROXY),
            entry(Kind::Bare),
            entry(Kind::Nginx(Plain)),
            entry(Kind::Nginx(Governed)),
            entry(Kind::Nginx(ByHand)),
            entry(Kind::Haproxy(Plain)),
            entry(Kind::Haproxy(Governed)),
            entry(Kind::Haproxy(ByHand)),
        ],
        ..BASE
    },
    Scenario {
        name: "n1000",
        title: "64 kept connections, N = 1,000",
        subjects: GOVERNED,
        ..BASE
    },
    Scenario {
        name: "n10000",
        title: "64 kept connections, N = 10,000",
        contracts: 10_000,
        subjects: &[
            entry(TIDEGATE),
            AT_TEN,
            entry(FULL_PROXY),
            entry(Kind::Nginx(Governed)),
            entry(Kind::Nginx(ByHand)),
            entry(Kind::Haproxy(Governed)),
            entry(Kind::Haproxy(ByHand)),
        ],
        ..BASE
    },
    Scenario {
        name: "n100000",
        title: "64 kept connections, N = 100,000",
        by_default: false,
        // With the one that refuses, as many as a gateway takes.
        contracts: 99_999,
        subjects: &[
            entry(TIDEGATE),
            AT_TEN,
            entry(Kind::Nginx(ByHand)),
            entry(Kind::Haproxy(ByHand)),
        ],
        ..BASE
    },
    Scenario {
        name: "connections512",
        title: "512 kept connections, N = 1,000",
        drive: closed(Way::Kept, 512),
        subjects: BY_HAND,
        ..BASE
    },
    Scenario {
        name: "new",
        title: "A connection for each request, N = 1,000",
        drive: closed(Way::Once, 64),
        subjects: BY_HAND,
        ..BASE
    },
    Scenario {
        name: "body64k",
        title: "Answers of 64 KiB, N = 1,000",
        large: true,
        subjects: &[
            entry(TIDEGATE),
            entry(Kind::Bare),
            entry(Kind::Nginx(Plain)),
            entry(Kind::Nginx(ByHand)),
            entry(Kind::Haproxy(Plain)),
            entry(Kind::Haproxy(ByHand)),
        ],
        ..BASE
    },
    Scenario {
        name: "refusals",
        title: "Refusals (429), N = 1,000",
        subjects: &[
            entry(TIDEGATE),
            refused(TIDEGATE),
            refused(Kind::Nginx(ByHand)),
            refused(Kind::Haproxy(ByHand)),
        ],
        ..BASE
    },
    Scenario {
        name: "open",
        title: "Open loop, 2,000 requests a second, N = 1,000",
        drive: Drive::Open { rate: RATE },
        subjects: BY_HAND,
        ..BASE
    },
    Scenario {
        name: "start",
        title: "Start, N = 10,000",
        contracts: 10_000,
        drive: Drive::Starts,
        subjects: GOVERNED,
        ..BASE
    },
    Scenario {
        name: "small",
        title: "A reduced run, N = 100",
        by_default: false,
        contracts: 100,
        subjects: BY_HAND,
        ..BASE
    },
    Scenario {
        name: "tls",
        title: "TLS, 64 kept connections, N = 1,000",
        by_default: false,
        drive: closed(Way::Tls, 64),
        speaks: Speaks { tls: true, ..PLAIN },
        subjects: GOVERNED_BY_HAND,
        ..BASE
    },
    Scenario {
        name: "http2",
        title: "HTTP/2 without TLS, 16 connections of 4 streams, N = 1,000",
        by_default: false,
        drive: closed(Way::Http2, 64),
        speaks: Speaks { h2c: true, ..PLAIN },
        subjects: GOVERNED_BY_HAND,
        ..BASE
    },
    Scenario {
        name: "tiers",
        title: "OBSERVE_ONLY and CONTROL, N = 1,000",
        by_default: false,
        subjects: &[entry(TIDEGATE), entry(Kind::Tidegate(Tuning::Observing))],
        ..BASE
    },
    Scenario {
        name: "extras",
        title: "Metrics scraped ten times a second; closed segments compressed; N = 1,000",
        by_default: false,
        subjects: &[
            entry(TIDEGATE),
            entry(Kind::Tidegate(Tuning::Scraped)),
            entry(Kind::Tidegate(Tuning::Compressing)),
        ],
        ..BASE
    },
];

/// The scenarios of these names; of none, those that run by default.
///
/// # Errors
/// When there is none of a name.
pub(super) fn named(names: &[&str]) -> anyhow::Result<Vec<&'static Scenario>> {
    for name in names {
        let known = *name == "all" || ALL.iter().any(|s| s.name == *name);
        let all: Vec<&str> = ALL.iter().map(|s| s.name).collect();
        anyhow::ensure!(
            known,
            "no scenario {name}; there are {}, and all",
            all.join(", ")
        );
    }
    let wanted = |s: &&Scenario| match names {
        [] => s.by_default,
        _ => names.contains(&"all") || names.contains(&s.name),
    };
    Ok(ALL.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_labels_are_unique_and_the_first_subject_is_the_gateway() {
        let names: BTreeSet<_> = ALL.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), ALL.len());
        for scenario in ALL {
            let labels: BTreeSet<_> = scenario.subjects.iter().map(Entry::label).collect();
            assert_eq!(labels.len(), scenario.subjects.len(), "{}", scenario.name);
            assert_eq!(
                scenario.subjects[0].label(),
                "tidegate",
                "{}",
                scenario.name
            );
        }
    }
}
