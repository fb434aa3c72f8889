//! The program `mcp-switchboard`; everything that it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_switchboard::cli::run(std::env::args_os())
}
