//! Compresses a closed segment that was verified.
//!
//! Order: the compressed copy is written, synced, read back and compared with the plain file by
//! SHA-256; then it gets its name; then the plain file goes. A crash between any two steps leaves
//! the plain file, the compressed one, or both; a later call goes on from there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::directory::temporary;
use super::super::disk::{Disk, DiskFile};
use super::files::Closed;
use super::pace::Pace;
use super::text::Bytes;
use super::trouble::Trouble;

/// zstd's own default: half the time of level 6 for a few percent more bytes of such lines.
pub(super) const LEVEL: i32 = 3;
/// Read in steps of this.
const STEP_BYTES: usize = 256 * 1024;

/// Puts the compressed form in the place of the plain one.
pub(super) fn compress(disk: &Disk, closed: &Closed, pace: &mut Pace) -> Result<(), Trouble> {
    let (plain, packed) = (closed.plain_path(), closed.packed_path());
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |error| Trouble::io("compressing", &path, error)
    };
    let expected = sha256(&plain, pace)?;
    // A crash may have come after the new name and before the end of the old one.
    if !closed.packed || sha256(&packed, pace).ok() != Some(expected) {
        let under_way = temporary(&packed);
        pack(disk, &plain, &under_way, pace)?;
        if sha256(&under_way, pace)? != expected {
            let error = io::Error::other("what was read back is not what was written");
            disk.remove(&under_way).map_err(io(&under_way))?;
            return Err(Trouble::io("compressing", &under_way, error));
        }
        disk.rename(&under_way, &packed).map_err(io(&packed))?;
        disk.sync_folder(closed.dir()).map_err(io(closed.dir()))?;
    }
    disk.remove(&plain).map_err(io(&plain))?;
    disk.sync_folder(closed.dir()).map_err(io(closed.dir()))
}

fn pack(disk: &Disk, plain: &Path, into: &Path, pace: &mut Pace) -> Result<(), Trouble> {
    let io = |error| Trouble::io("compressing", into, error);
    let mut reader = File::open(plain).map_err(io)?;
    let mut writer = Packing::new(disk, into).map_err(io)?;
    let mut step = vec![0; STEP_BYTES];
    loop {
        let read = reader.read(&mut step).map_err(io)?;
        if read == 0 {
            return writer.finish().map_err(io);
        }
        writer
            .write_all(step.get(..read).unwrap_or_default())
            .map_err(io)?;
        pace.spend(read)?;
    }
}

/// The SHA-256 of a segment's plain bytes, whatever its form.
fn sha256(path: &Path, pace: &mut Pace) -> Result<[u8; 32], Trouble> {
    let io = |error| Trouble::io("reading", path, error);
    let mut reader = Bytes::open(path).map_err(io)?;
    let mut hash = Sha256::new();
    let mut step = vec![0; STEP_BYTES];
    loop {
        let read = reader.read(&mut step).map_err(io)?;
        if read == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(step.get(..read).unwrap_or_default());
        pace.spend(read)?;
    }
}

/// A new compressed file; carries zstd's own checksum.
pub(super) struct Packing {
    encoder: zstd::stream::write::Encoder<'static, Appending>,
}

/// The system's file as the encoder wants it.
struct Appending(DiskFile);

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Packing {
    pub(super) fn new(disk: &Disk, path: &Path) -> io::Result<Self> {
        let file = Appending(disk.create(path)?);
        let mut encoder = zstd::stream::write::Encoder::new(file, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { encoder })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.encoder.write_all(bytes)
    }

    /// Ends the file; durable on return.
    pub(super) fn finish(self) -> io::Result<()> {
        self.encoder.finish()?.0.sync()
    }
}
