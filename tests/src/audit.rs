//! Looks at a server after it was hurt: at its disk, its books and its unfinished uploads, and gives everything that breaks a
//! promise.

use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use ferry_core::store::CODE_START;
use ferry_core::wire::message::Offer;
use ferry_core::{Algorithm, ErrorKind};
use serde_json::json;

use crate::load::{Home, Unfinished};
use crate::model::{Content, Disk};
use crate::wire::{Row, Wire, is_prefix};
use crate::{Server, files_below};

/// What a look at a server gave.
#[derive(Debug, Default)]
pub struct Findings {
    /// Broken promises.
    pub broken: Vec<String>,
    /// Uploads that went on behind their beginning.
    pub resumed: usize,
    /// Uploads that had to start again.
    pub restarted: usize,
}

/// What is in a folder, each file by its path in it.
pub fn read_disk(folder: &Path) -> Disk {
    let files = files_below(folder).into_iter();
    let read = |path: std::path::PathBuf| {
        let place = folder.join(&path);
        let bytes = std::fs::read(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        let modified = std::fs::metadata(&place)
            .and_then(|meta| meta.modified())
            .unwrap_or(UNIX_EPOCH);
        let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let content = Content::new(
            bytes.len() as u64,
            Algorithm::Md5.digest(&bytes),
            i64::try_from(modified).unwrap_or(0),
        );
        (path.to_string_lossy().into_owned(), content)
    };
    files.map(read).collect()
}

/// Compares a home's ledger with a recount of its files, and what is reserved with the list of partials; gives what is off.
///
/// # Errors
/// The connection broke.
pub fn ledger(wire: &mut Wire, disk: &Disk) -> io::Result<Vec<String>> {
    let mut broken = Vec::new();
    let partials = wire.partials()?;
    let (used, reserved) = wire.quota()?;
    let counted: u64 = disk.values().map(|content| content.size).sum();
    if used != counted {
        broken.push(format!("the ledger says {used} bytes, the files are {counted}"));
    }
    let number = |row: &Row, name: &str| row.get(name).and_then(serde_json::Value::as_u64);
    let held = |row: &Row| number(row, "size").or_else(|| number(row, "received")).unwrap_or(0);
    let promised: u64 = partials.iter().map(held).sum();
    if reserved != promised {
        broken.push(format!(
            "reserved are {reserved} bytes, the partials are {promised}: {partials:?}"
        ));
    }
    Ok(broken)
}

/// Looks at a home on a server that was just started, goes on with every upload that was cut off, and starts the home's model
/// anew. With `keeps_offsets`, an upload must go on at or past what the server said that it held.
///
/// # Errors
/// The connection broke.
pub fn after_restart(server: &Server, home: &Home, keeps_offsets: bool) -> io::Result<Findings> {
    let mut findings = Findings::default();
    let folder = server.data().join("homes").join(&home.user);
    let mut wire = Wire::login(server.address, &home.user)?;
    let disk = read_disk(&folder);
    findings.broken.extend(home.model().check(&disk));
    findings.broken.extend(ledger(&mut wire, &disk)?);
    home.model().settle(&disk);

    let unfinished = std::mem::take(&mut *home.unfinished());
    for unfinished in unfinished {
        if disk.get(&unfinished.file.name) != Some(&unfinished.file.content) {
            resume(&mut wire, home, &unfinished, keeps_offsets, &mut findings)?;
        }
    }
    // Streams and files that all clients share are left: nobody goes on with those.
    for partial in wire.partials()? {
        let removed = wire.call("partials", &json!({"action": "rm", "id": [partial["id"]]}))?;
        removed.map_err(io::Error::other)?;
    }
    let (disk, left) = (
        read_disk(&folder),
        files_below(&server.data().join("staging").join(&home.user)),
    );
    findings.broken.extend(home.model().check(&disk));
    findings.broken.extend(ledger(&mut wire, &disk)?);
    if !left.is_empty() {
        findings.broken.push(format!("staging: {left:?} is nobody's"));
    }
    // Files of one name each would pile up.
    for name in disk.keys().filter(|name| name.starts_with("cut-")) {
        wire.call("rm", &json!({"path": [name]}))?.map_err(io::Error::other)?;
    }
    home.model().settle(&read_disk(&folder));
    Ok(findings)
}

fn resume(wire: &mut Wire, home: &Home, cut: &Unfinished, keeps_offsets: bool, findings: &mut Findings) -> io::Result<()> {
    let (name, bytes) = (&cut.file.name, &cut.file.bytes);
    let (id, begin) = match wire.open(name, cut.file.offer())? {
        Ok(opened) => opened,
        // What is there now takes up the room.
        Err(error) if error.kind == ErrorKind::OverQuota && cut.offset == 0 => return Ok(()),
        Err(error) => {
            findings.broken.push(format!("{name}: cannot go on: {error}"));
            return Ok(());
        }
    };
    if keeps_offsets && begin.offset < cut.offset {
        let (offset, said) = (begin.offset, cut.offset);
        findings
            .broken
            .push(format!("{name}: goes on at {offset}, the server said that it holds {said}"));
    }
    match begin.code {
        CODE_START => findings.restarted += 1,
        _ => findings.resumed += 1,
    }
    if keeps_offsets && !is_prefix(&begin, bytes) {
        findings
            .broken
            .push(format!("{name}: the server holds other bytes than were sent"));
    }
    wire.cancel(id)?;
    let _ = wire.answer(id)?;
    let number = home.model().begin(vec![(name.clone(), Some(cut.file.content.clone()))]);
    let offer = Offer {
        modified: Some(cut.file.content.modified),
        ..Offer::default()
    };
    let answer = wire.upload(name, bytes, &offer)?;
    if let Err(error) = &answer {
        findings.broken.push(format!("{name}: was not taken: {error}"));
    }
    home.answered(number, answer)
}
