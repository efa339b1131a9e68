//! Medians, spreads and ratios of rounds.

use serde_json::{Value, json};

/// Median, least and most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(super) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(*sorted.get(middle - 1)?, upper)
        } else {
            upper
        };
        Some(Self {
            median,
            least,
            most,
        })
    }

    /// `13.0 (12.8-13.4)`; one figure stands alone.
    pub(super) fn text(self, decimals: usize) -> String {
        let Self {
            median,
            least,
            most,
        } = self;
        if least == most {
            return format!("{median:.decimals$}");
        }
        format!("{median:.decimals$} ({least:.decimals$}-{most:.decimals$})")
    }

    pub(super) fn to_json(self) -> Value {
        json!({"median": self.median, "least": self.least, "most": self.most})
    }
}

/// Ratios within rounds: the n-th of one by the n-th of the other.
pub(super) fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(a, b)| a / b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let check = |figures: &[f64], expected: Option<&str>| {
            let text = Spread::of(figures).map(|s| s.text(1));
            assert_eq!(text.as_deref(), expected, "{figures:?}");
        };
        check(&[], None);
        check(&[2.0], Some("2.0"));
        check(&[3.0, 1.0, 2.5], Some("2.5 (1.0-3.0)"));
        check(&[4.0, 1.0, 2.0, 3.0], Some("2.5 (1.0-4.0)"));
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        assert_eq!(ratios(&[1.0, 4.0], &[2.0, 2.0]), [0.5, 2.0]);
    }
}
