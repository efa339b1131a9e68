//! Where something stands that the parser marks only nearby.
//!
//! A tab inside a plain text is marked at the beginning of that text, which may be lines above;
//! an anchor or a tag at the node behind it. The text of the file says where they really are.

use serde_saphyr::granit_parser::Marker;

use crate::diagnostic::Place;

/// The place of a mark.
pub(super) fn place(marker: &Marker) -> Place {
    Place {
        line: number(marker.line()),
        column: number(marker.col().saturating_add(1)),
    }
}

/// The first tab that indents a line with content, from the line of the mark on.
pub(super) fn indenting_tab(text: &str, marker: &Marker) -> Option<Place> {
    let lines = text.lines().enumerate();
    let mut lines = lines.skip(marker.line().saturating_sub(1));
    lines.find_map(|(above, line)| {
        let content = line.trim_start();
        let tab = line.chars().position(|c| c == '\t')?;
        let indent = line.chars().count() - content.chars().count();
        (tab < indent && !content.is_empty()).then(|| Place {
            line: number(above + 1),
            column: number(tab + 1),
        })
    })
}

/// The anchor (`sign` is `&`) or tag (`!`) of the node that begins at the mark. `None` where
/// something else stands between, such as a comment.
pub(super) fn property(text: &str, marker: &Marker, sign: char) -> Option<Place> {
    let mut before = text.get(..marker.byte_offset()?)?.trim_end();
    loop {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '[' | '{' | ',');
        let start = before.rfind(is_end).map_or(0, |end| end + 1);
        let (rest, word) = (before.get(..start)?, before.get(start..)?);
        let word = word.trim_start_matches('\u{feff}');
        if word.starts_with(sign) {
            let line = rest.rsplit('\n').next().unwrap_or_default();
            let line = line.trim_start_matches('\u{feff}');
            return Some(Place {
                line: number(rest.matches('\n').count() + 1),
                column: number(line.chars().count() + 1),
            });
        }
        if !word.starts_with(['&', '!']) {
            return None;
        }
        before = rest.trim_end();
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
