//! Values of a tree as texts, numbers, switches, choices.

use super::decimal::{DecimalFault, parse_decimal};
use super::sheet::{Sheet, nearest, shown};
use super::tree::{Node, Value};
use crate::diagnostic::Code;

/// Whether a text has 1 to `chars_max` characters, all printable.
#[must_use]
pub fn is_printable(text: &str, chars_max: usize) -> bool {
    let printable = !text.is_empty() && !text.chars().any(char::is_control);
    printable && text.chars().count() <= chars_max
}

impl Sheet<'_> {
    /// The items of a list.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.wrong_type(node, &format!("{what} is a list"));
                None
            }
        }
    }

    /// A text of 1 to `chars_max` printable characters.
    pub fn text<'n>(&mut self, node: &'n Node, what: &str, chars_max: usize) -> Option<&'n str> {
        let text = match &node.value {
            Value::Plain(text) | Value::Quoted(text) => &**text,
            _ => {
                self.wrong_type(node, &format!("{what} is a text"));
                return None;
            }
        };
        if !is_printable(text, chars_max) {
            let message = format!("{what} is 1 to {chars_max} printable characters");
            self.error(node.place, Code::Text, message);
            return None;
        }
        Some(text)
    }

    /// An integer within bounds; written in decimal digits alone.
    pub fn integer(&mut self, node: &Node, what: &str, min: u64, max: u64) -> Option<u64> {
        let Value::Plain(text) = &node.value else {
            self.wrong_type(node, &format!("{what} is an integer"));
            return None;
        };
        let bare = text.strip_prefix('-').unwrap_or(text);
        let is_digits = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits || (bare.len() > 1 && bare.starts_with('0')) {
            let message = format!("{what} is an integer, not '{}'", shown(text));
            self.error(node.place, Code::WrongType, message);
            return None;
        }
        let value = text
            .parse()
            .ok()
            .filter(|value| (min..=max).contains(value));
        if value.is_none() {
            let message = format!("{what} is {min} to {max}, not {}", shown(text));
            self.error(node.place, Code::OutOfRange, message);
        }
        value
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Plain(text) if &**text == "true" => Some(true),
            Value::Plain(text) if &**text == "false" => Some(false),
            _ => {
                self.wrong_type(node, &format!("{what} is true or false"));
                None
            }
        }
    }

    /// A share from 0 to 1 as an integer of `10^-digits`.
    pub fn share(&mut self, node: &Node, what: &str, digits: u32) -> Option<u64> {
        self.share_from(node, what, digits, (0, "0 to 1"))
    }

    /// A share above 0 and at most 1, in the same unit.
    pub fn positive_share(&mut self, node: &Node, what: &str, digits: u32) -> Option<u64> {
        self.share_from(node, what, digits, (1, "above 0 and at most 1"))
    }

    fn share_from(
        &mut self,
        node: &Node,
        what: &str,
        digits: u32,
        (least, range): (u64, &str),
    ) -> Option<u64> {
        let Value::Plain(text) = &node.value else {
            self.wrong_type(node, &format!("{what} is a number from 0 to 1"));
            return None;
        };
        let unit = 10_u64.pow(digits);
        let shown = shown(text);
        let (code, message) = match parse_decimal(text, digits) {
            Ok(value) if (least..=unit).contains(&value) => return Some(value),
            Ok(_) | Err(DecimalFault::TooLarge) => {
                (Code::OutOfRange, format!("{what} is {range}, not {shown}"))
            }
            Err(DecimalFault::TooFine) => (
                Code::Decimal,
                format!("{what} has at most {digits} digits after the point"),
            ),
            Err(DecimalFault::NotADecimal) => (
                Code::WrongType,
                format!("{what} is a number such as 0.35, not '{shown}'"),
            ),
        };
        self.error(node.place, code, message);
        None
    }

    /// One of several texts; the result is what `choose` makes of it.
    pub fn choice<T>(
        &mut self,
        node: &Node,
        what: &str,
        choices: &[&str],
        choose: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(node, what, 256)?;
        let chosen = choices.contains(&text).then(|| choose(text)).flatten();
        if chosen.is_none() {
            let message = format!("{what} is not '{}'", shown(text));
            let mut remedy = format!("choose one of {}", choices.join(", "));
            if let Some(near) = nearest(text, choices.iter().copied()) {
                remedy = format!("did you mean '{near}'? {remedy}");
            }
            self.error_with(node.place, Code::NotAChoice, message, remedy);
        }
        chosen
    }
}
