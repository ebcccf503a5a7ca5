//! The door: hello and login of a connection, before anything else is possible.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::dispatch::caught;
use ferry_core::login::{Channel, Claim, EXPORTER_BYTES, Method, Opening, nonce};
use ferry_core::store::Usage;
use ferry_core::wire::frame::{Kind, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::io::{FrameReader, Incoming, Outbox};
use ferry_core::wire::message::{self, Answer, Challenge, Fail, Hello, Login, Message, Revealed, Welcome};
use ferry_core::{ByteSize, Error, ErrorKind, Result, rt};
use futures_lite::AsyncRead;

use crate::accounts::{Claimed, Live};
use crate::audit::{self, Who};
use crate::limits::Limits;
use crate::lobby::{Far, Pass};
use crate::server::{AGENT, Seat, Server};

/// How long a login waits for what is told of the home at most: a home that was not counted yet takes longer, and a login that comes
/// within a second after a crash (bench, F11) is worth more than a line about the quota.
const HOME_WAIT: Duration = Duration::from_millis(300);

/// What the server says first, and what it promises in it.
pub(crate) struct Greeting {
    /// The hello's frame, until it was sent.
    pub(crate) frame: Vec<u8>,
    /// What the first challenge adds to the client's nonce.
    nonce: String,
    /// How long the TLS handshake took, which is a round trip and a little more; nothing without TLS, on loopback alone.
    pub(crate) round_trip: Duration,
    limits: Arc<Limits>,
}

impl Greeting {
    /// One for a single connection.
    ///
    /// # Errors
    /// `internal` when there are no random bytes.
    pub(crate) fn new(limits: Arc<Limits>, is_encrypted: bool) -> Result<Self> {
        let nonce = nonce()?;
        let channel = match is_encrypted {
            // What is exported is not known yet, and mechanisms have the same names whatever it will be.
            true => Channel::TlsExporter([0; EXPORTER_BYTES]),
            false => Channel::Plain,
        };
        let hello = Hello {
            mechanisms: Method::mechanisms(&channel),
            limits: message::Limits {
                requests: limits.requests(),
                ..message::Limits::default()
            },
            nonce: Some(nonce.clone()),
            ..Hello::new(AGENT)
        };
        let mut frame = Vec::new();
        hello.encode(&mut frame)?;
        let round_trip = Duration::ZERO;
        Ok(Self {
            frame,
            nonce,
            round_trip,
            limits,
        })
    }
}

/// Who came in.
pub(crate) struct Entered {
    /// The account, live.
    pub(crate) live: Arc<Live>,
    /// The account's name.
    pub(crate) name: String,
    /// The id of the saved login that he came with.
    pub(crate) saved: Option<String>,
    /// What the client said at first.
    pub(crate) hello: Hello,
    /// What he gets, as our hello said.
    pub(crate) limits: Arc<Limits>,
    /// How long the link is, as far as it is known.
    pub(crate) round_trip: Duration,
    /// One of the user's sessions.
    pub(crate) seat: Seat,
}

/// Says hello, where that was not done yet, and logs the client in; `None` when it left before.
///
/// # Errors
/// What ended the connection. The client has been told.
pub(crate) async fn enter<R: AsyncRead + Unpin>(
    server: &Arc<Server>,
    (channel, greeting): (Channel, Greeting),
    reader: &mut FrameReader<R>,
    outbox: &Outbox,
    pass: &Pass,
) -> Result<Option<Entered>> {
    let Greeting {
        frame,
        nonce,
        round_trip,
        limits,
    } = greeting;
    let mut nonce = Some(nonce);
    let entering = rt::timeout(pass.left(limits.login()), async {
        if !frame.is_empty() {
            outbox.send_frame(frame).await?;
        }
        let Some(hello) = read::<Hello, _>(reader, limits.login()).await? else {
            return Ok(None);
        };
        hello.check()?;
        for left in (0..limits.login_tries).rev() {
            let mut claimed = None;
            let place = (&channel, nonce.take());
            let tried = try_login(server, place, reader, outbox, (pass, &mut claimed)).await;
            if let (Err(error), Some((user, id))) = (&tried, &claimed) {
                let address = &*pass.peer.to_string();
                audit::login(Who { user, address }, id.as_deref(), Some(error.kind));
            }
            match tried {
                Ok(None) => return Ok(None),
                Ok(Some((live, who, seat))) => {
                    return Ok(Some(Entered {
                        live,
                        name: who.name,
                        saved: who.token,
                        hello,
                        limits: limits.clone(),
                        round_trip,
                        seat,
                    }));
                }
                Err(error) if error.kind == ErrorKind::LoginRefused && left > 0 => outbox.send(&Fail::new(0, &error)).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    });
    let late = |_| Err(Error::new(ErrorKind::Timeout, "login took too long"));
    let mut entered = pass.unless_cut(async { entering.await.unwrap_or_else(late) }).await;
    if pass.is_spent() {
        entered = Err(Error::new(ErrorKind::TooLarge, "too many bytes before the login"));
    }
    if let Err(error) = &entered {
        // If the client reads no more, the queue is full and it does not miss the reason.
        outbox.try_send(&Fail::new(0, error));
    }
    entered
}

/// One login: the client opens, the server challenges by the account's own method, with the nonce that its hello said or another one, the
/// client answers. Whom it claims to be is written down for the audit log.
async fn try_login<R: AsyncRead + Unpin>(
    server: &Arc<Server>,
    (channel, said): (&Channel, Option<String>),
    reader: &mut FrameReader<R>,
    outbox: &Outbox,
    (pass, claimed): (&Pass, &mut Option<(String, Option<String>)>),
) -> Result<Option<(Arc<Live>, Claimed, Seat)>> {
    let patience = server.limits().login();
    let Some(login) = read::<Login, _>(reader, patience).await? else {
        return Ok(None);
    };
    let opening = Opening::read(&login.mechanism, &login.data, channel.clone())?;
    pass.reached(Far::Named);
    let named = match opening.claim() {
        Claim::User(name) => Some(name.to_owned()),
        Claim::Token(_) => None,
    };
    // Nobody guesses 256 random bits, so a saved login costs no try, and no flood of others' failures makes it fail.
    let mut guess = match named {
        Some(name) => Some(server.guesses.admit(pass.peer.ip(), &name).await),
        None => None,
    };
    let (who, exchange, step) = {
        let server = server.clone();
        let nonce = said.map_or_else(nonce, Ok)?;
        rt::unblock(move || server.accounts.challenge(opening, &nonce)).await?
    };
    *claimed = Some((who.name.clone(), who.token.clone()));
    let challenge = Challenge {
        mechanism: (step.mechanism != login.mechanism).then(|| step.mechanism.to_owned()),
        data: step.data,
    };
    let mut frames = Vec::new();
    challenge.encode(&mut frames)?;
    outbox.send_now(frames).await?;
    let Some(answer) = read::<Answer, _>(reader, patience).await? else {
        return Ok(None);
    };
    let data = exchange.finish(&answer.data);
    let data = match &mut guess {
        Some(guess) => guess.judge(data)?,
        None => data?,
    };
    let seat = server.seat(&who.name)?;
    let save = answer.save.map(|label| (label, channel.is_bound()));
    let (who, live, saved) = {
        let (server, peer) = (server.clone(), pass.peer.to_string());
        rt::unblock(move || {
            let live = server.accounts.log_in(&who)?;
            let saved = save.map(|(label, is_bound)| save_login(&server, &who, &label, is_bound, &peer));
            Ok::<_, Error>((who, live, saved))
        })
        .await?
    };
    if let Some(guess) = guess {
        guess.succeeded();
    }
    pass.admitted();
    let (token, notice) = match saved.transpose() {
        Ok(None) => (None, state_of_home(server, &live).await),
        Ok(token) => (token, None),
        Err(Error { message, hint, .. }) => {
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            (None, Some(format!("{message}{hint}")))
        }
    };
    let welcome = Welcome {
        data,
        user: who.name.clone(),
        notice,
        token,
    };
    // All in one write, past the queue: this client's next word is its first request.
    let mut frames = Vec::new();
    welcome.encode(&mut frames)?;
    let user = live.now().0;
    for part in server.catalog(&user)? {
        part.encode(&mut frames)?;
    }
    outbox.send_now(frames).await?;
    Ok(Some((live, who, seat)))
}

/// What somebody finds in his home, as a line: what is used, and what is not finished. `None` when the store cannot tell in time: that is
/// no reason to keep him out.
async fn state_of_home(server: &Server, live: &Live) -> Option<String> {
    let (user, quota) = live.now();
    let look = pin!(async {
        let home = server.store.home(&user.name, quota).await?;
        Ok::<_, Error>((home.usage().await?, home.partials().await?.len()))
    });
    match rt::timeout(HOME_WAIT, caught(look)).await {
        Ok(Ok((usage, partials))) => Some(line_of(usage, partials)),
        Ok(Err(error)) => {
            tracing::warn!(user = user.name, kind = %error.kind, "the home cannot be looked at: {error}");
            None
        }
        Err(_) => None,
    }
}

/// `412.0 MiB of 1.0 GiB used (40 %) · 2 unfinished uploads`
fn line_of(usage: Usage, partials: usize) -> String {
    let used = ByteSize(usage.used);
    let space = match usage.limit {
        None => format!("{used} used"),
        Some(limit) => {
            let percent = u128::from(usage.used) * 100 / u128::from(limit.max(1));
            format!("{used} of {} used ({percent} %)", ByteSize(limit))
        }
    };
    let uploads = match partials {
        0 => "no unfinished uploads".to_owned(),
        1 => "1 unfinished upload".to_owned(),
        many => format!("{many} unfinished uploads"),
    };
    format!("{space} · {uploads}")
}

/// Makes a saved login for somebody who asked for one.
fn save_login(server: &Server, who: &Claimed, label: &str, is_bound: bool, address: &str) -> Result<Revealed> {
    let token = match is_bound {
        true => server.accounts.save_login(who, label),
        false => Err(Error::denied("this login was not saved: that is done over TLS alone")),
    };
    let user = who.name.as_str();
    let id = token.as_ref().map_or("", |token| token.id());
    audit::login_saved(Who { user, address }, id, &token);
    token.map(|token| Revealed(token.reveal().to_string()))
}

/// Reads the one message that may come now; `None` when the client left.
async fn read<M: Message, R: AsyncRead + Unpin>(reader: &mut FrameReader<R>, patience: Duration) -> Result<Option<M>> {
    match reader.next(Stage::BeforeLogin, patience).await? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_told_of_in_one_line() {
        let usage = |used, limit| Usage {
            used,
            limit,
            ..Usage::default()
        };
        assert_eq!(
            line_of(usage(412 << 20, Some(1 << 30)), 2),
            "412.0 MiB of 1.0 GiB used (40 %) · 2 unfinished uploads"
        );
        assert_eq!(line_of(usage(0, None), 0), "0 B used · no unfinished uploads");
        assert_eq!(line_of(usage(1, Some(0)), 1), "1 B of 0 B used (100 %) · 1 unfinished upload");
    }
}
