//! Starts the server: arguments, then boot.

/// Allocates for the whole process: one heap per thread, so that cores do not meet in it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    std::process::exit(pinion::server::boot::run(std::env::args_os().skip(1)));
}
