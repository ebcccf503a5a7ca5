//! What may be in a home: every change that was asked for, in what order the answers came, and so which contents each name may
//! have now. A change that was acknowledged holds until a later one; one without an answer may have been made or not.

use std::collections::{BTreeMap, BTreeSet};

use ferry_core::Digest;

/// The contents of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its bytes, as text.
    pub digest: String,
    /// When it was changed last, in nanoseconds since 1970-01-01 UTC.
    pub modified: i64,
}

impl Content {
    /// Contents with that digest.
    pub fn new(size: u64, digest: Digest, modified: i64) -> Self {
        let digest = digest.to_string();
        Self { size, digest, modified }
    }
}

/// The files of a home by path.
pub type Disk = BTreeMap<String, Content>;

/// A change: each name that it touches, and what is there afterwards.
pub type Change = Vec<(String, Option<Content>)>;

#[derive(Debug)]
struct Op {
    change: Change,
    started: u64,
    /// When it was acknowledged.
    ended: Option<u64>,
}

/// What is known of one home.
#[derive(Debug, Default)]
pub struct Model {
    clock: u64,
    ops: BTreeMap<u64, Op>,
}

impl Model {
    /// Takes note of a change before the server can have made it; gives its number.
    pub fn begin(&mut self, change: Change) -> u64 {
        self.clock += 1;
        let op = Op {
            change,
            started: self.clock,
            ended: None,
        };
        self.ops.insert(self.clock, op);
        self.clock
    }

    /// Takes note that the server acknowledged a change.
    pub fn acknowledged(&mut self, number: u64) {
        self.clock += 1;
        let now = self.clock;
        if let Some(op) = self.ops.get_mut(&number) {
            op.ended = Some(now);
        }
    }

    /// Takes note that the server refused a change: it was not made.
    pub fn refused(&mut self, number: u64) {
        self.ops.remove(&number);
    }

    /// How many changes were acknowledged, and how many were left without an answer.
    pub fn count(&self) -> (usize, usize) {
        let acknowledged = self.ops.values().filter(|op| op.started > 0 && op.ended.is_some()).count();
        let open = self.ops.values().filter(|op| op.ended.is_none()).count();
        (acknowledged, open)
    }

    /// What may be under a name.
    pub fn permitted(&self, name: &str) -> BTreeSet<Option<Content>> {
        let of_name = || {
            self.ops.values().filter_map(|op| {
                let change = op.change.iter().find(|(of, _)| of == name);
                change.map(|(_, content)| (op, content))
            })
        };
        let is_superseded = |op: &Op| {
            let ended = op.ended.unwrap_or(u64::MAX);
            of_name().any(|(other, _)| other.ended.is_some() && other.started > ended)
        };
        let mut permitted: BTreeSet<_> = of_name()
            .filter(|(op, _)| !is_superseded(op))
            .map(|(_, content)| content.clone())
            .collect();
        if of_name().all(|(op, _)| op.ended.is_none()) {
            permitted.insert(None);
        }
        permitted
    }

    /// What is the one content of a name, unless it may have several.
    pub fn sure(&self, name: &str) -> Option<Content> {
        let mut permitted = self.permitted(name).into_iter();
        permitted.next().filter(|_| permitted.next().is_none()).flatten()
    }

    /// Compares with what is there; gives everything that may not be so.
    pub fn check(&self, disk: &Disk) -> Vec<String> {
        let touched = self.ops.values().flat_map(|op| op.change.iter().map(|(name, _)| name));
        let names: BTreeSet<&String> = touched.chain(disk.keys()).collect();
        let mut findings = Vec::new();
        for name in names {
            let (there, permitted) = (disk.get(name).cloned(), self.permitted(name));
            if !permitted.contains(&there) {
                findings.push(format!("{name}: is {there:?}, may be {permitted:?}"));
            }
        }
        for op in self.ops.values().filter(|op| op.ended.is_none()) {
            // A rename is made as a whole or not at all.
            if let [(from, None), (to, Some(moved))] = &op.change[..]
                && (disk.get(from) == Some(moved)) == (disk.get(to) == Some(moved))
            {
                findings.push(format!("{from} to {to}: half a rename of {moved:?}"));
            }
        }
        findings
    }

    /// Starts anew from what is there, after it was checked.
    pub fn settle(&mut self, disk: &Disk) {
        let change = disk.iter().map(|(name, content)| (name.clone(), Some(content.clone())));
        let base = Op {
            change: change.collect(),
            started: 0,
            ended: Some(0),
        };
        self.ops = BTreeMap::from([(0, base)]);
        self.clock = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: u64) -> Content {
        Content::new(number, ferry_core::Algorithm::Md5.digest(&number.to_be_bytes()), 0)
    }

    fn put(name: &str, number: u64) -> Change {
        vec![(name.into(), Some(content(number)))]
    }

    fn with(files: &[(&str, u64)]) -> Disk {
        files
            .iter()
            .map(|(name, number)| ((*name).into(), content(*number)))
            .collect()
    }

    fn is_fine(model: &Model, files: &[(&str, u64)]) -> bool {
        model.check(&with(files)).is_empty()
    }

    #[test]
    fn what_was_acknowledged_must_be_there() {
        let mut model = Model::default();
        let upload = model.begin(put("a", 1));
        assert!(
            is_fine(&model, &[]) && is_fine(&model, &[("a", 1)]),
            "without an answer both may be"
        );
        model.acknowledged(upload);
        assert!(is_fine(&model, &[("a", 1)]));
        assert!(!is_fine(&model, &[]), "lost");
        assert!(!is_fine(&model, &[("a", 2)]), "other bytes");
        assert!(!is_fine(&model, &[("a", 1), ("b", 1)]), "one too many");
    }

    #[test]
    fn what_was_refused_must_not_be_there() {
        let mut model = Model::default();
        let upload = model.begin(put("a", 1));
        model.refused(upload);
        assert!(is_fine(&model, &[]) && !is_fine(&model, &[("a", 1)]));
    }

    #[test]
    fn a_later_change_without_an_answer_may_have_been_made() {
        let mut model = Model::default();
        model.settle(&with(&[("a", 1)]));
        model.begin(put("a", 2));
        assert!(is_fine(&model, &[("a", 1)]) && is_fine(&model, &[("a", 2)]) && !is_fine(&model, &[]));
        model.begin(vec![("a".into(), None)]);
        assert!(is_fine(&model, &[]));
    }

    #[test]
    fn changes_of_one_time_may_have_been_made_in_any_order_and_later_ones_hold() {
        let mut model = Model::default();
        let (one, two) = (model.begin(put("a", 1)), model.begin(put("a", 2)));
        model.acknowledged(two);
        model.acknowledged(one);
        assert!(is_fine(&model, &[("a", 1)]) && is_fine(&model, &[("a", 2)]) && !is_fine(&model, &[]));
        assert_eq!(model.sure("a"), None);
        let three = model.begin(put("a", 3));
        model.acknowledged(three);
        assert!(is_fine(&model, &[("a", 3)]) && !is_fine(&model, &[("a", 1)]) && !is_fine(&model, &[("a", 2)]));
        assert_eq!(model.sure("a"), Some(content(3)));
    }

    #[test]
    fn a_rename_is_made_as_a_whole_or_not_at_all() {
        let mut model = Model::default();
        model.settle(&with(&[("a", 1), ("b", 2)]));
        model.begin(vec![("a".into(), None), ("b".into(), Some(content(1)))]);
        assert!(is_fine(&model, &[("a", 1), ("b", 2)]) && is_fine(&model, &[("b", 1)]));
        assert!(!is_fine(&model, &[("a", 1), ("b", 1)]), "at both places");
        assert!(!is_fine(&model, &[("b", 2)]), "at none");
    }

    #[test]
    fn a_deleted_file_does_not_come_back() {
        let mut model = Model::default();
        model.settle(&with(&[("a", 1)]));
        let gone = model.begin(vec![("a".into(), None)]);
        model.acknowledged(gone);
        assert!(is_fine(&model, &[]) && !is_fine(&model, &[("a", 1)]));
    }
}
