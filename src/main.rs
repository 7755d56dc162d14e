//! Starts the server: arguments, then boot.
fn main() {}
