//! Gzip as `gzip -d` takes it: any number of members, empty ones too, then zeros or what is no gzip.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Chain, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flate2::bufread::GzDecoder;

/// What every member begins with.
const MEMBER: &[u8] = &[0x1f, 0x8b];

/// The first bytes of a member are read before it is known that it is one.
type Member<R> = GzDecoder<Chain<&'static [u8], BufReader<R>>>;

/// Whether these bytes begin as gzip does.
pub(crate) fn is_gzip(beginning: &[u8]) -> bool {
    beginning.starts_with(MEMBER)
}

/// The contents of all members, one after the other.
///
/// Zeros fill a tape's or disk's last block, also between files that were joined: what follows them
/// is read if it is a member, so that no data are lost.
pub(crate) struct Members<R> {
    path: PathBuf,
    /// The present one; none after the last, and after a fault.
    member: Option<Member<R>>,
}

impl<R: Read> Members<R> {
    /// Reads bytes that are gzip.
    pub(crate) fn new(path: &Path, from: BufReader<R>) -> Self {
        let nothing: &'static [u8] = &[];
        Self { path: path.to_owned(), member: Some(GzDecoder::new(nothing.chain(from))) }
    }

    /// The member after this one, if there is one.
    fn after(&self, member: Member<R>) -> io::Result<Option<Member<R>>> {
        // A member is longer than what its chain began with, so that nothing of that is left.
        let (_, mut rest) = member.into_inner().into_inner();
        let found = first_bytes(&mut rest)?;
        if found == MEMBER {
            return Ok(Some(GzDecoder::new(MEMBER.chain(rest))));
        }
        if !found.is_empty() {
            warn_of_garbage(&self.path);
        }
        Ok(None)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while let Some(mut member) = self.member.take() {
            let read = member.read(into).map_err(damaged)?;
            if read > 0 {
                self.member = Some(member);
                return Ok(read);
            }
            self.member = self.after(member)?;
        }
        Ok(0)
    }
}

/// What is wrong, in words that people know.
fn damaged(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "the gzip data end in the middle: was it copied in full?")
        }
        _ => error,
    }
}

/// Up to two bytes behind any number of zeros.
fn first_bytes(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    loop {
        let buffered = from.fill_buf()?;
        let zeros = buffered.iter().take_while(|&&byte| byte == 0).count();
        let is_end = buffered.is_empty() || zeros < buffered.len();
        from.consume(zeros);
        if is_end {
            break;
        }
    }
    let mut found = Vec::new();
    from.take(MEMBER.len() as u64).read_to_end(&mut found)?;
    Ok(found)
}

/// Says once of each file that there is something behind its data: it is read several times.
fn warn_of_garbage(path: &Path) {
    static WARNED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.insert(path.to_owned()) {
        tracing::warn!(
            "{}: bytes behind the gzip data are no gzip and are ignored, as gzip does; was it \
             copied in full and once?",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests;
