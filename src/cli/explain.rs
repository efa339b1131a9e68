//! `tidegate explain`: one decision, told to a person.
//!
//! Of a recorded decision everything is computed again from its own inputs, so the explanation is
//! of what the rules say, and it says so when the record says something else. Of a method and a
//! path it is what a gateway without any other traffic would decide.

mod evidence;
mod find;
mod text;
mod trace;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::Args;

use crate::cli::offline::{
    ConfigArg, FAILED, INTEGRITY, OK, USAGE, load_or_tell, registry_of, tell,
};
use crate::cli::stdio::put;
use crate::contract::{Contract, Method, Pairing, canonicalise, split_query};
use crate::decision::decide;
use crate::enforcement::permit;
use crate::gateway::{clock, refusal};
use crate::ledger::{Record, as_text};
use crate::observation::{Arrival, ClientHasher};
use crate::pipeline::admit;
use crate::record::DecisionId;
use crate::replay::Replay;
use crate::risk::assess;
use crate::rulebook::Rulebook;
use crate::simulate::virtual_moment;
use crate::units::{Moment, Tier};
use find::Found;
use text::{Account, Ending};

/// Explains one decision.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A decision id (22 hex digits), or a method and a path.
    #[arg(value_names = ["DECISION-ID | METHOD", "PATH"], num_args = 1..=2, required = true)]
    pub subject: Vec<String>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// The ledger to look in; without it, the one of the configuration.
    #[arg(long, env = "TIDEGATE_LEDGER", value_name = "DIR")]
    pub ledger: Option<PathBuf>,
    /// Of a request that is named by method and path: the name that its caller proved.
    #[arg(long, env = "TIDEGATE_CALLER", value_name = "NAME")]
    pub caller: Option<String>,
    /// Also tells the stages in their order.
    #[arg(long, env = "TIDEGATE_TRACE")]
    pub trace: bool,
}

/// Runs the verb; the result is the exit code: 0, 1 where there is no such decision, 2 for what is
/// no decision id, 65 where its
/// record does not follow from its own inputs, 78 where the configuration is not valid.
#[must_use]
pub fn run(args: &ExplainArgs) -> u8 {
    let explained = match args.subject.as_slice() {
        [id] => of_record(args, id),
        [method, path] => of_quiet_request(args, method, path),
        _ => Ok(Err(anyhow!("name a decision id, or a method and a path"))),
    };
    match explained {
        Ok(Ok((text, code))) => put(&text, code),
        Ok(Err(error)) => tell(&error, FAILED),
        Err(code) => code,
    }
}

/// The text and the exit code, or what went wrong; `Err` where the user has been told already.
type Explained = Result<Result<(String, u8)>, u8>;

fn of_record(args: &ExplainArgs, id: &str) -> Explained {
    let dir = match &args.ledger {
        Some(dir) => dir.clone(),
        None => load_or_tell(&args.config.config)?.settings.ledger.dir,
    };
    let lower = id.to_ascii_lowercase();
    if DecisionId::from_text(&lower).is_none() {
        let error = anyhow!(
            "'{id}' is not a decision id; it has 22 hex digits, as in Tidegate-Decision-Id"
        );
        return Err(tell(&error, USAGE));
    }
    Ok(explain_record(&dir, &lower, args.trace))
}

fn explain_record(dir: &Path, id: &str, trace: bool) -> Result<(String, u8)> {
    let found = match find::find(dir, id)? {
        Some(Found::Damaged { place, rule }) => {
            let text = format!("{place}: {rule}; what it says cannot be believed\n");
            return Ok((text, INTEGRITY));
        }
        Some(Found::Lost { seq }) => bail!(
            "decision {id} was made and its record was lost; record {seq} accounts for the loss"
        ),
        Some(Found::Line { line, outcome }) => (line, outcome),
        None => bail!(
            "no record of decision {id} in {}; it may be of another start or ledger",
            dir.display()
        ),
    };
    let (line, outcome) = found;
    let mut buffer = Vec::new();
    let record = Record::check(&line, &mut buffer).map_err(|fault| anyhow!(fault.rule()))?;
    let mut replay = Replay::of(dir);
    let (decision, judged) = match replay.judge(&record) {
        Ok(found) => found,
        Err(error) => return Ok((format!("{error}\n"), INTEGRITY)),
    };
    let differences = match replay.differences(&decision, &judged) {
        Ok(differences) => differences,
        Err(error) => return Ok((format!("{error}\n"), INTEGRITY)),
    };
    let rules = replay.rule_set(decision.policy_hash)?;
    let account = Account {
        rules: rules.rules(),
        contract: decision.contract_id.and_then(|id| rules.contract(id)),
        signals: &decision.signals,
        judged: &judged,
        alias_of: as_text(decision.member("alias_of")),
        policy_hash: decision.policy_hash,
        ending: Ending::Recorded {
            record: &record,
            outcome: outcome.as_ref(),
        },
    };
    let mut text = account.tell();
    if trace {
        text += &account.trace();
        text += "took here: ";
        text += &timings(&account);
    }
    if differences.is_empty() {
        return Ok((text, OK));
    }
    text += "\nTHE RECORD DOES NOT FOLLOW FROM ITS OWN INPUTS\n";
    for difference in differences {
        let (recorded, recomputed) = (&difference.recorded, &difference.recomputed);
        let member = difference.member;
        text += &format!("  {member}: recorded {recorded}, recomputed {recomputed}\n");
    }
    Ok((text, INTEGRITY))
}

fn of_quiet_request(args: &ExplainArgs, method: &str, target: &str) -> Explained {
    let loaded = load_or_tell(&args.config.config)?;
    let (registry, content) = registry_of(loaded, None);
    let rulebook = registry.active().load_full();
    Ok(Ok(quiet(
        &rulebook,
        &content.digest_hex(),
        (method, target),
        args,
    )))
}

fn quiet(
    rulebook: &Rulebook,
    policy_hash: &str,
    (method, target): (&str, &str),
    args: &ExplainArgs,
) -> (String, u8) {
    let (raw_path, _) = split_query(target.as_bytes());
    let path = canonicalise(raw_path);
    let token = Method::from_token(method);
    let pair = || {
        let path = path.as_ref().map_err(|fault| *fault);
        rulebook.catalogue().pair(token, raw_path, path)
    };
    // Without a name nothing is asked about the caller.
    let claims =
        |contract: &Contract| args.caller.is_some() && contract.excludes(args.caller.as_deref());
    let pairing = pair();
    let claimed = match pairing {
        Pairing::Contracted(index) | Pairing::MethodNotAllowed(index) => {
            rulebook.contract_of(index.get())
        }
        Pairing::Unknown | Pairing::Ambiguous(_) | Pairing::Alias { .. } => None,
    };
    let arrival = Arrival {
        method: token,
        client: ClientHasher::new([0; 16]).of_name(b"explain"),
        at: virtual_moment(0),
        listener_tier: Tier::Autonomous,
        address: None,
        request: crate::observation::RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
        ledger: crate::observation::LedgerStanding::Available,
        undeclared: claimed.is_some_and(claims),
    };
    let admission = admit(rulebook, 0, pairing, &arrival);
    let forwarded = admission.is_forwarded();
    let account = Account {
        rules: rulebook.rules(),
        contract: rulebook.contract_of(admission.route),
        signals: &admission.signals,
        judged: &admission.judgement,
        alias_of: match pairing {
            Pairing::Alias { contract, .. } => {
                let contract = rulebook.contract_of(contract.get());
                contract.map(|contract| contract.id().as_str())
            }
            _ => None,
        },
        policy_hash,
        ending: Ending::Quiet {
            method,
            target,
            answer: (!forwarded).then(|| refusal::status(rulebook, &admission)),
            upstream: rulebook.upstream_of(admission.route),
        },
    };
    let mut text = account.tell();
    if args.trace {
        text += &account.trace();
        text += &format!("took here: pairing {} ns, ", nanos_of(pair));
        text += &timings(&account);
    }
    (text, OK)
}

/// The times of the stages that are pure functions of what was recorded.
fn timings(account: &Account<'_>) -> String {
    let (rules, signals) = (account.rules, account.signals);
    let terms = account.contract.map(Contract::terms);
    let (assessment, decision) = (&account.judged.assessment, &account.judged.decision);
    let allowed = rules.allowed(signals.tier);
    format!(
        "assessment {} ns, decision {} ns, permit {} ns\n",
        nanos_of(|| assess(rules, terms, signals)),
        nanos_of(|| decide(rules, assessment, signals)),
        nanos_of(|| permit(decision, allowed, signals.tier)),
    )
}

/// What one run takes on this machine now: the mean of a thousand.
fn nanos_of<T>(mut run: impl FnMut() -> T) -> u64 {
    const RUNS: u64 = 1_000;
    let before: Moment = clock::now();
    for _ in 0..RUNS {
        std::hint::black_box(run());
    }
    clock::now().nanos_since(before) / RUNS
}
