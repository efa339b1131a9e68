//! `seg-*.tree` files, read by the verifier's own code: held against the lines where they are there,
//! and in place of them where they are gone.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::pieces::{GROUP_LEVEL, Watch};
use super::report::{At, Broken, Damage, RESTORE, broken};
use super::tree::{Hash, Piece, from_hex};

/// 64 million records; a larger file is none of ours.
const FILE_BYTES_MAX: u64 = 256 << 20;
const FORM: &str =
    "a tree file is its first line, then <level 0 or 1> <index> <64 hex digits> without gaps";

/// A tree file as it was read.
#[derive(Debug)]
pub(super) struct TreeText {
    path: PathBuf,
    pub(super) first_seq: u64,
    pub(super) next_seq: u64,
    /// The hash of the segment's last record.
    pub(super) head: String,
    pub(super) pieces: Vec<Piece>,
}

impl TreeText {
    /// Reads a file; `None` where there is none.
    pub(super) fn read(path: &Path) -> io::Result<Option<Result<Self, Box<Damage>>>> {
        let mut text = String::new();
        let opened = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let read = opened.take(FILE_BYTES_MAX).read_to_string(&mut text);
        match read {
            Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
            // What is not UTF-8 has no first line of ours.
            Err(_) => text.clear(),
            Ok(_) => {}
        }
        let parsed = Self::parse(path, &text).map_err(|(line, seq)| {
            let at = At {
                seq,
                line,
                offset: 0,
            };
            Box::new(broken(FORM, "", format!("line {line}")).at(path, at))
        });
        Ok(Some(parsed))
    }

    /// The text, or the line (from 1) that is wrong and the number that it is about.
    fn parse(path: &Path, text: &str) -> Result<Self, (u64, u64)> {
        let body = text.strip_suffix('\n').ok_or((1, 0))?;
        let mut lines = body.split('\n');
        let mut words = lines
            .next()
            .and_then(|line| line.strip_prefix("tidegate-tree 1 "))
            .ok_or((1, 0))?
            .split(' ');
        let first_seq = words.next().and_then(number).ok_or((1, 0))?;
        let next_seq = words.next().and_then(number).ok_or((1, 0))?;
        let head = words
            .next()
            .filter(|head| from_hex(head.as_bytes()).is_some());
        let (Some(head), None) = (head, words.next()) else {
            return Err((1, 0));
        };
        let (mut at, mut pieces) = (first_seq, Vec::new());
        for (line, number) in lines.zip(2_u64..) {
            let (piece, begin) = hash_line(line).ok_or((number, at))?;
            if begin != at {
                return Err((number, at));
            }
            at += 1 << piece.level;
            pieces.push(piece);
        }
        if at != next_seq || at <= first_seq {
            return Err((1, at));
        }
        Ok(Self {
            path: path.to_path_buf(),
            first_seq,
            next_seq,
            head: head.to_owned(),
            pieces,
        })
    }
}

/// Decimal digits without a leading zero.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    plain
        .then(|| text.parse().ok())
        .flatten()
        .filter(|n| *n < 1 << 53)
}

fn hash_line(line: &str) -> Option<(Piece, u64)> {
    let mut words = line.split(' ');
    let (level, index, digits) = (words.next()?, number(words.next()?)?, words.next()?);
    let level = match level {
        "0" => 0,
        "1" => GROUP_LEVEL,
        _ => return None,
    };
    let hash = from_hex(digits.as_bytes())?;
    let begin = index.checked_mul(1 << level)?;
    words
        .next()
        .is_none()
        .then_some((Piece { level, hash }, begin))
}

/// Holds a tree file against the leaves of its segment as they come.
#[derive(Debug, Default)]
pub(super) struct TreeCheck {
    text: Option<TreeText>,
    /// The next hash to be met, and the leaf where it begins.
    next: usize,
    begin: u64,
    differs: Option<(u64, u64, Hash)>,
}

impl TreeCheck {
    pub(super) fn new(text: Option<TreeText>) -> Self {
        Self {
            begin: text.as_ref().map_or(0, |text| text.first_seq),
            text,
            ..Self::default()
        }
    }

    /// What is wrong with the file, once all leaves have come. A file about fewer records than
    /// there are is `stale`, which is allowed for the newest segment: it was closed and gone on with.
    pub(super) fn finish(
        self,
        first_seq: u64,
        next_seq: u64,
        head: &[u8; 64],
        newest: bool,
    ) -> Option<Damage> {
        let text = self.text?;
        if newest && text.first_seq == first_seq && text.next_seq < next_seq {
            return None;
        }
        let head = String::from_utf8_lossy(head);
        let found = format!("{} {} {}", text.first_seq, text.next_seq, text.head);
        let expected = format!("{first_seq} {next_seq} {head}");
        if found != expected {
            let rule = "a tree file names its segment's first and next number and its last hash";
            let at = At {
                seq: first_seq,
                line: 1,
                offset: 0,
            };
            return Some(broken(rule, expected, found).at(text.path, at));
        }
        let (line, seq, hash) = self.differs?;
        let rule = "the hashes of a tree file are those of the segment's records";
        let carried = text
            .pieces
            .get(line as usize - 2)
            .map(|piece| hex::encode(piece.hash));
        Some(Damage {
            remedy: RESTORE,
            ..broken(rule, hex::encode(hash), carried.unwrap_or_default()).at(
                text.path,
                At {
                    seq,
                    line,
                    offset: 0,
                },
            )
        })
    }
}

impl Watch for TreeCheck {
    fn meet(&mut self, first: u64, piece: Piece) {
        let Some(text) = &self.text else { return };
        let Some(expected) = text.pieces.get(self.next) else {
            return;
        };
        if self.begin != first || expected.level != piece.level {
            return;
        }
        self.next += 1;
        self.begin += 1 << piece.level;
        if expected.hash != piece.hash && self.differs.is_none() {
            self.differs = Some((self.next as u64 + 1, first, piece.hash));
        }
    }
}

/// A tree file stands for a removed segment only if it is whole.
pub(super) fn removed(path: &Path) -> io::Result<Result<TreeText, Box<Damage>>> {
    Ok(TreeText::read(path)?.unwrap_or_else(|| {
        let rule = "the tree file of a removed segment is kept";
        let missing: Broken = broken(rule, path.display(), "no such file");
        Err(Box::new(missing.of_file(path, 0)))
    }))
}
