//! `expect` of a self-test.

use crate::contract::ContractId;
use crate::diagnostic::Code;
use crate::observation::UNMATCHED;
use crate::policy::rules::Severity;
use crate::policy::self_tests::expectation::{Claimed, Course, Expectation};
use crate::units::{Action, ActionSet, Band, Reason, ReasonSet, Tier};
use crate::yaml::{Fields, Keys, Node, Sheet, Value};

pub(super) const EXPECT_KEYS: Keys = Keys::plain(
    "'expect'",
    &[
        "decision",
        "contract",
        "reasons",
        "only_reasons",
        "deciding",
        "taken",
        "withheld",
        "way",
        "status",
        "tier",
        "band",
    ],
);

const ID_CHARS_MAX: usize = 64;
/// What `status` says where the connection is closed without an answer.
const CLOSED: &str = "closed";

/// The expectation; every key is read, so that every fault is reported.
pub(super) fn read_expect(sheet: &mut Sheet<'_>, node: &Node) -> Option<Expectation> {
    let fields = sheet.fields(node, &EXPECT_KEYS)?;
    let decision = sheet.required(fields, "decision");
    let decision = decision
        .and_then(|node| one_of(sheet, node, "'decision'", (&Severity::ALL, Severity::name)));
    let contract = read(fields, "contract", |node| read_contract(sheet, node));
    let reasons = read_reasons(sheet, fields);
    let deciding = read(fields, "deciding", |node| read_reason(sheet, node));
    let taken = read_actions(sheet, fields, "taken");
    let withheld = read_actions(sheet, fields, "withheld");
    let course = read(fields, "way", |node| {
        one_of(sheet, node, "'way'", (&Course::ALL, Course::key))
    });
    let status = read(fields, "status", |node| read_status(sheet, node));
    let tier = read(fields, "tier", |node| {
        one_of(sheet, node, "'tier'", (&Tier::ALL, Tier::key))
    });
    let band = read(fields, "band", |node| {
        one_of(sheet, node, "'band'", (&Band::ALL, Band::key))
    });
    let (reasons, reasons_only) = reasons?;
    Some(Expectation {
        decision: decision?,
        contract: contract?,
        reasons,
        reasons_only,
        deciding: deciding?,
        taken: taken?,
        withheld: withheld?,
        course: course?,
        status: status?,
        tier: tier?,
        band: band?,
    })
}

/// Nothing where the key is not there; `None` on a fault.
fn read<'n, T>(
    fields: Fields<'n>,
    key: &str,
    read: impl FnOnce(&'n Node) -> Option<T>,
) -> Option<Option<T>> {
    match fields.get(key) {
        Some(node) => read(node).map(Some),
        None => Some(None),
    }
}

fn one_of<T: Copy>(
    sheet: &mut Sheet<'_>,
    node: &Node,
    what: &str,
    (all, name): (&[T], fn(T) -> &'static str),
) -> Option<T> {
    let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
    sheet.choice(node, what, &names, |text| {
        all.iter().copied().find(|one| name(*one) == text)
    })
}

fn read_contract(sheet: &mut Sheet<'_>, node: &Node) -> Option<Claimed> {
    let text = sheet.text(node, "'contract'", ID_CHARS_MAX)?;
    if text == UNMATCHED {
        return Some(Claimed::Unmatched);
    }
    let id = ContractId::new(text);
    if id.is_none() {
        let message = format!("'contract' is a contract id, or '{UNMATCHED}'");
        sheet.error(node.place, Code::ContractId, message);
    }
    id.map(Claimed::By)
}

/// The reasons, and whether these are all.
fn read_reasons(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<(ReasonSet, bool)> {
    let (some, all) = (fields.get("reasons"), fields.get("only_reasons"));
    if let (Some(_), Some(node)) = (some, all) {
        let message = "'reasons' and 'only_reasons' exclude each other".to_owned();
        let remedy = "keep 'only_reasons' if there may be no others".to_owned();
        sheet.error_with(node.place, Code::ModeKey, message, remedy);
        return None;
    }
    let Some(node) = some.or(all) else {
        return Some((ReasonSet::EMPTY, false));
    };
    let items = sheet.list(node, "a list of reason codes")?;
    let mut set = Some(ReasonSet::EMPTY);
    for item in items {
        let reason = read_reason(sheet, item);
        set = set.zip(reason).map(|(set, reason)| set.with(reason));
    }
    Some((set?, all.is_some()))
}

fn read_reason(sheet: &mut Sheet<'_>, node: &Node) -> Option<Reason> {
    one_of(sheet, node, "a reason code", (&Reason::ALL, Reason::code))
}

fn read_actions(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<ActionSet> {
    let Some(node) = fields.get(key) else {
        return Some(ActionSet::EMPTY);
    };
    let items = sheet.list(node, &format!("'{key}'"))?;
    let mut set = Some(ActionSet::EMPTY);
    for item in items {
        let action = one_of(sheet, item, "an action", (&Action::ALL, Action::name));
        set = set.zip(action).map(|(set, action)| set.with(action));
    }
    set
}

fn read_status(sheet: &mut Sheet<'_>, node: &Node) -> Option<u16> {
    if matches!(&node.value, Value::Plain(text) | Value::Quoted(text) if &**text == CLOSED) {
        return Some(0);
    }
    let status = sheet.integer(node, "'status' (or 'closed')", 400, 599)?;
    u16::try_from(status).ok()
}
