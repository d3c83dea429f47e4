//! Texts that look like numbers which are written in another way.

use ps_core::schema::{Distinct, ValueRules};

/// Whether most of these are numbers with a decimal comma, where a point is expected.
pub(super) fn are_decimal_commas(texts: &Distinct, rules: &ValueRules) -> bool {
    let comma = ValueRules { decimal: ',', ..ValueRules::default() };
    let is_one = |text: &str| text.contains(',') && comma.number(text).is_some();
    let like = texts.iter().filter(|(text, _)| is_one(text));
    rules.decimal == '.' && like.count() * 2 > texts.len_min()
}

/// Whether most of these are numbers such as `9,588` or `1,234,567.5`.
pub(super) fn have_thousands(texts: &Distinct) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = |text: &str| {
        let whole = text.trim_start_matches('-').split('.').next().unwrap_or_default();
        let mut groups = whole.split(',');
        let first = groups.next().unwrap_or_default();
        (1..=3).contains(&first.len())
            && digits(first)
            && whole.contains(',')
            && groups.all(|group| group.len() == 3 && digits(group))
    };
    texts.iter().filter(|(text, _)| is_one(text)).count() * 2 > texts.len_min()
}
