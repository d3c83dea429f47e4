//! What others send in words, and lists of it.

use super::Error;

/// So many characters of what somebody says in words, as one line: what it holds of line ends would look like lines of
/// our own in a log.
pub fn one_line(text: &str, characters_max: usize) -> String {
    let characters = text.chars().take(characters_max);
    characters.map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Checks a text that is shown as it is.
pub(super) fn check_line(
    message: &'static str,
    field: &'static str,
    text: &str,
    bytes_max: usize,
) -> Result<(), Error> {
    at_most(message, field, text.len(), bytes_max)?;
    if text.contains(char::is_control) {
        return Err(Error::invalid(message, field, format!("{text:?}"), "one line of text"));
    }
    Ok(())
}

/// Checks how much there is of something.
pub(super) fn at_most(
    message: &'static str,
    field: &'static str,
    len: usize,
    max: usize,
) -> Result<(), Error> {
    if len <= max {
        return Ok(());
    }
    Err(Error::invalid(message, field, format!("{len} bytes or entries"), format!("at most {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What strangers said forged lines of the master's log.
    #[test]
    fn regression_words_of_others_are_one_line() {
        assert_eq!(one_line("lost\n0 INFO\u{1b}[2K all is well", 14), "lost 0 INFO [2");
        assert!(check_line("Message", "field", "host:1", 6).is_ok());
        assert!(check_line("Message", "field", "host:1", 5).is_err());
        assert!(check_line("Message", "field", "host\n:1", 20).is_err());
    }
}
