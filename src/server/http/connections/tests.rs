//! Connections in memory: what they wait for, and for whom they are closed.

use super::*;
use crate::server::auth::Peer;
use crate::server::http::client::Client;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::extract::connect_info::Connected;
use axum::routing::{get, post};
use axum::{Router, ServiceExt};
use std::convert::Infallible;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{Notify, mpsc};

/// Connections that a test makes.
struct Memory(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Memory {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Connected<IncomingStream<'_, LimitedListener<Memory>>> for Client {
    fn connect_info(stream: IncomingStream<'_, LimitedListener<Memory>>) -> Self {
        Self {
            peer: Peer::Socket,
            state: state_of(&stream),
        }
    }
}

/// Long enough that nothing ends by itself in a test.
const NEVER: Duration = Duration::from_secs(3_600);

/// So short that a test waits for it.
const SOON: Duration = Duration::from_millis(20);

const UNLIMITED: Timeouts = Timeouts {
    head: NEVER,
    keep_alive: NEVER,
    body: NEVER,
    body_rate: 1,
    write: NEVER,
    grace: Duration::ZERO,
};

struct Server {
    connect: mpsc::UnboundedSender<DuplexStream>,
    limit: Arc<ConnectionLimit>,
    /// Ends the answer of `/slow`.
    go: Arc<Notify>,
    /// Told when the answer of `/large` is given up.
    given_up: Arc<Notify>,
}

struct Tells(Arc<Notify>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn server(most: usize, timeouts: Timeouts) -> Server {
    let (connect, connections) = mpsc::unbounded_channel();
    let (limit, go, given_up) = (
        ConnectionLimit::new(most, timeouts),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
    );
    let (slow, large) = (go.clone(), given_up.clone());
    let router = Router::new()
        .route("/", get(async || "page"))
        .route(
            "/body",
            post(
                async |body: Result<Bytes, axum::extract::rejection::BytesRejection>| match body {
                    Ok(body) => format!("{} bytes", body.len()),
                    Err(why) => crate::server::http::extract::unread(&why).kind,
                },
            ),
        )
        .route(
            "/slow",
            get(async move || {
                slow.notified().await;
                "done"
            }),
        )
        .route(
            "/stream",
            get(async || Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>())),
        )
        .route(
            "/large",
            get(async move || {
                let tells = Tells(large);
                let piece = move || {
                    let _ = &tells;
                    Bytes::from(vec![b'x'; 64 * 1024])
                };
                let pieces = futures::stream::repeat_with(piece).map(Ok::<_, Infallible>);
                Body::from_stream(pieces)
            }),
        );
    use futures::StreamExt as _;
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<Client>(TrackRequests::new(router));
    let door = LimitedListener::new(Memory(connections), limit.clone());
    tokio::spawn(async move { axum::serve(door, service).await });
    Server {
        connect,
        limit,
        go,
        given_up,
    }
}

impl Server {
    fn open(&self) -> DuplexStream {
        let (ours, theirs) = duplex(4 * 1024);
        self.connect.send(theirs).unwrap();
        ours
    }

    async fn say(&self, text: &str) -> DuplexStream {
        let mut stream = self.open();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn taken(&self, wanted: impl Fn(usize) -> bool) {
        while !wanted(self.limit.states().len()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The end of an answer, which has this text in it.
async fn hears(stream: &mut DuplexStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(wanted) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text += &String::from_utf8_lossy(&buffer[..read]);
    }
    text
}

async fn is_closed(stream: &mut DuplexStream) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn a_request_that_never_comes_or_never_ends_is_given_up() {
    let server = server(
        10,
        Timeouts {
            head: SOON,
            ..UNLIMITED
        },
    );
    for silent in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Half: "] {
        is_closed(&mut server.say(silent).await).await;
    }
    // What is served may take its time, and the next request too.
    let mut slow = server.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut stream = server.say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    hears(&mut stream, "\r\n\r\n").await;
    let mut kept = server.say(GET).await;
    hears(&mut kept, "page").await;
    for _ in 0..3 {
        is_closed(&mut server.open()).await;
    }
    server.go.notify_one();
    hears(&mut slow, "done").await;
    kept.write_all(GET.as_bytes()).await.unwrap();
    hears(&mut kept, "page").await;
    server.taken(|taken| taken == 3).await;
    // Half of the next one is given up as half of a first one is.
    kept.write_all(b"GET / HT").await.unwrap();
    is_closed(&mut kept).await;
    drop(stream);
    server.taken(|taken| taken == 1).await;
}

#[tokio::test]
async fn a_connection_that_is_not_used_again_is_closed() {
    let server = server(
        10,
        Timeouts {
            keep_alive: SOON,
            ..UNLIMITED
        },
    );
    let mut kept = server.say(GET).await;
    hears(&mut kept, "page").await;
    is_closed(&mut kept).await;
    server.taken(|taken| taken == 0).await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up_and_one_that_does_is_not() {
    let server = server(
        10,
        Timeouts {
            body: SOON,
            ..UNLIMITED
        },
    );
    let head = |length: usize| format!("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let mut half = server.say(&(head(10) + "12345")).await;
    hears(&mut half, "too-slow").await;
    // Each byte gives it a second here.
    let mut slow = server.say(&head(4)).await;
    for _ in 0..3 {
        slow.write_all(b"x").await.unwrap();
        is_given_up(&server).await;
    }
    slow.write_all(b"x").await.unwrap();
    hears(&mut slow, "4 bytes").await;
}

/// Waiting for as long as a body may take that does not arrive.
async fn is_given_up(server: &Server) {
    let mut other = server
        .say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        .await;
    hears(&mut other, "too-slow").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let server = server(
        10,
        Timeouts {
            write: SOON,
            ..UNLIMITED
        },
    );
    let _stuck = server.say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.given_up.notified().await;
    server.taken(|taken| taken == 0).await;
}

#[tokio::test]
async fn a_head_without_an_end_takes_no_memory() {
    let server = server(10, UNLIMITED);
    let mut stream = server.say("GET / HTTP/1.1\r\nX-Long: ").await;
    let mut sent = 0;
    while stream.write_all(&[b'x'; 1024]).await.is_ok() {
        sent += 1024;
        assert!(sent < 4 * HEAD_MAX, "it is read for ever");
    }
}

#[tokio::test]
async fn silent_connections_keep_nobody_out_however_many_they_are() {
    let server = server(8, UNLIMITED);
    let mut stream = server.say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    hears(&mut stream, "\r\n\r\n").await;
    let mut slow = server.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut silent = vec![];
    for n in 0..200 {
        let body = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
        silent.push(server.say(["", "GET / HTTP/1.1\r\nHost", body][n % 3]).await);
    }
    for _ in 0..20 {
        hears(&mut server.say(GET).await, "page").await;
    }
    assert!(server.limit.states().len() <= 8);
    // What Drover works on is none of those that were closed.
    server.go.notify_one();
    hears(&mut slow, "done").await;
    assert!(
        server.limit.states().values().any(|state| state.waiting().is_none()),
        "the stream is open"
    );
}

#[tokio::test]
async fn where_all_are_busy_the_next_one_waits_for_a_place() {
    let server = server(2, UNLIMITED);
    let mut busy = vec![];
    for _ in 0..2 {
        let mut stream = server.say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
        hears(&mut stream, "\r\n\r\n").await;
        busy.push(stream);
    }
    let mut next = server.say(GET).await;
    assert!(server.limit.states().values().all(|state| state.waiting().is_none()));
    assert_eq!(server.limit.states().len(), 2);
    busy.pop();
    hears(&mut next, "page").await;
}
