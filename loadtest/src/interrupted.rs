//! Blocking reads on a machine that is halted now and then.

use std::io::{ErrorKind, Read, Result};

/// Reads once, and again where the call was interrupted: a read with a time-out ends so when its
/// process is halted meanwhile (signal(7)), though nothing has happened to the connection.
///
/// # Errors
/// As [`Read::read`], but never [`ErrorKind::Interrupted`].
pub fn read(stream: &mut (impl Read + ?Sized), piece: &mut [u8]) -> Result<usize> {
    loop {
        match stream.read(piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is interrupted so many times, and then breaks off.
    struct Halted(u32);

    impl Read for Halted {
        fn read(&mut self, _: &mut [u8]) -> Result<usize> {
            let Some(left) = self.0.checked_sub(1) else {
                return Err(ErrorKind::TimedOut.into());
            };
            self.0 = left;
            Err(ErrorKind::Interrupted.into())
        }
    }

    #[test]
    fn only_an_interruption_is_passed_over() {
        let mut stream = Halted(3);
        let error = read(&mut stream, &mut [0]).unwrap_err();
        assert_eq!((error.kind(), stream.0), (ErrorKind::TimedOut, 0));
    }
}
