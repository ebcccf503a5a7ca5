//! `cat`: sends files one after the other as one body (POSIX cat).

use ferry_core::store::ReadRequest;
use ferry_core::{Access, Body, Context, Example, Many, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Prints files one after the other.
    pub(crate) struct Cat {
        /// Files to print.
        path: Many<RemotePath>,
    }
}

impl Verb for Cat {
    const SPEC: Spec = Spec::of::<Self>("cat", Access::Read)
        .body(Body::Out)
        .examples(&[Example::new("cat hello.txt docs/notes.txt", "prints two files")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        for path in self.path.iter() {
            let opened = match ctx.path(path) {
                Ok(path) => {
                    let request = ReadRequest {
                        algorithm: ctx.offer().digest,
                        ..ReadRequest::new(path)
                    };
                    ctx.home().open(request).await
                }
                Err(error) => Err(error),
            };
            let Some(mut source) = ctx.item(opened, self.path.len() > 1).await? else {
                continue;
            };
            // A file that breaks off in the middle ends the request: what follows would look like its rest.
            while let Some(chunk) = source.next().await? {
                ctx.send(chunk).await?;
            }
        }
        Ok(Reply::done())
    }
}

ferry_core::register!(Cat);

#[cfg(test)]
mod tests {
    use ferry_core::ErrorKind;
    use ferry_testkit::Harness;

    #[test]
    fn files_come_one_after_the_other_as_one_body() {
        let h = Harness::standard();
        let output = h.ok("cat docs/notes.txt hello.txt");
        assert_eq!(output.body, b"Some notes.\nHello, world!\n");
        assert_eq!(output.end.unwrap().size, 26);
    }

    #[test]
    fn an_empty_file_is_an_empty_body() {
        let h = Harness::new();
        h.seed("empty", b"");
        let output = h.ok("cat empty");
        assert!(output.begin.is_some() && output.body.is_empty());
        assert_eq!(output.end.unwrap().size, 0);
    }

    #[test]
    fn a_file_of_many_chunks_comes_whole() {
        let h = Harness::new();
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
        h.seed("/big", &bytes);
        assert!(h.ok("cat big").body == bytes);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.plant_link("/link");
        for (line, kind) in [
            ("cat nothing", ErrorKind::NotFound),
            ("cat docs", ErrorKind::IsDirectory),
            ("cat link", ErrorKind::Denied),
            ("cat ..", ErrorKind::Denied),
            ("cat", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
    }

    #[test]
    fn what_is_missing_of_several_is_told_and_the_rest_comes() {
        let output = Harness::standard().ok("cat nothing hello.txt");
        assert_eq!((output.problems.len(), output.body), (1, b"Hello, world!\n".to_vec()));
    }
}
