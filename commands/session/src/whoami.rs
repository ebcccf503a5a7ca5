//! `whoami`: shows the account as the server sees it: rights and limit.

use ferry_core::{Access, Column, ColumnKind, Context, Example, Layout, Reply, Result, Spec, Value, Verb};

ferry_core::args! {
    /// Shows who you are, what you may do, and the limit of your home.
    pub(crate) struct Whoami {}
}

const COLUMNS: &[Column] = &[
    Column::new("user", ColumnKind::Text),
    Column::new("admin", ColumnKind::Flag),
    Column::new("read_only", ColumnKind::Flag),
    Column::new("allow", ColumnKind::Text),
    Column::new("deny", ColumnKind::Text),
    Column::new("limit", ColumnKind::HumanSize),
];

impl Verb for Whoami {
    const SPEC: Spec = Spec::of::<Self>("whoami", Access::Read).examples(&[Example::new("whoami", "shows your account")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let limit = ctx.home().usage().await?.limit;
        let user = ctx.user().clone();
        ctx.columns(Layout::Record, COLUMNS);
        let (allow, deny) = (words(&user.allow), words(&user.deny));
        ctx.row([
            user.name.into(),
            user.admin.into(),
            user.read_only.into(),
            allow,
            deny,
            limit.into(),
        ])
        .await?;
        Ok(Reply::done())
    }
}

/// The verbs of a list as one text; nothing when the list says nothing.
fn words(list: &[String]) -> Value {
    if list.is_empty() { Value::Nil } else { list.join(" ").into() }
}

ferry_core::register!(Whoami);

#[cfg(test)]
mod tests {
    use ferry_core::{Layout, User, Value};
    use ferry_testkit::Harness;

    #[test]
    fn the_account_is_told_with_its_rights_and_its_limit() {
        let output = Harness::new().read_only().quota(1000).ok("whoami");
        assert_eq!(output.layout, Layout::Record);
        let row = &output.maps()[0];
        assert_eq!(row["user"], &Value::from("alice"));
        assert_eq!((row["admin"], row["read_only"]), (&Value::Bool(false), &Value::Bool(true)));
        assert_eq!(
            (row["limit"], row["allow"], row["deny"]),
            (&Value::Uint(1000), &Value::Nil, &Value::Nil)
        );
    }

    #[test]
    fn lists_of_verbs_are_told() {
        let mut user = User::named("bob");
        user.allow = vec!["whoami".into(), "ls".into()];
        let output = Harness::new().user(user).ok("whoami");
        assert_eq!(
            (output.texts("user"), output.texts("allow")),
            (vec!["bob".into()], vec!["whoami ls".to_owned()])
        );
    }
}
