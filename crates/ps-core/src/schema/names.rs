//! Names in messages.

/// Names that a message gives.
const NAMED_MAX: usize = 5;

/// The first few of some names, quoted, for a message.
pub(super) fn named_few<'a>(names: impl Iterator<Item = &'a str>, more: bool) -> String {
    let mut names = names.peekable();
    let mut few = Vec::new();
    while few.len() < NAMED_MAX
        && let Some(name) = names.next()
    {
        few.push(format!("`{}`", shortened(name)));
    }
    let more = if more || names.peek().is_some() { ", .." } else { "" };
    format!("{}{more}", few.join(", "))
}

/// A text that is short enough for a message.
fn shortened(text: &str) -> String {
    const LENGTH_MAX: usize = 40;
    match text.char_indices().nth(LENGTH_MAX) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text.to_owned(),
    }
}
