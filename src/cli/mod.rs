//! The command line, one file per verb.

use clap::{Parser, Subcommand};

use crate::diagnostic::{Diagnostic, Format, render};
use crate::gateway::clock;
use crate::units::Date;

pub mod admin;
pub mod bundle;
pub mod catalog;
pub mod check;
pub mod contract;
mod count;
pub mod demo;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod healthcheck;
pub mod ledger;
pub mod match_route;
pub mod offline;
mod period;
pub mod readiness;
pub mod reasons;
pub mod reload;
pub mod replay;
pub mod root;
pub mod run;
pub mod schema;
mod signing;
pub mod simulate;
pub mod status;
mod stdio;
pub mod test;
pub mod tier;
pub mod version;

/// An inline governance gateway for HTTP APIs.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build, sign, compare, verify or apply a bundle: contracts and policy as one signed artifact.
    Bundle(bundle::BundleArgs),
    /// List services, their contracts, and who answers for them.
    Catalog(catalog::CatalogArgs),
    /// Check configuration, contracts and policy; no side effects.
    #[command(visible_alias = "validate")]
    Check(check::CheckArgs),
    /// Compare, import and check contracts, and see who calls them.
    Contract(contract::ContractArgs),
    /// Watch the gateway govern synthetic traffic; needs nothing but this program.
    Demo(demo::DemoArgs),
    /// Check what the gateway stands on: disk, clock, keys, signed head, process.
    Doctor(doctor::DoctorArgs),
    /// Explain one decision: of a ledger, or of a method and a path.
    Explain(explain::ExplainArgs),
    /// Ask the running gateway whether it is ready.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Verify, read or look after a ledger.
    Ledger(ledger::LedgerArgs),
    /// Say which contract a request falls under.
    Match(match_route::MatchArgs),
    /// Say what CONTROL would have done with recorded requests, per contract.
    Readiness(readiness::ReadinessArgs),
    /// List all reason codes.
    Reasons,
    /// Have the running gateway load its files.
    Reload(reload::ReloadArgs),
    /// Judge every decision of a ledger again.
    Replay(replay::ReplayArgs),
    /// Make, sign or verify a root: who may sign bundles.
    Root(root::RootArgs),
    /// Run the gateway.
    Run(run::RunArgs),
    /// Print JSON Schemas of all files, keep them in a folder, or check such a folder.
    Schema(schema::SchemaArgs),
    /// Run traffic from a file through the pipeline, in virtual time.
    Simulate(simulate::SimulateArgs),
    /// Say what the running gateway has in force.
    Status(status::StatusArgs),
    /// Run self-tests: requests in a state, and the decision that is expected.
    Test(test::TestArgs),
    /// Lower the tier of the running gateway, or reset that.
    Tier(tier::TierArgs),
    /// Print the version.
    Version(version::VersionArgs),
}

impl Cli {
    /// Runs the verb; the result is the exit code.
    #[must_use]
    pub fn run(self) -> u8 {
        match self.verb {
            Verb::Bundle(args) => bundle::run(&args),
            Verb::Catalog(args) => catalog::run(&args),
            Verb::Check(args) => check::run(&args),
            Verb::Contract(args) => contract::run(&args),
            Verb::Demo(args) => demo::run(&args),
            Verb::Doctor(args) => doctor::run(&args),
            Verb::Explain(args) => explain::run(&args),
            Verb::Healthcheck(args) => healthcheck::run(&args),
            Verb::Ledger(args) => ledger::run(&args),
            Verb::Match(args) => match_route::run(&args),
            Verb::Readiness(args) => readiness::run(&args),
            Verb::Reasons => reasons::run(),
            Verb::Reload(args) => reload::run(&args),
            Verb::Replay(args) => replay::run(&args),
            Verb::Root(args) => root::run(&args),
            Verb::Run(args) => run::run(&args),
            Verb::Schema(args) => schema::run(&args),
            Verb::Simulate(args) => simulate::run(&args),
            Verb::Status(args) => status::run(&args),
            Verb::Test(args) => test::run(&args),
            Verb::Tier(args) => tier::run(&args),
            Verb::Version(args) => version::run(&args),
        }
    }
}

/// The day on which files are read.
pub(crate) fn today() -> Date {
    Date::of_unix_us(clock::now().wall_us)
}

/// Writes the findings about a configuration to stderr, for people.
pub(crate) fn report_findings(findings: &[Diagnostic]) {
    stdio::note_text(&render(findings, Format::Pretty));
}
