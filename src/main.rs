//! Starts the server, or a tool that works on its files: arguments, then boot.

/// Allocates for the whole process: one heap per thread, so that cores do not meet in it.
#[global_allocator]
static ALLOCATOR: pinion::runtime::alloc::Allocator = pinion::runtime::alloc::Allocator;

fn main() {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let tool = pinion::server::check::run(&args).or_else(|| pinion::server::export::run(&args));
    let code = tool.unwrap_or_else(|| pinion::server::boot::run(args.into_iter()));
    std::process::exit(code);
}
