//! Numbers for made-up tables, the same for the same seed.

/// Numbers from 0 to 1, by a linear congruential generator (the constants are Knuth's MMIX).
pub fn draws(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    }
}
