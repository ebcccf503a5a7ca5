//! Bars: how much one number is of another, beside the number itself. Pure.

use crate::look::{Look, Paint};

/// The narrowest terminal that has room for bars beside the numbers, in characters.
const NEEDS_WIDTH: usize = 60;
/// The shortest and the longest bar, in characters.
const LENGTHS: (usize, usize) = (10, 30);

/// How long bars are on a terminal of that width: an eighth of it. None where there is no room.
pub fn length(look: &Look) -> Option<usize> {
    let width = look.width.filter(|_| look.has_bars)?;
    (width >= NEEDS_WIDTH).then(|| (width / 8).clamp(LENGTHS.0, LENGTHS.1))
}

/// A bar of `length` characters, filled as `part` is of `whole`: never longer, and never empty for something.
pub fn bar(look: &Look, part: u64, whole: u64, length: usize) -> String {
    let wide = |n: u64| u128::from(n) * length as u128;
    let filled = match u128::from(whole) {
        0 => 0,
        whole => usize::try_from(wide(part.min(u64::try_from(whole).unwrap_or(u64::MAX))) / whole).unwrap_or(length),
    };
    let filled = filled.max(usize::from(part > 0 && whole > 0)).min(length);
    let full = look.paint(Some(Paint::Bar), &"█".repeat(filled));
    format!("{full}{}", "░".repeat(length - filled))
}

/// How much it is of the whole, in whole percent, rounded down: `40%`. More than the whole is told as it is.
pub fn percent(part: u64, whole: u64) -> Option<String> {
    (whole > 0).then(|| format!("{}%", u128::from(part) * 100 / u128::from(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(width: usize) -> Look {
        Look {
            width: Some(width),
            has_bars: true,
            ..Look::default()
        }
    }

    #[test]
    fn bars_are_as_long_as_the_terminal_allows() {
        assert_eq!(
            [59, 80, 200, 4000].map(|width| length(&at(width))),
            [None, Some(10), Some(25), Some(30)]
        );
        let dumb = Look {
            has_bars: false,
            ..at(80)
        };
        assert_eq!((length(&dumb), length(&Look::default())), (None, None));
    }

    #[test]
    fn a_bar_is_filled_as_the_number_is_of_the_whole() {
        let bar = |part, whole| bar(&at(80), part, whole, 10);
        assert_eq!(bar(0, 100), "░░░░░░░░░░");
        assert_eq!(bar(1, 100), "█░░░░░░░░░");
        assert_eq!(bar(40, 100), "████░░░░░░");
        assert_eq!(bar(99, 100), "█████████░");
        assert_eq!(bar(100, 100), "██████████");
        assert_eq!(bar(300, 100), "██████████");
        assert_eq!(bar(5, 0), "░░░░░░░░░░");
        assert_eq!(bar(u64::MAX, u64::MAX), "██████████");
    }

    #[test]
    fn percents_are_those_of_the_numbers() {
        assert_eq!(percent(2, 5).as_deref(), Some("40%"));
        assert_eq!(percent(999, 1000).as_deref(), Some("99%"));
        assert_eq!(percent(u64::MAX, 1).as_deref().map(str::len), Some(23));
        assert_eq!(percent(1, 0), None);
    }
}
