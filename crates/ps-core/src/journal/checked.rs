//! Text behind its checksum: what changed on a disk is noticed before it is understood.

/// The text behind these words and its CRC-32.
pub(super) fn seal(words: &str, text: &str) -> String {
    let crc = crc32fast::hash(text.as_bytes());
    format!("{words}{crc:08x}\n{text}")
}

/// The text of a file that begins with these words.
///
/// # Errors
/// It begins otherwise, or was changed; `none` says what it is not.
pub(super) fn open<'a>(words: &str, none: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    let text = std::str::from_utf8(bytes).ok();
    let rest = text.and_then(|text| text.strip_prefix(words));
    let (digits, text) = rest.and_then(|rest| rest.split_once('\n')).ok_or(none)?;
    let found = format!("{:08x}", crc32fast::hash(text.as_bytes()));
    if found != digits {
        return Err(format!("damaged or cut short: its CRC-32 is {found}, expected {digits}"));
    }
    Ok(text)
}
