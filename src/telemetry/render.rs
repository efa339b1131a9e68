//! The whole text of one scrape: what workers counted, what the board holds, what others report.
//!
//! Everything is read when it is asked for; between scrapes nothing here runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::bundle::refusal::RefusalCode;
use crate::ledger::Snapshot;
use crate::rulebook::Rulebook;
use crate::telemetry::exposition::Exposition;
use crate::telemetry::route_names::RouteNames;
use crate::telemetry::routes::{Named, Used};
use crate::telemetry::secured::{self, CertificateExpiry, Certificates};
use crate::telemetry::series::Series;
use crate::telemetry::tally::Tally;
use crate::telemetry::threads::Threads;
use crate::telemetry::upstreams::{UpstreamReader, UpstreamView};
use crate::telemetry::{names, process, routes, upstreams};
use crate::units::{Moment, Tier};

/// The client connections of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionCounts {
    /// Accepted so far.
    pub accepted: u64,
    /// Closed so far, by the name of what had become of them.
    pub closed: Vec<(&'static str, u64)>,
    /// Of the open ones, those that wait for the rest of a head.
    pub reading_head: u64,
    /// Of the open ones, those that are tunnels.
    pub tunnels: u64,
    /// Open now.
    pub open: u64,
    /// Requests in flight on them.
    pub in_flight: u64,
    /// Closed at once, because too many were open in all.
    pub refused_all: u64,
    /// Closed at once, because their address had too many open.
    pub refused_address: u64,
    /// Streams of HTTP/2 refused, because there was no place for them.
    pub refused_streams: u64,
    /// Handshakes under way.
    pub handshakes: u64,
    /// Closed, because too many handshakes were under way.
    pub refused_handshakes: u64,
    /// How handshakes of TLS ended: each way and how often.
    pub tls: [(&'static str, u64); 5],
    /// Why connections were closed for their PROXY header: each reason and how often.
    pub proxy: [(&'static str, u64); 5],
}

impl ConnectionCounts {
    /// The open ones by what they do; the sum is always [`Self::open`].
    fn by_state(&self) -> [(&'static str, u64); 4] {
        let tunnels = self.tunnels.min(self.open);
        let rest = self.open - tunnels;
        let reading = self.reading_head.min(rest);
        let rest = rest - reading;
        // With HTTP/1.1 a busy connection has exactly one in flight, and so has a tunnel; with
        // HTTP/2 it may have more.
        let active = self.in_flight.saturating_sub(tunnels).min(rest);
        [
            ("active", active),
            ("tunnel", tunnels),
            ("reading_head", reading),
            ("idle", rest - active),
        ]
    }
}

/// Tells the connections when it is asked.
pub type ConnectionReader = Box<dyn Fn() -> ConnectionCounts + Send + Sync>;

/// What is needed to answer a scrape.
pub struct Telemetry {
    tallies: Vec<Arc<Tally>>,
    refusals: &'static [&'static str],
    connections: ConnectionReader,
    upstreams: UpstreamReader,
    started: Moment,
    threads: Threads,
    exhausted: AtomicU64,
    reloads: Reloads,
    refused: [AtomicU64; RefusalCode::ALL.len()],
    /// When the root ends, microseconds since 1970; 0 without one.
    root_expires_us: AtomicU64,
    certificates: Certificates,
    names: Mutex<Arc<RouteNames>>,
    named: Mutex<Named>,
}

/// How the attempts to load the configuration ended.
#[derive(Debug, Default)]
struct Reloads {
    failed: AtomicBool,
    ended: [AtomicU64; Reload::ALL.len()],
    succeeded_us: AtomicU64,
}

/// How an attempt to load the configuration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Other rules are in force.
    Activated,
    /// The files say what is in force already.
    Unchanged,
    /// The files cannot be used; the old rules stay.
    Refused,
}

impl Reload {
    pub(super) const ALL: [Self; 3] = [Self::Activated, Self::Unchanged, Self::Refused];

    /// The name in metrics, the log and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Telemetry")
            .field("workers", &self.tallies.len())
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Reads these tables, one a worker. `refusals` names what [`WorkerTally::refused`] is given,
    /// `started` is when counting began.
    ///
    /// [`WorkerTally::refused`]: crate::telemetry::WorkerTally::refused
    #[must_use]
    pub fn new(
        tallies: Vec<Arc<Tally>>,
        refusals: &'static [&'static str],
        connections: ConnectionReader,
        started: Moment,
    ) -> Self {
        Self {
            tallies,
            refusals,
            connections,
            upstreams: Box::new(Vec::new),
            started,
            threads: Threads::default(),
            exhausted: AtomicU64::new(0),
            reloads: Reloads {
                succeeded_us: AtomicU64::new(started.wall_us),
                ..Reloads::default()
            },
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            root_expires_us: AtomicU64::new(0),
            certificates: Certificates::default(),
            names: Mutex::default(),
            named: Mutex::default(),
        }
    }

    /// The same with what tells the upstreams.
    #[must_use]
    pub fn with_upstreams(mut self, upstreams: UpstreamReader) -> Self {
        self.upstreams = upstreams;
        self
    }

    /// The upstreams now.
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamView> {
        (self.upstreams)()
    }

    /// When counting began.
    #[must_use]
    pub const fn started(&self) -> Moment {
        self.started
    }

    /// The threads beside the workers.
    #[must_use]
    pub const fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The process could open no more descriptors.
    pub fn note_exhausted(&self) {
        self.exhausted.fetch_add(1, Ordering::Relaxed);
    }

    /// The connections now.
    #[must_use]
    pub fn connections(&self) -> ConnectionCounts {
        (self.connections)()
    }

    /// An attempt to load the configuration ended.
    pub fn note_reload(&self, ended: Reload, at: Moment) {
        self.note_loading(ended, at);
        self.note_attempt(ended);
    }

    /// The same where its attempts to put other rules in force were noted one by one.
    pub fn note_loading(&self, ended: Reload, at: Moment) {
        let failed = ended == Reload::Refused;
        self.reloads.failed.store(failed, Ordering::Relaxed);
        if !failed {
            let at_us = at.wall_us;
            self.reloads.succeeded_us.store(at_us, Ordering::Relaxed);
        }
    }

    /// An attempt to put other rules in force ended.
    pub fn note_attempt(&self, ended: Reload) {
        if let Some(count) = self.reloads.ended.get(ended as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A bundle or a root was refused.
    pub fn note_refusal(&self, code: RefusalCode) {
        let place = RefusalCode::ALL.iter().position(|other| *other == code);
        if let Some(count) = place.and_then(|place| self.refused.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// That root holds from here on; when it ends, microseconds since 1970.
    pub fn note_root(&self, expires_at_us: u64) {
        self.root_expires_us.store(expires_at_us, Ordering::Relaxed);
    }

    /// These certificates are in force; `is_good` says that none of their files was refused.
    pub fn note_certificates(&self, expiries: Vec<CertificateExpiry>, is_good: bool) {
        self.certificates.replace(expiries, is_good);
    }

    /// The certificates of a listener were read again.
    pub fn note_certificates_read(&self, ended: Reload) {
        self.certificates.note(ended);
    }

    /// A rulebook is about to be put in force: what is counted under it will have names.
    pub fn announce(&self, rulebook: &Rulebook) {
        drop(self.learned(rulebook));
    }

    /// The names, those of this rulebook among them. Nobody waits for who still reads older ones.
    fn learned(&self, rulebook: &Rulebook) -> Arc<RouteNames> {
        // Whoever panicked while it learned left names behind that are true.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.lacks(rulebook) {
            Arc::make_mut(&mut names).learn(rulebook, &self.tallies);
        }
        Arc::clone(&names)
    }

    /// The text of a scrape, whole.
    #[must_use]
    pub fn render(&self, rulebook: &Rulebook, ledger: &Snapshot) -> String {
        let mut whole = String::new();
        self.render_to(rulebook, ledger, &mut |piece| whole.push_str(&piece));
        whole
    }

    /// The text of a scrape, piece after piece, each of whole lines; `out` may wait. Costs time in
    /// proportion to the series; call it off the workers.
    pub fn render_to(&self, rulebook: &Rulebook, ledger: &Snapshot, out: &mut dyn FnMut(String)) {
        let mut text = Exposition::new(out);
        text.sample(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        let started = self.started.wall_us as f64 / 1e6;
        text.sample(&names::START_TIME, &[], started);
        let names = self.learned(rulebook);
        Series::read(&self.tallies, &names, self.refusals).write(&mut text);
        drop(names);
        self.write_routes(&mut text, rulebook);
        write_ledger(&mut text, ledger);
        self.write_state(&mut text, rulebook);
        upstreams::write(&mut text, &self.upstreams());
        write_log(&mut text);
        process::write(&mut text);
        text.finish();
    }

    fn write_routes(&self, text: &mut Exposition<'_>, rulebook: &Rulebook) {
        // The bound that workers keep for their series is the bound here too.
        let series_max = self.tallies.first().map_or(0, |tally| tally.room());
        let used = {
            // A scrape that panicked left a set of routes behind, and any set will do.
            let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
            Used::read(rulebook, &mut named, series_max)
        };
        routes::write(text, rulebook, &used);
    }

    fn write_state(&self, text: &mut Exposition<'_>, rulebook: &Rulebook) {
        self.write_bundle(text, rulebook);
        self.reloads.write(text);
        for tier in Tier::ALL {
            let labels = [tier.name()];
            text.sample(&names::TIER, &labels, truth(tier == rulebook.tier()));
        }
        let overflowed = rulebook.board().clients().overflowed();
        text.sample(&names::CLIENT_OVERFLOWS, &[], overflowed as f64);
        let counts = self.connections();
        for (state, number) in counts.by_state() {
            text.sample(&names::CONNECTIONS, &[state], number as f64);
        }
        for (thread, is_up) in self.threads.read() {
            text.sample(&names::THREAD_UP, &[thread], truth(is_up));
        }
        text.sample(&names::CONNECTIONS_ACCEPTED, &[], counts.accepted as f64);
        for (reason, number) in &counts.closed {
            text.sample(&names::CONNECTIONS_CLOSED, &[reason], *number as f64);
        }
        let exhausted = self.exhausted.load(Ordering::Relaxed);
        text.sample(&names::EXHAUSTED, &[], exhausted as f64);
        let refused = [
            ("all", counts.refused_all),
            ("address", counts.refused_address),
            ("handshakes", counts.refused_handshakes),
        ];
        for (limit, number) in refused {
            text.sample(&names::CONNECTIONS_REFUSED, &[limit], number as f64);
        }
        text.sample(&names::STREAMS_REFUSED, &[], counts.refused_streams as f64);
        secured::write(text, &counts, &self.certificates);
    }
}

impl Telemetry {
    fn write_bundle(&self, text: &mut Exposition<'_>, rulebook: &Rulebook) {
        let bundle = rulebook.bundle();
        let serial = bundle.map_or(u64::from(rulebook.serial()), |bundle| bundle.serial);
        let labels = [rulebook.digest_hex(), &serial.to_string()];
        text.sample(&names::BUNDLE_INFO, &labels, 1.0);
        text.sample(&names::BUNDLE_SIGNED, &[], truth(bundle.is_some()));
        if let Some(bundle) = bundle {
            let at_s = bundle.expires_at_us as f64 / 1e6;
            text.sample(&names::BUNDLE_EXPIRES, &[], at_s);
        }
        let root_us = self.root_expires_us.load(Ordering::Relaxed);
        if root_us > 0 {
            text.sample(&names::BUNDLE_ROOT_EXPIRES, &[], root_us as f64 / 1e6);
        }
        for (code, count) in RefusalCode::ALL.into_iter().zip(&self.refused) {
            let count = count.load(Ordering::Relaxed);
            text.sample(&names::BUNDLE_REFUSALS, &[code.name()], count as f64);
        }
    }
}

impl Reloads {
    fn write(&self, text: &mut Exposition<'_>) {
        let succeeded = !self.failed.load(Ordering::Relaxed);
        text.sample(&names::RELOAD_OK, &[], truth(succeeded));
        let at_s = self.succeeded_us.load(Ordering::Relaxed) as f64 / 1e6;
        text.sample(&names::RELOAD_SUCCEEDED, &[], at_s);
        for (ended, count) in Reload::ALL.into_iter().zip(&self.ended) {
            let count = count.load(Ordering::Relaxed);
            text.sample(&names::ACTIVATIONS, &[ended.name()], count as f64);
        }
    }
}

fn write_log(text: &mut Exposition<'_>) {
    let suppressed = crate::telemetry::log::suppressed_total();
    text.sample(&names::LOG_SUPPRESSED, &[], suppressed as f64);
}

fn write_ledger(text: &mut Exposition<'_>, ledger: &Snapshot) {
    text.sample(&names::LEDGER_RECORDS, &[], ledger.records as f64);
    text.sample(&names::LEDGER_LOST, &[], ledger.lost as f64);
    text.sample(&names::LEDGER_QUEUE, &[], ledger.queued as f64);
    text.sample(&names::LEDGER_LAG, &[], ledger.durable_lag.as_secs_f64());
    text.sample(&names::LEDGER_STATE, &[], f64::from(ledger.pressure as u8));
    text.sample(&names::LEDGER_ROLLED_UP, &[], ledger.rolled_up as f64);
    let kept = &ledger.kept;
    text.sample(&names::LEDGER_OK, &[], truth(ledger.is_ok()));
    text.sample(&names::LEDGER_SIGNED, &[], ledger.signed as f64);
    if ledger.signed_us > 0 {
        let at_s = ledger.signed_us as f64 / 1e6;
        text.sample(&names::LEDGER_CHECKPOINT, &[], at_s);
    }
    let damaged = kept
        .damage
        .as_ref()
        .map_or(-1.0, |damage| damage.seq as f64);
    text.sample(&names::LEDGER_DAMAGED, &[], damaged);
    text.sample(&names::LEDGER_CLOSED, &[], kept.closed as f64);
    text.sample(&names::LEDGER_VERIFIED, &[], kept.verified as f64);
    // Nothing was measured yet where the file system has no size.
    if kept.space.total > 0 {
        text.sample(&names::LEDGER_DISK, &[], kept.space.used as f64);
        text.sample(&names::LEDGER_DISK_FREE, &[], kept.space.free as f64);
    }
    if let Some(budget) = kept.budget {
        text.sample(&names::LEDGER_DISK_BUDGET, &[], budget as f64);
    }
}

const fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}
