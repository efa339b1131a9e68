//! From bytes to a tree.

use serde_saphyr::granit_parser::{
    ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError,
};

use super::marks::{indenting_tab, place, property};
use super::sheet::Sheet;
use super::tree::{Key, Node, Value};
use super::{DEPTH_MAX, FILE_BYTES_MAX};
use crate::diagnostic::{Code, Place};

/// The tree of a file; `None` where something was reported that leaves no tree.
pub fn read(sheet: &mut Sheet<'_>) -> Option<Node> {
    let text = sheet.source();
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, more than 1 MiB", text.len());
        sheet.error(Place::default(), Code::TooLarge, message);
        return None;
    }
    let mut builder = Builder::default();
    let options = limits();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                report(sheet, &error);
                return None;
            }
        };
        builder.take(sheet, event, &span.start);
        if builder.is_hopeless {
            return None;
        }
    }
    if builder.root.is_none() {
        let message = "the file holds nothing".to_owned();
        sheet.error(Place::default(), Code::Empty, message);
    }
    builder.root
}

fn limits() -> Options {
    let mut options = Options::default();
    options.disallow_directives = true;
    // Each alone; `Builder::enter` bounds the two together.
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    options.set_emit_comments(false);
    options
}

fn report(sheet: &mut Sheet<'_>, error: &ScanError) {
    let place = place(error.marker());
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => sheet.error(place, Code::TooDeep, error.info()),
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => {
            let place = indenting_tab(sheet.source(), error.marker()).unwrap_or(place);
            let message = "a tab indents this line".to_owned();
            let remedy = "indent with spaces".to_owned();
            sheet.error_with(place, Code::Syntax, message, remedy);
        }
        _ => sheet.error(place, Code::Syntax, error.info()),
    }
}

/// A list or map that is still open.
enum Open {
    List(Place, Vec<Node>),
    Map(Place, Vec<(Key, Node)>, Option<Key>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    is_hopeless: bool,
}

impl Builder {
    fn take(&mut self, sheet: &mut Sheet<'_>, event: Event<'_>, start: &Marker) {
        let place = place(start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.give_up(sheet, place, Code::SeveralDocuments, "a second document");
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(sheet, start, anchor, tag.is_some());
                let is_null = matches!(&*text, "" | "~" | "null");
                let value = match style {
                    ScalarStyle::Plain if is_null => Value::Null,
                    ScalarStyle::Plain => Value::Plain((&*text).into()),
                    _ => Value::Quoted((&*text).into()),
                };
                self.add(sheet, Node { place, value });
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_extras(sheet, start, anchor, tag.is_some());
                self.enter(sheet, place, Open::List(place, Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_extras(sheet, start, anchor, tag.is_some());
                self.enter(sheet, place, Open::Map(place, Vec::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(sheet),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.give_up(sheet, place, Code::NotPlainYaml, "an alias");
            }
            _ => {}
        }
    }

    fn refuse_extras(&mut self, sheet: &mut Sheet<'_>, start: &Marker, anchor: usize, tag: bool) {
        let (sign, what) = match (anchor != 0, tag) {
            (true, _) => ('&', "an anchor"),
            (false, true) => ('!', "a tag"),
            (false, false) => return,
        };
        let place = property(sheet.source(), start, sign).unwrap_or_else(|| place(start));
        self.give_up(sheet, place, Code::NotPlainYaml, what);
    }

    fn give_up(&mut self, sheet: &mut Sheet<'_>, place: Place, code: Code, what: &str) {
        sheet.error(place, code, format!("{what} is not read"));
        self.is_hopeless = true;
    }

    fn enter(&mut self, sheet: &mut Sheet<'_>, place: Place, open: Open) {
        let is_key = matches!(self.open.last(), Some(Open::Map(_, _, None)));
        if is_key {
            self.give_up(sheet, place, Code::WrongType, "a list or map as a key");
        }
        if self.open.len() >= DEPTH_MAX {
            self.give_up(sheet, place, Code::TooDeep, "a level below the 16th");
        }
        self.open.push(open);
    }

    fn leave(&mut self, sheet: &mut Sheet<'_>) {
        let node = match self.open.pop() {
            Some(Open::List(place, items)) => Node {
                place,
                value: Value::List(items),
            },
            Some(Open::Map(place, entries, _)) => Node {
                place,
                value: Value::Map(entries),
            },
            None => return,
        };
        self.add(sheet, node);
    }

    fn add(&mut self, sheet: &mut Sheet<'_>, node: Node) {
        match self.open.last_mut() {
            None => {
                // An empty document has one empty scalar.
                if node.value != Value::Null {
                    self.root = Some(node);
                }
            }
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, _, key @ None)) => {
                let text = match node.value {
                    Value::Plain(text) | Value::Quoted(text) => text,
                    _ => "".into(),
                };
                if &*text == "<<" {
                    self.give_up(sheet, node.place, Code::NotPlainYaml, "a merge key");
                    return;
                }
                let place = node.place;
                *key = Some(Key { place, text });
            }
            Some(Open::Map(_, entries, key)) => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                }
            }
        }
    }
}
