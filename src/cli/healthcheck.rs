//! `tidegate healthcheck`: whether the gateway should get traffic, for supervisors and containers.

use clap::Args;

use crate::cli::admin::{AdminArgs, Request};
use crate::cli::exit::{OK, Outcome};

/// Asks the running gateway whether it is ready.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Which gateway.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Runs the verb; the result is the exit code: 0 ready, 1 not, 69 where no gateway answers.
#[must_use]
pub fn run(args: &HealthcheckArgs) -> u8 {
    let outcome = match args.admin.ask(Request::Get("/readyz")) {
        Ok(answer) if answer.status == 200 => Outcome {
            stdout: answer.body.as_str().unwrap_or_default().to_owned(),
            stderr: String::new(),
            code: OK,
        },
        Ok(answer) => answer.refused(),
        Err(outcome) => outcome,
    };
    outcome.print()
}
