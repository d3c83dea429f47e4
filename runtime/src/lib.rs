//! What a process gets from outside: connections, clock, shutdown, configuration, logging
