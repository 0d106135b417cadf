//! Requests of a connection: counts those that are active, and ends a body that does not arrive.

use super::ConnectionState;
use crate::server::http::client::Client;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

/// The body of a request did not arrive in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyTimeout;

impl fmt::Display for BodyTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the request did not arrive in time")
    }
}

impl std::error::Error for BodyTimeout {}

/// A service that notes its requests in the state of their connections.
#[derive(Clone, Debug)]
pub struct TrackRequests<S> {
    inner: S,
}

impl<S> TrackRequests<S> {
    /// Wraps a service.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request> for TrackRequests<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let client = request.extensions().get::<ConnectInfo<Client>>();
        let Some(state) = client.map(|ConnectInfo(client)| client.state.clone()) else {
            return Box::pin(self.inner.call(request));
        };
        let active = ActiveRequest::begin(state.clone());
        let request = request.map(|body| match body.is_end_stream() {
            true => body,
            false => Body::new(RequestBody::new(body, state)),
        });
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Body::new(ResponseBody { body, _active: active })))
        })
    }
}

/// A request without a complete response.
struct ActiveRequest(Arc<ConnectionState>);

impl ActiveRequest {
    fn begin(state: Arc<ConnectionState>) -> Self {
        state.begin_request();
        Self(state)
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// The body of a request, with its time limit.
struct RequestBody {
    body: Body,
    state: Arc<ConnectionState>,
    began: Instant,
    received: u64,
    timer: Pin<Box<Sleep>>,
    ended: bool,
}

impl RequestBody {
    fn new(body: Body, state: Arc<ConnectionState>) -> Self {
        state.begin_body();
        let began = Instant::now();
        Self {
            body,
            timer: Box::pin(sleep_until(began + state.timeouts.body)),
            state,
            began,
            received: 0,
            ended: false,
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.state.end_body();
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.end();
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.received += bytes as u64;
                let timeouts = self.state.timeouts;
                let more = Duration::from_secs(self.received / timeouts.body_rate.max(1));
                let until = self.began + timeouts.body + more;
                self.timer.as_mut().reset(until);
                if self.body.is_end_stream() {
                    self.end();
                }
                return polled;
            }
            Poll::Ready(_) => {
                self.end();
                return polled;
            }
            Poll::Pending => {}
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.end();
                Poll::Ready(Some(Err(axum::Error::new(BodyTimeout))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response: the request is active until it is dropped.
struct ResponseBody {
    body: Body,
    _active: ActiveRequest,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
