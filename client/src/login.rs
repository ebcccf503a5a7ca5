//! Hello and login: what is said before the first request.

use std::time::Duration;

use ferry_core::login::{Channel, ClientLogin, Method, Secret};
use ferry_core::wire::Map;
use ferry_core::wire::frame::{Kind, Stage};
use ferry_core::wire::io::{FrameReader, Incoming, Outbox};
use ferry_core::wire::message::{Answer, Catalog, Challenge, Fail, Hello, Limits, Login, Message, Revealed, Welcome};
use ferry_core::{Error, ErrorKind, VerbInfo, rt};

use crate::catalogue;
use crate::exit::{Exit, Failure, Result};
use crate::saved::SavedLogins;
use crate::transport::Reader;

/// The most frames that a catalogue may come in: 16 MiB.
const CATALOG_FRAMES_MAX: usize = 256;

/// Who logs in.
#[derive(Clone)]
pub struct Credentials {
    /// The account's name.
    pub user: String,
    /// The password, when it is known beforehand; it never leaves this process. Without one a saved login is used, or the
    /// user is asked.
    pub password: Option<String>,
    /// The saved logins.
    pub saved: SavedLogins,
    /// Whether the first login is to be saved.
    pub save: bool,
}

impl Credentials {
    /// A name and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: Some(password.into()),
            saved: SavedLogins::default(),
            save: false,
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// One login to be made.
#[derive(Debug)]
pub struct Attempt {
    /// The account's name.
    pub user: String,
    /// What he logs in with.
    pub secret: Secret,
    /// Asks the server for a saved login of that label.
    pub save: Option<String>,
}

/// The source of a failure that is the server's own word on what we logged in with.
#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server refused it")
    }
}

impl std::error::Error for Refused {}

/// Whether the server looked at what we logged in with, and refused it.
pub(crate) fn is_refusal(failure: &Failure) -> bool {
    failure.error.source.as_ref().is_some_and(|source| source.is::<Refused>())
}

/// What a login leaves behind.
pub(crate) struct Opened {
    pub(crate) reader: FrameReader<Reader>,
    pub(crate) limits: Limits,
    pub(crate) user: String,
    pub(crate) notice: Option<String>,
    /// The saved login that was asked for.
    pub(crate) token: Option<Revealed>,
    pub(crate) verbs: Vec<VerbInfo>,
    /// How the account logs in.
    pub(crate) method: Method,
}

/// A connection before its first request.
struct Door<'d> {
    reader: FrameReader<Reader>,
    outbox: &'d Outbox,
    stage: Stage,
    /// How long the server may say nothing.
    patience: Duration,
}

/// Says hello, logs in and takes the catalogue.
///
/// # Errors
/// `login_refused`; exit code 12 for a server of another version, 8 for one that leaves.
pub(crate) async fn run(
    reader: FrameReader<Reader>,
    outbox: &Outbox,
    channel: Channel,
    attempt: Attempt,
    patience: Duration,
) -> Result<Opened> {
    let mut door = Door {
        reader,
        outbox,
        stage: Stage::BeforeLogin,
        patience,
    };
    door.say(&Hello::new(concat!("ferry ", env!("CARGO_PKG_VERSION")))).await?;
    let hello: Hello = door.hear().await?;
    hello.check().map_err(Failure::protocol)?;
    let Attempt { user, secret, save } = attempt;
    let (client, step) = ClientLogin::start(secret, channel)?;
    if !hello.mechanisms.iter().any(|name| name == step.mechanism) {
        let text = "the server offers no way to log in that this client knows";
        return Err(Failure::login(text).hint("a newer client may know one: compare `ferry --version` with the server's"));
    }
    let mechanism = step.mechanism.to_owned();
    let login = Login {
        mechanism,
        data: step.data,
    };
    door.say(&login).await?;
    let foreseen = hello.nonce.as_deref().and_then(|nonce| client.foreseen(nonce));
    let finish = match foreseen {
        // A saved login needs nothing else from the server, so the answer goes at once.
        Some(foreseen) => {
            let (finish, data) = client.answer(None, &foreseen).map_err(misspoken)?;
            door.say(&Answer { data, save }).await?;
            let challenge: Challenge = door.hear().await?;
            if challenge.mechanism.is_some() || challenge.data != foreseen {
                return Err(Failure::unexpected("another challenge than the one that its hello foretold"));
            }
            finish
        }
        None => {
            let challenge: Challenge = door.hear().await?;
            let answered = rt::unblock(move || client.answer(challenge.mechanism.as_deref(), &challenge.data)).await;
            let (finish, data) = answered.map_err(misspoken)?;
            door.say(&Answer { data, save }).await?;
            finish
        }
    };
    let welcome = door.hear::<Welcome>().await.map_err(|mut failure| {
        if failure.error.kind == ErrorKind::LoginRefused {
            let hint = failure
                .error
                .hint
                .take()
                .unwrap_or("check the account's name and the password".into());
            failure.error = failure.error.hint(hint).caused_by(Refused);
        }
        failure
    });
    let welcome = welcome?;
    finish.check(&welcome.data).map_err(misspoken)?;
    if finish.method() == Method::Token && welcome.user != user {
        let hint = "log in with the password and --save-login to save the right one";
        return Err(Failure::login("the saved login is another user's").hint(hint));
    }
    door.stage = Stage::LoggedIn;
    let verbs = door.catalog().await?;
    Ok(Opened {
        reader: door.reader,
        limits: hello.limits,
        user: welcome.user,
        notice: welcome.notice,
        token: welcome.token,
        verbs,
        method: finish.method(),
    })
}

/// What a login message that cannot be read means: it was the server's, so it is no wrong command line.
fn misspoken(error: Error) -> Failure {
    match error.kind {
        ErrorKind::BadRequest => Failure::protocol(error),
        _ => error.into(),
    }
}

impl Door<'_> {
    async fn catalog(&mut self) -> Result<Vec<VerbInfo>> {
        let mut verbs = Vec::new();
        for _ in 0..CATALOG_FRAMES_MAX {
            let mut part: Catalog = self.hear().await?;
            verbs.append(&mut part.verbs);
            if part.last {
                return catalogue::checked(verbs);
            }
        }
        let text = format!("the server's catalogue has more than {CATALOG_FRAMES_MAX} frames");
        Err(Failure::protocol(Error::new(ErrorKind::TooLarge, text)))
    }

    async fn say(&self, message: &impl Message) -> Result<()> {
        match self.outbox.send(message).await {
            // What the server said before it left is still to be heard, and says more.
            Err(error) if error.kind == ErrorKind::Unreachable => Ok(()),
            result => Ok(result?),
        }
    }

    /// The next message, which must be an `M` or the server's last word.
    async fn hear<M: Message>(&mut self) -> Result<M> {
        let (kind, payload) = loop {
            match self.reader.next(self.stage, self.patience).await {
                Ok(Some(Incoming::Control(kind, payload))) => break (kind, payload),
                Ok(Some(Incoming::Echo(Kind::Ping, bytes))) if self.stage == Stage::LoggedIn => {
                    self.outbox.send_echo(Kind::Pong, &bytes).await?;
                }
                Ok(Some(_)) => return Err(Failure::unexpected(&format!("no {:?}", M::KIND))),
                Ok(None) => return Err(Failure::unreachable("the server closed the connection")),
                Err(error) if error.kind == ErrorKind::Timeout => {
                    return Err(Failure::timeout("the server did not answer the login in time"));
                }
                Err(error) => return Err(Failure::wire(error)),
            }
        };
        let map = Map::check(&payload).map_err(Failure::protocol)?;
        if kind == M::KIND {
            return M::decode(&map).map_err(Failure::protocol);
        }
        if kind != Kind::Fail {
            return Err(Failure::unexpected(&format!("{kind:?} instead of {:?}", M::KIND)));
        }
        let error = Fail::decode(&map).map_err(Failure::protocol)?.into_error();
        let exit = match error.kind {
            ErrorKind::LoginRefused | ErrorKind::Denied => Exit::Login,
            ErrorKind::BadRequest | ErrorKind::Unsupported | ErrorKind::TooLarge => Exit::Protocol,
            _ => Exit::Network,
        };
        Err(Failure {
            error,
            exit,
            told: false,
        })
    }
}
