//! The templates under the folded view, to see which contract a loosely read path would reach.
//!
//! A copy of the route index with folded literals; where no template has another spelling, which is
//! the rule, the route index itself, and the shape of a run is its number. Invariant: it is looked at only where the
//! strict view found no contract, or one that could be mistaken for another, so an ordinary path
//! never comes here. Deliberately not here: what is done about an alias.

use crate::contract::fold::{Folds, Reading, fold, may_change};
use crate::contract::index::RouteIndex;
use crate::contract::template::{Segment, Template};

/// In place of a folded shape: no other contract could be mistaken for this one.
pub(super) const NO_RIVALS: u32 = u32::MAX;

/// The folded templates.
#[derive(Debug, Clone)]
pub(super) struct Aliases {
    /// `None` where no template has another spelling than its folded one.
    folded: Option<FoldedIndex>,
}

/// The route index of folded templates.
#[derive(Debug, Clone)]
struct FoldedIndex {
    index: RouteIndex,
    /// Per folded shape, the run of the first contract that has it.
    starts: Vec<u32>,
}

impl Aliases {
    /// The folded view of these runs with their templates, which `index` knows; and for each run,
    /// in their order, its folded shape, or `NO_RIVALS`.
    pub(super) fn of(index: &RouteIndex, runs: Vec<(u32, Template)>) -> (Self, Vec<u32>) {
        if runs.iter().any(|(_, template)| changes(template)) {
            let (folded, shapes) = FoldedIndex::of(runs);
            let folded = Some(folded);
            return (Self { folded }, shapes);
        }
        let shape_of = |(start, template): &(u32, Template)| match index.has_rivals(template) {
            true => *start,
            false => NO_RIVALS,
        };
        let shapes = runs.iter().map(shape_of).collect();
        (Self { folded: None }, shapes)
    }

    /// The run that a looser reading of the path leads to and what had to be folded for that;
    /// `None` where every reading leads to `own_shape`, or nowhere.
    pub(super) fn find(
        &self,
        index: &RouteIndex,
        raw_path: &[u8],
        own_shape: u32,
        keeps_slashes: bool,
    ) -> Option<(u32, Folds)> {
        if self.folded.is_none() && !may_change(raw_path) {
            return None;
        }
        // What stays encoded where a contract allows it is no slash in any reading.
        let readings: &[Reading] = match keeps_slashes {
            true => &[Reading::Routed],
            false => &[Reading::Cleaned, Reading::Routed],
        };
        readings.iter().find_map(|reading| {
            let folded = fold(raw_path, *reading)?;
            let path = folded.path.as_bytes();
            let (shape, start) = match &self.folded {
                Some(folded) => folded.find(path)?,
                None => {
                    let start = index.find(path)?;
                    (start, start)
                }
            };
            if shape == own_shape {
                return None;
            }
            let folds = match folded.folds.is_empty() {
                true => Folds::CONTRACT,
                false => folded.folds,
            };
            Some((start, folds))
        })
    }
}

impl FoldedIndex {
    fn of(runs: Vec<(u32, Template)>) -> (Self, Vec<u32>) {
        let mut all = Self {
            index: RouteIndex::new(),
            starts: Vec::new(),
        };
        let place = |(start, template)| all.place(start, template);
        let placed: Vec<Option<(Template, u32)>> = runs.into_iter().map(place).collect();
        let shape_of = |placed: &Option<(Template, u32)>| match placed {
            Some((template, shape)) if all.index.has_rivals(template) => *shape,
            _ => NO_RIVALS,
        };
        let shapes = placed.iter().map(shape_of).collect();
        all.index.shrink();
        (all, shapes)
    }

    fn place(&mut self, start: u32, template: Template) -> Option<(Template, u32)> {
        let folded = if folds(&template) {
            folded(&template)
        } else {
            template
        };
        let next = self.starts.len() as u32;
        let shape = self.index.place(&folded)?;
        if RouteIndex::is_unset(*shape) {
            *shape = next;
            self.starts.push(start);
        }
        let shape = *shape;
        Some((folded, shape))
    }

    /// The folded shape of a path, and the run that has it.
    fn find(&self, path: &[u8]) -> Option<(u32, u32)> {
        let shape = self.index.find(path)?;
        Some((shape, *self.starts.get(shape as usize)?))
    }
}

/// Whether a literal has another spelling when it is folded; most have not.
fn folds(template: &Template) -> bool {
    template.segments().iter().any(|segment| match segment {
        Segment::Literal(literal) => literal.is_empty() || may_change(literal.as_bytes()),
        Segment::Parameter(_) | Segment::CatchAll(_) => false,
    })
}

/// Whether the template has another spelling when it is folded.
fn changes(template: &Template) -> bool {
    folds(template) && folded(template).segments() != template.segments()
}

/// The same template with its literals folded.
fn folded(template: &Template) -> Template {
    let mut segments = Vec::new();
    for segment in template.segments() {
        match segment {
            Segment::Literal(literal) if !may_change(literal.as_bytes()) && !literal.is_empty() => {
                segments.push(segment.clone());
            }
            Segment::Literal(literal) => {
                let path = format!("/{literal}");
                let folded = fold(path.as_bytes(), Reading::Cleaned).map(|folded| folded.path);
                let folded = folded.unwrap_or(path);
                let parts = folded.split('/').filter(|part| !part.is_empty());
                segments.extend(parts.map(|part| Segment::Literal(part.into())));
            }
            parameter => segments.push(parameter.clone()),
        }
    }
    if segments.is_empty() {
        segments.push(Segment::Literal("".into()));
    }
    Template::of_folded(segments)
}
