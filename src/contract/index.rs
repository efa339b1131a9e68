//! The route index: from a canonical path to a route, in a time that does not grow with the
//! number of routes.
//!
//! A tree of segments whose literal edges live in one open-addressed table, keyed by parent
//! and segment. A segment of up to 24 bytes stands in its slot itself, so a step reads one
//! cache line. A literal beats a parameter and a parameter beats a catch-all, at every level,
//! with backtracking. See docs/decisions for why this is not a radix tree.
//!
//! Invariants: a lookup does not allocate; its recursion is at most one per segment; a slot
//! never matches by hash alone. Not here: methods, contracts, what a path may look like.

use crate::contract::segment::{Key, LONG, Read, mix, read_segment};
use crate::contract::template::{Segment, Template};

const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;
const SLOTS_MIN: usize = 16;

/// The tree.
#[derive(Debug, Clone)]
pub(super) struct RouteIndex {
    nodes: Vec<Node>,
    slots: Vec<Slot>,
    used: usize,
    /// The bytes of literals too long for a slot.
    long_literals: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// Where `{name}` leads.
    parameter: u32,
    /// The route of a catch-all here.
    catch_all: u32,
    /// The route that ends here.
    route: u32,
    /// Whether a literal leads on from here; below a parameter often none does.
    has_literals: bool,
}

const BARREN: Node = Node {
    parameter: NONE,
    catch_all: NONE,
    route: NONE,
    has_literals: false,
};

/// A literal edge.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: Key,
    parent: u32,
    child: u32,
}

const EMPTY: Slot = Slot {
    key: Key([0; 3]),
    parent: NONE,
    child: NONE,
};

impl RouteIndex {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![BARREN],
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
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        self.find_from(path, 1, ROOT)
    }

    fn find_from(&self, path: &[u8], mut at: usize, mut node: u32) -> Option<u32> {
        loop {
            let read = read_segment(path, at);
            let end = at + read.len;
            let is_last = end >= path.len();
            let here = *self.nodes.get(node as usize)?;
            if here.has_literals
                && let Some(child) = self.child(node, &read, path, at)
            {
                if is_last {
                    let route = self.route_at(child);
                    if route.is_some() {
                        return route;
                    }
                } else if here.parameter == NONE && here.catch_all == NONE {
                    (at, node) = (end + 1, child);
                    continue;
                } else if let Some(route) = self.find_from(path, end + 1, child) {
                    return Some(route);
                }
            }
            if here.parameter != NONE && read.len > 0 {
                if is_last {
                    let route = self.route_at(here.parameter);
                    if route.is_some() {
                        return route;
                    }
                } else if here.catch_all == NONE {
                    (at, node) = (end + 1, here.parameter);
                    continue;
                } else if let Some(route) = self.find_from(path, end + 1, here.parameter) {
                    return Some(route);
                }
            }
            let has_rest = here.catch_all != NONE && at < path.len();
            return has_rest.then_some(here.catch_all);
        }
    }

    fn route_at(&self, node: u32) -> Option<u32> {
        let route = self.nodes.get(node as usize)?.route;
        (route != NONE).then_some(route)
    }

    // Inlined by force: a step of a lookup is so short that calls were a third of it.
    #[inline(always)]
    fn child(&self, parent: u32, read: &Read, path: &[u8], at: usize) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut position = home(parent, read.digest) & mask;
        loop {
            let slot = self.slots.get(position)?;
            if slot.parent == parent {
                // The keys of two long literals are never equal: a stored one holds its place.
                if slot.key.is(read.key)
                    || slot.key.is_long() && self.is_same_long(slot.key, *read, path, at)
                {
                    return Some(slot.child);
                }
            } else if slot.child == NONE {
                return None;
            }
            position = (position + 1) & mask;
        }
    }

    #[cold]
    #[inline(never)]
    fn is_same_long(&self, stored: Key, read: Read, path: &[u8], at: usize) -> bool {
        let ([digest, place, _], [read_digest, ..]) = (stored.0, read.key.0);
        digest == read_digest && self.long_literal(place) == path.get(at..at + read.len)
    }

    fn long_literal(&self, place: u64) -> Option<&[u8]> {
        let (start, len) = ((place >> 16) as usize, (place & 0xffff) as usize);
        self.long_literals.get(start..start + len)
    }

    fn child_or_new(&mut self, parent: u32, literal: &[u8]) -> u32 {
        let read = read_segment(literal, 0);
        if let Some(child) = self.child(parent, &read, literal, 0) {
            return child;
        }
        let mut key = read.key;
        if let [_, place, LONG] = &mut key.0 {
            *place = (self.long_literals.len() as u64) << 16 | literal.len() as u64;
            self.long_literals.extend_from_slice(literal);
        }
        let child = self.new_node();
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.has_literals = true;
        }
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.used += 1;
        let slot = Slot { key, parent, child };
        put(&mut self.slots, slot);
        child
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

    fn grow(&mut self) {
        let mut larger = vec![EMPTY; self.slots.len() * 2];
        for slot in self.slots.iter().filter(|slot| slot.child != NONE) {
            put(&mut larger, *slot);
        }
        self.slots = larger;
    }

    /// The most nodes that one lookup can visit, over all paths: 1 + segments for ordinary
    /// route sets, exponential in the segments for sets made to force backtracking.
    pub(super) fn steps_max(&self) -> u64 {
        let mut parents = vec![NONE; self.nodes.len()];
        for slot in self.slots.iter().filter(|slot| slot.child != NONE) {
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

#[inline]
const fn home(parent: u32, digest: u64) -> usize {
    mix(digest ^ parent as u64, 0xe703_7ed1_a0b4_28db) as usize
}

fn put(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut position = home(slot.parent, slot.key.digest()) & mask;
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
