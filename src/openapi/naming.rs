//! Names that a contract may have, made from those of a description.

use std::collections::HashSet;

/// The most characters of an id.
const ID_CHARS_MAX: usize = 64;

/// Ids, each given once.
#[derive(Debug, Default)]
pub(super) struct Ids(HashSet<String>);

impl Ids {
    /// An id made of a text that nobody else has, and whether the first choice was taken. `None`
    /// where no id can be made of it.
    pub(super) fn take(&mut self, text: &str) -> Option<(String, bool)> {
        let plain = snake(text);
        if plain.is_empty() {
            return None;
        }
        let mut id = plain.clone();
        let mut number = 1_u32;
        while !self.0.insert(id.clone()) {
            number = number.checked_add(1)?;
            let suffix = format!("_{number}");
            let kept: String = plain.chars().take(ID_CHARS_MAX - suffix.len()).collect();
            id = kept + &suffix;
        }
        Some((id, number > 1))
    }
}

/// `getOrderById` is `get_order_by_id`; all that an id may not hold is one `_`.
fn snake(text: &str) -> String {
    let mut id = String::new();
    let mut before = '_';
    for c in text.chars() {
        // Only where a word begins: `HTTPCheck` has no word for each letter.
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            id.push('_');
        }
        let plain = match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
            '.' | '-' => c,
            _ => '_',
        };
        if !(plain == '_' && id.ends_with('_')) {
            id.push(plain);
        }
        before = c;
    }
    let id: String = id.trim_matches('_').chars().take(ID_CHARS_MAX).collect();
    id.trim_matches('_').to_owned()
}

/// A path with names of parameters that a template may have; the others get the nearest one.
pub(super) fn with_plain_parameters(path: &str) -> String {
    let mut seen: HashSet<String> = HashSet::new();
    let parts = path.split('/').map(|part| {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        match name {
            Some(name) if !name.contains(['{', '}']) => format!("{{{}}}", plain(name, &mut seen)),
            _ => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn plain(name: &str, seen: &mut HashSet<String>) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain = name.chars().map(|c| if allowed(c) { c } else { '_' });
    let mut plain: String = plain.take(ID_CHARS_MAX - 4).collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        plain.insert(0, '_');
    }
    let mut unique = plain.clone();
    // A template has at most 64 segments, so this ends soon; what has more is refused later.
    for number in 2..1_000 {
        if seen.insert(unique.clone()) {
            break;
        }
        unique = format!("{plain}{number}");
    }
    unique
}

/// A path whose parameters have no names: what two contracts may not have in common.
pub(super) fn shape(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => "{}",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::{Ids, shape, with_plain_parameters};
    use crate::contract::ContractId;

    #[test]
    fn ids_are_valid_and_given_once() {
        let mut ids = Ids::default();
        for (text, expected) in [
            ("getOrderById", "get_order_by_id"),
            ("getOrderById", "get_order_by_id_2"),
            ("get_order_by_id", "get_order_by_id_3"),
            ("orders.list-v1", "orders.list-v1"),
            ("HTTPCheck", "httpcheck"),
            ("Größe  (neu)", "gr_e_neu"),
            ("get /a/{b}", "get_a_b"),
            ("v1Orders2Get", "v1_orders2_get"),
        ] {
            let (id, _) = ids.take(text).unwrap_or_default();
            assert_eq!(id, expected);
        }
        let long = "x".repeat(200);
        for _ in 0..12 {
            let (id, _) = ids.take(&long).unwrap();
            assert!(ContractId::new(&id).is_some(), "{id}");
        }
        for text in ["", "___", "é", "\u{0}"] {
            assert_eq!(ids.take(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_get_names_that_templates_know() {
        for (path, expected) in [
            ("/a/{id}", "/a/{id}"),
            ("/a/{user.id}/{user-id}", "/a/{user_id}/{user-id}"),
            ("/a/{x}/{x}", "/a/{x}/{x2}"),
            ("/a/{2fa}", "/a/{_2fa}"),
            ("/a/{}", "/a/{_}"),
            // Not a whole segment: refused as a template, with its own words.
            ("/a/{id}.json", "/a/{id}.json"),
            ("/a/{x}{y}", "/a/{x}{y}"),
        ] {
            assert_eq!(with_plain_parameters(path), expected);
        }
        assert_eq!(shape("/a/{id}/b"), "/a/{}/b");
    }
}
