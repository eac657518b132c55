//! Telling the shell that there is something for it to do.

use std::fmt;

/// What wakes a task of the shell; nothing, until it says how.
#[derive(Default)]
pub struct Wake(Option<Box<dyn Fn()>>);

impl Wake {
    /// From now on the shell is told in this way.
    pub fn by(&mut self, wake: impl Fn() + 'static) {
        self.0 = Some(Box::new(wake));
    }

    /// Tells the shell.
    pub fn wake(&self) {
        if let Some(wake) = &self.0 {
            wake();
        }
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}
