//! Looks at SQLite's write-ahead log before SQLite does.
//!
//! SQLite takes a log it cannot read for an empty one and goes on without a word; a change that was
//! acknowledged would be gone silently. Format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// What a write-ahead log is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// Empty or absent, or whole up to the last transaction that was synced (a torn last one is normal
    /// after a power cut and was never acknowledged).
    Whole,
    /// Its first 32 octets are not those of a log: nothing in it can be used.
    Unreadable,
    /// Damaged in the middle: transactions that had been synced stand behind the damage.
    Broken,
}

const MAGIC: u32 = 0x377f_0682;
const FORMAT: u32 = 3_007_000;

/// Checks the whole log: every checksum up to the first wrong one, and what stands behind that.
pub(super) fn inspect(path: &Path) -> io::Result<Log> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Log::Whole),
        Err(e) => return Err(e),
    };
    inspect_stream(BufReader::with_capacity(32 * 1024, file))
}

fn inspect_stream(mut log: impl Read) -> io::Result<Log> {
    let mut header = [0u8; 32];
    if !fill(&mut log, &mut header)? || header == [0; 32] {
        return Ok(Log::Whole);
    }
    let [magic, format, page_size, _, salt1, salt2, sum1, sum2] = words(&header);
    let big_endian = magic == MAGIC | 1;
    let mut sum = checksum((0, 0), &header[..24], big_endian);
    if magic | 1 != MAGIC | 1
        || format != FORMAT
        || !page_size.is_power_of_two()
        || !(512..=65536).contains(&page_size)
        || sum != (sum1, sum2)
    {
        return Ok(Log::Unreadable);
    }
    let mut page = vec![0u8; page_size as usize];
    let mut frame = [0u8; 24];
    let mut whole = true;
    let mut commits_behind = 0;
    while fill(&mut log, &mut frame)? && fill(&mut log, &mut page)? {
        let [_, commit, frame_salt1, frame_salt2, sum1, sum2] = words(&frame);
        let ours = (frame_salt1, frame_salt2) == (salt1, salt2);
        if whole {
            sum = checksum(checksum(sum, &frame[..8], big_endian), &page, big_endian);
            whole = ours && sum == (sum1, sum2);
        }
        if !whole && ours {
            // A transaction is synced before the next one begins. So behind a torn one nothing
            // else can stand, except where damage came later.
            if commits_behind > 0 {
                return Ok(Log::Broken);
            }
            commits_behind += u32::from(commit != 0);
        }
    }
    Ok(Log::Whole)
}

/// Reads until `buffer` is full; false when the log ends before.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

fn words<const N: usize>(octets: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, four) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*four);
    }
    words
}

/// SQLite's running checksum over pairs of 32-bit words.
fn checksum((mut s0, mut s1): (u32, u32), octets: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |four: [u8; 4]| if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
    for [a, b, c, d, e, f, g, h] in octets.as_chunks::<8>().0 {
        s0 = s0.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(s1);
        s1 = s1.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(s0);
    }
    (s0, s1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log SQLite itself wrote: three transactions of one page each.
    fn real_log() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;").unwrap();
        conn.execute_batch(
            "CREATE TABLE t(x); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); INSERT INTO t VALUES (3);",
        )
        .unwrap();
        std::fs::read(dir.path().join("t.db-wal")).unwrap()
    }

    fn of(log: &[u8]) -> Log {
        inspect_stream(log).unwrap()
    }

    #[test]
    fn what_sqlite_wrote_is_whole() {
        let log = real_log();
        assert!(log.len() >= 32 + 4 * 1048, "{}", log.len());
        assert_eq!(of(&log), Log::Whole);
        assert_eq!(of(&[]), Log::Whole);
        assert_eq!(of(&[0; 4096]), Log::Whole);
    }

    #[test]
    fn a_torn_end_is_normal() {
        let log = real_log();
        for cut in 0..log.len() {
            assert_eq!(of(&log[..cut]), Log::Whole, "cut at {cut}");
        }
        let mut last = log.clone();
        let at = last.len() - 500;
        last[at] ^= 1;
        assert_eq!(of(&last), Log::Whole, "the last transaction may be torn anywhere");
    }

    #[test]
    fn damage_in_the_middle_is_seen() {
        let log = real_log();
        for at in 32..log.len() - 2 * 1048 {
            // Salts excepted: a frame with others is what an older log left behind.
            if !(8..16).contains(&((at - 32) % 1048)) {
                let mut broken = log.clone();
                broken[at] ^= 0x40;
                assert_eq!(of(&broken), Log::Broken, "octet {at}");
            }
        }
    }

    #[test]
    fn a_foreign_beginning_is_seen() {
        let log = real_log();
        for at in 0..32 {
            let mut garbage = log.clone();
            garbage[at] ^= 0x10;
            assert_eq!(of(&garbage), Log::Unreadable, "octet {at}");
        }
        assert_eq!(of(&[0xa5; 5000]), Log::Unreadable);
    }
}
