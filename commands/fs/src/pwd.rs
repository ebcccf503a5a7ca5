//! `pwd`: shows the working folder (RFC 959 PWD).

use ferry_core::{Access, Column, ColumnKind, Context, Example, Layout, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Shows the working folder.
    pub(crate) struct Pwd {}
}

const COLUMNS: &[Column] = &[Column::new("path", ColumnKind::Path)];

impl Verb for Pwd {
    const SPEC: Spec = Spec::of::<Self>("pwd", Access::Public).examples(&[Example::new("pwd", "shows where you are")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        ctx.columns(Layout::List, COLUMNS);
        let place = ctx.cwd().into();
        ctx.row([place]).await?;
        Ok(Reply::done())
    }
}

ferry_core::register!(Pwd);

#[cfg(test)]
mod tests {
    use ferry_core::Layout;
    use ferry_testkit::Harness;

    #[test]
    fn the_working_folder_is_told() {
        let h = Harness::standard();
        assert_eq!(h.ok("pwd").lines(), ["/"]);
        h.ok("cd docs");
        let output = h.ok("pwd");
        assert_eq!(
            (output.texts("path"), output.layout),
            (vec!["/docs".to_owned()], Layout::List)
        );
    }
}
