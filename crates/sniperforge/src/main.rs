//! The `sniperforge` binary: everything is in the library, where tests and other programs can use it.

use std::process::ExitCode;

fn main() -> ExitCode {
    sniperforge::cli::main()
}
