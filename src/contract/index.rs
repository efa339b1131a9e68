//! The route index: from a canonical path to a route, in a time that does not grow with the
//! number of routes.
//!
//! A tree of segments. The literal edges of a node that has several live in one open-addressed
//! table, keyed by parent and segment; an only one needs no look-up. A segment of up to 24 bytes
//! stands in its slot itself, so a step reads one or two cache lines. A literal beats a parameter and a parameter beats a catch-all, at
//! every level, with backtracking. See docs/decisions for why this is not a radix tree.
//!
//! Invariants: a lookup does not allocate; its recursion is at most one per segment; a slot
//! never matches by hash alone. Not here: methods, contracts, what a path may look like.

use crate::contract::segment::{Key, Read, read_more, read_segment, read_word, segment_len};
use crate::contract::template::{Segment, Template};

const NONE: u32 = u32::MAX;
const MANY: u32 = u32::MAX - 1;
const ROOT: u32 = 0;
const SLOTS_MIN: usize = 16;

/// The tree.
#[derive(Debug, Clone)]
pub(super) struct RouteIndex {
    nodes: Vec<Node>,
    /// The edges of nodes that have one literal. Most nodes do, and theirs stand beside each
    /// other here, so that a deep lookup needs few cache lines and few hashes.
    only: Vec<Slot>,
    /// The edges of nodes that have several.
    slots: Vec<Slot>,
    used: usize,
    /// The bytes of literals too long for a slot.
    long_literals: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// The literals that lead on from here: `NONE`, `MANY`, or the place of the only one.
    literals: u32,
    /// Where `{name}` leads.
    parameter: u32,
    /// The route of a catch-all here.
    catch_all: u32,
    /// The route that ends here.
    route: u32,
}

const BARREN: Node = Node {
    literals: NONE,
    parameter: NONE,
    catch_all: NONE,
    route: NONE,
};

/// A literal edge.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: Key,
    parent: u32,
    child: u32,
}

const EMPTY: Slot = Slot {
    key: Key::EMPTY,
    parent: NONE,
    child: NONE,
};

impl RouteIndex {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![BARREN],
            only: Vec::new(),
            slots: vec![EMPTY; SLOTS_MIN],
            used: 0,
            long_literals: Vec::new(),
        }
    }

    /// The route word of a template's place, `NONE`-valued until it is first set.
    pub(super) fn place(&mut self, template: &Template) -> Option<&mut u32> {
        let mut at = ROOT;
        for segment in template.segments() {
            at = match segment {
                Segment::Literal(literal) => self.child_or_new(at, literal.as_bytes()),
                Segment::Parameter(_) => self.parameter_or_new(at),
                Segment::CatchAll(_) => {
                    return self.nodes.get_mut(at as usize).map(|n| &mut n.catch_all);
                }
            };
        }
        self.nodes.get_mut(at as usize).map(|n| &mut n.route)
    }

    /// Gives back the room for more.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.only.shrink_to_fit();
        self.long_literals.shrink_to_fit();
    }

    /// Replaces each route word by what `renumber` says.
    pub(super) fn renumber(&mut self, renumber: impl Fn(u32) -> u32) {
        for node in &mut self.nodes {
            for word in [&mut node.route, &mut node.catch_all] {
                if *word != NONE {
                    *word = renumber(*word);
                }
            }
        }
    }

    /// Whether a route word was never set.
    pub(super) const fn is_unset(word: u32) -> bool {
        word == NONE
    }

    /// The route of a canonical path without empty inner segments.
    #[inline]
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        self.find_from(path, path.get(1..).unwrap_or_default(), ROOT)
    }

    /// The route of what is left of a path below a node.
    fn find_from(&self, path: &[u8], mut rest: &[u8], mut node: u32) -> Option<u32> {
        loop {
            let here = *self.nodes.get(node as usize)?;
            let (first, len) = read_word(path, rest);
            // Most segments are short: one word is all of their key.
            let (child, len) = if len < 8 {
                (self.child_of_word(node, here.literals, first), len)
            } else {
                self.child_of_more(node, here.literals, first, (path, rest))
            };
            let after = rest.get(len + 1..);
            if let Some(child) = child {
                match after {
                    None => {
                        let route = self.route_at(child);
                        if route.is_some() {
                            return route;
                        }
                    }
                    Some(after) if here.parameter == NONE && here.catch_all == NONE => {
                        (rest, node) = (after, child);
                        continue;
                    }
                    Some(after) => {
                        if let Some(route) = self.find_from(path, after, child) {
                            return Some(route);
                        }
                    }
                }
            }
            if here.parameter != NONE && len > 0 {
                match after {
                    None => {
                        let route = self.route_at(here.parameter);
                        if route.is_some() {
                            return route;
                        }
                    }
                    Some(after) if here.catch_all == NONE => {
                        (rest, node) = (after, here.parameter);
                        continue;
                    }
                    Some(after) => {
                        if let Some(route) = self.find_from(path, after, here.parameter) {
                            return Some(route);
                        }
                    }
                }
            }
            let has_rest = here.catch_all != NONE && !rest.is_empty();
            return has_rest.then_some(here.catch_all);
        }
    }

    /// Whether a path of this template, which has been placed, could have been that of another
    /// template if it were spelled otherwise: somewhere a more exact segment stands beside its own.
    pub(super) fn has_rivals(&self, template: &Template) -> bool {
        let mut at = ROOT;
        for segment in template.segments() {
            let Some(here) = self.nodes.get(at as usize) else {
                return false;
            };
            at = match segment {
                Segment::Literal(literal) => {
                    let bytes = literal.as_bytes();
                    let child = self.child(at, here.literals, &read_segment(bytes), bytes);
                    child.unwrap_or(NONE)
                }
                Segment::Parameter(_) if here.literals != NONE => return true,
                Segment::Parameter(_) => here.parameter,
                Segment::CatchAll(_) => return here.literals != NONE || here.parameter != NONE,
            };
        }
        false
    }

    fn route_at(&self, node: u32) -> Option<u32> {
        let route = self.nodes.get(node as usize)?.route;
        (route != NONE).then_some(route)
    }

    /// The child of a segment of fewer than eight bytes. A node without literals has none: their
    /// place is then behind the end.
    #[inline(always)]
    fn child_of_word(&self, parent: u32, literals: u32, word: u64) -> Option<u32> {
        if literals == MANY {
            let is_same = |slot: &Slot| slot.parent == parent && slot.key.is_word(word);
            return self.probe(Key::word_home(parent, word), is_same);
        }
        let only = self.only.get(literals as usize)?;
        only.key.is_word(word).then_some(only.child)
    }

    /// The child of a segment of eight bytes or more that begins with `first`, and how many it has.
    #[inline(never)]
    fn child_of_more(
        &self,
        parent: u32,
        literals: u32,
        first: u64,
        (path, rest): (&[u8], &[u8]),
    ) -> (Option<u32>, usize) {
        // Below a node without literals only the end of the segment is looked for.
        if literals == NONE {
            return (None, segment_len(path, rest));
        }
        let read = read_more(path, rest, first);
        (self.child(parent, literals, &read, rest), read.len)
    }

    /// The child of a segment at the beginning of `rest`.
    #[inline]
    fn child(&self, parent: u32, literals: u32, read: &Read, rest: &[u8]) -> Option<u32> {
        if read.key.is_long() {
            return self.long_child(parent, literals, read, rest);
        }
        if literals == MANY {
            let is_same = |slot: &Slot| slot.parent == parent && slot.key == read.key;
            return self.probe(read.key.home(parent), is_same);
        }
        let only = self.only.get(literals as usize)?;
        (only.key == read.key).then_some(only.child)
    }

    #[cold]
    fn long_child(&self, parent: u32, literals: u32, read: &Read, rest: &[u8]) -> Option<u32> {
        let literal = rest.get(..read.len);
        let is_same = |slot: &Slot| {
            let is_near = slot.parent == parent && slot.key.same_digest(read.key);
            is_near && self.long_literal(slot.key.place()) == literal
        };
        if literals == MANY {
            return self.probe(read.key.home(parent), is_same);
        }
        let only = self.only.get(literals as usize)?;
        is_same(only).then_some(only.child)
    }

    /// The child in the first slot from a key's home on that is the same, up to an empty one.
    #[inline]
    fn probe(&self, home: usize, is_same: impl Fn(&Slot) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut position = home & mask;
        loop {
            let slot = self.slots.get(position)?;
            if is_same(slot) {
                return Some(slot.child);
            }
            if slot.child == NONE {
                return None;
            }
            position = (position + 1) & mask;
        }
    }

    fn long_literal(&self, place: u64) -> Option<&[u8]> {
        let (start, len) = ((place >> 16) as usize, (place & 0xffff) as usize);
        self.long_literals.get(start..start + len)
    }

    fn child_or_new(&mut self, parent: u32, literal: &[u8]) -> u32 {
        let read = read_segment(literal);
        let literals = self.nodes.get(parent as usize).map_or(NONE, |n| n.literals);
        if let Some(child) = self.child(parent, literals, &read, literal) {
            return child;
        }
        let mut key = read.key;
        if key.is_long() {
            let start = self.long_literals.len() as u64;
            key = key.at_place(start << 16 | literal.len() as u64);
            self.long_literals.extend_from_slice(literal);
        }
        let child = self.new_node();
        let slot = Slot { key, parent, child };
        let literals = if literals == NONE {
            self.only.push(slot);
            (self.only.len() - 1) as u32
        } else {
            // The second literal sends the first one to the table; its old place stays unused.
            if let Some(first) = self.only.get(literals as usize).copied() {
                self.put(first);
            }
            self.put(slot);
            MANY
        };
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.literals = literals;
        }
        child
    }

    fn put(&mut self, slot: Slot) {
        if (self.used + 1) * 2 > self.slots.len() {
            let mut larger = vec![EMPTY; self.slots.len() * 2];
            for slot in self.slots.iter().filter(|slot| slot.child != NONE) {
                put(&mut larger, *slot);
            }
            self.slots = larger;
        }
        self.used += 1;
        put(&mut self.slots, slot);
    }

    fn parameter_or_new(&mut self, parent: u32) -> u32 {
        match self.nodes.get(parent as usize) {
            Some(node) if node.parameter != NONE => return node.parameter,
            _ => {}
        }
        let child = self.new_node();
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.parameter = child;
        }
        child
    }

    fn new_node(&mut self) -> u32 {
        self.nodes.push(BARREN);
        (self.nodes.len() - 1) as u32
    }

    /// The most nodes that one lookup can visit, over all paths: 1 + segments for ordinary
    /// route sets, exponential in the segments for sets made to force backtracking.
    pub(super) fn steps_max(&self) -> u64 {
        let mut parents = vec![NONE; self.nodes.len()];
        for slot in self.slots.iter().chain(&self.only) {
            if let Some(parent) = parents.get_mut(slot.child as usize) {
                *parent = slot.parent;
            }
        }
        // A child is always made after its parent, so going backwards sees children first.
        let mut steps = vec![0_u64; self.nodes.len()];
        let mut literal_steps = vec![0_u64; self.nodes.len()];
        for (number, node) in self.nodes.iter().enumerate().rev() {
            let by_parameter = steps.get(node.parameter as usize).copied().unwrap_or(0);
            let by_literal = literal_steps.get(number).copied().unwrap_or(0);
            let all = (1 + by_literal).saturating_add(by_parameter);
            if let Some(own) = steps.get_mut(number) {
                *own = all;
            }
            let parent = parents.get(number).copied().unwrap_or(NONE);
            if let Some(best) = literal_steps.get_mut(parent as usize) {
                *best = all.max(*best);
            }
        }
        steps.first().copied().unwrap_or(0)
    }
}

fn put(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut position = slot.key.home(slot.parent) & mask;
    while let Some(place) = slots.get_mut(position) {
        if place.child == NONE {
            *place = slot;
            return;
        }
        position = (position + 1) & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::{RouteIndex, Template};

    #[test]
    fn literals_of_every_length_are_found_and_told_apart() {
        let mut index = RouteIndex::new();
        for len in 1..60_u32 {
            for end in ["a", "b"] {
                let text = format!("/{}{end}", "x".repeat(len as usize));
                let template = Template::parse(&text).unwrap();
                *index.place(&template).unwrap() = len;
            }
        }
        for len in 1..60_u32 {
            let stem = format!("/{}", "x".repeat(len as usize));
            assert_eq!(index.find(format!("{stem}a").as_bytes()), Some(len));
            assert_eq!(index.find(format!("{stem}c").as_bytes()), None);
        }
    }

    #[test]
    fn backtracking_is_counted() {
        let plain = index(&["/a/b/{c}", "/a/b/d"]);
        assert_eq!(plain.steps_max(), 5);
        let mut templates = Vec::new();
        for bits in 0..256_u32 {
            let part = |bit: u32| {
                if bits >> bit & 1 == 1 {
                    "/a".to_owned()
                } else {
                    format!("/{{p{bit}}}")
                }
            };
            templates.push((0..8).map(part).collect::<String>());
        }
        let texts: Vec<&str> = templates.iter().map(String::as_str).collect();
        assert_eq!(index(&texts).steps_max(), 511);
    }

    fn index(templates: &[&str]) -> RouteIndex {
        let mut index = RouteIndex::new();
        for text in templates {
            let template = Template::parse(text).unwrap();
            *index.place(&template).unwrap() = 1;
        }
        index
    }
}
