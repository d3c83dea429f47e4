//! The whole cluster on one thread, over a simulated network, in virtual time: real tonic and h2, the
//! real server, worker and master. A seed decides everything; the same seed gives the same run, but for
//! what `seeds::twice` names.

pub mod alone;
pub mod books;
pub mod cluster;
mod fail_points;
pub mod faults;
mod lagging;
pub mod ledger;
pub mod lock;
pub mod managed;
pub mod moving;
pub mod network;
pub mod scenarios;
pub mod seeds;
pub mod shares;
pub mod slow;
