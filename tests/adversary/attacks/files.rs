//! The files of a ledger, and ways to change them so that hashes and links agree again.

use std::collections::BTreeMap;

use tidegate::ledger::{Chain, entry_hash, hex64};

use super::super::site::Site;

pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) const FIRST: &str = "seg-0000000000000000.jsonl";

pub(crate) fn second(site: &Site) -> String {
    format!("seg-{:016}.jsonl", site.segments[1].0)
}

pub(super) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

/// Changes one record and all that follow, so that hashes and links agree again.
pub(super) fn rewrite(files: &mut Files, names: &[&str], from: u64, change: impl Fn(&mut String)) {
    let mut head: Option<String> = None;
    for name in names {
        let mut out = Vec::new();
        for line in lines(&files[*name]) {
            let mut text = String::from_utf8(line).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let seq = value["seq"].as_u64().unwrap();
            if seq >= from {
                let (entry, _) = text.rsplit_once(",\"hash\"").unwrap();
                let mut entry = entry.to_owned() + "}";
                if seq == from {
                    change(&mut entry);
                }
                if let Some(head) = &head {
                    entry = entry.replace(value["prev"].as_str().unwrap(), head);
                }
                let hash = hex64(&entry_hash(entry.as_bytes()));
                let hash = String::from_utf8(hash.to_vec()).unwrap();
                text = format!("{},\"hash\":\"{hash}\"}}\n", &entry[..entry.len() - 1]);
                head = Some(hash);
            }
            out.extend(text.bytes());
        }
        files.insert((*name).to_owned(), out);
    }
}

pub(super) fn changed(site: &Site, change: impl FnOnce(&mut Files)) -> Files {
    let mut files = site.files();
    change(&mut files);
    files
}

pub(super) fn relined(site: &Site, name: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Files {
    changed(site, |files| {
        let mut all = lines(&files[name]);
        change(&mut all);
        files.insert(name.to_owned(), all.concat());
    })
}

pub(super) fn without_notes(files: &mut Files, site: &Site, keep: usize) {
    let kept = &site.notes[..keep];
    let heads: String = kept.iter().map(|note| format!("{note}\n")).collect();
    files.insert("heads.log".to_owned(), heads.into_bytes());
    files.insert("checkpoint".to_owned(), kept[keep - 1].clone().into_bytes());
}

/// Makes an unsigned ledger of a signed one: what somebody does who wants no signature looked at.
pub(super) fn strip(files: &mut Files, names: &[&str]) {
    let (mut chain, mut out) = (Chain::genesis(), BTreeMap::new());
    for name in names {
        let mut bytes = Vec::new();
        for line in lines(&files[*name]) {
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            if matches!(value["kind"].as_str(), Some("key" | "checkpoint")) {
                continue;
            }
            let text = String::from_utf8(line).unwrap();
            let (entry, _) = text.rsplit_once(",\"hash\"").unwrap();
            let head = String::from_utf8(chain.head().to_vec()).unwrap();
            let entry = format!("{entry}}}")
                .replace(value["prev"].as_str().unwrap(), &head)
                .replace(
                    &format!("\"seq\":{}", value["seq"]),
                    &format!("\"seq\":{}", chain.next_seq()),
                );
            let hash = hex64(&entry_hash(entry.as_bytes()));
            bytes.extend(
                format!(
                    "{},\"hash\":\"{}\"}}\n",
                    &entry[..entry.len() - 1],
                    String::from_utf8(hash.to_vec()).unwrap()
                )
                .bytes(),
            );
            chain = Chain::resume(chain.next_seq() + 1, hash);
        }
        out.insert((*name).to_owned(), bytes);
    }
    let all: Vec<u8> = names.iter().flat_map(|name| out[*name].clone()).collect();
    for name in names {
        files.remove(*name);
    }
    files.retain(|name, _| !name.ends_with(".tree"));
    files.insert(FIRST.to_owned(), all);
}
