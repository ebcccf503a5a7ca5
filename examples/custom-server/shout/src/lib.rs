//! `shout`: prints a text back in capitals.
use ferry_core::{Access, Context, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Prints a text back in capitals.
    pub struct Shout {
        /// Text to print.
        text: String,
        /// Times to print it; 1 when absent.
        times: Option<u32>,
        /// Ends the text with an exclamation mark.
        loud: bool,
    }
}

impl Verb for Shout {
    const SPEC: Spec = Spec::of::<Self>("shout", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        let end = if self.loud { "!" } else { "" };
        let line = format!("{}{end}\n", self.text.to_uppercase());
        let times = self.times.unwrap_or(1).min(100) as usize;
        Ok(Reply::text(line.repeat(times)))
    }
}

ferry_core::register!(Shout);
