//! What the server's process may do. It is not root's. After its start the server can open its data folder and no other file, and make no TCP connection (Landlock, from Linux 5.19
//! on). Whoever finds a hole in it, or in a verb that is linked in, still sees nothing else of the machine.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ferry_core::{Error, Result};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};

/// Refuses to run a server as root, whom nothing on the machine keeps out, unless that is `allowed`.
///
/// # Errors
/// `denied`, with what to do instead.
pub(crate) fn refuse_root(allowed: bool) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    if allowed {
        tracing::warn!("runs as root: whoever finds a hole in the server is root");
        return Ok(());
    }
    let error = Error::denied("the server does not run as root");
    Err(error.hint("run it as a user of its own, to whom the data folder belongs; or say --allow-root"))
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Refuses root in a data folder of somebody else's: what he makes there, the server could not open later.
///
/// # Errors
/// `denied`, naming the owner.
pub(crate) fn refuse_root_in(data: &Path) -> Result<()> {
    let owner = std::fs::metadata(data).map_or(0, |meta| meta.uid());
    if !is_root() || owner == 0 {
        return Ok(());
    }
    let text = format!(
        "data folder {}: belongs to uid {owner}, and its server does not run",
        data.display()
    );
    Err(Error::denied(text).hint(format!(
        "do this as its owner, say by setpriv --reuid={owner} or sudo -u '#{owner}'"
    )))
}

/// The newest rules that we know: Linux 6.12. Older kernels take those of them that they know.
const RULES: ABI = ABI::V6;

/// Confines this thread, and those that it starts from now on; call it before there are others that run what others wrote. Gives whether the kernel
/// can.
///
/// # Errors
/// `internal` when the kernel can and something else goes wrong: then the server must not go on.
pub(crate) fn to(data: &Path) -> Result<bool> {
    let failed =
        |error: &dyn std::fmt::Display| Error::internal(format!("cannot confine the server to {}: {error}", data.display()));
    let folder = PathFd::new(data).map_err(|error| failed(&error))?;
    let status = Ruleset::default()
        // A kernel without this rule would refuse every rename from one folder to another: better none at all.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)
        .and_then(|rules| {
            let rules = rules.set_compatibility(CompatLevel::BestEffort);
            rules.handle_access(AccessFs::from_all(RULES))
        })
        .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp))
        .and_then(|rules| rules.scope(Scope::from_all(RULES)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rule(PathBeneath::new(folder, AccessFs::from_all(RULES))))
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| failed(&error))?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
