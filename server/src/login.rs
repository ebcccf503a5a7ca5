//! The door: hello and login of a connection, before anything else is possible.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::login::{Channel, Claim, Method, Opening};
use ferry_core::wire::frame::{Kind, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::io::{FrameReader, Incoming, Outbox};
use ferry_core::wire::message::{Answer, Challenge, Fail, Hello, Login, Message, Welcome};
use ferry_core::{Error, ErrorKind, Result, rt};
use futures_lite::AsyncRead;

use crate::accounts::Live;
use crate::server::{AGENT, Server};

/// The most time from the connection to the welcome.
const LOGIN: Duration = Duration::from_secs(30);
/// The most logins that may fail on one connection.
const TRIES: usize = 3;

/// Who came in.
pub(crate) struct Entered {
    /// The account, live.
    pub(crate) live: Arc<Live>,
    /// The account's name.
    pub(crate) name: String,
    /// What the client said at first.
    pub(crate) hello: Hello,
}

/// Says hello and logs the client in; `None` when it left before.
///
/// # Errors
/// What ended the connection. The client has been told.
pub(crate) async fn enter<R: AsyncRead + Unpin>(
    server: &Arc<Server>,
    channel: Channel,
    reader: &mut FrameReader<R>,
    outbox: &Outbox,
) -> Result<Option<Entered>> {
    let entered = rt::timeout(LOGIN, async {
        outbox
            .send(&Hello {
                mechanisms: Method::mechanisms(&channel),
                ..Hello::new(AGENT)
            })
            .await?;
        let Some(hello) = read::<Hello, _>(reader).await? else {
            return Ok(None);
        };
        hello.check()?;
        for left in (0..TRIES).rev() {
            match try_login(server, &channel, reader, outbox).await {
                Ok(None) => return Ok(None),
                Ok(Some((live, name))) => return Ok(Some(Entered { live, name, hello })),
                Err(error) if error.kind == ErrorKind::LoginRefused && left > 0 => outbox.send(&Fail::new(0, &error)).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    });
    let entered = entered
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "login took too long")));
    if let Err(error) = &entered {
        let _ = outbox.send(&Fail::new(0, error)).await;
    }
    entered
}

/// One login: the client opens, the server challenges by the account's own method, the client answers.
async fn try_login<R: AsyncRead + Unpin>(
    server: &Arc<Server>,
    channel: &Channel,
    reader: &mut FrameReader<R>,
    outbox: &Outbox,
) -> Result<Option<(Arc<Live>, String)>> {
    let Some(login) = read::<Login, _>(reader).await? else {
        return Ok(None);
    };
    let opening = Opening::read(&login.mechanism, &login.data, channel.clone())?;
    let Claim::User(name) = opening.claim() else {
        return Err(Error::unsupported("this server keeps no saved logins"));
    };
    let name = name.to_owned();
    let (exchange, step) = {
        let (server, name) = (server.clone(), name.clone());
        rt::unblock(move || server.accounts.challenge(opening, &name)).await?
    };
    let challenge = Challenge {
        mechanism: (step.mechanism != login.mechanism).then(|| step.mechanism.to_owned()),
        data: step.data,
    };
    outbox.send(&challenge).await?;
    let Some(answer) = read::<Answer, _>(reader).await? else {
        return Ok(None);
    };
    let data = exchange.finish(&answer.data)?;
    let live = {
        let (server, name) = (server.clone(), name.clone());
        rt::unblock(move || server.accounts.log_in(&name)).await?
    };
    outbox
        .send(&Welcome {
            data,
            user: name.clone(),
            notice: None,
        })
        .await?;
    let (user, _) = live.now();
    for part in server.catalog(&user)? {
        outbox.send(&part).await?;
    }
    Ok(Some((live, name)))
}

/// Reads the one message that may come now; `None` when the client left.
async fn read<M: Message, R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> Result<Option<M>> {
    match reader.next(Stage::BeforeLogin, LOGIN).await? {
        None => Ok(None),
        Some(Incoming::Control(kind, payload)) if kind == M::KIND => M::decode(&Map::check(&payload)?).map(Some),
        Some(Incoming::Control(kind, _)) => {
            let text = format!("{kind:?} came where {:?} was due", M::KIND);
            Err(if kind == Kind::Request {
                Error::denied("log in first")
            } else {
                Error::bad_request(text)
            })
        }
        Some(_) => Err(Error::bad_request("unexpected frame before login")),
    }
}
