//! A bad network between Drover and a store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// The behaviour of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weather {
    /// Everything passes; answers take this long.
    Fair(Duration),
    /// The network accepts everything and delivers nothing. A connection that has seen this stays dead when it is over:
    /// the other side has forgotten it, and no message told this one.
    Blackhole,
    /// The network cuts connections, and new ones too.
    Cut,
    /// Answers pass at this many bytes a second.
    Drip(usize),
    /// Answers with the server's time give it this many seconds later.
    ClockAhead(i64),
}

/// What the proxy saw of the connections.
#[derive(Debug, Default)]
struct Seen {
    open: AtomicUsize,
    most_open: AtomicUsize,
    /// The most requests that were in progress at once on one connection.
    most_asked: AtomicUsize,
}

/// A TCP proxy on a free port.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of a port of this machine.
    pub(crate) async fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = watch::Sender::new(Weather::Fair(Duration::ZERO));
        let (seen, changes) = (Arc::<Seen>::default(), weather.subscribe());
        let of_all = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, upstream, changes.clone(), of_all.clone()));
            }
        });
        Self {
            port,
            weather,
            seen,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn becomes(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// The most connections that were open at once since the last call.
    pub(crate) fn most_open(&self) -> usize {
        let now = self.seen.open.load(Ordering::SeqCst);
        self.seen.most_open.swap(now, Ordering::SeqCst)
    }

    /// The most requests, other than `PING`, that were in progress at once on one connection since the last call.
    pub(crate) fn most_asked(&self) -> usize {
        self.seen.most_asked.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A proxy in front of a port: the first time that a client sends this word, it runs `act` before the word arrives.
pub(crate) async fn before_the_first(word: &'static [u8], upstream: u16, act: impl FnOnce() + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let act = Arc::new(Mutex::new(Some(act)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let act = act.clone();
            let server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(n @ 1..) = from_client.read(&mut bytes).await {
                    if bytes[..n].windows(word.len()).any(|part| part == word)
                        && let Some(act) = act.lock().unwrap().take()
                    {
                        act();
                    }
                    if to_server.write_all(&bytes[..n]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

struct Open(Arc<Seen>);

impl Open {
    fn new(seen: &Arc<Seen>) -> Self {
        let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most_open.fetch_max(open, Ordering::SeqCst);
        Self(seen.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn carry(client: TcpStream, upstream: u16, mut weather: watch::Receiver<Weather>, seen: Arc<Seen>) {
    let _open = Open::new(&seen);
    let (from_client, to_client) = client.into_split();
    let now = *weather.borrow_and_update();
    let server = match now {
        Weather::Cut => return,
        Weather::Blackhole => None,
        _ => TcpStream::connect(("127.0.0.1", upstream)).await.ok(),
    };
    let Some(server) = server else {
        return swallow(from_client, &mut weather).await;
    };
    let _ = server.set_nodelay(true);
    let (from_server, to_server) = server.into_split();
    // Requests on this connection that have no answer yet.
    let asked = Arc::new(Mutex::new(0_usize));
    let mut there = tokio::spawn(questions(from_client, to_server, asked.clone(), seen, weather.clone()));
    let mut back = tokio::spawn(answers(from_server, to_client, asked, weather.clone()));
    loop {
        tokio::select! {
            _ = &mut there => break,
            _ = &mut back => break,
            changed = weather.changed() => {
                if changed.is_err() || *weather.borrow_and_update() == Weather::Cut {
                    break;
                }
            }
        }
    }
    there.abort();
    back.abort();
}

/// Reads and never answers, so that the proxy notices when the other side gives up.
async fn swallow(mut from: OwnedReadHalf, weather: &mut watch::Receiver<Weather>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => if !matches!(read, Ok(1..)) { return },
            changed = weather.changed() => if changed.is_err() || *weather.borrow_and_update() == Weather::Cut { return },
        }
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: Arc<Mutex<usize>>,
    seen: Arc<Seen>,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if *weather.borrow() == Weather::Blackhole {
            return swallow(from, &mut weather).await;
        }
        if !buffer[..n].ends_with(b"PING\r\n") {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            seen.most_asked.fetch_max(*asked, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: Arc<Mutex<usize>>,
    weather: watch::Receiver<Weather>,
) {
    let (later, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = {
        let weather = weather.clone();
        async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = from.read(&mut buffer).await {
                let mut bytes = buffer[..n].to_vec();
                let now = *weather.borrow();
                let at = match now {
                    // The connection is dead for good; only the other side may end it.
                    Weather::Blackhole | Weather::Cut => return std::future::pending().await,
                    Weather::Fair(delay) => Instant::now() + delay,
                    Weather::Drip(_) => Instant::now(),
                    Weather::ClockAhead(seconds) => {
                        set_clock(&mut bytes, seconds);
                        Instant::now()
                    }
                };
                if later.send((at, bytes)).is_err() {
                    return;
                }
            }
        }
    };
    let write = async {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if bytes != b"+PONG\r\n" {
                *asked.lock().unwrap() = 0;
            }
            let now = *weather.borrow();
            let rate = match now {
                Weather::Blackhole => return std::future::pending().await,
                Weather::Drip(rate) => rate,
                _ => usize::MAX,
            };
            for part in bytes.chunks((rate / 20).max(1)) {
                if to.write_all(part).await.is_err() {
                    return;
                }
                if rate < usize::MAX {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

/// Rewrites `server_time_usec:` in an `INFO`, digit for digit.
fn set_clock(bytes: &mut [u8], seconds: i64) {
    const NAME: &[u8] = b"server_time_usec:";
    let Some(at) = bytes.windows(NAME.len()).position(|w| w == NAME) else {
        return;
    };
    let digits = &mut bytes[at + NAME.len()..];
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let told: i64 = std::str::from_utf8(&digits[..length]).unwrap().parse().unwrap();
    let text = (told + seconds * 1_000_000).to_string();
    assert_eq!(text.len(), length);
    digits[..length].copy_from_slice(text.as_bytes());
}
