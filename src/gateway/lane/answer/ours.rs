//! The fields that the gateway sets on an answer of the lane.
//!
//! Invariant: they apply in the order in which they were set. Deliberately not here: what an
//! upstream said; both meet when the head is written.

use pingora::Result;

use crate::gateway::answer_fields::{AnswerFields, unsayable};

/// Fields to set, kept in memory that is used again for the next answer.
#[derive(Debug, Default)]
pub(crate) struct OurFields {
    text: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    /// Its line ends here in the text, and begins where the one before it ends.
    end: usize,
    is_beside: bool,
}

/// One field to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ours<'a> {
    pub(super) name: &'static str,
    pub(super) line: &'a [u8],
    /// Beside others of its name, and not in their place.
    pub(super) is_beside: bool,
}

impl OurFields {
    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    pub(super) fn get(&self, index: usize) -> Option<Ours<'_>> {
        let field = self.fields.get(index)?;
        let before = index.checked_sub(1).and_then(|last| self.fields.get(last));
        let begin = before.map_or(0, |before| before.end);
        Some(Ours {
            name: field.name,
            line: self.text.get(begin..field.end)?,
            is_beside: field.is_beside,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// All of them as lines, each with its CR LF.
    pub(in crate::gateway::lane) fn lines(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    fn push(&mut self, name: &'static str, value: &[u8], is_beside: bool) -> Result<()> {
        if has_control(value) {
            return Err(unsayable());
        }
        self.text.reserve(name.len() + value.len() + 4);
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.text.extend_from_slice(part);
        }
        self.fields.push(Field {
            name,
            end: self.text.len(),
            is_beside,
        });
        Ok(())
    }
}

/// Whether a byte stands in it that cannot stand in a value.
#[inline]
fn has_control(value: &[u8]) -> bool {
    let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    let (words, rest) = value.as_chunks();
    // A tab is looked at again, which is rare.
    let is_plain = words.iter().all(|word| is_plain(u64::from_le_bytes(*word)));
    !(is_plain || words.as_flattened().iter().all(|byte| !is_control(byte)))
        || rest.iter().any(is_control)
}

/// Whether all eight bytes are above the control characters of ASCII, and none of them is the last.
const fn is_plain(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    // A borrow runs into the byte above alone where the byte below is one of those looked for.
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let deletes = word ^ (ONES * 0x7f);
    let is_delete = deletes.wrapping_sub(ONES) & !deletes;
    (below_space | is_delete) & HIGH == 0
}

impl AnswerFields for OurFields {
    fn insert(&mut self, name: &'static str, value: &[u8]) -> Result<()> {
        self.push(name, value, false)
    }

    fn append(&mut self, name: &'static str, value: &[u8]) -> Result<()> {
        self.push(name, value, true)
    }
}

#[cfg(test)]
mod tests {
    use super::has_control;

    #[test]
    fn what_cannot_stand_in_a_value_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let expected = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
            for len in 1..=17 {
                for at in 0..len {
                    for around in [b'a', b' ', b'~', 0x80, 0xff, b'\t'] {
                        let mut value = vec![around; len];
                        value[at] = byte;
                        assert_eq!(has_control(&value), expected, "{value:?}");
                    }
                }
            }
        }
        assert!(!has_control(b""));
    }
}
