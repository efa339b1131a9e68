//! `tidegate reasons`: every reason code, what it says, and the key that governs it.

use crate::cli::offline::OK;
use crate::cli::stdio::put;
use crate::decision::Reason;

/// Runs the verb; the result is the exit code.
#[must_use]
pub fn run() -> u8 {
    put(&table(), OK)
}

fn table() -> String {
    Reason::ALL
        .into_iter()
        .map(|reason| {
            let (code, meaning) = (reason.code(), reason.meaning());
            format!(
                "{code:<27} {meaning}\n{:<27} {}\n",
                "",
                reason.governed_by()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::decision::Reason;

    #[test]
    fn every_code_is_listed_with_meaning_and_key() {
        // R054
        let table = table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2 * Reason::ALL.len());
        for (pair, reason) in lines.chunks(2).zip(Reason::ALL) {
            assert!(pair[0].starts_with(reason.code()), "{pair:?}");
            assert!(pair[0].len() > 28 && pair[1].len() > 28, "{pair:?}");
            let governed = reason.governed_by();
            let says_whose = ["contract: ", "policy: ", "none ("];
            assert!(
                says_whose.iter().any(|whose| governed.starts_with(whose)),
                "{governed}"
            );
        }
    }
}
