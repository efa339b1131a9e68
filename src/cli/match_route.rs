//! `tidegate match METHOD PATH`: which contract, which parameters.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{FAILED, INVALID, OK, Outcome};
use crate::config::load;
use crate::contract::{Catalogue, Method, Pairing, canonicalise, split_query};
use crate::diagnostic::{Format, render};

/// Says which contract a request falls under.
#[derive(Debug, Args)]
pub struct MatchArgs {
    /// The method, such as GET.
    pub method: String,
    /// The path as a client sends it; a query is left out of the match.
    pub path: String,
    /// The configuration file.
    #[arg(short, long, env = "TIDEGATE_CONFIG", default_value = "tidegate.yaml")]
    pub config: PathBuf,
}

/// Runs the verb; the result is the exit code: 0 matched, 1 not, 78 where a file cannot be used.
#[must_use]
pub fn run(args: &MatchArgs) -> u8 {
    match_route(args).print()
}

/// Runs the verb without printing.
#[must_use]
pub fn match_route(args: &MatchArgs) -> Outcome {
    match load(&args.config) {
        Ok(loaded) => {
            let (stdout, code) = describe(&loaded.catalogue, &args.method, &args.path);
            let stderr = String::new();
            Outcome {
                stdout,
                stderr,
                code,
            }
        }
        Err(found) => Outcome {
            stdout: String::new(),
            stderr: render(&found, Format::Pretty),
            code: INVALID,
        },
    }
}

fn describe(catalogue: &Catalogue, method: &str, target: &str) -> (String, u8) {
    let (raw_path, _) = split_query(target.as_bytes());
    let path = canonicalise(raw_path);
    let by_ref = path.as_ref().map_err(|fault| *fault);
    let id = |contract| catalogue.get(contract).id().as_str();
    let method = Method::from_token(method);
    match (catalogue.pair(method, raw_path, by_ref), &path) {
        (Pairing::Contracted(contract), Ok(path)) => {
            let parameters = catalogue.parameters(contract, path).into_iter();
            let shown: Vec<String> = parameters.map(|(k, v)| format!("{k}={v}")).collect();
            (format!("{} {{{}}}\n", id(contract), shown.join(", ")), OK)
        }
        (Pairing::MethodNotAllowed(contract), _) => {
            let allowed = catalogue.allowed_methods(contract).iter();
            let allowed: Vec<&str> = allowed.map(Method::as_str).collect();
            let id = id(contract);
            let allowed = allowed.join(", ");
            (
                format!("CONTRACT_METHOD_DISALLOWED {id} allows {allowed}\n"),
                FAILED,
            )
        }
        (
            Pairing::Alias {
                contract,
                folds,
                fault,
            },
            _,
        ) => {
            let code = fault.map_or("NO_CONTRACT_MATCH".to_owned(), |fault| {
                format!("AMBIGUOUS_TARGET {}", fault.detail())
            });
            let (id, folded) = (id(contract), folds.in_words());
            let text = format!("{code}\nCONTRACT_ALIAS {id} when folded: {folded}\n");
            (text, FAILED)
        }
        (Pairing::Ambiguous(fault), _) => {
            (format!("AMBIGUOUS_TARGET {}\n", fault.detail()), FAILED)
        }
        _ => ("NO_CONTRACT_MATCH\n".to_owned(), FAILED),
    }
}
