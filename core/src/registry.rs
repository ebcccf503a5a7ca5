//! The registry: every verb that is linked into this program, sorted by name, built once.

use std::collections::BTreeMap;

use crate::catalog::VerbInfo;
use crate::error::{Error, ErrorKind, Result};
use crate::text::did_you_mean;
use crate::user::User;
use crate::verb::{Command, Registration};

/// A verb with what a client is told about it.
pub struct Entry {
    /// The verb.
    pub command: &'static dyn Command,
    /// What a client is told.
    pub info: VerbInfo,
}

/// Verbs by name.
pub struct Registry {
    entries: Vec<Entry>,
    /// Names and aliases to places in `entries`.
    names: BTreeMap<&'static str, usize>,
}

impl Registry {
    /// Collects the verbs linked into this program.
    ///
    /// # Errors
    /// `internal`, naming both places, when two verbs share a name or an alias, and when a name is none.
    pub fn linked() -> Result<Self> {
        Self::of(inventory::iter::<Registration>().copied())
    }

    /// Collects the given verbs, linked or not. The order does not matter.
    ///
    /// # Errors
    /// As [`Self::linked`].
    pub fn of(registrations: impl IntoIterator<Item = Registration>) -> Result<Self> {
        let mut all: Vec<Registration> = registrations.into_iter().collect();
        all.sort_by_key(|r| (r.command.spec().name, r.place));
        let mut names: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (index, registration) in all.iter().enumerate() {
            let spec = registration.command.spec();
            for name in std::iter::once(&spec.name).chain(spec.aliases) {
                let is_word = name.starts_with(|c: char| c.is_ascii_lowercase())
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if !is_word {
                    return Err(Error::internal(format!(
                        "`{name}` of {} cannot be a verb's name",
                        registration.place
                    )));
                }
                if let Some(other) = names.insert(name, index) {
                    let label = |r: &Registration| format!("{} {} ({})", r.krate, r.version, r.place);
                    let message = format!(
                        "verb `{name}` is registered twice: by {} and by {}",
                        label(&all[other]),
                        label(registration)
                    );
                    return Err(Error::internal(message).hint("link one of the two crates"));
                }
            }
        }
        let entries = all.iter().map(|r| Entry {
            command: r.command,
            info: VerbInfo::new(r.command.spec(), r.krate, r.version),
        });
        Ok(Self {
            entries: entries.collect(),
            names,
        })
    }

    /// Every verb, by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The verb with that name or alias.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.names.get(name).map(|index| &self.entries[*index])
    }

    /// The verbs that `user` may run: all that he is ever told of.
    pub fn visible<'a>(&'a self, user: &'a User) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(|entry| user.may_run(&entry.info.name, entry.info.access))
    }

    /// The verb that `user` means by `name`. One that he [may not know](User::may_know) is refused in the very words for one that
    /// does not exist, so that nobody learns from refusals which verbs a server has. One that writes is refused by name to those
    /// who may only read: they are told so at every turn, and the reason helps them.
    ///
    /// # Errors
    /// `unknown_verb`, with the nearest name that he may run as a hint; `denied` for a verb that writes, when he may only read.
    pub fn resolve(&self, name: &str, user: &User) -> Result<&Entry> {
        if let Some(entry) = self.find(name)
            && user.may_know(&entry.info.name, entry.info.access)
        {
            if user.may_run(&entry.info.name, entry.info.access) {
                return Ok(entry);
            }
            let error = Error::denied(format!("{}: you may only read here", entry.info.name));
            return Err(error.hint("this verb changes things; the server's administrator can let you write"));
        }
        let shown: String = crate::text::escape(name.as_bytes()).chars().take(64).collect();
        let error = Error::new(ErrorKind::UnknownVerb, format!("unknown verb `{shown}`"));
        let near = did_you_mean(name, self.visible(user).map(|entry| entry.info.name.as_str()));
        Err(match near {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`help` lists the verbs"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Context, Reply, Spec, Verb, verb::Erased};

    macro_rules! verb {
        ($name:ident, $word:literal, $aliases:expr) => {
            verb!($name, $word, $aliases, Access::Write);
        };
        ($name:ident, $word:literal, $aliases:expr, $access:expr) => {
            crate::args! {
                /// Does nothing.
                pub(crate) struct $name {}
            }
            impl Verb for $name {
                const SPEC: Spec = Spec::of::<Self>($word, $access).aliases($aliases);
                async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
                    Ok(Reply::done())
                }
            }
        };
    }
    verb!(Zap, "zap", &["z"]);
    verb!(Also, "zap", &[]);
    verb!(Alias, "other", &["z"]);
    verb!(Odd, "Two Words", &[]);
    verb!(Near, "zip", &[]);
    verb!(Root, "root", &[], Access::Admin);

    fn of(commands: &[(&'static dyn Command, &'static str)]) -> Result<Registry> {
        Registry::of(commands.iter().map(|(command, place)| Registration {
            command: *command,
            krate: place,
            version: "1",
            place,
        }))
    }

    #[test]
    fn two_verbs_of_one_name_are_refused_naming_both() {
        for second in [&Erased::<Also>::NEW as &'static dyn Command, &Erased::<Alias>::NEW] {
            let message = of(&[(&Erased::<Zap>::NEW, "crate-a"), (second, "crate-b")])
                .err()
                .unwrap()
                .message;
            assert!(message.contains("crate-a") && message.contains("crate-b"), "{message}");
        }
    }

    #[test]
    fn a_name_that_is_no_word_is_refused() {
        assert!(of(&[(&Erased::<Odd>::NEW, "crate-a")]).is_err());
    }

    #[test]
    fn a_verb_is_found_by_alias_and_hidden_from_those_who_may_not_run_it() {
        let registry = of(&[(&Erased::<Zap>::NEW, "a")]).unwrap();
        let mut user = User::named("alice");
        assert_eq!(registry.resolve("z", &user).unwrap().info.name, "zap");
        assert!(registry.resolve("zpa", &user).err().unwrap().hint.unwrap().contains("`zap`"));
        user.read_only = true;
        assert_eq!(registry.visible(&user).count(), 0);
        let refused = registry.resolve("z", &user).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::Denied);
        assert!(
            refused.message.contains("zap") && refused.message.contains("only read"),
            "{refused}"
        );
    }

    #[test]
    fn a_verb_that_a_list_or_its_access_keeps_from_a_user_is_refused_as_if_it_did_not_exist() {
        let with = of(&[
            (&Erased::<Zap>::NEW, "a"),
            (&Erased::<Near>::NEW, "b"),
            (&Erased::<Root>::NEW, "c"),
        ])
        .unwrap();
        let without = of(&[(&Erased::<Near>::NEW, "b")]).unwrap();
        let denied = User {
            deny: vec!["zap".into()],
            ..User::named("alice")
        };
        let not_allowed = User {
            allow: vec!["zip".into()],
            ..User::named("alice")
        };
        let reader = User {
            read_only: true,
            ..denied.clone()
        };
        for user in [denied, not_allowed, reader] {
            for name in ["zap", "z", "root", "zapp"] {
                let told = |registry: &Registry| {
                    let error = registry.resolve(name, &user).err().unwrap();
                    (error.kind, error.message, error.hint)
                };
                assert_eq!(told(&with), told(&without), "{name} for {user:?}");
                assert_eq!(told(&with).0, ErrorKind::UnknownVerb);
            }
        }
    }
}
