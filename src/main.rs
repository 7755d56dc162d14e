//! Starts the server: arguments, then boot.

/// Allocates for the whole process: one heap per thread, so that cores do not meet in it.
#[global_allocator]
static ALLOCATOR: pinion::runtime::alloc::Allocator = pinion::runtime::alloc::Allocator;

fn main() {
    std::process::exit(pinion::server::boot::run(std::env::args_os().skip(1)));
}
