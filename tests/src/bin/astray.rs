//! A server with verbs of its own, as a stranger would build it, some of which go astray: one panics, one never returns, one blocks
//! its thread, one hands out a home's secrets if it can. And one that behaves, which no client was built with.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::{Access, ArgType, Args as _, Context, RemotePath, Reply, Result, Spec, Verb, args};
use ferry_server::Parts;
use ferry_store_local::{Durability, LocalStore, Options};
use {ferry_session as _, ferry_upload as _};

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
ferry_core::register!(Shout);

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
