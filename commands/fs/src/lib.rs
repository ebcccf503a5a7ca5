//! Ferry's verbs for files and folders, one file each.

mod cat;
mod cd;
mod cp;
mod ls;
mod md5;
mod mv;
mod pwd;
mod rm;
mod rmdir;
mod stat;

use ferry_core::store::Entry;
use ferry_core::{Algorithm, Context, Digest, Error, HomePath, RemotePath, Result};

/// The places of one source of `FROM... TO` and of where it goes, as with `cp`.
///
/// # Errors
/// Those of [`Context::target`]; `denied` for the home itself, which has no name to keep.
async fn from_and_to(ctx: &mut Context<'_>, from: &RemotePath, to: &RemotePath, several: bool) -> Result<(HomePath, HomePath)> {
    let from = ctx.path(from)?;
    let name = from
        .name()
        .ok_or_else(|| Error::denied("the home itself stays where it is").at(&from))?;
    let to = ctx.target(to, name, several).await?;
    Ok((from, to))
}

/// The name that a listing shows: the last one of the path, `/` for the home itself.
fn name_of(place: &HomePath) -> &[u8] {
    place.name().unwrap_or(b"/")
}

/// The MD5 of a file, where the store knows it without reading.
fn known_md5(entry: &Entry) -> Option<Digest> {
    entry.digest.filter(|digest| digest.algorithm() == Algorithm::Md5)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_usages_are_those_agreed_on() {
        let registry = ferry_core::Registry::linked().unwrap();
        let usages: Vec<String> = registry.entries().iter().map(|entry| entry.info.usage()).collect();
        assert_eq!(
            usages,
            [
                "cat PATH...",
                "cd [PATH]",
                "cp FROM... TO [--no-clobber]",
                "ls [PATH...] [-l] [-a] [-R] [-S] [-t] [-h]",
                "md5 PATH...",
                "mv FROM... TO [--no-clobber]",
                "pwd",
                "rm PATH... [-r]",
                "rmdir PATH...",
                "stat PATH...",
            ]
        );
    }

    #[test]
    fn every_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }
}
