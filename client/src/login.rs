//! Hello and login: what is said before the first request.

use ferry_core::login::scram;
use ferry_core::wire::Map;
use ferry_core::wire::frame::{Kind, Stage};
use ferry_core::wire::message::{Answer, Catalog, Challenge, Fail, Hello, Limits, Login, Message, Welcome};
use ferry_core::{Error, ErrorKind, VerbInfo, rt};
use futures_lite::AsyncWriteExt as _;

use crate::connection::gone;
use crate::exit::{Exit, Failure, Result};
use crate::transport::{Frames, Transport, Writer};

/// The most verbs that a server may tell of.
const VERBS_MAX: usize = 4096;

/// Who logs in.
#[derive(Clone)]
pub struct Credentials {
    /// The account's name.
    pub user: String,
    /// The password; it never leaves this process.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// What a login leaves behind.
pub(crate) struct Opened {
    pub(crate) frames: Frames,
    pub(crate) writer: Writer,
    pub(crate) limits: Limits,
    pub(crate) user: String,
    pub(crate) notice: Option<String>,
    pub(crate) verbs: Vec<VerbInfo>,
}

/// Says hello, logs in with SCRAM-SHA-256 and takes the catalogue.
///
/// # Errors
/// `login_refused`; exit code 12 for a server of another version, 8 for one that leaves.
pub(crate) async fn run(transport: Transport, who: &Credentials) -> Result<Opened> {
    let mut writer = transport.writer;
    let mut frames = Frames::new(transport.reader);
    say(&mut writer, &Hello::new(concat!("ferry ", env!("CARGO_PKG_VERSION")))).await?;
    let hello: Hello = hear(&mut frames).await?;
    hello.check().map_err(Failure::protocol)?;
    if !hello.mechanisms.iter().any(|name| name == scram::MECHANISM) {
        let text = "the server offers no way to log in that this client knows";
        return Err(Failure::protocol(Error::unsupported(text)));
    }
    let (client, data) = scram::Client::start(&who.user, &who.password)?;
    let mechanism = scram::MECHANISM.to_owned();
    say(&mut writer, &Login { mechanism, data }).await?;
    let challenge: Challenge = hear(&mut frames).await?;
    let (finish, data) = rt::unblock(move || client.answer(&challenge.data)).await?;
    say(&mut writer, &Answer { data }).await?;
    let welcome: Welcome = hear(&mut frames).await?;
    finish.check(&welcome.data)?;
    frames.stage = Stage::LoggedIn;
    let verbs = catalog(&mut frames).await?;
    Ok(Opened {
        frames,
        writer,
        limits: hello.limits,
        user: welcome.user,
        notice: welcome.notice,
        verbs,
    })
}

async fn catalog(frames: &mut Frames) -> Result<Vec<VerbInfo>> {
    let mut verbs = Vec::new();
    loop {
        let mut part: Catalog = hear(frames).await?;
        verbs.append(&mut part.verbs);
        if verbs.len() > VERBS_MAX {
            let text = format!("the server tells of more than {VERBS_MAX} verbs");
            return Err(Failure::protocol(Error::new(ErrorKind::TooLarge, text)));
        }
        if part.last {
            return Ok(verbs);
        }
    }
}

async fn say(writer: &mut Writer, message: &impl Message) -> Result<()> {
    let mut frame = Vec::new();
    message.encode(&mut frame)?;
    writer.write_all(&frame).await.map_err(|error| gone(&error))?;
    writer.flush().await.map_err(|error| gone(&error))
}

/// The next message, which must be an `M` or the server's last word.
async fn hear<M: Message>(frames: &mut Frames) -> Result<M> {
    loop {
        let header = frames.header().await?;
        let Some(kind) = header.kind else {
            frames.skip(header.len_bytes).await?;
            continue;
        };
        let payload = frames.payload(header.len_bytes).await?;
        if kind == M::KIND {
            let map = Map::check(payload).map_err(Failure::protocol)?;
            return M::decode(&map).map_err(Failure::protocol);
        }
        if kind != Kind::Fail {
            return Err(Failure::unexpected(&format!("{kind:?} instead of {:?}", M::KIND)));
        }
        let map = Map::check(payload).map_err(Failure::protocol)?;
        let error = Fail::decode(&map).map_err(Failure::protocol)?.into_error();
        let exit = match error.kind {
            ErrorKind::LoginRefused | ErrorKind::Denied => Exit::Login,
            ErrorKind::BadRequest | ErrorKind::Unsupported | ErrorKind::TooLarge => Exit::Protocol,
            _ => Exit::Network,
        };
        return Err(Failure {
            error,
            exit,
            told: false,
        });
    }
}
