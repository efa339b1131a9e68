//! Values at the bounds of each key and beyond them, made of the shape.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate::yaml::{Kind, Shape};

use Verdict as V;

/// The codes that say that a value is none of those of its key.
const OF_VALUES: [&str; 12] = [
    "C009", "C010", "C011", "C012", "C013", "C014", "C015", "C017", "C019", "C105", "C202", "C303",
];

/// What must become of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// It is a value of the key; what it means beside others is another matter.
    Taken,
    /// It is not, with one of these codes; none = with any.
    Refused(&'static [&'static str]),
    /// The reader alone can know that it is not.
    RefusedByReader(&'static [&'static str]),
}

impl Verdict {
    /// What the reader did otherwise.
    pub(crate) fn contradicts(self, found: &[String]) -> Option<String> {
        match self {
            Self::Taken => {
                let of_values = found.iter().find(|code| OF_VALUES.contains(&code.as_str()));
                of_values.map(|code| format!("the schema takes it, the reader says {code}"))
            }
            Self::Refused(codes) | Self::RefusedByReader(codes) => {
                let is_said = found
                    .iter()
                    .any(|code| codes.is_empty() || codes.contains(&code.as_str()));
                (!is_said).then(|| format!("it should be {codes:?}, and the reader says {found:?}"))
            }
        }
    }

    /// What the schema has to say; `None` where it cannot know.
    pub(crate) const fn is_valid(self) -> Option<bool> {
        match self {
            Self::Taken => Some(true),
            Self::Refused(_) => Some(false),
            Self::RefusedByReader(_) => None,
        }
    }
}

/// A place, as a JSON pointer, and a value for it; null removes what stands there.
pub(crate) struct Probe {
    pub(crate) at: String,
    pub(crate) value: Value,
    pub(crate) verdict: Verdict,
}

/// The same document with another value at a place.
pub(crate) fn changed(full: &Value, at: &str, value: Value) -> Value {
    let mut document = full.clone();
    let (parent, key) = at.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => {
            members.remove(key);
        }
        Value::Object(members) => {
            members.insert(key.to_owned(), value);
        }
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{parent} is {other}"),
    }
    document
}

/// All probes of a document that says everything.
pub(crate) fn of(shape: &Shape, full: &Value) -> Vec<Probe> {
    let mut probes = Probes::default();
    of_map(shape, full, "", &mut probes);
    let unsaid: Vec<_> = probes.unsaid.difference(&probes.said).collect();
    assert!(
        unsaid.is_empty(),
        "{unsaid:?} not said: give them values in the full files of tests/schema/site.rs"
    );
    probes.all
}

/// What is gathered. Keys that exclude each other are said by several items of one list.
#[derive(Default)]
struct Probes {
    all: Vec<Probe>,
    said: BTreeSet<(&'static str, &'static str)>,
    unsaid: BTreeSet<(&'static str, &'static str)>,
}

impl Probes {
    fn push(&mut self, probe: Probe) {
        self.all.push(probe);
    }
}

fn of_map(shape: &Shape, full: &Value, at: &str, probes: &mut Probes) {
    let what = shape.keys.what;
    probes.push(Probe {
        at: format!("{at}/zzz"),
        value: json!(1),
        verdict: V::Refused(&["C009"]),
    });
    for line in shape.lines {
        let at = format!("{at}/{}", line.key);
        let Some(value) = full.get(line.key) else {
            probes.unsaid.insert((what, line.key));
            continue;
        };
        probes.said.insert((what, line.key));
        if line.needed {
            probes.push(Probe {
                at: at.clone(),
                value: Value::Null,
                verdict: V::Refused(&["C011"]),
            });
        }
        of_kind(&line.kind, value, &at, probes);
    }
}

fn of_kind(kind: &Kind, full: &Value, at: &str, probes: &mut Probes) {
    for (value, verdict) in values(kind, full) {
        let at = at.to_owned();
        probes.push(Probe { at, value, verdict });
    }
    match kind {
        Kind::Map(shape) => of_map(shape, full, at, probes),
        Kind::List { of, .. } => {
            for (number, item) in full.as_array().unwrap().iter().enumerate() {
                of_kind(of, item, &format!("{at}/{number}"), probes);
            }
        }
        Kind::Named { of, .. } => {
            let (name, value) = full.as_object().unwrap().iter().next().unwrap();
            of_kind(of, value, &format!("{at}/{name}"), probes);
        }
        Kind::Either(kinds) => {
            for kind in *kinds {
                match kind {
                    Kind::Map(shape) => of_map(shape, full, at, probes),
                    other => of_kind(other, full, at, probes),
                }
            }
        }
        _ => {}
    }
}

fn values(kind: &Kind, full: &Value) -> Vec<(Value, V)> {
    match kind {
        Kind::Version => vec![
            (json!(2), V::Refused(&["C015"])),
            (json!("1"), V::Refused(&["C015"])),
        ],
        Kind::Integer { min, max } => integers(*min, *max),
        Kind::Share { digits, positive } => shares(*digits, *positive),
        Kind::Boolean => vec![
            (json!(true), V::Taken),
            (json!(false), V::Taken),
            (json!("yes"), V::Refused(&["C012"])),
        ],
        Kind::Text(max) => vec![
            (json!("x".repeat(*max)), V::Taken),
            (json!("x".repeat(max + 1)), V::Refused(&["C019"])),
            (json!(""), V::Refused(&["C019"])),
            (json!([]), V::Refused(&["C012"])),
        ],
        Kind::Form(_) => vec![
            (json!(""), V::Refused(&[])),
            (json!({ "a": 1 }), V::Refused(&[])),
        ],
        Kind::Choice(choices) => {
            let taken = choices()
                .into_iter()
                .map(|choice| (json!(choice), V::Taken));
            let refused = (json!("zzz"), V::Refused(&["C014", "C105"]));
            taken.chain([refused]).collect()
        }
        Kind::List { min, max, .. } => lists(*min, *max, full),
        Kind::Map(_) => vec![(json!("x"), V::Refused(&["C012"]))],
        Kind::Thousandths => vec![
            (json!(0), V::Taken),
            (json!(4_294_967.295), V::Taken),
            (json!(4_294_968), V::Refused(&["C013"])),
            (json!(-1), V::Refused(&["C012"])),
            (json!("x"), V::Refused(&["C012"])),
            (json!(1.2345), V::RefusedByReader(&["C017"])),
        ],
        Kind::Named { names, min, .. } => named(names, *min, full),
        Kind::AnyInteger | Kind::Either(_) => Vec::new(),
    }
}

fn named(names: &str, min: usize, full: &Value) -> Vec<(Value, V)> {
    let nothing = match min {
        0 => V::Taken,
        _ => V::Refused(&[]),
    };
    // Without a form every name is one.
    let blank = match names {
        "" => V::Taken,
        _ => V::Refused(&[]),
    };
    let one = full.as_object().unwrap().values().next();
    vec![
        (json!({}), nothing),
        (json!({ "A B": one }), blank),
        (json!([]), V::Refused(&["C012"])),
    ]
}

fn integers(min: u64, max: u64) -> Vec<(Value, V)> {
    let mut values = vec![
        (json!(min), V::Taken),
        (json!(max), V::Taken),
        (json!(max + 1), V::Refused(&["C013"])),
        (json!("x"), V::Refused(&["C012"])),
        (json!(1.5), V::Refused(&["C012"])),
        (json!(-1), V::Refused(&["C013"])),
    ];
    if let Some(less) = min.checked_sub(1) {
        values.push((json!(less), V::Refused(&["C013"])));
    }
    values
}

fn shares(digits: u32, positive: bool) -> Vec<(Value, V)> {
    let of_digits = |count: u32| json!(1.0 / 10_f64.powi(count as i32));
    let nothing = if positive {
        V::Refused(&["C013"])
    } else {
        V::Taken
    };
    vec![
        (json!(0), nothing),
        (json!(1), V::Taken),
        (of_digits(digits.min(4)), V::Taken),
        (json!("much"), V::Refused(&["C012"])),
        (json!(1.5), V::Refused(&["C013"])),
        (text_of_digits(digits + 1), V::RefusedByReader(&["C017"])),
    ]
}

/// A share with one digit too many, that JSON writes without an exponent.
fn text_of_digits(digits: u32) -> Value {
    json!(0.1 + 1.0 / 10_f64.powi(digits as i32))
}

fn lists(min: usize, max: usize, full: &Value) -> Vec<(Value, V)> {
    let mut values = vec![(json!("x"), V::Refused(&["C012"]))];
    if min > 0 {
        values.push((json!([]), V::Refused(&[])));
    }
    if max < usize::MAX {
        let many: Vec<&Value> = vec![&full[0]; max + 1];
        values.push((json!(many), V::Refused(&["C018", "C206"])));
    }
    values
}
