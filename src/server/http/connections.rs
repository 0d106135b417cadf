//! Connections: fewer than the process may have files open, and each with time limits.
//!
//! A connection *waits for its client* while no request has arrived on it, while the body of a request is incomplete, and
//! while the client takes no more of a response. Each kind of waiting has a time limit ([`Timeouts`]). When connections run
//! out, the one that has waited longest is closed for the next one, so that silent connections do not block requests, however
//! many there are. A connection whose request is being handled, or whose event stream is read, does not wait for its client
//! and is never closed here.
//!
//! [`LimitedListener`] wraps a listener and sees bytes; [`TrackRequests`] wraps the service and sees requests. Both update the
//! [`ConnectionState`].

use axum::serve::{IncomingStream, Listener};
use futures::task::AtomicWaker;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

mod requests;
#[cfg(test)]
mod tests;

pub use requests::{BodyTimeout, TrackRequests};

/// Bytes of a request's head at most. The HTTP library would buffer six times as much.
const HEAD_MAX: usize = 64 * 1024;

/// How often a full listener looks for a connection to close.
const AGAIN: Duration = Duration::from_millis(5);

/// How long a connection may wait for its client.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the head of a request, counted from its first byte; for that of the first request, from the connection's start.
    pub head: Duration,
    /// For the next request. Proxies keep an idle connection for a minute: this is longer, so that they close it and no
    /// request meets a closing connection.
    pub keep_alive: Duration,
    /// For the body of a request, plus one second for each [`Timeouts::body_rate`] bytes received.
    pub body: Duration,
    /// Bytes a second.
    pub body_rate: u64,
    /// For the client to take more of a response.
    pub write: Duration,
    /// For a head, before the connection may be closed for another one. Ten times as long for a body, fifty times for a
    /// response.
    pub grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            body: Duration::from_secs(20),
            body_rate: 16 * 1024,
            write: Duration::from_secs(30),
            grace: Duration::from_millis(100),
        }
    }
}

/// The connections of a listener, and how many there may be.
#[derive(Debug)]
pub struct ConnectionLimit {
    free: Arc<Semaphore>,
    /// Connections are closed for others when no more than this many are free.
    spare: usize,
    timeouts: Timeouts,
    began: Instant,
    states: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next: AtomicU64,
    /// The second of the last warning that connections are closed for others.
    warned: AtomicU64,
}

impl ConnectionLimit {
    /// A limit of `most` connections.
    #[must_use]
    pub fn new(most: usize, timeouts: Timeouts) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most)),
            spare: (most / 16).max(1),
            timeouts,
            began: Instant::now(),
            states: Mutex::default(),
            next: AtomicU64::new(0),
            warned: AtomicU64::new(0),
        })
    }

    fn states(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConnectionState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more connection is permitted.
    async fn acquire(&self) -> OwnedSemaphorePermit {
        loop {
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = timeout(AGAIN, self.free.clone().acquire_owned()).await {
                return permit;
            }
            self.close_one();
        }
    }

    /// Registers a connection, and makes room for the next one.
    fn register(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Permit {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(ConnectionState::new(self.began, self.timeouts));
        self.states().insert(id, state.clone());
        if self.free.available_permits() <= self.spare {
            self.close_one();
        }
        Permit {
            id,
            state,
            limit: self.clone(),
            _permit: permit,
        }
    }

    /// Closes the connection that has waited longest for its client, one that never sent a request before all others.
    fn close_one(&self) {
        let states = self.states();
        let candidates = states.values().filter_map(|state| Some((state.closable()?, state)));
        let Some((_, state)) = candidates.min_by_key(|(waiting, _)| *waiting) else {
            return;
        };
        state.close();
        let connections = states.len();
        drop(states);
        let (now, warned) = (self.began.elapsed().as_secs() + 1, self.warned.load(Ordering::Relaxed));
        if warned == 0 || now - warned >= 60 {
            self.warned.store(now, Ordering::Relaxed);
            tracing::warn!(
                connections,
                "connections run out: those that wait longest for their client are closed for new ones"
            );
        }
    }
}

/// The place of one connection under the limit, given back on drop.
#[derive(Debug)]
struct Permit {
    id: u64,
    state: Arc<ConnectionState>,
    limit: Arc<ConnectionLimit>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.states().remove(&self.id);
    }
}

/// What a connection waits for, and since when; in the order in which connections are closed for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    FirstRequest(u64),
    NextRequest(u64),
    Body(u64),
    Write(u64),
}

/// What one connection does. Moments are milliseconds since its limit was made.
#[derive(Debug)]
pub struct ConnectionState {
    began: Instant,
    timeouts: Timeouts,
    /// Requests without a complete response, and those of them without a complete body.
    requests: AtomicU32,
    bodies: AtomicU32,
    /// Whether a request ever arrived.
    served: AtomicBool,
    /// Whether the last attempt to read found nothing.
    silent: AtomicBool,
    /// Bytes received since the last request.
    head: AtomicUsize,
    /// Since when it waits for a head or a body.
    since: AtomicU64,
    /// Since when the client takes nothing; 0 if it does.
    stalled: AtomicU64,
    closed: AtomicBool,
    task: AtomicWaker,
}

impl ConnectionState {
    fn new(began: Instant, timeouts: Timeouts) -> Self {
        let state = Self {
            began,
            timeouts,
            requests: AtomicU32::new(0),
            bodies: AtomicU32::new(0),
            served: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            head: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        };
        state.since.store(state.now(), Ordering::Relaxed);
        state
    }

    /// At least 1.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn at(&self, moment: u64) -> Instant {
        self.began + Duration::from_millis(moment)
    }

    /// What it waits for; `None` while a request is handled, and when it is being closed.
    fn waiting(&self) -> Option<Waiting> {
        if self.closed.load(Ordering::Relaxed) {
            return None;
        }
        let since = self.since.load(Ordering::Relaxed);
        let stalled = self.stalled.load(Ordering::Relaxed);
        match (
            self.requests.load(Ordering::Relaxed),
            self.bodies.load(Ordering::Relaxed),
        ) {
            _ if stalled > 0 => Some(Waiting::Write(stalled)),
            (0, _) if !self.served.load(Ordering::Relaxed) => Some(Waiting::FirstRequest(since)),
            (0, _) => Some(Waiting::NextRequest(since)),
            (_, 1..) => Some(Waiting::Body(since)),
            _ => None,
        }
    }

    /// What it waits for, if it may be closed for another one. Bytes that have arrived and were not read yet are a request.
    fn closable(&self) -> Option<Waiting> {
        let waiting = self.waiting()?;
        let grace = self.timeouts.grace;
        let (since, grace) = match waiting {
            Waiting::FirstRequest(_) | Waiting::NextRequest(_) if !self.silent.load(Ordering::Relaxed) => return None,
            Waiting::FirstRequest(since) | Waiting::NextRequest(since) => (since, grace),
            Waiting::Body(since) => (since, 10 * grace),
            Waiting::Write(since) => (since, 50 * grace),
        };
        (self.at(since) + grace <= Instant::now()).then_some(waiting)
    }

    /// When it has waited long enough. [`requests`] ends a body.
    fn deadline(&self) -> Option<Instant> {
        let (since, limit) = match self.waiting()? {
            Waiting::Write(since) => (since, self.timeouts.write),
            Waiting::NextRequest(since) if self.head.load(Ordering::Relaxed) == 0 => (since, self.timeouts.keep_alive),
            Waiting::FirstRequest(since) | Waiting::NextRequest(since) => (since, self.timeouts.head),
            Waiting::Body(_) => return None,
        };
        Some(self.at(since) + limit)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.task.wake();
    }

    /// Bytes were received.
    fn received(&self, bytes: usize) {
        if self.requests.load(Ordering::Relaxed) == 0 && self.head.fetch_add(bytes, Ordering::Relaxed) == 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    fn begin_request(&self) {
        self.served.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
    }

    fn end_request(&self) {
        self.silent.store(false, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
        self.since.store(self.now(), Ordering::Relaxed);
        self.requests.fetch_sub(1, Ordering::Relaxed);
        // Its task sets the time limit for the next request.
        self.task.wake();
    }

    fn begin_body(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.bodies.fetch_add(1, Ordering::Relaxed);
    }

    fn end_body(&self) {
        self.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A listener with a limit of connections. See the module.
#[derive(Debug)]
pub struct LimitedListener<L> {
    listener: L,
    limit: Arc<ConnectionLimit>,
}

impl<L> LimitedListener<L> {
    /// Limits a listener.
    pub const fn new(listener: L, limit: Arc<ConnectionLimit>) -> Self {
        Self { listener, limit }
    }
}

impl<L: Listener> Listener for LimitedListener<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, L::Addr) {
        let permit = self.limit.acquire().await;
        let (io, address) = self.listener.accept().await;
        let connection = Connection {
            io,
            timer: Box::pin(sleep_until(Instant::now())),
            permit: self.limit.register(permit),
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

/// The state of a connection that has just been accepted.
#[must_use]
pub fn state_of<L: Listener>(stream: &IncomingStream<'_, LimitedListener<L>>) -> Arc<ConnectionState> {
    stream.io().permit.state.clone()
}

/// A connection with its time limits.
#[derive(Debug)]
pub struct Connection<Io> {
    io: Io,
    timer: Pin<Box<Sleep>>,
    permit: Permit,
}

impl<Io> Connection<Io> {
    /// Fails if it is being closed.
    fn check_open(&self, cx: &Context<'_>) -> io::Result<()> {
        let state = &self.permit.state;
        state.task.register(cx.waker());
        if state.closed.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if state.head.load(Ordering::Relaxed) > HEAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    /// Waits for the client until the deadline, then fails.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(until) = self.permit.state.deadline() else {
            return Poll::Pending;
        };
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Notes the result of an attempt to write.
    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let state = &self.permit.state;
        if result.is_ready() {
            state.stalled.store(0, Ordering::Relaxed);
            return result;
        }
        let first = state.stalled.load(Ordering::Relaxed) == 0;
        if first {
            state.stalled.store(state.now(), Ordering::Relaxed);
        }
        self.wait(cx)
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_open(cx)?;
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        if result.is_ready() {
            self.permit.state.received(buffer.filled().len() - before);
            return result;
        }
        self.permit.state.silent.store(true, Ordering::Relaxed);
        self.wait(cx)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        all: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, all);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
