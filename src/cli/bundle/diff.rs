use clap::Args;
#[derive(Debug, Args)]
pub struct DiffArgs {}
pub(super) fn run(_: &DiffArgs) -> u8 {
    0
}
