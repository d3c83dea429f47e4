//! One shard of the model: serve, apply, store
