//! Clipping by global norm (Pascanu et al., ICML 2013), done before the push: only the worker sees
//! the whole gradient.

/// Scales the gradient so that its Euclidean norm is at most `norm_max`. Returns its norm before.
///
/// A gradient that is not finite is left alone: the servers refuse it and name the worker.
pub fn clip_global_norm(gradient: &mut [f32], norm_max: f64) -> f64 {
    let squares: f64 = gradient.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    let norm = squares.sqrt();
    if norm.is_finite() && norm > norm_max {
        let scale = (norm_max / norm) as f32;
        gradient.iter_mut().for_each(|value| *value *= scale);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_gradients_are_scaled() {
        let mut gradient = [3.0, 4.0];
        assert_eq!(clip_global_norm(&mut gradient, 10.0), 5.0);
        assert_eq!(gradient, [3.0, 4.0]);
        clip_global_norm(&mut gradient, 1.0);
        assert_eq!(gradient, [0.6, 0.8]);
        let mut broken = [f32::NAN, 1.0];
        clip_global_norm(&mut broken, 1.0);
        assert_eq!(broken[1], 1.0);
    }
}
