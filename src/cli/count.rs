//! Numbers of things in sentences for people.

/// `1 contract`, `2 contracts`; for words whose plural takes an s.
pub(super) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_singular() {
        let told = [0, 1, 2].map(|number| super::count(number, "file"));
        assert_eq!(told, ["0 files", "1 file", "2 files"]);
    }
}
