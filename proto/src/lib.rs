//! The wire: protobuf messages, generated gRPC code and checked conversion to the domain
