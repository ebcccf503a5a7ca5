//! A server with verbs of its own, as a stranger would build it, some of which go astray: one panics, one never returns, one blocks
//! its thread, one hands out a home's secrets if it can, one writes past the quota, three return more than anybody can hold. And two that
//! behave: one that no client was built with, and one that does nothing, to measure what a request costs by itself.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::store::UploadRequest;
use ferry_core::{
    Access, ArgType, Args as _, Body, ByteSize, Chunk, Column, ColumnKind, Context, Layout, RemotePath, Reply, Result, Spec,
    Value, Verb, args,
};
use ferry_server::Parts;
use ferry_store_local::{Durability, LocalStore, Options};
use {ferry_session as _, ferry_upload as _};

args! {
    /// Does nothing: what a request costs by itself.
    pub(crate) struct Nothing {}
}

impl Verb for Nothing {
    const SPEC: Spec = Spec::of::<Self>("nothing", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        Ok(Reply::done())
    }
}

args! {
    /// Prints a text back in capitals.
    pub(crate) struct Shout {
        /// Text to print.
        text: String,
        /// How it is said.
        #[arg(option)]
        mood: Option<Mood>,
        /// A path, for nothing but its completion.
        path: Option<RemotePath>,
    }
}

/// How something is said.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mood {
    /// With an exclamation mark.
    Happy,
    /// With dots.
    Gloomy,
}

impl<'de> ferry_core::serde::Deserialize<'de> for Mood {
    fn deserialize<D: ferry_core::serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "happy" => Ok(Self::Happy),
            "gloomy" => Ok(Self::Gloomy),
            _ => Err(ferry_core::serde::de::Error::custom("a mood is happy or gloomy")),
        }
    }
}

impl ArgType for Mood {
    const KIND: args::ArgKind = args::ArgKind::Choice;
    const CHOICES: &'static [&'static str] = &["happy", "gloomy"];
}

impl Verb for Shout {
    const SPEC: Spec = Spec::of::<Self>("shout", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        let end = match self.mood {
            Some(Mood::Happy) => "!",
            Some(Mood::Gloomy) => "...",
            None => "",
        };
        Ok(Reply::text(format!("{}{end}", self.text.to_uppercase())))
    }
}
ferry_core::register!(Nothing);
ferry_core::register!(Shout);

args! {
    /// Blocks its thread for a while.
    pub(crate) struct Naps {
        /// How long, in milliseconds.
        ms: u32,
    }
}

impl Verb for Naps {
    const SPEC: Spec = Spec::of::<Self>("naps", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        std::thread::sleep(Duration::from_millis(self.ms.into()));
        Ok(Reply::text("awake"))
    }
}
ferry_core::register!(Naps);

args! {
    /// Writes a stream of so many bytes into a file.
    pub(crate) struct Overfills {
        /// Bytes to write.
        size: ByteSize,
    }
}
impl Verb for Overfills {
    const SPEC: Spec = Spec::of::<Self>("overfills", Access::Write);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let request = UploadRequest::new(ctx.path(&RemotePath::from("fat"))?);
        let mut upload = ctx.home().upload(request).await?;
        for _ in 0..self.size.0 / CHUNK_BYTES as u64 {
            upload.write(zeros()).await?;
        }
        Ok(Reply::text("all of it was taken"))
    }
}
ferry_core::register!(Overfills);

args! {
    /// Returns so many bytes as contents.
    pub(crate) struct Floods {
        /// Bytes to return.
        size: ByteSize,
    }
}
impl Verb for Floods {
    const SPEC: Spec = Spec::of::<Self>("floods", Access::Public).body(Body::Out);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        for _ in 0..self.size.0 / CHUNK_BYTES as u64 {
            ctx.send(zeros()).await?;
        }
        Ok(Reply::done())
    }
}
ferry_core::register!(Floods);

args! {
    /// Returns so many bytes as rows.
    pub(crate) struct Piles {
        /// Bytes to return.
        size: ByteSize,
    }
}
impl Verb for Piles {
    const SPEC: Spec = Spec::of::<Self>("piles", Access::Public);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        const COLUMNS: &[Column] = &[Column::new("word", ColumnKind::Text)];
        ctx.columns(Layout::List, COLUMNS);
        for _ in 0..self.size.0 / 1024 {
            ctx.row([Value::from("x".repeat(1024))]).await?;
        }
        Ok(Reply::done())
    }
}
ferry_core::register!(Piles);

args! {
    /// Returns so many bytes as one text.
    pub(crate) struct Tells {
        /// Bytes to return.
        size: ByteSize,
    }
}
impl Verb for Tells {
    const SPEC: Spec = Spec::of::<Self>("tells", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        Ok(Reply::text("x".repeat(usize::try_from(self.size.0).unwrap_or(0))))
    }
}
ferry_core::register!(Tells);

fn zeros() -> Chunk {
    Chunk::from(&[0; CHUNK_BYTES][..])
}

macro_rules! astray {
    ($type:ident, $name:literal, $doc:literal, |$ctx:ident| $body:expr) => {
        args! {
            #[doc = $doc]
            pub(crate) struct $type {}
        }
        impl Verb for $type {
            const SPEC: Spec = Spec::of::<Self>($name, Access::Read);
            async fn run(self, $ctx: &mut Context<'_>) -> Result<Reply> {
                let _ = (Self::ARGS, &$ctx);
                $body
            }
        }
        ferry_core::register!($type);
    };
}

astray!(Panics, "panics", "Panics.", |ctx| panic!(
    "on purpose, for {}",
    ctx.user().name
));
astray!(Spins, "spins", "Never comes back and keeps the processor.", |ctx| loop {
    std::hint::spin_loop();
});
astray!(Blocks, "blocks", "Blocks its thread for a minute.", |ctx| {
    std::thread::sleep(Duration::from_secs(60));
    Ok(Reply::done())
});
astray!(Waits, "waits", "Waits for ever without keeping the processor.", |ctx| {
    std::future::pending().await
});
astray!(
    Outside,
    "outside",
    "Asks for what lies outside the home, and to write without the right.",
    |ctx| {
        let up = ctx.path(&RemotePath::from("../../accounts.redb"));
        let write = ctx.home().make_dir(&ctx.path(&RemotePath::from("made"))?).await;
        Ok(Reply::text(format!(
            "{:?} {:?}",
            up.map_err(|e| e.kind),
            write.map_err(|e| e.kind)
        )))
    }
);

astray!(
    Peeks,
    "peeks",
    "Reads, writes and connects past its context, as only a verb can that is up to no good.",
    |ctx| {
        #[allow(clippy::disallowed_methods, reason = "that is what is tried")]
        let (read, write) = (
            std::fs::read("/etc/passwd").map(drop),
            std::fs::write(std::env::temp_dir().join("ferry-peeks"), "x"),
        );
        let connect = std::net::TcpStream::connect("127.0.0.1:1").map(drop);
        let kinds = [read, write, connect].map(|done| done.map_err(|error| error.kind()));
        Ok(Reply::text(format!("{kinds:?}")))
    }
);

fn main() -> ExitCode {
    let parts = Parts {
        store: |data, _| {
            Ok(Arc::new(LocalStore::open(
                data,
                Options {
                    durability: Durability::Relaxed,
                },
            )?))
        },
        shell: ferry_client::shell_on,
    };
    ferry_server::run(std::env::args_os(), &parts).into()
}
