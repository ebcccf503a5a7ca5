//! `help`: what can be run and how, made from the registry alone (RFC 959 HELP).

use std::fmt::Write as _;

use ferry_core::{Access, Context, Example, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Lists the verbs, or explains one.
    pub(crate) struct Help {
        /// Verb to explain.
        #[arg(dynamic)]
        verb: Option<String>,
    }
}

impl Verb for Help {
    const SPEC: Spec = Spec::of::<Self>("help", Access::Public).examples(&[
        Example::new("help", "lists the verbs that you may run"),
        Example::new("help help", "explains one"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        match &self.verb {
            Some(verb) => Ok(Reply::text(ctx.verb(verb)?.help())),
            None => Ok(Reply::text(overview(ctx))),
        }
    }

    async fn complete(_arg: &str, _word: &str, ctx: &mut Context<'_>) -> Result<Vec<String>> {
        Ok(ctx.verbs().map(|verb| verb.name.clone()).collect())
    }
}

/// A line for each verb, and how to learn more.
fn overview(ctx: &Context<'_>) -> String {
    let width = ctx.verbs().map(|verb| verb.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for verb in ctx.verbs() {
        let _ = writeln!(text, "{:width$}  {}", verb.name, verb.summary());
    }
    text.push_str("\n`help VERB` explains one of them.\n");
    text
}

ferry_core::register!(Help);

#[cfg(test)]
mod tests {
    use ferry_core::{ErrorKind, User, rt::block_on};
    use ferry_testkit::Harness;

    #[test]
    fn verbs_are_listed_with_what_they_do() {
        let text = Harness::new().ok("help").text.unwrap();
        assert_eq!(
            text,
            "help      Lists the verbs, or explains one.\n\
             logins    Lists your saved logins; `logins rm` takes some away.\n\
             partials  Lists your uploads that are not finished; `partials rm` throws some away.\n\
             whoami    Shows who you are, what you may do, and the limit of your home.\n\
             \n`help VERB` explains one of them.\n"
        );
    }

    #[test]
    fn one_verb_is_explained_from_its_declaration() {
        let text = Harness::new().ok("help partials").text.unwrap();
        assert!(text.starts_with("usage: partials [ACTION] [ID...]\n"), "{text}");
        assert!(text.contains("one of: rm"));
    }

    #[test]
    fn what_a_user_may_not_run_is_not_listed() {
        let h = Harness::new().read_only();
        assert!(!h.ok("help").text.unwrap().contains("partials"));
        assert_eq!(h.err("help partials").kind, ErrorKind::Denied);
        let mut user = User::named("bob");
        user.deny = vec!["whoami".into()];
        assert!(!Harness::new().user(user).ok("help").text.unwrap().contains("whoami"));
    }

    #[test]
    fn an_unknown_verb_is_told_with_the_nearest_one() {
        let error = Harness::new().err("help whoam");
        assert_eq!(error.kind, ErrorKind::UnknownVerb);
        assert!(error.hint.unwrap().contains("whoami"));
    }

    #[test]
    fn verbs_are_proposed() {
        let h = Harness::new();
        assert_eq!(block_on(h.complete("help", "verb", "w")).unwrap(), ["whoami"]);
    }
}
