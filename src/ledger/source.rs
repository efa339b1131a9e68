//! Where the bytes of a segment come from: the file itself, or the zstd frames in it.
//!
//! Invariants: memory is bounded also for a hostile frame, which may not ask for a window above
//! [`WINDOW_LOG_MAX`]; what is wrong with a frame is [`io::ErrorKind::InvalidData`], so that a
//! reader can tell damage from a disk that does not answer.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zstd::stream::read::Decoder;

/// 8 MiB: what the highest ordinary compression level uses.
pub(super) const WINDOW_LOG_MAX: u32 = 23;

/// The plain bytes of a segment file.
pub(super) enum SegmentSource {
    Plain(File),
    Compressed(Box<Decoder<'static, BufReader<File>>>),
}

impl std::fmt::Debug for SegmentSource {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Compressed(_) => "Compressed",
        })
    }
}

impl SegmentSource {
    /// Opens a file by its suffix, `offset` bytes of plain text after its start.
    pub(super) fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if path.extension().is_none_or(|suffix| suffix != "zst") {
            file.seek(SeekFrom::Start(offset))?;
            return Ok(Self::Plain(file));
        }
        let mut decoder = Decoder::new(file)?;
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        let mut source = Self::Compressed(Box::new(decoder));
        io::copy(&mut (&mut source).take(offset), &mut io::sink())?;
        Ok(source)
    }
}

impl Read for SegmentSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Compressed(decoder) => decoder.read(into).map_err(bad_frame),
        }
    }
}

/// How long the text of a segment is; of damaged frames, up to the damage.
pub(super) fn plain_len(path: &Path) -> io::Result<u64> {
    let mut source = SegmentSource::open(path, 0)?;
    if let SegmentSource::Plain(file) = &source {
        return Ok(file.metadata()?.len());
    }
    let (mut block, mut len) = (vec![0; 1 << 17], 0);
    loop {
        match source.read(&mut block) {
            Ok(0) => return Ok(len),
            Ok(read) => len += read as u64,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Errors of the decoder carry no number of the system.
fn bad_frame(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::reader::Lines;
    use super::*;

    fn read(bytes: &[u8], offset: u64) -> Result<Vec<(u64, String)>, io::ErrorKind> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seg-0000000000000000.jsonl.zst");
        std::fs::write(&path, bytes).unwrap();
        let mut lines = Lines::open_at(&path, offset).map_err(|error| error.kind())?;
        let mut found = Vec::new();
        while let Some(line) = lines.next().map_err(|error| error.kind())? {
            let text = String::from_utf8_lossy(line.bytes).into_owned();
            found.push((line.offset, text));
        }
        Ok(found)
    }

    #[test]
    fn a_compressed_segment_reads_as_its_plain_text() {
        let frame = zstd::encode_all(&b"one\ntwo\nthree\n"[..], 3).unwrap();
        let all = [(0, "one"), (4, "two"), (8, "three")].map(|(at, t)| (at, t.to_owned()));
        assert_eq!(read(&frame, 0), Ok(all.to_vec()));
        assert_eq!(read(&frame, 4), Ok(all[1..].to_vec()));
        let more = zstd::encode_all(&b"four\n"[..], 3).unwrap();
        let both = read(&[frame.clone(), more].concat(), 8).unwrap();
        assert_eq!(both[1], (14, "four".to_owned()), "frames follow each other");
    }

    #[test]
    fn what_is_no_frame_is_invalid_data() {
        let frame = zstd::encode_all(&b"one\ntwo\nthree\n"[..], 3).unwrap();
        for cut in 1..frame.len() {
            assert_eq!(
                read(&frame[..cut], 0),
                Err(io::ErrorKind::InvalidData),
                "{cut}"
            );
        }
        let garbage = [&frame[..], b"garbage"].concat();
        assert_eq!(read(&garbage, 0), Err(io::ErrorKind::InvalidData));
        // A window of 128 MiB, which a few bytes of input can ask for.
        let mut wide = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        wide.window_log(27).unwrap();
        io::Write::write_all(&mut wide, &[b'a'; 4_096]).unwrap();
        let wide = wide.finish().unwrap();
        assert_eq!(read(&wide, 0), Err(io::ErrorKind::InvalidData));
    }
}
