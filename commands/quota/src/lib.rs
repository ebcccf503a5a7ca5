//! `quota`: shows how much of the home's limit is taken.
use ferry_core::{Access, Column, ColumnKind, Context, Example, Layout, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Shows the limit of your home, what is used of it, what uploads under way have reserved, and what is free.
    pub struct Quota {}
}

const COLUMNS: &[Column] = &[
    Column::new("limit", ColumnKind::HumanSize),
    Column::new("used", ColumnKind::HumanSize).share_of("limit"),
    Column::new("reserved", ColumnKind::HumanSize),
    Column::new("free", ColumnKind::HumanSize),
];

impl Verb for Quota {
    const SPEC: Spec = Spec::of::<Self>("quota", Access::Read).examples(&[Example::new("quota", "shows all four")]);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let usage = ctx.home().usage().await?;
        ctx.columns(Layout::Record, COLUMNS);
        let (limit, free) = (usage.limit, usage.free());
        ctx.row([limit.into(), usage.used.into(), usage.reserved.into(), free.into()])
            .await?;
        Ok(Reply::done())
    }
}

ferry_core::register!(Quota);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::Value;
    use ferry_testkit::Harness;

    #[test]
    fn the_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }

    #[test]
    fn all_four_numbers_are_told_in_bytes() {
        let h = Harness::new().quota(100);
        h.seed("/a", &[0; 30]);
        let output = h.ok("quota");
        assert_eq!(output.layout, Layout::Record);
        let row = &output.maps()[0];
        let numbers = ["limit", "used", "reserved", "free"].map(|name| row[name].as_u64());
        assert_eq!(numbers, [Some(100), Some(30), Some(0), Some(70)]);
    }

    #[test]
    fn without_a_limit_nothing_is_said_to_be_free() {
        let output = Harness::standard().ok("quota");
        let row = &output.maps()[0];
        assert_eq!((row["limit"], row["free"]), (&Value::Nil, &Value::Nil));
        assert_eq!(row["used"].as_u64(), Some(26));
    }
}
