//! Texts that may be too long.

/// The beginning of a text that has at most so many bytes, whole characters of it.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut_in_two() {
        let found: Vec<&str> = (0..6).map(|bytes| cut("a\u{e4}\u{20ac}", bytes)).collect();
        assert_eq!(found, ["", "a", "a", "a\u{e4}", "a\u{e4}", "a\u{e4}"]);
        assert_eq!(cut("abc", 9), "abc");
    }
}
