//! The binary: parse the command line, run the command, turn its outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    visitscribe::cli::main()
}
