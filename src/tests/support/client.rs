//! HTTP as a browser or `curl` sends it, in a short implementation.

use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body as received.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// Sends one request and reads the whole answer.
pub(crate) async fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    send(&mut stream, port, method, path, headers, body).await;
    let mut bytes = Vec::new();
    // Longer than any answer takes on a busy machine: this ends a test that hangs.
    timeout(Duration::from_secs(60), stream.read_to_end(&mut bytes))
        .await
        .expect("an answer in time")
        .unwrap();
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("an answer has a head");
    let (status, headers) = head(&String::from_utf8_lossy(&bytes[..end]));
    let mut answer = Answer {
        status,
        headers,
        body: String::new(),
        bytes: vec![],
    };
    let body = &bytes[end + 4..];
    answer.bytes = if answer.header("transfer-encoding") == Some("chunked") {
        unchunk(body)
    } else {
        body.to_vec()
    };
    answer.body = String::from_utf8_lossy(&answer.bytes).into_owned();
    answer
}

/// `GET` as from a browser on this machine.
pub(crate) async fn get(port: u16, path: &str) -> Answer {
    request(port, "GET", path, &[], "").await
}

async fn send(stream: &mut TcpStream, port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += &format!("Host: 127.0.0.1:{port}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
}

fn head(text: &str) -> (u16, Vec<(String, String)>) {
    let mut lines = text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    (status, headers)
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        out.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    out
}

/// An event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// An open event stream.
pub(crate) struct Stream {
    lines: BufReader<TcpStream>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The last id seen, as a browser would remember it.
    pub(crate) last_id: Option<String>,
}

impl Stream {
    /// Opens `path`.
    pub(crate) async fn open(port: u16, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        send(&mut stream, port, "GET", path, headers, "").await;
        let mut lines = BufReader::new(stream);
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            assert!(
                lines.read_line(&mut text).await.unwrap() > 0,
                "the stream ended in its head: {text}"
            );
        }
        let (status, headers) = head(text.trim_end());
        Self {
            lines,
            status,
            headers,
            last_id: None,
        }
    }

    /// The next event with data that is no heartbeat; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let news = async {
            loop {
                match self.any().await {
                    Some(event) if event.name == "heartbeat" => {}
                    other => return other,
                }
            }
        };
        timeout(super::SOON, news).await.expect("an event in time")
    }

    /// The next event with data; `None` at the end of the stream.
    pub(crate) async fn any(&mut self) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, String::new(), String::new());
        loop {
            let mut line = String::new();
            let read = timeout(super::SOON, self.lines.read_line(&mut line))
                .await
                .expect("an event in time")
                .ok()?;
            if read == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']);
            // Chunk sizes are on lines of their own and do not look like a field.
            match line.split_once(':') {
                Some(("id", value)) => id = Some(value.trim().to_owned()),
                Some(("event", value)) => value.trim().clone_into(&mut name),
                Some(("data", value)) => value.trim().clone_into(&mut data),
                _ if line.is_empty() && !name.is_empty() => {
                    if id.is_some() {
                        self.last_id.clone_from(&id);
                    }
                    let data = serde_json::from_str(&data).unwrap();
                    return Some(Event { id, name, data });
                }
                _ if line.is_empty() => {
                    if let Some(id) = id.take() {
                        self.last_id = Some(id);
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads until a change of this job.
    pub(crate) async fn until_job(&mut self, id: &str) {
        self.until("a change of the job", |event| {
            let jobs = event.data["jobs"].as_array()?;
            jobs.iter().any(|job| job["id"] == id).then_some(())
        })
        .await;
    }

    /// Reads until `wanted` returns a value for an event.
    pub(crate) async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self
                    .next()
                    .await
                    .unwrap_or_else(|| panic!("the stream ended before: {what}"));
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        timeout(super::SOON, search)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for: {what}"))
    }
}
