//! Texts in requests that training never saw: counted, and told now and then.

use ps_data::UnseenTexts;
use ps_runtime::Repeated;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What was unseen in the requests so far. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Unseen {
    repeated: Repeated,
    /// By column.
    texts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Unseen {
    /// Counts those of a request, and tells of them unless that was done a moment ago. To be called within a runtime.
    pub(super) fn count(&self, texts: Vec<UnseenTexts>) {
        let Some(last) = texts.last().cloned() else { return };
        {
            let mut counts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            for UnseenTexts { column, count, .. } in texts {
                *counts.entry(column).or_default() += count;
            }
        }
        let own = self.clone();
        self.repeated.happened(move |requests| tracing::warn!("{}", own.words(requests, &last)));
    }

    fn words(&self, requests: u64, last: &UnseenTexts) -> String {
        let counts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let columns: Vec<String> =
            counts.iter().map(|(column, count)| format!("`{column}` {count}")).collect();
        format!(
            "{requests} request(s) with texts that training has never seen, such as `{}` in column `{}`: they count as \
             nothing; so far, by column: {}",
            last.example,
            last.column,
            columns.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_are_counted_by_column_over_all_requests() {
        let unseen = Unseen::default();
        let text = |column: &str, count| UnseenTexts {
            column: column.to_owned(),
            count,
            example: "Ulm".to_owned(),
        };
        unseen.count(Vec::new());
        unseen.count(vec![text("shop", 1), text("town", 2)]);
        unseen.count(vec![text("town", 3)]);
        let words = unseen.words(2, &text("town", 3));
        assert!(words.contains("`Ulm` in column `town`"), "{words}");
        assert!(words.ends_with("by column: `shop` 1, `town` 5"), "{words}");
    }
}
