//! HTTP/1.1 on a socket, just enough to drive and to answer: heads, bodies, keep-alive.
//!
//! Bounds: a head of 64 KiB, 100 header lines. Not here: TLS, HTTP/2, compression.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The body ends with the connection.
    Close,
}

/// A head, parsed: the start line's parts and the headers in lower case.
#[derive(Debug, Default)]
pub struct Head {
    /// Method of a request.
    pub method: String,
    /// Target of a request.
    pub target: String,
    /// Status of a response.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a header; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// All headers, names in lower case.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Whether the sender closes the connection after this message.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }

    fn framing(&self, otherwise: Framing) -> io::Result<Framing> {
        if self
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            return Ok(Framing::Chunked);
        }
        let mut lengths = self
            .headers
            .iter()
            .filter(|(n, _)| n == "content-length")
            .map(|(_, v)| v);
        let length = lengths.next();
        if lengths.any(|other| Some(other) != length) {
            return Err(bad("two different Content-Length"));
        }
        match length.map(|v| v.parse()) {
            Some(Ok(length)) => Ok(Framing::Length(length)),
            Some(Err(_)) => Err(bad("Content-Length is not a number")),
            None => Ok(otherwise),
        }
    }

    /// Framing of this request's body.
    ///
    /// # Errors
    /// When Content-Length is not one number.
    pub fn request_framing(&self) -> io::Result<Framing> {
        self.framing(Framing::Empty)
    }

    /// Framing of this response's body to a request with `method`.
    ///
    /// # Errors
    /// When Content-Length is not one number.
    pub fn response_framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(Framing::Empty);
        }
        self.framing(Framing::Close)
    }
}

/// An error for bytes that are not what the protocol says.
#[must_use]
pub fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A connection with what was read and not yet used.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
}

impl Connection {
    /// Wraps a connected stream.
    ///
    /// # Errors
    /// When the socket refuses its options.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
            used: 0,
        })
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Makes the close a reset instead of an orderly end.
    pub fn reset_on_drop(&self) {
        // A failure leaves an orderly end, which the caller's counts show.
        let _ = self.stream.set_zero_linger();
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    async fn fill(&mut self) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            self.buffer.clear();
            self.used = 0;
        } else if self.used > HEAD_BYTES_MAX {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn fill_more(&mut self) -> io::Result<()> {
        match self.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next request; `None` when the peer ended the connection between requests.
    ///
    /// # Errors
    /// When the connection fails or the head is malformed.
    pub async fn request(&mut self) -> io::Result<Option<Head>> {
        let Some(end) = self.head_end().await? else {
            return Ok(None);
        };
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut slots);
        parsed.parse(self.rest()).map_err(|e| bad(&e.to_string()))?;
        let head = Head {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            status: 0,
            headers: owned(parsed.headers),
        };
        self.used += end;
        Ok(Some(head))
    }

    /// The next response head, interim ones left out; `None` when the peer closed instead.
    ///
    /// # Errors
    /// When the connection fails or the head is malformed.
    pub async fn response(&mut self) -> io::Result<Option<Head>> {
        loop {
            let Some(end) = self.head_end().await? else {
                return Ok(None);
            };
            let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut parsed = httparse::Response::new(&mut slots);
            parsed.parse(self.rest()).map_err(|e| bad(&e.to_string()))?;
            let status = parsed.code.unwrap_or_default();
            let head = Head {
                status,
                headers: owned(parsed.headers),
                ..Head::default()
            };
            self.used += end;
            if !(100..200).contains(&status) || status == 101 {
                return Ok(Some(head));
            }
        }
    }

    /// Length of the head that comes next, its empty line included.
    async fn head_end(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(at) = find(self.rest(), b"\r\n\r\n") {
                return Ok(Some(at + 4));
            }
            if self.rest().len() > HEAD_BYTES_MAX {
                return Err(bad("head longer than 64 KiB"));
            }
            if self.fill().await? == 0 {
                return if self.rest().is_empty() {
                    Ok(None)
                } else {
                    Err(bad("head cut off"))
                };
            }
        }
    }

    /// Reads a body to its end, and keeps it when `keep` is given.
    ///
    /// # Errors
    /// When the connection fails before the end or a chunk is malformed.
    pub async fn body(
        &mut self,
        framing: Framing,
        mut keep: Option<&mut Vec<u8>>,
    ) -> io::Result<()> {
        match framing {
            Framing::Empty => Ok(()),
            Framing::Length(length) => self.take(length, &mut keep).await,
            Framing::Close => loop {
                let held = self.rest().len() as u64;
                self.take(held, &mut keep).await?;
                if self.fill().await? == 0 {
                    return Ok(());
                }
            },
            Framing::Chunked => loop {
                let line = self.line().await?;
                let digits = line.split(';').next().unwrap_or_default().trim().to_owned();
                let size = u64::from_str_radix(&digits, 16)
                    .map_err(|_| bad("chunk size is not hexadecimal"))?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    return Ok(());
                }
                self.take(size, &mut keep).await?;
                self.line().await?;
            },
        }
    }

    async fn take(&mut self, mut length: u64, keep: &mut Option<&mut Vec<u8>>) -> io::Result<()> {
        while length > 0 {
            if self.rest().is_empty() {
                self.fill_more().await?;
            }
            let part = self
                .rest()
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            if let Some(kept) = keep {
                kept.extend_from_slice(self.rest().get(..part).unwrap_or_default());
            }
            self.used += part;
            length -= part as u64;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(self.rest(), b"\r\n") {
                let line =
                    String::from_utf8_lossy(self.rest().get(..at).unwrap_or_default()).into_owned();
                self.used += at + 2;
                return Ok(line);
            }
            self.fill_more().await?;
        }
    }
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|h| {
            (
                h.name.to_ascii_lowercase(),
                String::from_utf8_lossy(h.value).into_owned(),
            )
        })
        .collect()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}
