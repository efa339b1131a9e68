//! Patterns of file names: `*` is any part of one level, `**` any part at all.
//!
//! Time is bounded by pattern times name: no pattern is hostile.

/// Whether a pattern matches the whole of a path.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    // Which prefixes of the path the pattern so far matches, by their length in bytes.
    let path = path.as_bytes();
    let mut reached = vec![false; path.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    let mut rest = pattern.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let is_deep = *byte == b'*' && after.first() == Some(&b'*');
        rest = after.get(usize::from(is_deep)..).unwrap_or_default();
        match byte {
            b'*' => spread(&mut reached, path, is_deep),
            byte => step(&mut reached, path, *byte),
        }
        if !reached.contains(&true) {
            return false;
        }
    }
    reached.last() == Some(&true)
}

/// A star: whatever follows a prefix that was reached is reached too, up to the next level.
fn spread(reached: &mut [bool], path: &[u8], is_deep: bool) {
    let mut before = false;
    for (place, is_reached) in reached.iter_mut().enumerate() {
        let passed = place.checked_sub(1).and_then(|place| path.get(place));
        if passed == Some(&b'/') && !is_deep {
            before = false;
        }
        before |= *is_reached;
        *is_reached = before;
    }
}

/// One byte: a prefix is reached where the one before it was, and the byte is the same.
fn step(reached: &mut [bool], path: &[u8], byte: u8) {
    let mut before = false;
    for (place, is_reached) in reached.iter_mut().enumerate() {
        let passed = place.checked_sub(1).and_then(|place| path.get(place));
        let now = before && passed == Some(&byte);
        before = std::mem::replace(is_reached, now);
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stays_in_its_level_and_two_do_not() {
        for (pattern, path, expected) in [
            ("a.yaml", "a.yaml", true),
            ("a.yaml", "b.yaml", false),
            ("a.yaml", "x/a.yaml", false),
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "x/a.yaml", false),
            ("**.yaml", "x/y/a.yaml", true),
            ("**/a.yaml", "x/y/a.yaml", true),
            ("**/a.yaml", "a.yaml", false),
            ("x/*/a.yaml", "x/y/a.yaml", true),
            ("x/*/a.yaml", "x/y/z/a.yaml", false),
            ("x/pay*", "x/payments.yaml", true),
            ("x/pay*", "x/pay/ments.yaml", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_take_no_longer() {
        assert!(!matches(&"*a".repeat(120), &"a".repeat(119)));
        assert!(matches(&"*a".repeat(120), &"a".repeat(4_000)));
    }
}
