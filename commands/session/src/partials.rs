//! `partials`: lists uploads that are not finished, and throws them away.

use ferry_core::{Access, Column, ColumnKind, Context, Error, Example, Layout, Reply, Result, Spec, Verb};

use crate::action::Action;

ferry_core::args! {
    /// Lists your uploads that are not finished; `partials rm` throws some away.
    ///
    /// Their bytes count as reserved. Sending the same file again goes on where it stopped.
    pub(crate) struct Partials {
        /// What to do with those that are named.
        action: Option<Action>,
        /// Uploads, by the id that the list shows.
        #[arg(dynamic)]
        id: Vec<String>,
    }
}

const COLUMNS: &[Column] = &[
    Column::new("id", ColumnKind::Text),
    Column::new("path", ColumnKind::Path),
    Column::new("size", ColumnKind::Size),
    Column::new("received", ColumnKind::Size),
    Column::new("expires", ColumnKind::Time),
];

impl Verb for Partials {
    // A verb has one access, and `rm` needs to write. Those who may only read have no uploads to list.
    const SPEC: Spec = Spec::of::<Self>("partials", Access::Write)
        .examples(&[Example::new("partials", "lists uploads that can be gone on with")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let Some(Action::Rm) = self.action else {
            return list(ctx).await;
        };
        if self.id.is_empty() {
            return Err(Error::bad_request("partials rm: ID is missing").hint("`partials` shows the ids"));
        }
        for id in &self.id {
            let removed = ctx.home().remove_partial(id).await;
            ctx.item(removed, self.id.len() > 1).await?;
        }
        Ok(Reply::done())
    }

    async fn complete(_arg: &str, _word: &str, ctx: &mut Context<'_>) -> Result<Vec<String>> {
        let partials = ctx.home().partials().await?;
        Ok(partials.into_iter().map(|partial| partial.id).collect())
    }
}

async fn list(ctx: &mut Context<'_>) -> Result<Reply> {
    ctx.columns(Layout::Table, COLUMNS);
    for partial in ctx.home().partials().await? {
        let (size, received) = (partial.size.into(), partial.received.into());
        ctx.row([
            partial.id.into(),
            (&partial.path).into(),
            size,
            received,
            partial.expires.into(),
        ])
        .await?;
    }
    Ok(Reply::done())
}

ferry_core::register!(Partials);

#[cfg(test)]
mod tests {
    use ferry_core::{ErrorKind, Value, rt::block_on};
    use ferry_testkit::Harness;

    /// A home with uploads of ten bytes that stopped after four.
    fn home(paths: &[&str]) -> Harness {
        let h = Harness::new().quota(100);
        for path in paths {
            h.seed_partial(path, &[7; 10], 4);
        }
        h
    }

    #[test]
    fn unfinished_uploads_are_listed_with_what_is_held() {
        let h = home(&["/a", "/b"]);
        let output = h.ok("partials");
        assert_eq!(output.texts("path"), ["/a", "/b"]);
        assert_eq!(output.column("size"), [Value::Uint(10), Value::Uint(10)]);
        assert_eq!(output.column("received"), [Value::Uint(4), Value::Uint(4)]);
        assert!(output.column("expires").iter().all(|time| time.as_i64().is_some()));
        assert_eq!(h.usage().reserved, 20);
    }

    #[test]
    fn with_none_there_is_nothing_to_list() {
        assert!(home(&[]).ok("partials").rows.is_empty());
    }

    #[test]
    fn what_is_thrown_away_gives_its_reservation_back() {
        let h = home(&["/a", "/b"]);
        let ids = h.ok("partials").texts("id");
        h.ok(&format!("partials rm {}", ids[0]));
        assert_eq!(h.ok("partials").texts("id"), ids[1..]);
        assert_eq!(h.usage().reserved, 10);
    }

    #[test]
    fn ids_are_proposed() {
        let h = home(&["/a"]);
        let ids = h.ok("partials").texts("id");
        assert_eq!(block_on(h.complete("partials", "id", "")).unwrap(), ids);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = home(&["/a"]);
        let id = h.ok("partials").texts("id").remove(0);
        assert_eq!(h.err("partials rm 0000").kind, ErrorKind::NotFound);
        assert_eq!(h.err("partials rm ../../etc").kind, ErrorKind::NotFound);
        assert_eq!(h.err("partials rm").kind, ErrorKind::BadRequest);
        assert_eq!(h.err("partials keep").kind, ErrorKind::BadRequest);
        let output = h.ok(&format!("partials rm 0000 {id}"));
        assert_eq!((output.problems.len(), h.usage().reserved), (1, 0));
    }
}
