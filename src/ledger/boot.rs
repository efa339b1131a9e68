//! What a boot chains before the first event, all of it durable: `open`, and `key` where the key
//! is new to this ledger, and a `fault` for each boot that decided and never had the ledger.

use super::directory::Directory;
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::facts::OpenFacts;
use super::merkle::Frontier;
use super::opening::{genesis, resume};
use super::output::Begun;
use super::recovery::Found;
use super::settings::Settings;
use super::signing::Signer;
use super::tree::LogTree;
use super::tree_file::TreeBuilder;
use super::unopened::LostBoot;

/// Enters the chain and readies everything that the writer goes on from.
pub(super) fn begin(
    settings: &Settings,
    directory: &Directory,
    facts: &OpenFacts,
    found: Option<Found>,
    lost: &[LostBoot],
) -> Result<Begun, LedgerError> {
    // The key of the notes before may have gone with the records that were given up.
    let is_rolled_back = found.as_ref().is_some_and(|found| found.is_rolled_back);
    let (chain, segment, mut tree) = match found {
        None => {
            let (chain, segment) = genesis(settings, directory, facts)?;
            let tree = LogTree::new(Frontier::new(), TreeBuilder::new(0));
            (chain, segment, tree)
        }
        Some(found) => {
            let tree = LogTree::new(found.frontier.clone(), found.builder.clone());
            let (chain, segment) = resume(settings, directory, facts, found)?;
            (chain, segment, tree)
        }
    };
    tree.push_head(chain.head());
    let mut begun = Begun {
        chain,
        tree,
        segment,
        signer: None,
    };
    if let Some(key) = &settings.key {
        let signer = Signer::open(&settings.disk, directory.path(), key, facts.boot)?;
        // The key before the record: no record names a key that verifiers cannot find.
        if signer.announce(&settings.disk, directory.path())? || is_rolled_back {
            chain_key(settings, &signer, &mut begun)?;
        }
        begun.signer = Some(signer);
    }
    for lost in lost {
        chain_one(settings, &mut begun, |entry| lost.members(entry))?;
    }
    Ok(begun)
}

fn chain_key(settings: &Settings, signer: &Signer, begun: &mut Begun) -> Result<(), LedgerError> {
    chain_one(settings, begun, |entry| signer.key_members(entry))
}

fn chain_one(
    settings: &Settings,
    begun: &mut Begun,
    members: impl FnOnce(&mut EntryBuilder<'_>),
) -> Result<(), LedgerError> {
    let mut line = Vec::new();
    let leaf = begun.chain.append(&mut line, members);
    begun.tree.push(leaf);
    begun
        .segment
        .append_durably(&line)
        .map_err(|error| LedgerError::io("writing", &settings.dir, error))
}
