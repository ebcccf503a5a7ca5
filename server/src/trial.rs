//! `ferryd try`: a server on a loopback port, an account made for the occasion, and our shell logged in to it, in one process.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ferry_core::login::{Credential, Method, scram};
use ferry_core::store::Durability;
use ferry_core::{Error, Result, User};

use crate::accounts::Account;
use crate::loopback::Serving;
use crate::server::Run;
use crate::tls::Files;
use crate::{Parts, config, confine, options, out, watch};

/// The account's name.
const USER: &str = "you";
/// The account's quota, so that there is one to be seen: 10 GiB.
const QUOTA_BYTES: u64 = 10 << 30;

/// Runs it; gives the shell's exit code. Without `data`, everything is thrown away at the end.
pub(crate) fn run(data: Option<&Path>, durability: Durability, parts: &Parts) -> Result<u8> {
    let folder = match data {
        Some(data) => Folder {
            path: data.to_owned(),
            throw_away: false,
        },
        None => Folder::temporary()?,
    };
    watch::set_up_executor(watch::threads());
    let tls = (true, &Files::default());
    let (server, key) = options::open(
        &config::make_data_folder(&folder.path)?,
        tls,
        durability,
        Run::default(),
        parts,
    )?;
    let password = hex(&scram::random::<16>()?);
    let auth = Credential::of_password(Method::Scram, &password)?;
    match server.accounts.get(USER) {
        // A folder kept from an earlier try: the password of that day is gone with it.
        Ok(_) => server.accounts.update(USER, true, |account| {
            account.auth = auth;
            Ok(())
        })?,
        Err(_) => server.accounts.add(&Account {
            user: User::named(USER),
            quota: Some(QUOTA_BYTES),
            disabled: false,
            auth,
            created: 0,
        })?,
    }
    let serving = Serving::start(&server)?;
    let address = serving.address;
    if confine::is_root() {
        out::note("ferryd: this runs as root; a real server should not");
    }
    let kept = if folder.throw_away { "thrown away at the end" } else { "kept" };
    out::note(format_args!(
        "ferryd: trying it on {address} as `{USER}`, data in {} ({kept})",
        folder.path.display()
    ));
    let code = (parts.shell)(address, key, USER, &password);
    serving.end()?;
    drop(server);
    Ok(u8::try_from(code).unwrap_or(1))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A data folder, removed at the end when it was made for the occasion.
struct Folder {
    path: PathBuf,
    throw_away: bool,
}

impl Folder {
    fn temporary() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("ferry-try-{}", hex(&scram::random::<8>()?)));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Error::internal(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self { path, throw_away: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.throw_away {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
