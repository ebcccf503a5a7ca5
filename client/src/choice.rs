//! What is meant by a command line, once the config file has been read: which server, as whom, and which servers are trusted.

use ferry_core::Error;

use crate::ask;
use crate::config::{Config, Section};
use crate::exit::Result;
use crate::options::{Options, Target};
use crate::trust::{self, FirstSight, Trust};

/// Whom to talk to, and how.
pub(crate) struct Choice {
    pub(crate) target: Target,
    pub(crate) user: String,
    pub(crate) trust: Trust,
    /// What the config file says of the server.
    pub(crate) section: Section,
}

impl Choice {
    /// Options win over the config file.
    ///
    /// # Errors
    /// `bad_request` for a target that is none, without a user, and for a key that is none.
    pub(crate) fn new(options: &Options, config: &Config) -> Result<Self> {
        let (target, section) = config.choose(options.target.as_deref().unwrap_or_default())?;
        let user = match target.user.clone().or_else(|| std::env::var("USER").ok()) {
            Some(user) if !user.is_empty() => user,
            _ => {
                let error = Error::bad_request("no user is named");
                return Err(error
                    .hint("write the target as USER@HOST, or a `user` into its profile")
                    .into());
            }
        };
        let trust = trust(options, &section)?;
        Ok(Self {
            target,
            user,
            trust,
            section,
        })
    }
}

/// Which servers are trusted.
fn trust(options: &Options, section: &Section) -> Result<Trust> {
    if options.no_tls {
        return Ok(Trust::plain());
    }
    let is_terminal = ask::is_possible();
    let pin = options.pin.as_deref().map(str::parse).transpose();
    let pin =
        pin.map_err(|error| Error::bad_request(format!("--pin: {error}")).hint("ferryd prints it at its start: key sha256:..."))?;
    // The variable is nearer to this command than the file.
    let file = options.known_hosts.clone().or_else(trust::file_of_environment);
    Ok(Trust {
        tls: true,
        pin: pin.or(section.pin),
        authority: options.ca.clone().or_else(|| section.ca.clone()),
        file: file.or_else(|| section.known_hosts.clone()).or_else(trust::default_file),
        first_sight: match (options.accept_new, is_terminal) {
            (true, _) => FirstSight::Accept,
            (false, true) => FirstSight::Ask,
            (false, false) => FirstSight::Refuse,
        },
    })
}
