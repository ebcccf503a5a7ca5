//! Where the races are: a home with names that change, and the traps that their links lead to.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ferry_core::HomePath;
use tempfile::TempDir;

use crate::hands::INSIDE;
use crate::trap::{MARKER, Trap, WITNESS};

/// What a link says.
#[derive(Debug, Clone, Copy)]
enum Link {
    /// These words.
    Text(&'static str),
    /// The absolute path of a place, given relative to the ground.
    Absolute(&'static str),
    /// The root of all, by one of its names; the trap lies at its absolute path below.
    Root(&'static str),
    /// The magic link of `/proc` that leads to a place, given relative to the ground.
    Magic(&'static str),
}

/// The sites: label, name, shape, place of the trap relative to the ground, from the name to what lies over the trap, link.
#[rustfmt::skip]
const TABLE: [(&str, &str, Shape, &str, &str, Link); 14] = [
    ("top, absolute", "top", Shape::Tree, "outside/0", "", Link::Absolute("outside/0")),
    ("top, relative", "near", Shape::Tree, "outside/1", "", Link::Text("../../../outside/1")),
    ("top, to /", "root", Shape::Tree, "outside/2", "", Link::Root("/")),
    ("top, to /proc/self/root", "proc", Shape::Tree, "outside/3", "", Link::Root("/proc/self/root")),
    ("top, to another home", "bob", Shape::Tree, "data/homes/bob/4", "4", Link::Text("../bob")),
    ("top, to ..", "up", Shape::Tree, "data/homes/bob/5", "bob/5", Link::Text("..")),
    ("middle, absolute", "a/b/c", Shape::Tree, "outside/6/d/e", "d/e", Link::Absolute("outside/6")),
    ("middle, relative", "a/b/f", Shape::Tree, "outside/7/d/e", "d/e", Link::Text("../../../../../outside/7")),
    ("middle, magic link", "a/b/g", Shape::Tree, "outside/8/d", "d", Link::Magic("outside/8")),
    ("last, file, absolute", "file", Shape::File, "outside/9", "", Link::Absolute("outside/9/file")),
    ("last, file, relative", "a/file", Shape::File, "outside/10", "", Link::Text("../../../../outside/10/file")),
    ("last, file, magic link", "a/b/file", Shape::File, "outside/11", "", Link::Magic("outside/11/file")),
    ("last, folder, absolute", "folder", Shape::Folder, "outside/12", "", Link::Absolute("outside/12")),
    ("last, folder, relative", "a/b/folder", Shape::Folder, "outside/13", "", Link::Text("../../../../../outside/13")),
];

/// Names in the home that never change places; operations rename to and from there.
const SAFE: [&str; 4] = ["/safe/0", "/safe/1", "/safe/2", "/safe/3"];

/// All of it, in a folder of its own.
pub(crate) struct Ground {
    pub(crate) sites: Vec<Site>,
    pub(crate) safe: Vec<HomePath>,
    /// The folder of the store.
    pub(crate) data: PathBuf,
    /// The home of alice, as an admin sees it.
    pub(crate) home: PathBuf,
    /// What the links of `/proc` lead to.
    _open: Vec<File>,
    _folder: TempDir,
}

/// What is at a name when it is no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A folder, in which something is done: the name is in the middle of the path.
    Tree,
    /// An empty folder, with which something is done: the name is the last one.
    Folder,
    /// A file, with which something is done: the name is the last one.
    File,
}

/// A name that is a folder or a file at one moment, and a link that leads outside at the next.
pub(crate) struct Site {
    pub(crate) label: &'static str,
    /// The name, relative to the home.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// Where the link leads.
    pub(crate) link: PathBuf,
    /// From the name to the place that lies over the trap; empty when it is the name itself.
    pub(crate) inner: PathBuf,
    pub(crate) trap: Trap,
    /// What operations are tried on.
    pub(crate) targets: Vec<HomePath>,
    /// What is listed.
    pub(crate) listed: HomePath,
}

impl Ground {
    /// Makes it, and makes sure that each link leads to its trap.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let data = root.join("data");
        let home = data.join("homes/alice");
        for place in ["safe", "a/b"] {
            std::fs::create_dir_all(home.join(place)).unwrap();
        }
        let mut open = Vec::new();
        let sites: Vec<Site> = TABLE
            .iter()
            .map(|&(label, name, shape, trap, inner, link)| {
                let trap = Trap::new(root.join(trap));
                let (link, inner) = match link {
                    Link::Text(text) => (text.into(), inner.into()),
                    Link::Absolute(place) => (root.join(place), inner.into()),
                    Link::Root(name) => (name.into(), trap.place.strip_prefix("/").unwrap().to_owned()),
                    Link::Magic(place) => {
                        let file = File::open(root.join(place)).unwrap();
                        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
                        open.push(file);
                        (link.into(), inner.into())
                    }
                };
                Site::new((label, name), shape, (link, inner), trap)
            })
            .collect();
        for site in &sites {
            let name = home.join(site.name);
            site.make_link(&name);
            site.check_link(&name);
            site.make_real(&site.other(&home));
        }
        Self {
            sites,
            safe: SAFE.iter().map(|path| HomePath::parse(path).unwrap()).collect(),
            data,
            home,
            _open: open,
            _folder: folder,
        }
    }
}

impl Site {
    fn new((label, name): (&'static str, &'static str), shape: Shape, (link, inner): (PathBuf, PathBuf), trap: Trap) -> Self {
        let base = Path::new("/").join(name).join(&inner);
        let below = |name: &str| HomePath::parse(base.join(name).to_str().unwrap()).unwrap();
        let listed = below("");
        let targets = match shape {
            Shape::Tree => ["file", "dir", "new"].map(below).to_vec(),
            Shape::Folder | Shape::File => vec![listed.clone()],
        };
        Self {
            label,
            name,
            shape,
            link,
            inner,
            trap,
            targets,
            listed,
        }
    }

    /// Where whatever is not at the name is kept meanwhile. No operation names it.
    pub(crate) fn other(&self, home: &Path) -> PathBuf {
        home.join(format!("{}.other", self.name))
    }

    pub(crate) fn make_link(&self, at: &Path) {
        // Somebody may have put something there: then that is what changes places, until it is seen to.
        let _ = symlink(&self.link, at);
    }

    pub(crate) fn make_real(&self, at: &Path) {
        // As above.
        let _ = match self.shape {
            Shape::Tree => std::fs::create_dir_all(at.join(&self.inner).join("dir"))
                .and_then(|()| std::fs::write(at.join(&self.inner).join("file"), INSIDE)),
            Shape::Folder => std::fs::create_dir(at),
            // Never through a link that was moved there just now: the attacker must not be the one who is caught.
            Shape::File => File::create_new(at).and_then(|mut file| file.write_all(INSIDE)),
        };
    }

    /// Whoever follows the link reaches the trap.
    fn check_link(&self, name: &Path) {
        match self.shape {
            Shape::File => assert_eq!(std::fs::read(name).unwrap(), MARKER, "{}", self.label),
            _ => assert!(name.join(&self.inner).join(WITNESS).exists(), "{}", self.label),
        }
    }
}
