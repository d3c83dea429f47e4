//! Servers and masters that died, and what that cost.

use serde::{Deserialize, Serialize};

/// A server that was killed, and whose part went back to a checkpoint while the others stayed where they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WentBack {
    /// What it holds.
    pub shard: u32,
    /// The number of the checkpoint.
    pub checkpoint: u64,
    /// Updates of its most updated chunk since then, as far as it had told of them with its last sign of life; more may be lost.
    /// 0: it had told of none, and nobody knows how many.
    pub updates_lost_min: u64,
    /// The part of the model's weights that it holds, from 0 to 1.
    pub model_share: f64,
    /// Seconds from the master's start to when it was back.
    pub seconds: f64,
    /// Seconds from when its process was another one to when it was back.
    pub seconds_away: f64,
}

impl WentBack {
    /// What happened, in a sentence.
    pub fn words(&self) -> String {
        let Self { shard, checkpoint, updates_lost_min, model_share, .. } = self;
        let lost = match updates_lost_min {
            // It had told of none when it died.
            0 => "the updates of its part that nobody had counted yet".to_owned(),
            1 => "at least 1 update of its part".to_owned(),
            count => format!("at least {count} updates of its part"),
        };
        let share = model_share * 100.0;
        format!(
            "server shard {shard} was killed: it went back alone to checkpoint {checkpoint}, {lost} ({share:.1} % of the model's \
             bytes) since then are lost, others kept theirs"
        )
    }
}

/// A process of the job that died and was started again: another one has gone on with all that it had acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameBack {
    /// `the master`, or `server shard 1`.
    pub member: String,
    /// How often.
    pub times: u64,
}

impl CameBack {
    /// What happened, in a sentence.
    pub fn words(came_back: &[Self]) -> Option<String> {
        let each = came_back.iter().map(|Self { member, times }| match times {
            1 => member.clone(),
            times => format!("{member} ({times} times)"),
        });
        let each: Vec<String> = each.collect();
        (!each.is_empty()).then(|| format!("started again, nothing lost: {}", each.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_back_is_told_with_how_often() {
        let came_back = |member: &str, times| CameBack { member: member.to_owned(), times };
        assert_eq!(CameBack::words(&[]), None);
        let words = CameBack::words(&[came_back("server shard 1", 2), came_back("the master", 1)]);
        let expected = "started again, nothing lost: server shard 1 (2 times), the master";
        assert_eq!(words.as_deref(), Some(expected));
    }
}
