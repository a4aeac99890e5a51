//! Names of C++ functions as their authors wrote them.

use std::fmt::{Error, Result, Write};

use cpp_demangle::{BorrowedSymbol, DemangleOptions, ParseOptions};

/// Symbols that are longer stay as they are.
const MAXIMUM_NAME: usize = 4096;
/// A name may repeat parts of itself, so that a short one becomes endless: what gets longer than this stays as it is.
const MAXIMUM_TEXT: usize = 4096;
const MAXIMUM_DEPTH: u32 = 64;

/// The readable form of a mangled name, without parameters; `None` for a name that is not mangled, or not worth it.
#[must_use]
pub fn demangle(name: &str) -> Option<String> {
    if !name.starts_with("_Z") || name.len() > MAXIMUM_NAME {
        return None;
    }
    let parsing = ParseOptions::default().recursion_limit(MAXIMUM_DEPTH);
    let (symbol, rest) = BorrowedSymbol::with_tail_and_options(name.as_bytes(), &parsing).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let writing = DemangleOptions::new().no_params().no_return_type().recursion_limit(MAXIMUM_DEPTH);
    let mut text = Bounded(String::new());
    symbol.structured_demangle(&mut text, &writing).ok()?;
    Some(text.0)
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> Result {
        if self.0.len() + text.len() > MAXIMUM_TEXT {
            return Err(Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::demangle;

    #[test]
    fn functions_of_cpp_are_readable() {
        assert_eq!(demangle("_ZN4PAL_5Entry4waitEPvj").as_deref(), Some("PAL_::Entry::wait"));
        assert_eq!(demangle("_ZNSt6thread4joinEv").as_deref(), Some("std::thread::join"));
    }

    #[test]
    fn other_names_stay() {
        assert_eq!(demangle("poll"), None);
        assert_eq!(demangle("_Znonsense"), None);
    }

    #[test]
    fn a_name_that_doubles_itself_ends() {
        let doubling = format!("_Z1fI1A{}E", "1BIS_S_E".repeat(400));
        assert!(demangle(&doubling).is_none_or(|text| text.len() <= super::MAXIMUM_TEXT));
        assert!(demangle(&"_Z".repeat(5000)).is_none());
    }
}
