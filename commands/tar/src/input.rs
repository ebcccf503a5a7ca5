//! An archive as it comes: chunks of a body, read block by block and member by member.

use std::future::poll_fn;
use std::pin::pin;

use ferry_core::{Chunk, Context, Error, ErrorKind, Result};
use tar::{EntryType, Header};

use crate::member::{Extra, Member, broken, checked};
use crate::pool::Pool;
use crate::{BLOCK_BYTES, padding};

/// The most bytes of records, or of a long name, of one member. Extended attributes are the largest thing that programs put there:
/// 64 KiB each.
const EXTRA_MAX_BYTES: u64 = 1 << 20;

/// The body of a request as an archive.
pub(crate) struct Input<'i, 'c> {
    /// Where it comes from.
    pub(crate) ctx: &'i mut Context<'c>,
    /// What is stored while more is waited for.
    pub(crate) pool: Pool,
    chunk: Option<Chunk>,
    /// How much of the chunk is used up.
    at: usize,
    /// What is still to come of the member's contents, and what fills them up.
    left: u64,
    padding: usize,
}

impl<'i, 'c> Input<'i, 'c> {
    /// The body of a request.
    pub(crate) fn new(ctx: &'i mut Context<'c>) -> Self {
        Self {
            ctx,
            pool: Pool::default(),
            chunk: None,
            at: 0,
            left: 0,
            padding: 0,
        }
    }

    /// The next member, behind whatever is left of the one before; `None` at the end of the archive.
    ///
    /// # Errors
    /// `bad_request` for what is no archive or was cut off, `too_large` for records beyond measure.
    pub(crate) async fn next(&mut self) -> Result<Option<Member>> {
        self.pass().await?;
        let mut extra = Extra::default();
        loop {
            let block = self.block().await?;
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let header = checked(&block)?;
            let size = header.entry_size().map_err(|_| broken("has a size that is no number"));
            match header.entry_type() {
                EntryType::XHeader => extra.read(&self.extra(size?).await?)?,
                EntryType::GNULongName => {
                    let name = self.extra(size?).await?;
                    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                    extra.name(&name[..end]);
                }
                // What is said of all members concerns what is not kept, and so does the name of the archive.
                EntryType::XGlobalHeader | EntryType::GNULongLink => self.contents(size?).await?,
                kind if kind.as_byte() == b'V' => self.contents(size?).await?,
                kind => {
                    if kind.is_gnu_sparse() {
                        self.sparse_blocks(header).await?;
                    }
                    let member = extra.member(header)?;
                    self.expect(member.size);
                    return Ok(Some(member));
                }
            }
        }
    }

    /// The next contents of the member; `None` at their end.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) async fn piece(&mut self) -> Result<Option<Chunk>> {
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let piece = self.some(most).await?;
        self.left -= piece.len() as u64;
        Ok(Some(piece))
    }

    /// Reads what is behind the end of the archive: it fills a tape's last record.
    ///
    /// # Errors
    /// Those of the body.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.chunk = None;
        while self.ctx.receive().await?.is_some() {}
        Ok(())
    }

    fn expect(&mut self, size: u64) {
        (self.left, self.padding) = (size, padding(size));
    }

    /// Passes over what is left of a member.
    async fn pass(&mut self) -> Result<()> {
        while self.piece().await?.is_some() {}
        let mut left = std::mem::take(&mut self.padding);
        while left > 0 {
            left -= self.some(left).await?.len();
        }
        Ok(())
    }

    /// Passes over contents of so many bytes.
    async fn contents(&mut self, size: u64) -> Result<()> {
        self.expect(size);
        self.pass().await
    }

    /// All of some contents that are kept in memory.
    async fn extra(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > EXTRA_MAX_BYTES {
            let text = format!("the archive has records of {size} bytes; at most {EXTRA_MAX_BYTES} are possible");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        self.expect(size);
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
        }
        self.pass().await?;
        Ok(bytes)
    }

    /// Passes over what tells where the holes of a sparse file are.
    async fn sparse_blocks(&mut self, header: &Header) -> Result<()> {
        let mut goes_on = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while goes_on {
            // Twenty-one holes, and whether there are more of them.
            goes_on = self.block().await?[504] == 1;
        }
        Ok(())
    }

    async fn block(&mut self) -> Result<[u8; BLOCK_BYTES]> {
        let mut block = [0; BLOCK_BYTES];
        let mut len = 0;
        while len < BLOCK_BYTES {
            let piece = self.some(BLOCK_BYTES - len).await?;
            block[len..len + piece.len()].copy_from_slice(&piece);
            len += piece.len();
        }
        Ok(block)
    }

    /// Waits for the next chunk, and goes on with what is being stored: it may be long until one comes.
    async fn receive(&mut self) -> Result<Option<Chunk>> {
        let Self { ctx, pool, .. } = self;
        // Never dropped halfway: a chunk that has come would be lost.
        let mut coming = pin!(ctx.receive());
        poll_fn(|cx| {
            pool.run(cx);
            coming.as_mut().poll(cx)
        })
        .await
    }

    /// At least one and at most so many of the next bytes, as few copies as possible.
    async fn some(&mut self, most: usize) -> Result<Chunk> {
        loop {
            if let Some(chunk) = &self.chunk {
                let rest = &chunk[self.at..];
                if self.at == 0 && !rest.is_empty() && rest.len() <= most {
                    return self.chunk.take().ok_or_else(cut_off);
                }
                if !rest.is_empty() {
                    let piece = Chunk::from(&rest[..rest.len().min(most)]);
                    self.at += piece.len();
                    return Ok(piece);
                }
            }
            let next = self.receive().await?;
            (self.chunk, self.at) = (Some(next.ok_or_else(cut_off)?), 0);
        }
    }
}

fn cut_off() -> Error {
    broken("ends before its end mark").hint("it was cut off; what came whole before that is there")
}
