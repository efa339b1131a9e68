//! The name of the log: where it comes from, and that it names this chain.

use std::fs;
use std::io;
use std::path::Path;

use super::super::super::directory::list_segments;
use super::super::super::line::Record;
use super::super::super::opening::origin_matches;
use super::super::super::reader::Lines;
use super::super::join::Log;
use super::super::options::{Known, KnownHead, VerifyOptions};
use super::super::report::{Damage, RESTORE};
use super::Check;

impl Check<'_> {
    /// The origin names this chain and an instance that opened it.
    pub(super) fn origin(&self, log: &Log<'_>) -> io::Result<Option<Damage>> {
        let Some(genesis) = &log.genesis else {
            return Ok(None);
        };
        self.origin_among(&log.instances, genesis)
    }

    /// The same by record 0 alone, if that is here and good.
    pub(super) fn origin_alone(&self) -> io::Result<Option<Damage>> {
        let first = list_segments(self.path)?.into_iter().next();
        let Some(first) = first.filter(|first| first.first_seq == 0) else {
            return Ok(None);
        };
        let (mut lines, mut scratch) = (Lines::of_segment(&first)?, Vec::new());
        let Ok(Some(line)) = lines.next() else {
            return Ok(None);
        };
        let Ok(record) = Record::check(line.bytes, &mut scratch) else {
            return Ok(None);
        };
        let instances: Vec<String> = record
            .text("instance")
            .map(str::to_owned)
            .into_iter()
            .collect();
        self.origin_among(&instances, &record.hash)
    }

    pub(super) fn origin_among(
        &self,
        instances: &[String],
        genesis: &[u8; 64],
    ) -> io::Result<Option<Damage>> {
        let file = self.path.join("origin");
        let genesis = String::from_utf8_lossy(genesis).into_owned();
        let text = match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let name = text.rsplit_once('/').map(|(name, _)| name);
        let known = instances.iter().any(|known| Some(known.as_str()) == name);
        if known && origin_matches(&text, &genesis) {
            return Ok(None);
        }
        Ok(Some(Damage {
            file,
            offset: 0,
            line: 1,
            seq: 0,
            rule: "origin is the name of an instance that opened the ledger and the first 16 digits of the genesis hash".to_owned(),
            expected: format!(
                "{}/{}",
                instances.join("|"),
                genesis.get(..16).unwrap_or_default()
            ),
            found: text.trim_end().to_owned(),
            remedy: RESTORE,
        }))
    }
}

/// The name of the log: from its file, else from what the caller knows of it.
pub(super) fn origin_of(dir: &Path, options: &VerifyOptions) -> Option<String> {
    let text = fs::read_to_string(dir.join("origin")).ok();
    let own = text
        .as_deref()
        .and_then(|text| text.strip_suffix('\n'))
        .map(str::to_owned);
    let of_head = || match &options.head {
        Some(KnownHead(Known::Note(head))) => Some(head.checkpoint.origin.clone()),
        _ => None,
    };
    let of_key = || {
        options
            .keys
            .iter()
            .find_map(|key| key.name().map(str::to_owned))
    };
    own.or_else(of_head).or_else(of_key)
}
