//! Clipping by global norm (Pascanu et al., ICML 2013), done before the push: only the worker sees
//! the whole gradient.

/// What a gradient, in parts, is multiplied by so that its Euclidean norm is at most `norm_max`;
/// `None` where it is short enough.
///
/// A gradient that is not finite is left alone: the servers refuse it and name the worker.
pub(crate) fn clip_scale<'a>(parts: impl Iterator<Item = &'a [f32]>, norm_max: f64) -> Option<f32> {
    let squares = |part: &[f32]| part.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let norm = parts.map(squares).sum::<f64>().sqrt();
    (norm.is_finite() && norm > norm_max).then(|| (norm_max / norm) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_gradients_are_scaled() {
        let scale = |parts: [&[f32]; 2], most| clip_scale(parts.into_iter(), most);
        assert_eq!(scale([&[3.0], &[4.0]], 10.0), None);
        assert_eq!(scale([&[3.0], &[4.0]], 1.0), Some(0.2));
        assert_eq!(scale([&[f32::NAN], &[1.0]], 1.0), None);
    }
}
