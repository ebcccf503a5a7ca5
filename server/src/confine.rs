//! After its start the server can open its data folder and no other file, and make no TCP connection (Landlock, from Linux 5.19
//! on). Whoever finds a hole in it, or in a verb that is linked in, still sees nothing else of the machine.

use std::path::Path;

use ferry_core::{Error, Result};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};

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
