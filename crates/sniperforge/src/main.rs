//! The `sniperforge` binary.
fn main() {}
