//! `download`: gives a file to the client (RFC 959 RETR and REST, sftp get).
//!
//! A request has one source. For a folder the answer is a list of all that is in it, which the client then asks for one by
//! one. Target and new name are the client's own business: the server does not look at them.

use ferry_core::store::{FileInfo, ReadRequest};
use ferry_core::{
    Access, Body, Column, ColumnKind, Context, Error, ErrorKind, Example, HomePath, Layout, LocalPath, Many, RemotePath, Reply,
    Result, Spec, Verb,
};

ferry_core::args! {
    /// Fetches files from the server.
    ///
    /// A file appears whole and proven, or not at all. One that broke off goes on where it stopped when the same line is run
    /// again, unless the server's file has changed.
    pub struct Download {
        /// Files to fetch.
        #[arg(role(Source))]
        remote: Many<RemotePath>,
        /// Folder or new name on this machine; the working folder when absent.
        #[arg(role(Target))]
        local: Option<LocalPath>,
        /// Fetches folders with all that is in them, and leaves alone what is there already with the same size and time.
        #[arg(short('r'), role(Recurse))]
        recursive: bool,
        /// Name on this machine, in place of the file's own; `-` is standard output.
        #[arg(name("as"), option, role(Rename))]
        rename: Option<LocalPath>,
        /// Replaces no file that is there already.
        #[arg(role(NoClobber))]
        no_clobber: bool,
        /// Compares digests where size and time would have done.
        #[arg(role(Checksum))]
        checksum: bool,
    }
}

/// What is in a folder; `path` is relative to it.
const MANIFEST: &[Column] = &[
    Column::new("path", ColumnKind::Path),
    Column::new("kind", ColumnKind::Text),
    Column::new("size", ColumnKind::Size),
    Column::new("modified", ColumnKind::Time),
    Column::new("executable", ColumnKind::Flag),
];

impl Verb for Download {
    const SPEC: Spec = Spec::of::<Self>("download", Access::Read)
        .aliases(&["get"])
        .body(Body::Out)
        .examples(&[
            Example::new("download hello.txt", "fetches a file into the local working folder"),
            Example::new("download docs/notes.txt --as old.txt", "fetches it under another name"),
            Example::new("download -r docs", "fetches a folder with all that is in it"),
            Example::new("download hello.txt --as -", "writes it to standard output"),
        ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let [path] = &*self.remote else {
            return Err(Error::bad_request("download: a request has one source"));
        };
        let path = ctx.path(path)?;
        let request = ReadRequest {
            algorithm: ctx.offer().digest,
            held: ctx.offer().held(),
            reader_checks: true,
            ..ReadRequest::new(path.clone())
        };
        match ctx.home().open(request).await {
            Ok(source) => ctx.send_from(source).await.map(Reply::file),
            Err(error) if error.kind != ErrorKind::IsDirectory => Err(error),
            Err(_) if self.recursive => manifest(ctx, &path).await,
            Err(error) => Err(error.hint("`download -r` fetches a folder with all that is in it")),
        }
    }
}

/// Lists a tree, folders before what is in them. The reply names the folder itself.
async fn manifest(ctx: &mut Context<'_>, top: &HomePath) -> Result<Reply> {
    ctx.columns(Layout::Table, MANIFEST);
    let mut walk = ctx.home().walk(top).await?;
    let mut folder = None;
    while let Some((place, entry)) = walk.next().await? {
        if folder.is_none() {
            folder = Some(FileInfo {
                path: top.into(),
                size: 0,
                modified: entry.modified,
                executable: entry.executable,
                digest: None,
                version: entry.version,
            });
            continue;
        }
        let names: Vec<&[u8]> = place.names().skip(top.names().count()).collect();
        let path = names.join(&b'/');
        let (kind, size, modified) = (entry.kind.into(), entry.size.into(), entry.modified.into());
        ctx.row([path.as_slice().into(), kind, size, modified, entry.executable.into()])
            .await?;
    }
    Ok(folder.map_or_else(Reply::done, Reply::file))
}

ferry_core::register!(Download);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::rt::block_on;
    use ferry_core::store::{CODE_RESUME, CODE_START};
    use ferry_core::wire::message::Offer;
    use ferry_core::{Algorithm, Value};
    use ferry_testkit::Harness;

    fn big() -> Vec<u8> {
        (0..900_000u32).flat_map(|n| n.to_le_bytes()).collect()
    }

    #[test]
    fn the_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }

    #[test]
    fn its_usage_is_the_one_agreed_on() {
        let registry = ferry_core::Registry::linked().unwrap();
        assert_eq!(
            registry.find("get").unwrap().info.usage(),
            "download REMOTE... [LOCAL] [-r] [--as NAME] [--no-clobber] [--checksum]"
        );
    }

    #[test]
    fn a_file_comes_whole_with_its_digest_and_what_is_known_of_it() {
        let h = Harness::new();
        h.seed("/big", &big());
        let output = h.ok("get big");
        assert!(output.body == big());
        let begin = output.begin.unwrap();
        assert_eq!(
            (begin.code, begin.size, begin.path),
            (CODE_START, Some(3_600_000), Some("/big".into()))
        );
        assert!(begin.version.is_some() && begin.modified.is_some());
        let digest = Algorithm::Md5.digest(&big());
        assert_eq!(output.end.unwrap().digest, digest);
        assert_eq!(output.file.unwrap().digest, Some(digest));
    }

    #[test]
    fn an_empty_file_is_a_body_too() {
        let h = Harness::new();
        h.seed("/empty", b"");
        let output = h.ok("download empty");
        assert_eq!((output.begin.unwrap().size, output.end.unwrap().size), (Some(0), 0));
    }

    #[test]
    fn the_digest_is_the_one_asked_for() {
        let offer = Offer {
            digest: Algorithm::Blake3,
            ..Offer::default()
        };
        let output = block_on(Harness::standard().run_with_offer("download hello.txt", offer)).unwrap();
        assert_eq!(output.end.unwrap().digest, Algorithm::Blake3.digest(b"Hello, world!\n"));
    }

    #[test]
    fn what_the_client_holds_is_not_sent_again() {
        let h = Harness::new();
        h.seed("/big", &big());
        let held = |bytes: &[u8]| Offer {
            offset: Some(1_000_000),
            prefix: Some(Algorithm::Blake3.digest(&bytes[..1_000_000])),
            ..Offer::default()
        };
        let output = block_on(h.run_with_offer("download big", held(&big()))).unwrap();
        assert_eq!((output.begin.unwrap().code, output.body.len()), (CODE_RESUME, 2_600_000));
        assert_eq!(output.end.unwrap().digest, Algorithm::Md5.digest(&big()));
        let output = block_on(h.run_with_offer("download big", held(&vec![7; 1_000_000]))).unwrap();
        assert_eq!((output.begin.unwrap().code, output.body.len()), (CODE_START, 3_600_000));
    }

    #[test]
    fn a_folder_is_told_as_a_list_of_what_is_in_it() {
        let h = Harness::standard();
        h.seed("/docs/a/b", b"bb");
        h.seed_dir("/docs/empty");
        h.plant_link("/docs/link");
        let output = h.ok("download -r docs");
        assert_eq!(output.texts("path"), ["a", "a/b", "empty", "link", "notes.txt"]);
        assert_eq!(output.texts("kind"), ["dir", "file", "dir", "link", "file"]);
        assert_eq!(output.texts("size"), ["0", "2", "0", "0", "12"]);
        assert_eq!(output.column("executable"), vec![Value::Bool(false); 5]);
        assert!(output.begin.is_none() && output.body.is_empty());
        assert_eq!(output.file.unwrap().path, "/docs".into());
        assert_eq!(h.ok("download -r /").texts("path")[..2], ["docs", "docs/a"]);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.plant_link("/link");
        for (line, kind) in [
            ("download nothing", ErrorKind::NotFound),
            ("download -r nothing", ErrorKind::NotFound),
            ("download docs", ErrorKind::IsDirectory),
            ("download hello.txt/a", ErrorKind::NotDirectory),
            ("download link", ErrorKind::Denied),
            ("download -r link", ErrorKind::Denied),
            ("download ..", ErrorKind::Denied),
            ("download", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        assert!(h.err("download docs").hint.unwrap().contains("-r"));
    }

    #[test]
    fn a_request_has_one_source() {
        let args = b"\x81\xa6remote\x92\xa9hello.txt\xa9hello.txt";
        let error = block_on(Harness::standard().call_raw("download", args)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRequest);
    }
}
