//! Ferry's verbs about the session: who is logged in, what can be run, which uploads wait to be finished, which logins are saved.

mod action;
mod help;
mod logins;
mod partials;
mod whoami;

#[cfg(test)]
mod tests {
    #[test]
    fn every_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }
}
