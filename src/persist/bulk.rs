//! A large file written from front to back, around the page cache: it costs no memory, evicts nothing, and takes an
//! eighth of the processor time (1 GB here: 0.15 s instead of 0.8 to 1.8; as fast as the disk either way). Never knows
//! what it writes; its thread waits for the disk.
//!
//! Where the file system refuses O_DIRECT, and for what is shorter than one piece, a plain file.
//!
//! The streams of glommio were measured for this: no faster, twice the processor time. Besides they end the process
//! where /sys describes a disk otherwise than they expect (a partition of an NVMe disk), and take a write that came up
//! short, as on a full disk, for a whole one.

use crate::runtime::aligned::AlignedBuf;
use crate::runtime::files;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Bytes of a piece. The kernel does not let go of the CPU while it begins to write one, which a shard may wait for:
/// 1 ms on average in pieces of 4 MB, 0.3 ms in these, through the page cache; 0.08 ms around it.
const PIECE_BYTES: usize = 512 * 1024;

/// See the module.
#[derive(Debug)]
pub struct BulkWriter {
    path: PathBuf,
    file: File,
    way: Way,
    piece: AlignedBuf,
    /// Bytes in the file, in whole pieces.
    offset: u64,
}

#[derive(Debug)]
enum Way {
    /// Around the page cache, as soon as there is a piece.
    Direct(Option<File>),
    /// Through the page cache, and written behind or not.
    Cached { behind: bool },
}

impl BulkWriter {
    /// Makes the file, or empties it. Not `behind`: the page cache has it until [`BulkWriter::finish`].
    pub fn create(path: PathBuf, behind: bool) -> io::Result<BulkWriter> {
        let file = File::create(&path)?;
        let way = if behind { Way::Direct(None) } else { Way::Cached { behind } };
        Ok(BulkWriter { path, file, way, piece: AlignedBuf::default(), offset: 0 })
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.offset + self.piece.len() as u64
    }

    /// Appends bytes.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.piece.len() + bytes.len() >= PIECE_BYTES {
            let (now, later) = bytes.split_at(PIECE_BYTES - self.piece.len());
            self.piece.extend_from_slice(now);
            self.write_piece()?;
            bytes = later;
        }
        self.piece.extend_from_slice(bytes);
        Ok(())
    }

    fn write_piece(&mut self) -> io::Result<()> {
        if let Way::Direct(None) = self.way {
            let direct = files::open_direct(&self.path);
            self.way = direct.map_or(Way::Cached { behind: true }, |direct| Way::Direct(Some(direct)));
        }
        if let Way::Direct(Some(direct)) = &self.way {
            match direct.write_all_at(&self.piece, self.offset) {
                // not so, or not the rest of it: the page cache takes it, or says what is wrong
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.way = Way::Cached { behind: true },
                result => result?,
            }
        }
        if let Way::Cached { behind } = self.way {
            self.file.write_all_at(&self.piece, self.offset)?;
            if behind {
                files::write_behind(&self.file, self.offset, self.piece.len() as u64);
            }
        }
        self.offset += self.piece.len() as u64;
        self.piece.clear(PIECE_BYTES);
        Ok(())
    }

    /// Writes what is left, puts `front` over the first bytes, and returns once the disk has all of it.
    pub fn finish(self, front: &[u8]) -> io::Result<()> {
        self.file.write_all_at(&self.piece, self.offset)?;
        self.file.write_all_at(front, 0)?;
        self.file.sync_all()?;
        files::drop_cached(&self.file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// A file of `len` bytes, written in parts of `part`.
    fn written(path: &Path, behind: bool, len: usize, part: usize) -> BulkWriter {
        let mut writer = BulkWriter::create(path.to_path_buf(), behind).unwrap();
        let bytes: Vec<u8> = (0..len).map(|n| (n * 7 % 251) as u8).collect();
        bytes.chunks(part).for_each(|part| writer.write(part).unwrap());
        assert_eq!(writer.bytes(), len as u64);
        writer
    }

    #[test]
    fn what_was_written_is_there_however_it_was_cut() {
        let folder = std::env::temp_dir().join(format!("pinion-bulk-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("file");
        let whole = PIECE_BYTES;
        for behind in [true, false] {
            for (len, part) in [
                (9, 4),
                (whole - 1, 1000),
                (whole, whole),
                (whole + 1, 4096),
                (2 * whole, 3 * whole),
                (3 * whole + 5, whole - 1),
                (5 * whole - 4096, 65_537),
            ] {
                fs::write(&path, vec![1; 6 * whole]).unwrap();
                let writer = written(&path, behind, len, part);
                let direct = matches!(writer.way, Way::Direct(Some(_)));
                assert!(!direct || (behind && len >= whole));
                writer.finish(b"front").unwrap();
                let bytes = fs::read(&path).unwrap();
                assert_eq!((bytes.len(), &bytes[..5]), (len, &b"front"[..]), "{len} in parts of {part}");
                let expected = |(n, byte): (usize, &u8)| *byte == (n * 7 % 251) as u8;
                assert!(bytes.iter().enumerate().skip(5).all(expected), "{len} in parts of {part}");
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn where_there_is_no_way_around_the_page_cache_it_is_used() {
        // what is gone cannot be opened once more
        let path = std::env::temp_dir().join(format!("pinion-bulk-gone-{}", std::process::id()));
        let mut writer = BulkWriter::create(path.clone(), true).unwrap();
        fs::remove_file(&path).unwrap();
        writer.write(&vec![1; PIECE_BYTES + 1]).unwrap();
        assert!(matches!(writer.way, Way::Cached { behind: true }));
        writer.finish(b"front").unwrap();
    }
}
