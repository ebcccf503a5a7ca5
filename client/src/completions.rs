//! What shells need to complete our command line, and the manual page: both from the options themselves. Behind the target, what a word may become is
//! asked of the client (see `complete_line`), for only the server knows its verbs.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::options::Options;

/// Behind clap's script: asks the client first, and clap's function where it knows nothing.
const BASH: &str = include_str!("completions/ferry.bash");
/// The same for zsh.
const ZSH: &str = include_str!("completions/ferry.zsh");
/// The same for fish.
const FISH: &str = include_str!("completions/ferry.fish");
/// Where clap's script for zsh begins to run or to register itself, which ours does.
const ZSH_END: &str = "\nif [ \"$funcstack[1]\" = ";

/// The file for a shell of that name.
pub(crate) fn script(shell: &str) -> Vec<u8> {
    let generated = |shell: Shell| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut shown(), "ferry", &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let text = match shell {
        "bash" => generated(Shell::Bash) + BASH,
        "zsh" => {
            let text = generated(Shell::Zsh);
            let functions = text.split(ZSH_END).next().unwrap_or_default();
            format!("{functions}{ZSH}")
        }
        // Options are ours in front of the verb only.
        _ => FISH.to_owned() + &generated(Shell::Fish).replace("complete -c ferry ", "complete -c ferry -n __ferry_at_options "),
    };
    text.into_bytes()
}

/// The command line without what is hidden.
fn shown() -> Command {
    let all = Options::command();
    let shown = all.get_arguments().filter(|arg| !arg.is_hide_set()).cloned();
    Command::new("ferry")
        .version(env!("CARGO_PKG_VERSION"))
        .args(shown.collect::<Vec<_>>())
}

/// The manual page, in roff.
pub(crate) fn man() -> Vec<u8> {
    let mut page = Vec::new();
    // Nothing can fail that writes to memory.
    let _ = clap_mangen::Man::new(Options::command()).render(&mut page);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_our_options_and_asks_the_client() {
        for shell in ["bash", "zsh", "fish"] {
            let text = String::from_utf8(script(shell)).unwrap();
            for word in ["known-hosts", "limit-rate", "--complete-line"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
            // Once, where we ask.
            assert_eq!(text.matches("complete-line").count(), 1, "{shell}");
        }
        let zsh = String::from_utf8(script("zsh")).unwrap();
        assert_eq!(
            zsh.matches("funcstack").count(),
            1,
            "ours registers itself, and nothing before: {zsh}"
        );
    }

    #[test]
    fn the_manual_page_has_every_option_and_the_exit_codes() {
        let page = String::from_utf8(man()).unwrap();
        for word in [".TH", "known\\-hosts", "Exit codes", "Examples"] {
            assert!(page.contains(word), "{word}: {page}");
        }
    }
}
