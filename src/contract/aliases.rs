//! The templates under the folded view, to see which contract a loosely read path would reach.
//!
//! A copy of the route index with folded literals. Invariant: it is looked at only where the
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
    index: RouteIndex,
    /// Per folded shape, the run of the first contract that has it.
    starts: Vec<u32>,
    /// A template has another spelling than its folded one.
    any_template_folds: bool,
}

impl Aliases {
    /// The folded view of these runs with their templates; and for each run, in their order, its
    /// folded shape, or `NO_RIVALS`.
    pub(super) fn of(runs: impl Iterator<Item = (u32, Template)>) -> (Self, Vec<u32>) {
        let mut aliases = Self {
            index: RouteIndex::new(),
            starts: Vec::new(),
            any_template_folds: false,
        };
        let placed: Vec<Option<(Template, u32)>> = runs
            .map(|(start, template)| aliases.place(start, template))
            .collect();
        let shape_of = |placed: &Option<(Template, u32)>| match placed {
            Some((template, shape)) if aliases.index.has_rivals(template) => *shape,
            _ => NO_RIVALS,
        };
        let shapes = placed.iter().map(shape_of).collect();
        (aliases, shapes)
    }

    fn place(&mut self, start: u32, template: Template) -> Option<(Template, u32)> {
        let folded = if folds(&template) {
            let folded = folded(&template);
            self.any_template_folds |= folded.segments() != template.segments();
            folded
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

    /// The run that a looser reading of the path leads to and what had to be folded for that;
    /// `None` where every reading leads to `own_shape`, or nowhere.
    pub(super) fn find(
        &self,
        raw_path: &[u8],
        own_shape: u32,
        keeps_slashes: bool,
    ) -> Option<(u32, Folds)> {
        if !self.any_template_folds && !may_change(raw_path) {
            return None;
        }
        // What stays encoded where a contract allows it is no slash in any reading.
        let readings: &[Reading] = match keeps_slashes {
            true => &[Reading::Routed],
            false => &[Reading::Cleaned, Reading::Routed],
        };
        readings.iter().find_map(|reading| {
            let folded = fold(raw_path, *reading)?;
            let shape = self.index.find(folded.path.as_bytes())?;
            if shape == own_shape {
                return None;
            }
            let folds = match folded.folds.is_empty() {
                true => Folds::CONTRACT,
                false => folded.folds,
            };
            Some((*self.starts.get(shape as usize)?, folds))
        })
    }
}

/// Whether a literal has another spelling when it is folded; most have not.
fn folds(template: &Template) -> bool {
    template.segments().iter().any(|segment| match segment {
        Segment::Literal(literal) => literal.is_empty() || may_change(literal.as_bytes()),
        Segment::Parameter(_) | Segment::CatchAll(_) => false,
    })
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
