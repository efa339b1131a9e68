//! The root that holds: how it is taken over, and what is told of it while the gateway runs.

use super::Bundles;
use super::activation::From;
use super::emergency::RECORD_PATIENCE;
use super::ground::{Now, mark_of};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::verify::{VerifiedRoot, verify_again, verify_root};
use crate::ledger::{HighWater, RootMark};

/// What is known of the root beyond itself.
#[derive(Debug, Default)]
pub(super) struct RootStanding {
    /// The newest root that ever held here.
    pub(super) mark: Option<RootMark>,
    /// Why the root that is here is not that one; nothing new is put in force then.
    pub(super) behind: Option<String>,
    /// Why the bundle in force would not be verified at the next start.
    pub(super) outgrown: Option<String>,
    /// The end of the root was told.
    pub(super) told_ended: bool,
}

/// That root, to remember.
pub(super) fn mark_of_root(root: &VerifiedRoot) -> RootMark {
    RootMark {
        version: root.root().parts().version,
        digest: root.root().digest().to_owned(),
    }
}

impl Bundles {
    /// The higher one of what was recorded and what is held to.
    pub(super) fn highest(&self) -> Option<&HighWater> {
        self.held.as_ref().or(self.mark.as_ref())
    }

    /// Verifies, keeps and records the root after the one that holds; it holds on return.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn follow_root(&mut self, bytes: &[u8], from: &From) -> Result<(), Refused> {
        let root = verify_root(bytes, Some(&self.root))?;
        let mark = mark_of_root(&root);
        let version = mark.version;
        if let Some(newest) = &self.standing.mark
            && newest.version == version
            && newest.digest != mark.digest
        {
            let detail = format!("version {version} was the root of digest {}", newest.digest);
            let remedy = "hand over the root that held here";
            return Err(Refused::new(RefusalCode::RollbackRejected, detail, remedy));
        }
        self.store
            .keep_root(version, bytes)
            .map_err(|error| not_kept(&error))?;
        let signers = root.signers().join(", ");
        let mut act = self.act(
            "root_rotated",
            from.trigger.name(),
            format!("signed by {signers}"),
            format!("root version {version}, digest {}", mark.digest),
        );
        act.root = Some(mark.clone());
        let recorded = self
            .ledger
            .record(move |entry| act.push(entry), RECORD_PATIENCE);
        if let Err(error) = recorded {
            if let Err(error) = self.store.drop_root(version) {
                tracing::error!(event = "root_not_undone", %error);
            }
            let remedy = "see the ledger in 'tidegate status'";
            return Err(Refused::new(
                RefusalCode::NotRecorded,
                error.to_string(),
                remedy,
            ));
        }
        tracing::warn!(event = "root_rotated", version, signers);
        self.root = root;
        self.note_root(mark);
        Ok(())
    }

    /// Another root holds.
    fn note_root(&mut self, mark: RootMark) {
        let newest = self.standing.mark.take().max(Some(mark.clone()));
        if newest.as_ref() == Some(&mark) {
            self.standing.behind = None;
        }
        self.standing.mark.clone_from(&newest);
        self.standing.told_ended = false;
        let highest = self.highest().cloned();
        if let Err(error) = self.store.remember_root(newest, highest.as_ref()) {
            tracing::error!(event = "bundle_state", trouble = %error);
        }
        self.telemetry
            .note_root(self.root.root().parts().expires_at_us);
        self.weigh_survival();
    }

    /// Whether a start under this root would put the bundle in force again.
    pub(super) fn weigh_survival(&mut self) {
        self.standing.outgrown = None;
        let Some(bundle) = self.in_force.clone() else {
            return;
        };
        let own = mark_of(&bundle);
        let now = Now {
            root: &self.root,
            now_us: crate::gateway::clock::now().wall_us,
            newest_record_us: self.newest_record_us,
            in_force: None,
            mark: Some(&own),
        };
        let again = self
            .ground
            .ask(now, |around| verify_again(&bundle.envelope(), around));
        if let Err(refused) = again {
            let version = self.root.root().parts().version;
            let trouble = format!(
                "the bundle in force would not be put in force by the next start: bring the next \
                 bundle, signed by people of root {version}, before it ({refused})"
            );
            tracing::error!(event = "bundle_outgrown", trouble);
            self.standing.outgrown = Some(trouble);
        }
    }

    /// Tells the end of the root, once.
    pub(super) fn weigh_root(&mut self, now_us: u64) {
        if self.root.is_expired(now_us) && !self.standing.told_ended {
            self.standing.told_ended = true;
            let parts = self.root.root().parts();
            tracing::error!(
                event = "root_expired",
                version = parts.version,
                expires_at_us = parts.expires_at_us,
                "no bundle is put in force until the next root is here: tidegate root rotate"
            );
        }
    }

    /// What somebody should know of the root.
    pub(super) fn troubles_of_root(&self) -> Vec<String> {
        let version = self.root.root().parts().version;
        let ended = self.standing.told_ended.then(|| {
            format!(
                "root {version} has ended; no bundle is put in force until root.{}.json comes",
                version + 1
            )
        });
        let standing = &self.standing;
        let all = [standing.behind.clone(), standing.outgrown.clone(), ended];
        all.into_iter().flatten().collect()
    }

    /// Nothing new comes in under a root that another one has followed.
    ///
    /// # Errors
    /// [`RefusalCode::RootSkipped`].
    pub(super) fn root_is_newest(&self) -> Result<(), Refused> {
        let Some(behind) = &self.standing.behind else {
            return Ok(());
        };
        let remedy = "put the newer roots back";
        Err(Refused::new(RefusalCode::RootSkipped, behind, remedy))
    }
}

fn not_kept(error: &std::io::Error) -> Refused {
    let detail = format!("state_dir/bundle: {error}");
    let remedy = "see that the disk has space and the directory can be written";
    Refused::new(RefusalCode::NotPersisted, detail, remedy)
}
