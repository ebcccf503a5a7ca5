//! After its start the server can open its data folder and nothing else, and connect to nobody (Landlock, Linux 5.13). Whoever
//! finds a hole in it, or in a verb that is linked in, still sees no other file of the machine.

use std::path::Path;

use ferry_core::{Error, Result};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus,
};

/// The newest rules that we know: Linux 6.10. Older kernels take those of them that they know.
const RULES: ABI = ABI::V5;

/// Confines this thread, and those that it starts from now on; call it before there are others. Gives whether the kernel
/// can.
///
/// # Errors
/// `internal` when the kernel can and something else goes wrong: then the server must not go on.
pub(crate) fn to(data: &Path) -> Result<bool> {
    let failed =
        |error: &dyn std::fmt::Display| Error::internal(format!("cannot confine the server to {}: {error}", data.display()));
    let folder = PathFd::new(data).map_err(|error| failed(&error))?;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))
        .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rule(PathBeneath::new(folder, AccessFs::from_all(RULES))))
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| failed(&error))?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
