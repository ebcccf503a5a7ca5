//! Small files among many: request, contents and end at once, so that none waits for a round trip.

use ferry_core::line::Call;
use ferry_core::store::CODE_START;
use ferry_core::wire::message::Offer;
use ferry_core::{Algorithm, Error, ErrorKind};

use super::{Upload, aside, sent};
use crate::args::{Role, is_given};
use crate::connection::{Connection, Event};
use crate::exit::{Failure, Result};
use crate::progress::Meter;
use crate::render::RowPrinter;
use crate::request::Request;
use crate::source::Small;
use crate::transfer::{Sent, persist};

impl Upload<'_> {
    /// With which digest small files are read beforehand, to be sent at once; `None` when the server is to look first whether it
    /// has the same bytes.
    pub(super) fn eager(&self, call: &Call) -> Option<Algorithm> {
        let looks_first = is_given(self.verb, call, Role::Checksum);
        (!looks_first).then_some(self.session.settings.digest)
    }

    /// Sends one small file; again over a new connection when this one is lost.
    pub(super) async fn send_small(&self, small: &Small, name: &str, call: &Call) -> Result<Sent> {
        persist(self.session, async |connection| {
            self.attempt_small(connection, small, name, call).await
        })
        .await
    }

    async fn attempt_small(&self, connection: &Connection, small: &Small, name: &str, call: &Call) -> Result<Sent> {
        let session = self.session;
        let size = small.meta.size;
        if !connection.takes_eager(size) {
            let text = format!("{name}: the server takes less than before");
            return Err(Error::new(ErrorKind::TooLarge, text).hint("try again").into());
        }
        let offer = Offer {
            digest: session.settings.digest,
            size: Some(size),
            modified: Some(small.meta.modified),
            executable: small.meta.executable,
            eager: true,
            ..Offer::default()
        };
        let mut meter = Meter::small(session, name);
        let mut printer = RowPrinter::new(&session.output);
        session.pace.keep(small.contents.len()).await;
        let ask = (self.verb, call, &session.cwd);
        let mut request = Request::start_eager(connection, ask, offer, &small.contents, small.end.clone()).await?;
        let mut begun = None;
        let done = loop {
            match request.next().await? {
                Event::Begin(begin) if begin.code == CODE_START && begin.offset == 0 => {
                    meter.open(begin.path.as_ref(), Some(size), begin.code, 0)?;
                    begun = Some(begin);
                }
                Event::Done(done) => break done,
                Event::Begin(_) => return Err(Failure::unexpected("a small file that goes on")),
                other => aside(session, &mut printer, other)?,
            }
        };
        printer.flush()?;
        match begun {
            Some(begin) => {
                session.tally.came(size);
                sent(name, (size, small.end.digest), begin, size, done)
            }
            None => {
                // It is there already.
                session.tally.skip(size);
                Ok(Sent { outcome: None, done })
            }
        }
    }
}
