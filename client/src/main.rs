//! `ferry`: the client's binary. The only place that ends the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = ferry_client::run_cli(std::env::args_os());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
