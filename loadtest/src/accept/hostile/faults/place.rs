//! A gateway with an upstream that can fail, and the account that closes each row: what clients
//! sent, what the ledger has, whether it verifies.

use std::path::Path;
use std::time::{Duration, Instant};

use super::client::{Answered, Ask, Ended, many};
use crate::accept::chain::verified;
use crate::accept::ledger::Account;
use crate::process::Process;
use crate::site::{LOG, PATIENCE, Setup, Site};
use crate::upstream::{Gate, Upstream};

/// Contracts whose upstream is waited for 600 ms at most, where the tier allows it.
const CONTRACTS: &str = "version: 1\ncontracts:\n";
const PATHS: [&str; 5] = ["f", "s0", "s1", "s2", "s3"];
/// Within this every request has ended, whatever its upstream and the ledger do.
pub(super) const BOUND: Duration = Duration::from_secs(5);
/// Within this a clean request is served again when a fault is over.
const RECOVERY: Duration = Duration::from_secs(5);

/// A site, its upstream, and how many requests it was sent.
pub(super) struct Place {
    pub(super) site: Site,
    pub(super) upstream: Upstream,
    pub(super) sent: u64,
}

/// An ordinary request.
pub(super) const CLEAN: Ask<'static> = Ask {
    target: "/f",
    body: 0,
    bound: BOUND,
};
/// An ordinary request with a body, which comes back.
pub(super) const CLEAN_BODY: Ask<'static> = Ask {
    body: 2000,
    ..CLEAN
};

impl Place {
    /// Files of a gateway that observes.
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        Self::of_tier(folder, "observe_only")
    }

    /// Files of a gateway that controls, with nothing to refuse.
    pub(super) fn controlling(folder: &Path) -> anyhow::Result<Self> {
        Self::of_tier(folder, "control")
    }

    fn of_tier(folder: &Path, tier: &'static str) -> anyhow::Result<Self> {
        let upstream = Upstream::start()?;
        let setup = Setup {
            contracts: 0,
            tier,
            ..Setup::observing(upstream.address())
        };
        let site = Site::prepare(folder, &setup)?;
        let contract = |path: &&str| {
            format!(
                "  - {{id: {path}_v1, owner: me, endpoint: \"GET /{path}\", allowed_methods: [GET, POST], timeout_ms: 600}}\n"
            )
        };
        let contracts: String = PATHS.iter().map(contract).collect();
        site.write("contracts/own.yaml", &format!("{CONTRACTS}{contracts}"))?;
        site.amend(
            "version: 1\n",
            "version: 1\ntimeouts: { connect_ms: 500 }\n",
        )?;
        site.ledger_keys("segment_mib: 1, compress: false")?;
        Ok(Self {
            site,
            upstream,
            sent: 0,
        })
    }

    /// Starts the gateway, under a wrapper where there is one.
    pub(super) fn start(&self, wrapper: &[String]) -> anyhow::Result<Process> {
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let mut gateway = self.site.launch(&wrapper, LOG)?;
        self.site.ready(&mut gateway)?;
        Ok(gateway)
    }

    /// Requests at once.
    pub(super) fn ask(
        &mut self,
        asks: impl IntoIterator<Item = Ask<'static>>,
    ) -> anyhow::Result<Vec<Answered>> {
        let answers = many(self.site.listen, asks)?;
        self.sent += answers.len() as u64;
        Ok(answers)
    }

    /// Requests in lots of eight for as long, all of which have to be served.
    pub(super) fn served_for(&mut self, long: Duration) -> anyhow::Result<u64> {
        let (began, before) = (Instant::now(), self.sent);
        while began.elapsed() < long {
            let answers = self.ask([CLEAN; 8])?;
            let other = answers.iter().find(|a| a.ended != Ended::Whole(200, false));
            anyhow::ensure!(other.is_none(), "a request was not served: {other:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self.sent - before)
    }

    /// The fault is over: how long until clean requests are served, each with its own answer.
    pub(super) fn recovered(&mut self) -> anyhow::Result<Duration> {
        self.upstream.gate(Gate::Open);
        let began = Instant::now();
        loop {
            let answers = self.ask([CLEAN, CLEAN_BODY, CLEAN, CLEAN_BODY])?;
            let after = began.elapsed();
            let served = answers
                .iter()
                .all(|answer| answer.ended == Ended::Whole(200, false));
            if served {
                let own = |answer: &&Answered| {
                    !answer.body.starts_with(b"{") && answer.body.len() != 2000
                };
                let foreign = answers.iter().find(own);
                anyhow::ensure!(foreign.is_none(), "a foreign answer: {foreign:?}");
                return Ok(after);
            }
            anyhow::ensure!(after < RECOVERY, "no service after the fault: {answers:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the gateway in order and closes the account.
    pub(super) fn close(&self, mut gateway: Process) -> anyhow::Result<String> {
        let status = gateway.stop(PATIENCE)?;
        anyhow::ensure!(status.success(), "ended with {status}");
        self.account(Some(self.sent))
    }

    /// The ledger verifies, each boot balances, and what was made is what clients sent; `None` where
    /// a client cannot know what of its requests the gateway had read.
    pub(super) fn account(&self, sent: Option<u64>) -> anyhow::Result<String> {
        let report = verified(&self.site)?;
        anyhow::ensure!(report.code == Some(0), "verify: {}", report.json);
        let account = Account::of(&self.site)?;
        let astray = account.boots.iter().find(|(_, boot)| !boot.balances());
        anyhow::ensure!(astray.is_none(), "a boot that does not balance: {astray:?}");
        let made = account.made();
        let unaccounted = account.unaccounted();
        if let Some(sent) = sent {
            anyhow::ensure!(made == sent, "{sent} sent, {made} decisions made");
            anyhow::ensure!(unaccounted == 0, "{unaccounted} decisions unaccounted for");
        }
        // Observing, it may not refuse, and where it controls there was nothing to refuse: whatever was not sent on was answered by the gateway.
        let acted = self.site.decisions()?;
        let acted = acted.iter().find(|line| !line["upstream"].is_string());
        anyhow::ensure!(acted.is_none(), "an action above the tier: {acted:?}");
        let faults: Vec<&str> = account.faults.keys().map(String::as_str).collect();
        Ok(format!("{made} decisions, faults {faults:?}"))
    }
}
