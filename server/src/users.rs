//! `ferryd user` and the other calls that print: what an administrator asks for, and how the answers look.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ferry_core::login::hmac_md5::WEAKNESS;
use ferry_core::login::{Credential, Method};
use ferry_core::logins::SavedLogin;
use ferry_core::size::ByteSize;
use ferry_core::store::Check;
use ferry_core::text::{did_you_mean, escape};
use ferry_core::{Error, Registry, Result, User as CoreUser};
use serde_json::json;

use crate::accounts::Account;
use crate::admin::{self, Ask, Changes, Online, Quota};
use crate::options::{Rights, User};
use crate::reload::Reloaded;
use crate::{Parts, out};

/// The longest password, in bytes: beyond it, a file was meant.
const PASSWORD_MAX_BYTES: usize = 1024;

/// Does one `ferryd user` call.
pub(crate) fn run(data: &Path, user: User, parts: &Parts) -> Result<()> {
    let ask = |ask: Ask, make: bool| admin::ask(data, ask, make, parts);
    match user {
        User::Add {
            name,
            rights,
            password_stdin,
            auth,
        } => {
            CoreUser::check_name(&name)?;
            let credential = Credential::of_password(auth.parse()?, &password(&name, password_stdin)?)?;
            let method = credential.method();
            let account = Account {
                user: CoreUser {
                    read_only: rights.read_only.unwrap_or_default(),
                    admin: rights.admin.unwrap_or_default(),
                    allow: verbs(rights.allow.as_deref())?,
                    deny: verbs(rights.deny.as_deref())?,
                    ..CoreUser::named(name)
                },
                quota: rights.quota.and_then(Quota::limit),
                disabled: false,
                auth: credential,
                created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()),
            };
            ask(Ask::Add(account), true)?;
            if method == Method::HmacMd5 {
                out::note(format_args!("ferryd: {WEAKNESS}"));
            }
            Ok(())
        }
        User::List { json } => {
            let answer = ask(Ask::List, false)?;
            let width = answer
                .accounts
                .iter()
                .map(|account| account.user.name.len())
                .max()
                .unwrap_or(0);
            answer.accounts.iter().for_each(|account| print(account, json, width));
            Ok(())
        }
        User::Show { name, json } => {
            let answer = ask(Ask::Show(name), false)?;
            answer.accounts.iter().for_each(|account| print(account, json, 0));
            Ok(())
        }
        User::Set { name, rights } => {
            let Rights {
                quota,
                read_only,
                admin,
                allow,
                deny,
            } = rights;
            let changes = Changes {
                quota,
                read_only,
                admin,
                allow: allow.map(|list| verbs(Some(&list))).transpose()?,
                deny: deny.map(|list| verbs(Some(&list))).transpose()?,
            };
            ask(Ask::Set(name, changes), false).map(drop)
        }
        User::Passwd { name, password_stdin } => {
            // Asked first, so that nobody types a password for an account that is not there.
            let answer = ask(Ask::Show(name.clone()), false)?;
            let method = answer.accounts.first().map_or(Method::Scram, |account| account.auth.method());
            let credential = Credential::of_password(method, &password(&name, password_stdin)?)?;
            ask(Ask::Password(name, credential), false).map(drop)
        }
        User::Disable { name } => ask(Ask::Disable(name, true), false).map(drop),
        User::Enable { name } => ask(Ask::Disable(name, false), false).map(drop),
        User::Logins { name, json } => {
            let answer = ask(Ask::Logins(name), false)?;
            answer.logins.iter().for_each(|login| print_login(login, json));
            Ok(())
        }
        User::Logout { name, ids } => ask(Ask::Logout(name, ids), false).map(drop),
        User::Remove { name, purge } => ask(Ask::Remove(name, purge), false).map(drop),
    }
}

/// The verbs of a list with commas, each by its own name. One that is not linked is refused: a rule about it would keep nobody from anything.
///
/// # Errors
/// `bad_request`, naming the word.
fn verbs(list: Option<&str>) -> Result<Vec<String>> {
    let registry = Registry::linked()?;
    let words = list
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let verbs = words.map(|word| match registry.find(word) {
        Some(entry) => Ok(entry.info.name.clone()),
        None => {
            let names = registry.entries().iter().map(|entry| entry.info.name.as_str());
            let error = Error::bad_request(format!("{}: there is no such verb here", escape(word.as_bytes())));
            Err(match did_you_mean(word, names) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`ferryd verbs` lists them"),
            })
        }
    });
    verbs.collect()
}

/// A new password: one line of standard input, or asked for twice on the terminal.
fn password(name: &str, from_stdin: bool) -> Result<String> {
    let failed = |error: std::io::Error| Error::bad_request(format!("the password cannot be read: {error}"));
    let password = if from_stdin {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(failed)?;
        line.strip_suffix('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .unwrap_or(&line)
            .to_owned()
    } else {
        let terminal = console::Term::stderr();
        if !terminal.is_term() {
            return Err(Error::bad_request("there is no terminal to ask for the password on").hint("use --password-stdin"));
        }
        let ask = |text: String| {
            terminal.write_str(&text).map_err(failed)?;
            terminal.read_secure_line().map_err(failed)
        };
        let first = ask(format!("New password for {name}: "))?;
        if first != ask("Once more: ".to_owned())? {
            return Err(Error::bad_request("the two passwords differ"));
        }
        first
    };
    if password.is_empty() || password.len() > PASSWORD_MAX_BYTES {
        return Err(Error::bad_request(format!("a password has 1 to {PASSWORD_MAX_BYTES} bytes")));
    }
    Ok(password)
}

fn print(account: &Account, json: bool, width: usize) {
    let user = &account.user;
    if json {
        return out::line(json!({
            "user": user.name, "quota": account.quota, "auth": account.auth.method().as_str(), "read_only": user.read_only,
            "allow": user.allow, "deny": user.deny, "admin": user.admin, "disabled": account.disabled, "created": account.created,
        }));
    }
    let quota = account
        .quota
        .map_or("no quota".to_owned(), |bytes| ByteSize(bytes).to_string());
    let mut line = format!("{:width$}  {quota:>10}  {}", user.name, account.auth.method().as_str());
    for (is_so, text) in [
        (user.read_only, "read-only".to_owned()),
        (user.admin, "admin".to_owned()),
        (account.disabled, "disabled".to_owned()),
    ] {
        line.push_str(&if is_so { format!("  {text}") } else { String::new() });
    }
    for (name, list) in [("allow", &user.allow), ("deny", &user.deny)] {
        line.push_str(&if list.is_empty() {
            String::new()
        } else {
            format!("  {name} {}", list.join(","))
        });
    }
    out::line(line);
}

fn print_login(login: &SavedLogin, json: bool) {
    let SavedLogin {
        id,
        label,
        created,
        used,
    } = login;
    let secs = |nanos: i64| nanos.div_euclid(1_000_000_000);
    if json {
        return out::line(json!({"id": id, "label": label, "created": secs(*created), "used": used.map(secs)}));
    }
    let age = |nanos: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let days = now.saturating_sub(u64::try_from(secs(nanos)).unwrap_or(0)) / (24 * 60 * 60);
        if days == 0 {
            "today".to_owned()
        } else {
            format!("{days} days ago")
        }
    };
    let used = used.map_or("never".to_owned(), age);
    out::line(format_args!("{id}  made {}, used {used}  {label}", age(*created)));
}

/// Prints who is logged in; gives the exit code.
pub(crate) fn print_online(sessions: &[Online], json: bool) -> u8 {
    for session in sessions {
        if json {
            let requests: Vec<_> = session
                .requests
                .iter()
                .map(|(verb, ms)| json!({"verb": verb, "ms": ms}))
                .collect();
            out::line(json!({"user": session.user, "requests": requests}));
        } else {
            let doing: Vec<_> = session
                .requests
                .iter()
                .map(|(verb, ms)| format!("{verb} for {} s", ms / 1000))
                .collect();
            let doing = if doing.is_empty() {
                "idle".to_owned()
            } else {
                doing.join(", ")
            };
            out::line(format_args!("{}  {doing}", session.user));
        }
    }
    0
}

/// Prints every home as it was counted; gives the exit code: 1 when something is off.
pub(crate) fn print_homes(homes: &[(String, Check)], json: bool) -> u8 {
    let width = homes.iter().map(|(user, _)| user.len()).max().unwrap_or(0);
    for (user, check) in homes {
        let Check {
            used,
            counted,
            reserved,
            partials,
        } = *check;
        if json {
            out::line(
                json!({"user": user, "ok": check.is_right(), "used": used, "counted": counted, "reserved": reserved, "partials": partials}),
            );
        } else {
            let found = if check.is_right() {
                "ok".to_owned()
            } else {
                format!("OFF: the ledger says {used}")
            };
            out::line(format_args!(
                "{user:width$}  {counted} bytes, {partials} unfinished uploads ({reserved} bytes reserved)  {found}"
            ));
        }
    }
    u8::from(homes.iter().any(|(_, check)| !check.is_right()))
}

/// Says what came of a reload; gives the exit code.
pub(crate) fn print_reloaded(reloaded: &Reloaded) -> u8 {
    if let Some(key) = &reloaded.key {
        out::line(format_args!("key {key}"));
    }
    for key in &reloaded.at_next_start {
        out::note(format_args!("ferryd: {key} has changed; that counts from the next start on"));
    }
    0
}

/// Prints the linked verbs; gives the exit code.
pub(crate) fn print_verbs(registry: &Registry, json: bool) -> u8 {
    let infos: Vec<_> = registry.entries().iter().map(|entry| &entry.info).collect();
    let width = infos.iter().map(|info| info.name.len()).max().unwrap_or(0);
    for info in infos {
        if json {
            out::line(
                json!({"verb": info.name, "aliases": info.aliases, "access": info.access, "crate": info.krate, "version": info.version, "since": info.since}),
            );
        } else {
            out::line(format_args!("{:width$}  {} {}", info.name, info.krate, info.version));
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_with_commas_are_taken_apart() {
        // No verb is linked here; tests/tests/rights.rs has some.
        assert!(verbs(Some(" ,,")).unwrap().is_empty() && verbs(None).unwrap().is_empty());
        assert!(verbs(Some("rm")).unwrap_err().message.contains("rm"));
    }
}
