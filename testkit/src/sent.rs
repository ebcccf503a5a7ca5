//! A body that a test sends, with what the client says of it, and what goes wrong with it.

use ferry_core::wire::message::Offer;

/// A body that a test sends, with what the client says of it.
///
/// ```
/// use ferry_core::ErrorKind;
/// use ferry_testkit::{Harness, Sent, example::Take};
///
/// let harness = Harness::of::<Take>();
/// harness.send("take a.txt", b"as plain bytes").unwrap();
/// harness.send("take b.txt", Sent::stream("of a size that nobody knows")).unwrap();
/// let broken = harness.send("take c.txt", Sent::file("whole contents").cut_after(5)).unwrap_err();
/// assert_eq!(broken.kind, ErrorKind::Cancelled);
/// ```
#[derive(Debug, Clone)]
pub struct Sent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) offer: Offer,
    /// After so many bytes, this.
    pub(crate) stops: Option<(usize, Stop)>,
    pub(crate) wrong_digest: bool,
}

/// How a body stops before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The connection breaks.
    Cut,
    /// Nothing comes any more, until the server has waited long enough.
    Stall,
}

impl Sent {
    /// Contents of a declared size.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, Sent, example::Take};
    /// let output = Harness::of::<Take>().send("take a.txt", Sent::file("contents")).unwrap();
    /// assert_eq!(output.file.unwrap().size, 8);
    /// ```
    pub fn file(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let size = Some(bytes.len() as u64);
        Self {
            offer: Offer {
                size,
                ..Offer::default()
            },
            bytes,
            stops: None,
            wrong_digest: false,
        }
    }

    /// Contents whose size nobody knows before their end.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, Sent, example::Take};
    /// let harness = Harness::of::<Take>().quota(5);
    /// assert!(harness.send("take a.txt", Sent::stream("more than five")).is_err());
    /// assert_eq!(harness.usage().reserved, 0, "nobody can go on with a stream");
    /// ```
    pub fn stream(bytes: impl Into<Vec<u8>>) -> Self {
        Self::file(bytes).offer(|offer| offer.size = None)
    }

    /// A folder: no contents.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, Sent, example::Take};
    /// let harness = Harness::of::<Take>();
    /// harness.send("take pictures", Sent::folder()).unwrap();
    /// assert_eq!(harness.folders(), ["/pictures"]);
    /// ```
    pub fn folder() -> Self {
        Self::stream(Vec::new()).offer(|offer| offer.folder = true)
    }

    /// Changes what the client says of it.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, Sent, example::Take};
    /// let sent = Sent::file("contents").offer(|offer| offer.size = Some(1));
    /// let error = Harness::of::<Take>().send("take a.txt", sent).unwrap_err();
    /// assert_eq!(error.kind, ferry_core::ErrorKind::TooLarge);
    /// ```
    #[must_use]
    pub fn offer(mut self, change: impl FnOnce(&mut Offer)) -> Self {
        change(&mut self.offer);
        self
    }

    /// Has the connection break when so many bytes, counted from the beginning of the contents, have been sent. The request then
    /// fails with `cancelled`, whatever the verb says: nobody is there to hear it. In process the verb has got all of these bytes by
    /// then; over a socket, as many as it took in before it was stopped.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, Sent, example::Take};
    /// let harness = Harness::of::<Take>();
    /// harness.send("take a.txt", Sent::file("whole contents").cut_after(5)).unwrap_err();
    /// assert!(harness.files().is_empty(), "what was cut off is not seen");
    /// ```
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.stops = Some((bytes, Stop::Cut));
        self
    }

    /// Has nothing come any more when so many bytes, counted from the beginning of the contents, have been sent. In process the verb
    /// is told `timeout` at once, as a server tells it when its patience is over; over a socket that patience is waited for.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, Sent, example::Take};
    /// let stalled = Sent::file("whole contents").stall_after(5);
    /// let error = Harness::of::<Take>().send("take a.txt", stalled).unwrap_err();
    /// assert_eq!(error.kind, ferry_core::ErrorKind::Timeout);
    /// ```
    #[must_use]
    pub fn stall_after(mut self, bytes: usize) -> Self {
        self.stops = Some((bytes, Stop::Stall));
        self
    }

    /// Ends with a digest that is not that of the contents.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, Sent, example::Take};
    /// let harness = Harness::of::<Take>();
    /// let error = harness.send("take a.txt", Sent::file("contents").wrong_digest()).unwrap_err();
    /// assert_eq!(error.kind, ferry_core::ErrorKind::DigestMismatch);
    /// ```
    #[must_use]
    pub fn wrong_digest(mut self) -> Self {
        self.wrong_digest = true;
        self
    }

    /// What the client says of it.
    pub(crate) fn said(&self) -> &Offer {
        &self.offer
    }
}

impl From<&[u8]> for Sent {
    fn from(bytes: &[u8]) -> Self {
        Self::file(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Sent {
    fn from(bytes: &[u8; N]) -> Self {
        Self::file(*bytes)
    }
}
