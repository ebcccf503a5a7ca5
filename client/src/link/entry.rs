//! What a session logs in with: the password that was given, a saved login, or the password that the user is asked for.

use std::sync::{MutexGuard, PoisonError};

use ferry_core::fingerprint::Fingerprint;
use ferry_core::login::token::Token;
use ferry_core::login::{Method, Methods, Secret};
use ferry_core::rt;
use ferry_core::text::escape;

use super::Link;
use crate::ask;
use crate::connection::{Connection, Deadlines};
use crate::exit::{Failure, Result};
use crate::login::{Attempt, Credentials, is_refusal};
use crate::saved::Saved;
use crate::transport::{self, Transport};

/// What is known by now.
#[derive(Default)]
pub(super) struct Entry {
    password: Option<String>,
    /// Whether the next login is to be saved.
    save: bool,
    /// What the user is to be told once he is in.
    notes: Vec<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry(save: {})", self.save)
    }
}

impl Entry {
    /// At first what was said beforehand.
    pub(super) fn of(credentials: &Credentials) -> Self {
        Self {
            password: credentials.password.clone(),
            save: credentials.save,
            notes: Vec::new(),
        }
    }
}

/// What one login is made with.
enum Choice {
    Password(String),
    Saved(Saved),
    /// The user has to be asked; why, when that is not plain.
    Ask(Option<&'static str>),
}

impl Link {
    fn entry(&self) -> MutexGuard<'_, Entry> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the user is to be told since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.entry().notes)
    }

    /// Connects and logs in. When the user has to be asked for the password, that is done after the server's key was found to be the
    /// right one, and a new connection is made then: no server waits for a person.
    pub(super) async fn log_in(&self, deadlines: Deadlines, may_be_asked: bool) -> Result<Connection> {
        loop {
            let transport = transport::dial(&self.target, &self.trust, deadlines).await?;
            let key = transport.key;
            let why = match self.choose(key).await? {
                Choice::Password(password) => return self.by_password(transport, password, deadlines).await,
                Choice::Ask(why) => why,
                Choice::Saved(saved) => {
                    let attempt = Attempt {
                        user: self.credentials.user.clone(),
                        secret: Secret::Token(saved.token.clone()),
                        save: None,
                    };
                    match Connection::open(transport, attempt, deadlines).await {
                        Err(failure) if is_refusal(&failure) => {
                            self.with_saved(move |saved_logins, target, user| saved_logins.forget(target, user, &saved.token))
                                .await?;
                            Some("the server does not take the saved login any more; it is forgotten")
                        }
                        opened => return opened,
                    }
                }
            };
            if !may_be_asked || !ask::is_possible() {
                return Err(no_password(why));
            }
            let password = ask::password(&self.credentials.user, &self.target.host, why).await?;
            self.entry().password = Some(password);
        }
    }

    /// Does something with the file of saved logins.
    async fn with_saved<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::saved::SavedLogins, &crate::options::Target, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (saved, target, user) = (
            self.credentials.saved.clone(),
            self.target.clone(),
            self.credentials.user.clone(),
        );
        rt::unblock(move || work(&saved, &target, &user)).await
    }

    async fn choose(&self, key: Option<Fingerprint>) -> Result<Choice> {
        if let Some(password) = self.entry().password.clone() {
            return Ok(Choice::Password(password));
        }
        // Who saves a login means the password, and without a key there is nothing that one could have been saved for.
        if key.is_none() || self.entry().save {
            return Ok(Choice::Ask(None));
        }
        let found = self.with_saved(|saved, target, user| saved.find(target, user)).await?;
        Ok(match found {
            None => Choice::Ask(None),
            Some(saved) if Some(saved.key) == key => Choice::Saved(saved),
            Some(_) => Choice::Ask(Some("the saved login is for another key than the one that the server has")),
        })
    }

    async fn by_password(&self, transport: Transport, password: String, deadlines: Deadlines) -> Result<Connection> {
        let key = transport.key;
        let user = self.credentials.user.clone();
        let (trust, target, name) = (self.trust.clone(), self.target.clone(), user.clone());
        let method = rt::unblock(move || trust.method(&target, &name)).await?;
        let save = self.entry().save;
        let attempt = Attempt {
            secret: Secret::Password {
                user: user.clone(),
                password: password.into(),
                allowed: Methods::for_password(method),
            },
            user,
            save: save.then(label),
        };
        let mut connection = Connection::open(transport, attempt, deadlines).await?;
        // Without the note, the next login has one protection less; that is no reason to refuse this one.
        if let Err(failure) = self.learn(connection.method).await {
            self.entry().notes.push(failure.error.message.into_owned());
        }
        if save {
            let note = self.keep(&mut connection, key).await;
            let mut entry = self.entry();
            entry.save = false;
            entry.notes.push(note);
        }
        Ok(connection)
    }

    async fn learn(&self, method: Method) -> Result<()> {
        let (trust, target, user) = (self.trust.clone(), self.target.clone(), self.credentials.user.clone());
        rt::unblock(move || trust.learn_method(&target, &user, method)).await
    }

    /// Writes down the saved login that came, and says what became of it. That it could not be saved is no reason not to go on.
    async fn keep(&self, connection: &mut Connection, key: Option<Fingerprint>) -> String {
        let (Some(token), Some(key)) = (connection.token.take(), key) else {
            let why = connection.notice.take();
            return why.map_or_else(
                || "the login was not saved: this server saves none".to_owned(),
                |why| escape(why.as_bytes()),
            );
        };
        let Ok(token) = token.0.parse::<Token>() else {
            return "the login was not saved: what the server sent cannot be read".to_owned();
        };
        let id = token.id().to_owned();
        let kept = self.with_saved(move |saved, target, user| saved.keep(target, user, &Saved { key, token }));
        match kept.await {
            Ok(()) => format!("the login was saved as {id}"),
            Err(failure) => format!(
                "the login was not saved: {}; on the server it is {id}, to be taken away",
                failure.error
            ),
        }
    }
}

/// What it is when there is no password and nobody to ask for it.
pub(crate) fn no_password(why: Option<&str>) -> Failure {
    let (text, hint) = match why {
        None => (
            "there is no password, and no terminal to ask for it on".to_owned(),
            "set FERRY_PASSWORD or use --password-stdin; or save the login once, at a terminal, with --save-login",
        ),
        Some(why) => (
            format!("{why}, and there is no terminal to ask for the password on"),
            "set FERRY_PASSWORD or use --password-stdin, with --save-login to save a new one",
        ),
    };
    let mut failure = Failure::login(text);
    failure.error = failure.error.hint(hint);
    failure
}

/// What this machine is called, for the list of saved logins.
fn label() -> String {
    escape(rustix::system::uname().nodename().to_bytes())
}
