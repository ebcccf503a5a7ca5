//! SCRAM against `rsasl`, which shares no code with ours: our client with its server and its client with our server, with and
//! without channel binding.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ferry_core::login::{Channel, ClientLogin, Credential, Methods, Opening, Secret, Standing, scram};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::scram::{SCRAM_SHA256, SCRAM_SHA256_PLUS};
use rsasl::prelude::{
    ChannelBindingCallback, Mechanism, Mechname, Registry, SASLClient, SASLConfig, SASLServer, Session, SessionError, State,
    Validation,
};
use rsasl::property::{AuthId, Password};
use rsasl::validate::{Validate, ValidationError};

const BOUND: Channel = Channel::TlsExporter([7; 32]);
const OTHER: Channel = Channel::TlsExporter([8; 32]);

static PLAIN_MECHANISMS: &[Mechanism] = &[SCRAM_SHA256];
static BOUND_MECHANISMS: &[Mechanism] = &[SCRAM_SHA256_PLUS];

/// The channel as rsasl asks for it.
struct Exported(Channel);

impl ChannelBindingCallback for Exported {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        match &self.0 {
            Channel::TlsExporter(bytes) if name == "tls-exporter" => Some(bytes),
            _ => None,
        }
    }
}

/// Who rsasl is: a client with a password, or a server with what is kept of one.
enum Side {
    Client(&'static str, &'static str),
    Server(scram::Verifier),
}

/// What rsasl's server gives when a login succeeded.
struct LoggedIn;

impl Validation for LoggedIn {
    type Value = ();
}

struct Callback(Side, Channel);

impl SessionCallback for Callback {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        match &self.0 {
            Side::Client(user, password) => {
                request.satisfy::<AuthId>(user)?.satisfy::<Password>(password.as_bytes())?;
            }
            Side::Server(kept) => {
                let stored = ScramStoredPassword::new(kept.iterations, &kept.salt, &kept.stored_key, &kept.server_key);
                request.satisfy::<ScramStoredPassword<'_>>(&stored)?;
            }
        }
        Ok(())
    }

    fn enable_channel_binding(&self) -> bool {
        self.1.is_bound()
    }

    fn validate(&self, _: &SessionData, _: &Context<'_>, validate: &mut Validate<'_>) -> Result<(), ValidationError> {
        validate.with::<LoggedIn, _>(|| Ok(()))?;
        Ok(())
    }
}

fn config(side: Side, channel: &Channel) -> std::sync::Arc<SASLConfig> {
    let mechanisms = if channel.is_bound() {
        BOUND_MECHANISMS
    } else {
        PLAIN_MECHANISMS
    };
    let builder = SASLConfig::builder().with_registry(Registry::with_mechanisms(mechanisms));
    builder.with_callback(Callback(side, channel.clone())).unwrap()
}

fn mechanism(channel: &Channel) -> &'static Mechname {
    let name = if channel.is_bound() {
        scram::MECHANISM_PLUS
    } else {
        scram::MECHANISM
    };
    Mechname::parse(name.as_bytes()).unwrap()
}

fn step<V: Validation>(session: &mut Session<V, Exported>, input: Option<&[u8]>) -> Result<(State, Vec<u8>), SessionError> {
    let mut out = Vec::new();
    let state = session.step(input, &mut out)?;
    Ok((state, out))
}

fn kept(password: &str) -> scram::Verifier {
    scram::Verifier::with(password, b"a salt of rsasl", 4096).unwrap()
}

/// Our client logs in to rsasl's server; gives whether each of them is content.
fn ours_to_rsasl(user: &str, password: &str, ours: Channel, theirs: Channel) -> (bool, bool) {
    let sasl = SASLServer::<LoggedIn, _>::with_cb(config(Side::Server(kept("pa=ss,wörd")), &theirs), Exported(theirs.clone()));
    let mut server = sasl.start_suggested(mechanism(&theirs)).unwrap();
    let secret = Secret::Password {
        user: user.into(),
        password: password.to_owned().into(),
        allowed: Methods::default(),
    };
    let (client, login) = ClientLogin::start(secret, ours).unwrap();
    let (state, challenge) = step(&mut server, Some(&login.data)).unwrap();
    assert!(state.is_running());
    let (finish, answer) = client.answer(None, &challenge).unwrap();
    let (_, last) = step(&mut server, Some(&answer)).unwrap();
    (finish.check(&last).is_ok(), server.validation().is_some())
}

/// rsasl's client logs in to our server; gives whether each of them is content.
fn rsasl_to_ours(user: &'static str, password: &'static str, theirs: Channel, ours: Channel) -> (bool, bool) {
    let sasl = SASLClient::with_cb(config(Side::Client(user, password), &theirs), Exported(theirs.clone()));
    let mut client = sasl.start_suggested(&[mechanism(&theirs)]).unwrap();
    let (_, first) = step(&mut client, None).unwrap();
    let opening = Opening::read(mechanism(&theirs).as_str(), &first, ours).unwrap();
    let credential = Credential::Scram(kept("pa=ss,wörd"));
    let (server, challenge) = opening.challenge(Standing::Open(&credential), b"secret").unwrap();
    let (_, answer) = step(&mut client, Some(&challenge.data)).unwrap();
    match server.finish(&answer) {
        Ok(last) => (matches!(step(&mut client, Some(&last)), Ok((State::Finished(_), _))), true),
        Err(_) => (false, false),
    }
}

#[test]
fn our_client_and_the_server_of_rsasl_understand_each_other() {
    for channel in [Channel::Plain, BOUND] {
        for (user, password) in [("user", "pa=ss,wörd"), ("al=i,ce", "pa=ss,wo\u{308}rd")] {
            let outcome = ours_to_rsasl(user, password, channel.clone(), channel.clone());
            assert_eq!(outcome, (true, true), "{user} on {channel:?}");
        }
        let outcome = ours_to_rsasl("user", "wrong", channel.clone(), channel.clone());
        assert_eq!(outcome, (false, false), "wrong password on {channel:?}");
    }
}

#[test]
fn the_client_of_rsasl_and_our_server_understand_each_other() {
    for channel in [Channel::Plain, BOUND] {
        for user in ["user", "al=i,ce"] {
            let outcome = rsasl_to_ours(user, "pa=ss,wörd", channel.clone(), channel.clone());
            assert_eq!(outcome, (true, true), "{user} on {channel:?}");
        }
        let outcome = rsasl_to_ours("user", "wrong", channel.clone(), channel.clone());
        assert_eq!(outcome, (false, false), "wrong password on {channel:?}");
    }
}

#[test]
fn another_channel_fails_with_the_right_password_either_way_round() {
    assert_eq!(ours_to_rsasl("user", "pa=ss,wörd", BOUND, OTHER), (false, false));
    assert_eq!(rsasl_to_ours("user", "pa=ss,wörd", BOUND, OTHER), (false, false));
}
