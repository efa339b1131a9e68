//! The fields of the client's head in their order.
//!
//! Invariant: names stand in the order of the map that Pingora keeps them in: each name where it
//! came first, with all its values, and the last name in the place of one that was taken out. So
//! the lane and the full proxy write the same bytes. Deliberately not here: which fields go.

use httparse::Header;
use smallvec::SmallVec;

use super::head::{AnswerHead, Kind};
use super::ours::OurFields;

/// Names for which nothing is allocated.
const NAMES_USUAL: usize = 32;

/// One name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) kind: Kind,
    /// Fields of ours that stand behind, from this one on.
    pub(super) beside: Option<u16>,
}

/// Who says the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The upstream, with this field first.
    Upstream(u16),
    /// The upstream, with this field alone.
    OneLength(u16),
    Ours(u16),
    Chunked,
    Date,
    Connection,
}

/// All names of a head.
pub(super) struct Order<'a, 'b> {
    pub(super) fields: &'a [Header<'b>],
    pub(super) entries: SmallVec<[Entry; NAMES_USUAL]>,
    /// Some name stands more than once.
    pub(super) has_doubles: bool,
    /// Names that are the same set the same bit, so most need no second look.
    bits: u64,
}

impl<'a, 'b> Order<'a, 'b> {
    pub(super) fn of(head: &AnswerHead<'a, 'b>) -> Self {
        let mut order = Self {
            fields: head.fields,
            entries: SmallVec::new(),
            has_doubles: false,
            bits: 0,
        };
        for (index, (field, kind)) in (0..).zip(head.fields.iter().zip(&head.kinds)) {
            if !order.is_new(field.name) && order.has_before(index, field.name) {
                order.has_doubles = true;
                continue;
            }
            order.push(Source::Upstream(index), *kind);
        }
        order
    }

    pub(super) fn push(&mut self, source: Source, kind: Kind) {
        self.entries.push(Entry {
            source,
            kind,
            beside: None,
        });
    }

    /// Takes the name of a kind out.
    pub(super) fn remove(&mut self, kind: Kind) {
        let place = self.entries.iter().position(|entry| entry.kind == kind);
        self.remove_at(place);
    }

    /// Takes a name out.
    pub(super) fn remove_named(&mut self, name: &str) {
        let place = self.place_of(name, None);
        self.remove_at(place);
    }

    /// Takes out all names that only the gateway may say.
    pub(super) fn remove_ours(&mut self) {
        let entries = self.entries.iter();
        let claimed = entries.filter(|entry| entry.kind == Kind::Tidegate);
        let claimed: SmallVec<[Source; 4]> = claimed.map(|entry| entry.source).collect();
        for source in claimed {
            let place = self.entries.iter().position(|entry| entry.source == source);
            self.remove_at(place);
        }
    }

    fn remove_at(&mut self, place: Option<usize>) {
        if let Some(place) = place {
            self.entries.swap_remove(place);
        }
    }

    /// Sets a field of ours.
    pub(super) fn set(&mut self, ours: &OurFields, index: u16) {
        let Some(field) = ours.get(usize::from(index)) else {
            return;
        };
        let is_new = self.is_new(field.name);
        let place = (!is_new).then(|| self.place_of(field.name, Some(ours)));
        match place
            .flatten()
            .and_then(|place| self.entries.get_mut(place))
        {
            None => self.push(Source::Ours(index), Kind::of(field.name)),
            Some(entry) if field.is_beside => {
                entry.beside.get_or_insert(index);
            }
            Some(entry) => {
                entry.source = Source::Ours(index);
                entry.beside = None;
            }
        }
    }

    /// Puts the gateway's own word in the place of the name of a kind, or behind all.
    pub(super) fn put(&mut self, source: Source, kind: Kind) {
        match self.entries.iter_mut().find(|entry| entry.kind == kind) {
            Some(entry) => {
                entry.source = source;
                entry.beside = None;
            }
            None => self.push(source, kind),
        }
    }

    pub(super) fn find(&mut self, kind: Kind) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.kind == kind)
    }

    fn place_of(&self, name: &str, ours: Option<&OurFields>) -> Option<usize> {
        self.entries.iter().position(|entry| match entry.source {
            Source::Upstream(index) | Source::OneLength(index) => {
                let field = self.fields.get(usize::from(index));
                field.is_some_and(|field| field.name.eq_ignore_ascii_case(name))
            }
            Source::Ours(index) => {
                let field = ours.and_then(|ours| ours.get(usize::from(index)));
                field.is_some_and(|field| field.name.eq_ignore_ascii_case(name))
            }
            Source::Chunked | Source::Date | Source::Connection => false,
        })
    }

    /// Whether a name is surely none that was there before.
    fn is_new(&mut self, name: &str) -> bool {
        let bit = bit_of(name);
        let is_new = self.bits & bit == 0;
        self.bits |= bit;
        is_new
    }

    fn has_before(&self, index: u16, name: &str) -> bool {
        let before = self.fields.get(..usize::from(index)).unwrap_or_default();
        before
            .iter()
            .any(|field| field.name.eq_ignore_ascii_case(name))
    }
}

fn bit_of(name: &str) -> u64 {
    let of = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or(0) | 0x20);
    let bytes = name.as_bytes();
    let len = u32::try_from(name.len()).unwrap_or(0);
    let sum = len.wrapping_mul(7) ^ of(bytes.first()).wrapping_mul(5) ^ of(bytes.last());
    1 << (sum & 63)
}
