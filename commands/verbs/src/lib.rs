//! `verbs`: lists all that a server can do, for those who administer it (as `ferryd verbs` does on its machine).
use ferry_core::{Access, Column, ColumnKind, Context, Example, Layout, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Lists every verb of the server with who may run it and which crate it comes from.
    pub struct Verbs {
        /// Only those of this crate.
        #[arg(name("crate"), option, dynamic)]
        origin: Option<String>,
    }
}

const COLUMNS: &[Column] = &[
    Column::new("verb", ColumnKind::Text),
    Column::new("access", ColumnKind::Text),
    Column::new("for", ColumnKind::Text),
    Column::new("crate", ColumnKind::Text),
    Column::new("version", ColumnKind::Text),
];

impl Verb for Verbs {
    const SPEC: Spec = Spec::of::<Self>("verbs", Access::Admin).examples(&[Example::new("verbs", "lists every verb")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        ctx.columns(Layout::Table, COLUMNS);
        let all = ctx
            .all_verbs()?
            .filter(|verb| self.origin.as_ref().is_none_or(|origin| verb.krate == *origin));
        let rows: Vec<_> = all
            .map(|verb| (verb.name.clone(), verb.access, verb.krate.clone(), verb.version.clone()))
            .collect();
        for (name, access, krate, version) in rows {
            let (access, who) = match access {
                Access::Public => ("public", "everybody"),
                Access::Read => ("read", "everybody"),
                Access::Write => ("write", "who may write"),
                Access::Admin => ("admin", "administrators"),
            };
            ctx.row([name.into(), access.into(), who.into(), krate.into(), version.into()])
                .await?;
        }
        Ok(Reply::done())
    }

    async fn complete(_arg: &str, _word: &str, ctx: &mut Context<'_>) -> Result<Vec<String>> {
        let mut crates: Vec<String> = ctx.all_verbs()?.map(|verb| verb.krate.clone()).collect();
        crates.dedup();
        crates.sort();
        crates.dedup();
        Ok(crates)
    }
}

ferry_core::register!(Verbs);

#[cfg(test)]
mod tests {
    use ferry_core::{ErrorKind, User, rt::block_on};
    use ferry_testkit::Harness;

    #[test]
    fn the_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }

    #[test]
    fn an_administrator_sees_every_verb_with_who_may_run_it() {
        let output = Harness::new().admin().ok("verbs");
        assert_eq!(output.lines(), ["verbs  admin  administrators  ferry-verbs  0.1.0"]);
        assert!(Harness::new().admin().ok("verbs --crate ferry-fs").rows.is_empty());
        assert_eq!(Harness::new().admin().ok("verbs --crate ferry-verbs").rows.len(), 1);
    }

    #[test]
    fn what_an_administrators_own_lists_keep_from_him_is_listed_too() {
        let mut user = User::named("root");
        (user.admin, user.allow) = (true, vec!["verbs".into()]);
        assert_eq!(Harness::new().user(user).ok("verbs").rows.len(), 1);
    }

    #[test]
    fn crates_are_proposed_to_administrators_alone() {
        let ask = |h: Harness| block_on(h.complete("verbs", "crate", "ferry-"));
        assert_eq!(ask(Harness::new().admin()).unwrap(), ["ferry-verbs"]);
        assert_eq!(ask(Harness::new()).unwrap_err().kind, ErrorKind::UnknownVerb);
    }

    #[test]
    fn for_everybody_else_there_is_no_such_verb() {
        assert_eq!(Harness::new().err("verbs").kind, ErrorKind::UnknownVerb);
    }
}
