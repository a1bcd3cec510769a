//! The same program with places at which it can be told to die. `cargo xtask crash` builds it; under a name of its own, so
//! that it never lies where the one is looked for that is shipped.

use std::process::ExitCode;

fn main() -> ExitCode {
    sniperforge::cli::main()
}
