//! `logins`: lists saved logins, and takes some away.

use ferry_core::{Access, Column, ColumnKind, Context, Error, Example, Layout, Reply, Result, Spec, Verb};

use crate::action::Action;

ferry_core::args! {
    /// Lists your saved logins; `logins rm` takes some away.
    ///
    /// What is taken away logs nobody in any more. A session that began with it goes on until it ends. A new password takes all of
    /// them away.
    pub(crate) struct Logins {
        /// What to do with those that are named.
        action: Option<Action>,
        /// Saved logins, by the id that the list shows.
        #[arg(dynamic)]
        id: Vec<String>,
    }
}

const COLUMNS: &[Column] = &[
    Column::new("id", ColumnKind::Text),
    Column::new("label", ColumnKind::Text),
    Column::new("created", ColumnKind::Time),
    Column::new("used", ColumnKind::Time),
];

impl Verb for Logins {
    // It changes nothing in the home. Those who may only read have logins too, and whoever lost one must be able to end it.
    const SPEC: Spec = Spec::of::<Self>("logins", Access::Public)
        .examples(&[Example::new("logins", "lists from where you can log in without a password")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let Some(Action::Rm) = self.action else {
            return list(ctx).await;
        };
        if self.id.is_empty() {
            return Err(Error::bad_request("logins rm: ID is missing").hint("`logins` shows the ids"));
        }
        for id in &self.id {
            let revoked = ctx.logins().revoke(id).await;
            ctx.item(revoked, self.id.len() > 1).await?;
        }
        Ok(Reply::done())
    }

    async fn complete(_arg: &str, _word: &str, ctx: &mut Context<'_>) -> Result<Vec<String>> {
        let logins = ctx.logins().list().await?;
        Ok(logins.into_iter().map(|login| login.id).collect())
    }
}

async fn list(ctx: &mut Context<'_>) -> Result<Reply> {
    ctx.columns(Layout::Table, COLUMNS);
    for login in ctx.logins().list().await? {
        ctx.row([login.id.into(), login.label.into(), login.created.into(), login.used.into()])
            .await?;
    }
    Ok(Reply::done())
}

ferry_core::register!(Logins);

#[cfg(test)]
mod tests {
    use ferry_core::logins::SavedLogin;
    use ferry_core::{ErrorKind, Value, rt::block_on};
    use ferry_testkit::Harness;

    fn harness(ids: &[&str]) -> Harness {
        let h = Harness::new().read_only();
        for id in ids {
            h.seed_login(SavedLogin {
                id: (*id).to_owned(),
                label: format!("host of {id}"),
                created: 7,
                used: None,
            });
        }
        h
    }

    #[test]
    fn saved_logins_are_listed_without_a_secret() {
        let output = harness(&["a1", "b2"]).ok("logins");
        assert_eq!(output.texts("id"), ["a1", "b2"]);
        assert_eq!(output.texts("label"), ["host of a1", "host of b2"]);
        assert!(output.column("created").iter().all(|time| time.as_i64() == Some(7)));
        assert_eq!(output.column("used"), [Value::Nil, Value::Nil]);
        assert!(harness(&[]).ok("logins").rows.is_empty());
    }

    #[test]
    fn one_who_may_only_read_takes_his_own_away() {
        let h = harness(&["a1", "b2", "c3"]);
        h.ok("logins rm a1 c3");
        assert_eq!(h.ok("logins").texts("id"), ["b2"]);
    }

    #[test]
    fn ids_are_proposed() {
        let h = harness(&["a1", "a2", "b2"]);
        assert_eq!(block_on(h.complete("logins", "id", "a")).unwrap(), ["a1", "a2"]);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = harness(&["a1"]);
        assert_eq!(h.err("logins rm zz").kind, ErrorKind::NotFound);
        assert_eq!(h.err("logins rm").kind, ErrorKind::BadRequest);
        assert_eq!(h.err("logins keep").kind, ErrorKind::BadRequest);
        let output = h.ok("logins rm zz a1");
        assert_eq!((output.problems.len(), output.rows.len()), (1, 0));
        assert!(h.ok("logins").rows.is_empty());
    }
}
