//! `exemptions.yaml`: findings that somebody answers for until a day.
//!
//! Invariants: an exemption takes away findings of one rule about one contract or one file, and
//! nothing else; each has an owner, a reason and an end. The end is judged where files are changed
//! (`check`, `contract lint`), for which the caller gives the day: a gateway that starts or loads
//! its files again knows no day, so that no midnight closes a data port.

pub(super) mod shape;

use std::collections::BTreeSet;

use crate::contract::ContractId;
use crate::contract::file::bounds::OWNER_CHARS_MAX;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::units::Date;
use crate::yaml::{Fields, Keys, Node, Sheet};

/// The name of the file, in the contracts folder itself.
pub(super) const EXEMPTIONS_FILE: &str = "exemptions.yaml";

const FILE_KEYS: Keys = Keys::plain("a file of exemptions", &["version", "exemptions"]);
const ENTRY_KEYS: Keys = Keys::plain(
    "an exemption",
    &["rule", "contract", "file", "owner", "reason", "expires"],
);
const EXEMPTIONS_MAX: usize = 10_000;
const REASON_CHARS_MAX: usize = 1_000;
const PATH_CHARS_MAX: usize = 4_096;

/// One exemption.
#[derive(Debug)]
struct Exemption {
    place: Place,
    expires: (Date, Place),
    code: Code,
    about: About,
    is_used: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum About {
    Contract(ContractId),
    File(Box<str>),
}

/// What a finding is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The path of the file below the contracts folder.
    pub(super) file: &'a str,
    /// The contract that stands at the place.
    pub(super) contract: Option<&'a ContractId>,
}

/// All exemptions of a folder.
#[derive(Debug, Default)]
pub(super) struct Exemptions(Vec<Exemption>);

/// What the file says; what has a fault exempts nothing.
pub(super) fn read_exemptions(sheet: &mut Sheet<'_>, root: &Node) -> Exemptions {
    let Some(fields) = sheet.fields(root, &FILE_KEYS) else {
        return Exemptions::default();
    };
    sheet.format_version(fields);
    let list = sheet.required(fields, "exemptions");
    let items = list.and_then(|node| sheet.list(node, "'exemptions'"));
    let items = items.unwrap_or_default();
    if items.len() > EXEMPTIONS_MAX {
        let message = format!("there are more than {EXEMPTIONS_MAX} exemptions");
        sheet.error(root.place, Code::TooMany, message);
        return Exemptions::default();
    }
    let read = items.iter().filter_map(|item| read_entry(sheet, item));
    Exemptions(read.collect())
}

/// One entry; every key is read, so that every fault is reported.
fn read_entry(sheet: &mut Sheet<'_>, node: &Node) -> Option<Exemption> {
    let fields = sheet.fields(node, &ENTRY_KEYS)?;
    let rule = sheet.required(fields, "rule");
    let code = rule.and_then(|node| {
        let words = Code::exemptable_words();
        sheet.choice(node, "'rule'", &words, Code::exemptable)
    });
    let about = read_about(sheet, fields);
    let owner = required_text(sheet, fields, "owner", OWNER_CHARS_MAX);
    let reason = required_text(sheet, fields, "reason", REASON_CHARS_MAX);
    let expires = sheet.required(fields, "expires").and_then(|node| {
        let text = sheet.text(node, "'expires'", 64)?;
        let date = Date::parse(text);
        if date.is_none() {
            let message = format!("'expires' is a day such as 2026-01-31, not '{text}'");
            sheet.error(node.place, Code::NotADay, message);
        }
        Some((date?, node.place))
    });
    owner.and(reason)?;
    Some(Exemption {
        place: node.place,
        expires: expires?,
        code: code?,
        about: about?,
        is_used: false,
    })
}

fn required_text<'n>(
    sheet: &mut Sheet<'_>,
    fields: Fields<'n>,
    key: &str,
    chars_max: usize,
) -> Option<&'n str> {
    let node = sheet.required(fields, key)?;
    sheet.text(node, &format!("'{key}'"), chars_max)
}

fn read_about(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<About> {
    match (fields.get("contract"), fields.get("file")) {
        (Some(node), None) => {
            let id = ContractId::new(sheet.text(node, "'contract'", 256)?);
            if id.is_none() {
                let message = "'contract' is the id of a contract".to_owned();
                sheet.error(node.place, Code::ContractId, message);
            }
            id.map(About::Contract)
        }
        (None, Some(node)) => {
            let file = sheet.text(node, "'file'", PATH_CHARS_MAX)?;
            Some(About::File(file.into()))
        }
        _ => {
            let message = "an exemption names one of 'contract' and 'file'".to_owned();
            let remedy = "write one of the two; 'file' is a path below the contracts folder";
            sheet.error_with(fields.place(), Code::MissingKey, message, remedy.to_owned());
            None
        }
    }
}

impl Exemptions {
    /// Takes away what is exempted. `today` is `None` where no day is judged.
    pub(super) fn apply<'a>(
        &mut self,
        findings: &mut Vec<Diagnostic>,
        today: Option<Date>,
        subject: impl Fn(&Diagnostic) -> Subject<'a>,
    ) {
        let codes: BTreeSet<Code> = self.0.iter().map(|exemption| exemption.code).collect();
        findings.retain(|finding| {
            if !codes.contains(&finding.code) {
                return true;
            }
            let about = subject(finding);
            let mut is_exempt = false;
            for exemption in &mut self.0 {
                if exemption.code == finding.code && exemption.is_about(about) {
                    exemption.is_used = true;
                    is_exempt |= !exemption.is_over(today);
                }
            }
            !is_exempt
        });
    }

    /// Reports those that have expired, and those that nothing was found for.
    pub(super) fn judge(&self, sheet: &mut Sheet<'_>, today: Option<Date>) {
        for exemption in &self.0 {
            let (expires, place) = exemption.expires;
            if let Some(today) = today.filter(|_| exemption.is_over(today)) {
                let message = format!("this exemption ended on {expires}, and today is {today}");
                sheet.error(place, Code::ExemptionExpired, message);
            } else if !exemption.is_used {
                let code = exemption.code;
                let rule = code.lint().unwrap_or(code.as_str());
                let about = match &exemption.about {
                    About::Contract(id) => format!("the contract '{}'", id.as_str()),
                    About::File(file) => format!("the file '{file}'"),
                };
                let message = format!("there is no finding of '{rule}' about {about}");
                sheet.warning(exemption.place, Code::ExemptionUnused, message);
            }
        }
    }
}

impl Exemption {
    fn is_about(&self, subject: Subject<'_>) -> bool {
        match &self.about {
            About::Contract(id) => subject.contract == Some(id),
            About::File(file) => **file == *subject.file,
        }
    }

    /// The day of its end is still within it.
    fn is_over(&self, today: Option<Date>) -> bool {
        today.is_some_and(|today| today > self.expires.0)
    }
}
