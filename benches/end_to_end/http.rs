//! The cheapest possible HTTP/1.1: the clients share two cores with what they measure.

use crate::Outcome;
use crate::measure::{float, micros};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Drover's default base path.
pub(crate) const BASE: &str = "/admin/queues";

/// An answer that takes longer than this is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that stays open between requests.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    port: u16,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Outcome<serde_json::Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(port: u16) -> Outcome<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            port,
            read: Vec::with_capacity(256 * 1024),
        })
    }

    /// `GET` below the base path; anything but 200 is an error.
    pub(crate) async fn get(&mut self, path: &str) -> Outcome<Answer> {
        let answer = self.ask(path, "").await?;
        if answer.status == 200 {
            return Ok(answer);
        }
        Err(format!(
            "{path} answered {}: {}",
            answer.status,
            answer.text().chars().take(300).collect::<String>()
        )
        .into())
    }

    /// `GET` below the base path as a browser asks, which accepts a compressed answer; anything but 200 is an error.
    pub(crate) async fn packed(&mut self, path: &str) -> Outcome<Answer> {
        let answer = self.ask(path, "Accept-Encoding: gzip\r\n").await?;
        match answer.status {
            200 => Ok(answer),
            status => Err(format!("{path} answered {status}").into()),
        }
    }

    /// `GET` below the base path with further header lines, each with its line end.
    pub(crate) async fn ask(&mut self, path: &str, headers: &str) -> Outcome<Answer> {
        match timeout(PATIENCE, self.exchange(path, headers)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("{path} was not answered within {PATIENCE:?}").into()),
        }
    }

    /// `POST` of JSON below the base path; anything but success is an error.
    pub(crate) async fn post(&mut self, path: &str, body: &serde_json::Value) -> Outcome<Answer> {
        let body = body.to_string();
        let request = format!(
            "POST {BASE}{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Drover: 1\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let answer = timeout(PATIENCE, self.send(&request)).await??;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(format!("{path} answered {}: {}", answer.status, answer.text()).into())
    }

    /// Sends a form below the base path with further header lines, each with its line end.
    pub(crate) async fn form(&mut self, path: &str, headers: &str, form: &str) -> Outcome<Answer> {
        let request = format!(
            "POST {BASE}{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            self.port,
            form.len()
        );
        timeout(PATIENCE, self.send(&request)).await?
    }

    async fn exchange(&mut self, path: &str, headers: &str) -> Outcome<Answer> {
        let request = format!(
            "GET {BASE}{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}\r\n",
            self.port
        );
        self.send(&request).await
    }

    async fn send(&mut self, request: &str) -> Outcome<Answer> {
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        let (status, length, start) = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
                let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.ok_or("an answer without a length")?.trim().parse()?;
                break (status.ok_or("an answer without a status")?, length, end + 4);
            }
            self.more().await?;
        };
        while self.read.len() < start + length {
            self.more().await?;
        }
        Ok(Answer {
            status,
            body: self.read[start..start + length].to_vec(),
        })
    }

    async fn more(&mut self) -> Outcome<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Bytes a second of a compressed stream on these topics, as they come out of the socket, after its snapshot.
pub(crate) async fn stream_bytes_per_second(port: u16, topics: &str, time: Duration) -> Outcome<f64> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET {BASE}/events?topics={topics} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 64 * 1024];
    let mut count = async |time: Duration| {
        let mut bytes = 0;
        let read = async {
            loop {
                match socket.read(&mut buffer).await {
                    Ok(read) if read > 0 => bytes += read as u64,
                    _ => return,
                }
            }
        };
        match timeout(time, read).await {
            Ok(()) => Err("the stream ended"),
            Err(_) => Ok(bytes),
        }
    };
    count(Duration::from_secs(2)).await?;
    Ok(float(count(time).await?) / time.as_secs_f64())
}

/// An open event stream.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    chunks: Chunks,
    /// Payload that has arrived and does not yet complete an event.
    text: Vec<u8>,
}

impl Stream {
    /// Opens a stream on these topics and reads its head.
    pub(crate) async fn open(port: u16, topics: &str) -> Outcome<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {BASE}/events?topics={topics} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        let end = loop {
            if let Some(end) = find(&head, b"\r\n\r\n") {
                break end;
            }
            if socket.read_buf(&mut head).await? == 0 {
                return Err("the stream ended in its head".into());
            }
        };
        if !head.starts_with(b"HTTP/1.1 200") {
            return Err(format!("no stream on {topics}: {}", String::from_utf8_lossy(&head)).into());
        }
        let mut stream = Self {
            socket,
            chunks: Chunks::default(),
            text: Vec::new(),
        };
        stream.chunks.decode(&head[end + 4..], &mut stream.text);
        Ok(stream)
    }

    /// Reads until the stream ends, and passes each event, and when it arrived, to `seen`.
    pub(crate) async fn read(&mut self, mut seen: impl FnMut(&str, u64)) -> Outcome<()> {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let read = self.socket.read(&mut buffer).await?;
            let at = micros();
            if read == 0 {
                return Ok(());
            }
            self.chunks.decode(&buffer[..read], &mut self.text);
            let text = std::str::from_utf8(&self.text).unwrap_or_default();
            let whole = text.rfind("\n\n").map_or(0, |end| end + 2);
            for event in text[..whole].split_terminator("\n\n") {
                seen(event, at);
            }
            self.text.drain(..whole);
        }
    }
}

/// Decodes `Transfer-Encoding: chunked`, whatever pieces it arrives in.
#[derive(Debug, Default)]
struct Chunks {
    /// Bytes of the current chunk that are still to come, its line end included.
    left: usize,
    /// The size line read so far.
    size: Vec<u8>,
}

impl Chunks {
    fn decode(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let take = self.left.min(bytes.len());
                // The last two bytes are the line end.
                let payload = take.min(self.left.saturating_sub(2));
                out.extend_from_slice(&bytes[..payload]);
                self.left -= take;
                bytes = &bytes[take..];
                continue;
            }
            match bytes.iter().position(|byte| *byte == b'\n') {
                None => {
                    self.size.extend_from_slice(bytes);
                    return;
                }
                Some(end) => {
                    self.size.extend_from_slice(&bytes[..end]);
                    let digits = String::from_utf8_lossy(&self.size);
                    self.left = usize::from_str_radix(digits.trim(), 16).map_or(0, |size| size + 2);
                    self.size.clear();
                    bytes = &bytes[end + 1..];
                }
            }
        }
    }
}
