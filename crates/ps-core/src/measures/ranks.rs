//! The area under the curve of receiver operating characteristics.

/// The share of pairs of a sample that has a label and one that has not in which the first has the higher score; ties count
/// half (Hanley and McNeil, 1982). Exact, by ranks; `None` where there is no pair.
pub(super) fn auc(samples: impl Iterator<Item = (f32, bool)>) -> Option<f64> {
    let mut ranked: Vec<(f32, bool)> = samples.collect();
    let positives = ranked.iter().filter(|(_, is_positive)| *is_positive).count();
    let negatives = ranked.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    ranked.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut below, mut pairs) = (0.0, 0.0);
    for tied in ranked.chunk_by(|one, other| one.0 == other.0) {
        let here = tied.iter().filter(|(_, is_positive)| *is_positive).count() as f64;
        let others = tied.len() as f64 - here;
        pairs += here * (below + others / 2.0);
        below += others;
    }
    Some(pairs / (positives as f64 * negatives as f64))
}
