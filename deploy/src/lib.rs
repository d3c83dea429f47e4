//! One command that runs a whole job: what becomes a process where
