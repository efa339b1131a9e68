//! Which requests a run sends: built-in mixes, or a JSON file.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::generate::{self, Contract};
use crate::random::Random;

/// A source of requests.
#[derive(Debug)]
pub enum Mix {
    /// `GET /` only.
    Echo,
    /// Requests that match one of the generated contracts.
    Contracts(Vec<Contract>),
    /// Every request on a path of its own that no contract has.
    Unknown,
    /// `GET /keyed`, each with a key and an address of its own, in fields.
    Keys,
    /// Mostly matching, and some of everything else that leaves no doubt about what was sent.
    Mixed(Vec<Contract>),
    /// The same, and upstream connections that are reset: on a reused connection nobody but the
    /// upstream can know whether it had read the request.
    Faulty(Vec<Contract>),
    /// Weighted entries of a file.
    File(Vec<Entry>),
}

/// One entry of a mix file; `{n}` in the path becomes the request's number.
#[derive(Debug)]
pub struct Entry {
    weight: u64,
    method: String,
    path: String,
    body_bytes: usize,
}

/// A request drawn from a mix.
#[derive(Debug, PartialEq, Eq)]
pub struct Drawn {
    pub(super) method: String,
    target: String,
    body_bytes: usize,
    // Further fields, each with its line break.
    fields: String,
}

impl Drawn {
    fn new(method: &str, target: String) -> Self {
        let body_bytes = if matches!(method, "POST" | "PUT" | "PATCH") {
            64
        } else {
            0
        };
        Self {
            method: method.to_owned(),
            target,
            body_bytes,
            fields: String::new(),
        }
    }

    /// Head and body as sent.
    pub(super) fn bytes(&self, id: &str) -> (Vec<u8>, Vec<u8>) {
        let length = if self.body_bytes > 0 {
            format!("Content-Length: {}\r\n", self.body_bytes)
        } else {
            String::new()
        };
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: load\r\nx-request-id: {id}\r\n{length}{}\r\n",
            self.method, self.target, self.fields
        );
        (head.into_bytes(), vec![b'b'; self.body_bytes])
    }
}

impl Mix {
    /// A built-in mix by name, or a file.
    ///
    /// # Errors
    /// When the name is neither, or the file is not a list of entries.
    pub fn load(name: &str, contracts: u32) -> anyhow::Result<Self> {
        Ok(match name {
            "echo" => Self::Echo,
            "unknown" => Self::Unknown,
            "keys" => Self::Keys,
            "contracts" => Self::Contracts(generate::contracts(contracts, generate::SEED)),
            "mixed" => Self::Mixed(generate::contracts(contracts, generate::SEED)),
            "faulty" => Self::Faulty(generate::contracts(contracts, generate::SEED)),
            file => {
                let text = std::fs::read_to_string(file).with_context(|| {
                    format!(
                        "--mix {file}: not echo, contracts, unknown, keys, mixed or faulty, and no file"
                    )
                })?;
                Self::File(entries(&text).with_context(|| format!("--mix {file}"))?)
            }
        })
    }

    /// The `index`-th request of a run.
    pub(super) fn draw(&self, index: u64, random: &mut Random) -> Drawn {
        match self {
            Self::Echo => Drawn::new("GET", "/".to_owned()),
            Self::Unknown => unknown(index, random),
            Self::Keys => keyed(index, random),
            Self::Contracts(all) => known(all, random, ""),
            Self::Mixed(all) => mixed(all, index, random),
            Self::Faulty(all) => match random.below(50) {
                0 => known(all, random, "?do=reset"),
                _ => mixed(all, index, random),
            },
            Self::File(entries) => from_file(entries, index, random),
        }
    }
}

fn any<'a>(all: &'a [Contract], random: &mut Random) -> Option<&'a Contract> {
    all.get(usize::try_from(random.below(all.len() as u64)).unwrap_or(0))
}

fn known(all: &[Contract], random: &mut Random, query: &str) -> Drawn {
    let Some(contract) = any(all, random) else {
        return Drawn::new("GET", "/".to_owned());
    };
    let at = usize::try_from(random.below(contract.methods.len() as u64)).unwrap_or(0);
    let method = contract.methods.get(at).copied().unwrap_or("GET");
    Drawn::new(method, contract.path(random.below(1_000_000)) + query)
}

fn mixed(all: &[Contract], index: u64, random: &mut Random) -> Drawn {
    match random.below(100) {
        0..80 => known(all, random, ""),
        80..88 => unknown(index, random),
        88..92 => disallowed(all, random),
        92..95 => known(all, random, "?do=status/500"),
        95..97 => known(all, random, "?do=status/404"),
        97..98 => known(all, random, "?do=chunked/3000"),
        _ => known(all, random, "?do=slow/20"),
    }
}

fn disallowed(all: &[Contract], random: &mut Random) -> Drawn {
    let path = any(all, random).map_or_else(|| "/".to_owned(), |c| c.path(random.below(1000)));
    Drawn::new("PATCH", path)
}

fn unknown(index: u64, random: &mut Random) -> Drawn {
    Drawn::new("GET", format!("/nowhere/{:016x}/{index:x}", random.bits()))
}

fn keyed(index: u64, random: &mut Random) -> Drawn {
    let [.., a, b, c] = index.to_be_bytes();
    let key = random.bits();
    Drawn {
        fields: format!("X-Api-Key: key-{key:x}\r\nX-Forwarded-For: 10.{a}.{b}.{c}\r\n"),
        ..Drawn::new("GET", "/keyed".to_owned())
    }
}

fn from_file(entries: &[Entry], index: u64, random: &mut Random) -> Drawn {
    let mut at = random.below(entries.iter().map(|e| e.weight).sum());
    for entry in entries {
        if at < entry.weight {
            return Drawn {
                method: entry.method.clone(),
                target: entry.path.replace("{n}", &index.to_string()),
                body_bytes: entry.body_bytes,
                fields: String::new(),
            };
        }
        at -= entry.weight;
    }
    Drawn::new("GET", "/".to_owned())
}

fn entries(text: &str) -> anyhow::Result<Vec<Entry>> {
    let value: Value = serde_json::from_str(text)?;
    let list = value.as_array().context("a mix is a list of entries")?;
    let mut out = Vec::new();
    for (n, item) in list.iter().enumerate() {
        let entry = Entry {
            weight: item["weight"].as_u64().unwrap_or(1),
            method: item["method"].as_str().unwrap_or("GET").to_owned(),
            path: item["path"]
                .as_str()
                .with_context(|| format!("entry {n} has no path"))?
                .to_owned(),
            body_bytes: usize::try_from(item["body_bytes"].as_u64().unwrap_or(0))?,
        };
        if entry.weight == 0 || !entry.path.starts_with('/') {
            bail!("entry {n}: weight is at least 1 and path begins with /");
        }
        out.push(entry);
    }
    anyhow::ensure!(!out.is_empty(), "a mix has at least one entry");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: u64) -> Vec<Drawn> {
        let mix = Mix::load("mixed", 100).unwrap();
        (0..500)
            .map(|n| mix.draw(n, &mut Random::item(seed, n)))
            .collect()
    }

    // R297
    #[test]
    fn the_same_seed_draws_the_same_requests() {
        assert_eq!(stream(3), stream(3));
        assert_ne!(stream(3), stream(4));
    }

    #[test]
    fn unknown_paths_never_repeat() {
        let targets: std::collections::HashSet<_> = (0..10_000)
            .map(|n| Mix::Unknown.draw(n, &mut Random::item(1, n)).target)
            .collect();
        assert_eq!(targets.len(), 10_000);
    }

    #[test]
    fn keys_never_repeat_in_a_run_or_between_runs() {
        let keys: std::collections::HashSet<_> = (0..20_000)
            .map(|n| {
                Mix::Keys
                    .draw(n % 10_000, &mut Random::item(n / 10_000, n % 10_000))
                    .fields
            })
            .collect();
        assert_eq!(keys.len(), 20_000);
    }

    #[test]
    fn a_file_is_read_and_bad_ones_are_refused() {
        let good = entries(
            r#"[{"weight": 2, "path": "/a/{n}"}, {"path": "/b", "method": "POST", "body_bytes": 3}]"#,
        );
        assert_eq!(good.unwrap().len(), 2);
        for bad in [
            "{}",
            "[]",
            r#"[{"weight": 1}]"#,
            r#"[{"path": "a"}]"#,
            r#"[{"path": "/", "weight": 0}]"#,
        ] {
            assert!(entries(bad).is_err(), "{bad}");
        }
    }
}
