//! The master: membership, data leases, end barrier, the written model; no SGD and no model code
