//! What shells and `man` are told of the program, made from its command line.

use clap::Command;
use clap_complete::Shell;

use crate::out;

/// Prints the completion file for a shell of that name; gives the exit code.
pub(crate) fn completions(program: &mut Command, shell: &str) -> u8 {
    let shell = match shell {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, program, "ferryd", &mut text);
    print(&text)
}

/// Prints the manual page, in roff; gives the exit code.
pub(crate) fn page(program: Command) -> u8 {
    let mut text = Vec::new();
    // Nothing can fail that writes to memory.
    let _ = clap_mangen::Man::new(program).render(&mut text);
    print(&text)
}

fn print(text: &[u8]) -> u8 {
    out::line(String::from_utf8_lossy(text).trim_end());
    0
}
