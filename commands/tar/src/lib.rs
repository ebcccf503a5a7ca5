//! `tar` and `untar`: a tree as one stream of bytes (POSIX pax interchange format, which GNU tar, bsdtar and Python read), of any
//! size in memory that does not grow with it.

mod file;
mod input;
mod member;
mod pack;
mod pool;
mod unpack;

/// What an archive is made of, in bytes.
pub(crate) const BLOCK_BYTES: usize = 512;

/// How many bytes fill contents of `size` bytes up to a whole number of blocks.
pub(crate) fn padding(size: u64) -> usize {
    let block = BLOCK_BYTES as u64;
    usize::try_from((block - size % block) % block).unwrap_or_default()
}

#[cfg(test)]
mod tests;
