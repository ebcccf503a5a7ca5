//! Rows, problems and progress: what a verb tells while it runs.

use super::{Context, Event};
use crate::error::{Error, ErrorKind, Result};
use crate::reply::{Column, Layout, Value};
use crate::wire::message::{Problem, Progress, Rows};

/// Rows are sent when they weigh so much, in bytes: a third of a control frame, for a value may be larger than estimated.
const ROWS_FLUSH_BYTES: usize = 20 * 1024;
/// The first rows are sent when there are so many, so that they are seen while the rest is still being read.
const FIRST_ROWS: usize = 64;

#[derive(Default)]
pub(super) struct RowBuffer {
    columns: Option<(Layout, Vec<Column>)>,
    announced: bool,
    rows: Vec<Vec<Value>>,
    weight: usize,
    /// Rows that were gathered under earlier columns.
    pub(super) earlier: Vec<Rows>,
}

impl RowBuffer {
    /// Whether nothing was ever said of rows.
    pub(super) fn is_unused(&self) -> bool {
        self.columns.is_none()
    }

    /// Takes the rows gathered so far as a message, if there is anything to tell.
    pub(super) fn take(&mut self) -> Option<Rows> {
        let (layout, columns) = self.columns.as_ref()?;
        if self.rows.is_empty() && self.announced {
            return None;
        }
        let columns = (!self.announced).then(|| columns.iter().map(Into::into).collect());
        (self.announced, self.weight) = (true, 0);
        Some(Rows {
            id: 0,
            columns,
            layout: *layout,
            rows: std::mem::take(&mut self.rows),
        })
    }
}

impl Context<'_> {
    /// Says what the following rows are made of.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     ctx.columns(Layout::Table, [Column::new("what", ColumnKind::Text), Column::new("count", ColumnKind::Count)]);
    ///     ctx.row(["apples".into(), Value::from(3_u64)]).await?;
    ///     Ok(Reply::done())
    /// }
    /// # }
    /// let output = Harness::of::<Mine>().ok("mine");
    /// assert_eq!(output.layout, Layout::Table);
    /// assert_eq!(output.columns[1].name, "count");
    /// ```
    pub fn columns(&mut self, layout: Layout, columns: impl AsRef<[Column]>) {
        let earlier = self.rows.take();
        self.rows.earlier.extend(earlier);
        self.rows.columns = Some((layout, columns.as_ref().to_vec()));
        self.rows.announced = false;
    }

    /// Sends a row: one value a column. Rows are gathered and sent some at a time; memory does not grow with their number.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     ctx.columns(Layout::Table, [Column::new("path", ColumnKind::Path), Column::new("size", ColumnKind::Size)]);
    ///     let mut scan = ctx.home().scan(&HomePath::root()).await?;
    ///     while let Some((place, entry, _depth)) = scan.next().await? {
    ///         if entry.kind == EntryKind::File {
    ///             ctx.row([Value::from(&place), entry.size.into()]).await?;
    ///         }
    ///     }
    ///     Ok(Reply::done())
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// harness.seed("docs/a.txt", b"abc");
    /// assert_eq!(harness.ok("mine").lines(), ["/docs/a.txt  3"]);
    /// ```
    ///
    /// # Errors
    /// `internal` when the values do not fit the columns; `cancelled` or `unreachable` when nobody listens any more.
    pub async fn row(&mut self, values: impl IntoIterator<Item = Value> + Send) -> Result<()> {
        let values: Vec<Value> = values.into_iter().collect();
        if self
            .rows
            .columns
            .as_ref()
            .is_none_or(|(_, columns)| columns.len() != values.len())
        {
            return Err(Error::internal(format!("{}: a row does not fit its columns", self.spec.name)));
        }
        self.rows.weight += values.iter().map(Value::weight).sum::<usize>();
        self.rows.rows.push(values);
        if self.rows.weight >= ROWS_FLUSH_BYTES || (!self.rows.announced && self.rows.rows.len() >= FIRST_ROWS) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends the rows gathered so far.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     ctx.columns(Layout::List, [Column::new("step", ColumnKind::Text)]);
    ///     ctx.row(["begun".into()]).await?;
    ///     ctx.flush().await?; // seen while the rest is still being done
    ///     ctx.row(["done".into()]).await?;
    ///     Ok(Reply::done())
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().ok("mine").lines(), ["begun", "done"]);
    /// ```
    ///
    /// # Errors
    /// `cancelled` or `unreachable` when nobody listens any more.
    pub async fn flush(&mut self) -> Result<()> {
        let now = self.rows.take();
        for rows in std::mem::take(&mut self.rows.earlier).into_iter().chain(now) {
            self.link.emit(Event::Rows(rows)).await?;
        }
        Ok(())
    }

    /// Takes the result of one of several things. With `several`, a failure is told as a problem and the request goes on, to
    /// end with exit code 11; alone, it is the request's failure.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// Files to remove.
    /// #         paths: Many<RemotePath>,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Write);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     for path in self.paths.iter() {
    ///         let place = ctx.path(path)?;
    ///         let removed = ctx.home().remove_file(&place).await;
    ///         ctx.item(removed, self.paths.len() > 1).await?;
    ///     }
    ///     Ok(Reply::done())
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// harness.seed("a", b"");
    /// let output = harness.ok("mine missing a"); // the others are still done
    /// assert_eq!((output.problems.len(), harness.files().len()), (1, 0));
    /// assert_eq!(harness.err("mine missing").kind, ErrorKind::NotFound); // alone, it is the failure
    /// ```
    ///
    /// # Errors
    /// The failure itself, unless `several`.
    pub async fn item<T>(&mut self, result: Result<T>, several: bool) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if several && !matches!(error.kind, ErrorKind::Cancelled | ErrorKind::Unreachable) => {
                self.flush().await?;
                self.problems += 1;
                self.link.emit(Event::Problem(Problem::new(0, &error))).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says how far long work is. Call it as often as you like: the client is told a few times a second at most.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let all = 1_000;
    ///     for done in 0..all {
    ///         // One more step of the work.
    ///         ctx.progress(done, Some(all), "counting sheep").await?;
    ///     }
    ///     Ok(Reply::text("asleep"))
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().ok("mine").text.as_deref(), Some("asleep"));
    /// ```
    ///
    /// # Errors
    /// `cancelled` or `unreachable` when nobody listens any more.
    pub async fn progress(&mut self, done: u64, total: Option<u64>, text: &str) -> Result<()> {
        self.link
            .emit(Event::Progress(Progress {
                id: 0,
                done,
                total,
                text: text.to_owned(),
            }))
            .await
    }
}
