//! `tidegate catalog`: services, their contracts, and who answers for them.
//!
//! Contracts without a service come last, under no name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::exit::{FAILED, INVALID, OK, Outcome};
use crate::cli::offline::ConfigArg;
use crate::config::load;
use crate::contract::{Catalogue, Contract};
use crate::diagnostic::{Format, render};

/// Lists services with their contracts.
#[derive(Debug, Args)]
pub struct CatalogArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Only the contracts of this service.
    #[arg(long, env = "TIDEGATE_SERVICE")]
    pub service: Option<String>,
    /// How the list is written to stdout.
    // Not TIDEGATE_FORMAT: other verbs know forms that this one does not.
    #[arg(long, env = "TIDEGATE_CATALOG_FORMAT", value_enum, default_value_t)]
    pub format: CatalogFormat,
}

/// The form of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CatalogFormat {
    /// For people.
    #[default]
    #[value(alias = "pretty")]
    Text,
    /// One JSON object.
    Json,
}

/// Runs the verb; the result is the exit code: 0, 1 where there is no such service, 78 where a
/// file cannot be used.
#[must_use]
pub fn run(args: &CatalogArgs) -> u8 {
    catalog(args).print()
}

/// Runs the verb without printing.
#[must_use]
pub fn catalog(args: &CatalogArgs) -> Outcome {
    let loaded = match load(&args.config.config) {
        Ok(loaded) => loaded,
        Err(found) => return Outcome::to_stderr(render(&found, Format::Pretty), INVALID),
    };
    let mut services = services(&loaded.catalogue);
    if let Some(wanted) = &args.service {
        if !services.contains_key(&Some(wanted)) {
            let known: Vec<&str> = services.keys().copied().flatten().collect();
            let known = match known.is_empty() {
                true => "no contract names a service".to_owned(),
                false => format!("the services are {}", known.join(", ")),
            };
            let message = format!("error: there is no service '{wanted}'; {known}\n");
            return Outcome::to_stderr(message, FAILED);
        }
        services.retain(|service, _| *service == Some(wanted));
    }
    let stdout = match args.format {
        CatalogFormat::Text => text(&services),
        CatalogFormat::Json => format!("{:#}\n", to_json(&services)),
    };
    Outcome {
        stdout,
        stderr: String::new(),
        code: OK,
    }
}

type Services<'a> = BTreeMap<Option<&'a str>, Vec<&'a Contract>>;

fn services(catalogue: &Catalogue) -> Services<'_> {
    let mut services: Services<'_> = BTreeMap::new();
    for contract in catalogue.contracts() {
        let contracts = services.entry(contract.service()).or_default();
        contracts.push(contract);
    }
    for contracts in services.values_mut() {
        contracts.sort_by_key(|contract| contract.id().as_str());
    }
    services
}

/// With those of no service at the end, where a reader looks last.
fn in_order<'s, 'a>(
    services: &'s Services<'a>,
) -> impl Iterator<Item = (Option<&'a str>, &'s Vec<&'a Contract>)> {
    let all = || services.iter().map(|(service, list)| (*service, list));
    let named = all().filter(|(service, _)| service.is_some());
    named.chain(all().filter(|(service, _)| service.is_none()))
}

fn text(services: &Services<'_>) -> String {
    let mut text = String::new();
    for (service, contracts) in in_order(services) {
        let _ = writeln!(text, "{}", service.unwrap_or("(no service)"));
        for contract in contracts {
            let (id, endpoint) = (contract.id().as_str(), contract.endpoint_key());
            let version = contract.version();
            let status = contract.lifecycle().status().key();
            let owner = contract.owner().unwrap_or("-");
            let backup = contract.backup_owner().unwrap_or("-");
            let _ = writeln!(
                text,
                "  {id:<28} {endpoint:<44} {version} {status:<10} owner {owner}, backup {backup}"
            );
        }
    }
    text
}

fn to_json(services: &Services<'_>) -> Value {
    let one = |contract: &&Contract| {
        json!({
            "id": contract.id().as_str(),
            "endpoint": contract.endpoint_key(),
            "methods": contract.methods().iter().map(|m| m.as_str()).collect::<Vec<_>>(),
            "version": contract.version().to_string(),
            "status": contract.lifecycle().status().key(),
            "upstream": contract.upstream(),
            "owner": contract.owner(),
            "backup_owner": contract.backup_owner(),
        })
    };
    let services = in_order(services).map(|(service, contracts)| {
        json!({
            "service": service,
            "contracts": contracts.iter().map(one).collect::<Vec<_>>(),
        })
    });
    json!({ "services": services.collect::<Vec<_>>() })
}
