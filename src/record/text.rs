//! Short text inside a fixed-size event.

/// At most `N` bytes of text, held in place; longer text is cut at a character boundary.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InlineText<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Default for InlineText<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }
}

impl<const N: usize> InlineText<N> {
    /// The text, cut to what fits.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut inline = Self::default();
        inline.push(text);
        inline
    }

    /// Appends what still fits; false where something was cut off.
    pub fn push(&mut self, text: &str) -> bool {
        const { assert!(N <= 255, "the length is one byte") };
        let start = usize::from(self.length);
        let mut fits = text.len().min(N - start);
        while !text.is_char_boundary(fits) {
            fits -= 1;
        }
        let room = self.bytes.get_mut(start..start + fits);
        if let (Some(room), Some(part)) = (room, text.as_bytes().get(..fits)) {
            room.copy_from_slice(part);
            self.length += fits as u8;
        }
        fits == text.len()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length));
        // Always UTF-8: only whole characters are ever pushed.
        std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<const N: usize> std::fmt::Debug for InlineText<N> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::InlineText;

    #[test]
    fn text_is_cut_between_characters() {
        let mut text = InlineText::<4>::new("ab");
        assert!(!text.push("cé"), "é needs two bytes, one is left");
        assert_eq!(text.as_str(), "abc");
        assert!(!text.push("é"));
        assert!(text.push("d"));
        assert_eq!(text.as_str(), "abcd");
    }
}
