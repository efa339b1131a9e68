//! Where contracts stand in their files, so that a finding can be told to be about one of them.

use crate::contract::ContractId;
use crate::contract::file::Draft;
use crate::diagnostic::Place;

/// A draft and the number of its file.
pub(super) type Filed = (usize, Draft);

/// The places of all drafts, in the order of files and of places in them.
#[derive(Debug, Default)]
pub(super) struct Drafts(Vec<Standing>);

/// Where one draft begins.
#[derive(Debug)]
pub(super) struct Standing {
    /// The number of its file.
    pub(super) file: usize,
    place: Place,
    /// Its id, where that is valid.
    pub(super) id: Option<ContractId>,
}

impl Drafts {
    pub(super) fn of(drafts: &[Filed]) -> Self {
        let standing = drafts.iter().map(|(file, draft)| Standing {
            file: *file,
            place: draft.place,
            id: draft.id.clone(),
        });
        Self(standing.collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.0.iter()
    }

    /// The contract that stands at a place: the last that begins there or above.
    pub(super) fn at(&self, file: usize, place: Place) -> Option<&ContractId> {
        let after = self
            .0
            .partition_point(|s| (s.file, s.place) <= (file, place));
        let before = self.0.get(after.checked_sub(1)?)?;
        before.id.as_ref().filter(|_| before.file == file)
    }
}
