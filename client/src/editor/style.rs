//! How things look in the line. Where colours are not wanted, weight and underline say the same.

use nu_ansi_term::{Color, Style};

/// The styles of the editor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Styles {
    /// What is typed, and what is proposed.
    pub(super) plain: Style,
    /// A verb that there is.
    pub(super) verb: Style,
    /// A word in the place of a verb that is none, nor the beginning of one.
    pub(super) unknown: Style,
    /// An option.
    pub(super) option: Style,
    /// A quoted word.
    pub(super) quoted: Style,
    /// A comment.
    pub(super) comment: Style,
    /// What is not typed but may be.
    pub(super) hint: Style,
    /// The chosen proposal.
    pub(super) selected: Style,
    /// The prompt.
    pub(super) prompt: Color,
    /// The prompt without a connection.
    pub(super) alarm: Color,
}

impl Styles {
    /// With colours, or without.
    pub(super) fn new(has_colours: bool) -> Self {
        let plain = Style::new();
        if !has_colours {
            return Self {
                plain,
                verb: plain.bold(),
                unknown: plain.underline(),
                option: plain,
                quoted: plain,
                comment: plain.dimmed(),
                hint: plain.dimmed(),
                selected: plain.reverse(),
                prompt: Color::Default,
                alarm: Color::Default,
            };
        }
        Self {
            plain,
            verb: plain.bold().fg(Color::Green),
            unknown: plain.underline().fg(Color::Red),
            option: plain.fg(Color::Cyan),
            quoted: plain.fg(Color::Yellow),
            comment: plain.fg(Color::DarkGray),
            hint: plain.fg(Color::DarkGray),
            selected: plain.reverse(),
            prompt: Color::LightGreen,
            alarm: Color::LightRed,
        }
    }
}
