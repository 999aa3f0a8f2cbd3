//! HTTP client that follows the specification: hyper, over HTTP/1.1 or HTTP/2.

use crate::wait::PATIENCE;
use crate::wire::header;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::{http1, http2};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Protocol of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1
    One,
    /// HTTP/2, without TLS
    Two,
}

impl Http {
    /// Both protocols.
    pub const BOTH: [Http; 2] = [Http::One, Http::Two];
}

/// Request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    authority: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    chunks: Vec<Vec<u8>>,
    trailers: Vec<(String, String)>,
}

impl Request {
    /// Creates a request without a body.
    pub fn new(method: &str, path: &str) -> Request {
        Request {
            method: method.to_owned(),
            authority: "api.openai.com".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            chunks: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// Creates a Chat Completions request with its length.
    pub fn chat(body: impl Into<Vec<u8>>) -> Request {
        let body = body.into();
        Request::new("POST", "/v1/chat/completions")
            .header("content-type", "application/json")
            .header("content-length", body.len().to_string())
            .body(body)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Removes a header.
    pub fn without(mut self, name: &str) -> Request {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Replaces the host.
    pub fn authority(mut self, authority: &str) -> Request {
        authority.clone_into(&mut self.authority);
        self
    }

    /// Replaces the path.
    pub fn path(mut self, path: &str) -> Request {
        path.clone_into(&mut self.path);
        self
    }

    /// Sets the body, in one chunk and without a length.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Request {
        self.chunks(vec![body.into()])
    }

    /// Sets the body in chunks, without a length.
    pub fn chunks(mut self, chunks: Vec<Vec<u8>>) -> Request {
        self.chunks = chunks;
        self
    }

    /// Adds a trailer. Only a body without a length can have one.
    pub fn trailer(mut self, name: &str, value: &str) -> Request {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.without("content-length").header("trailer", name)
    }

    /// Returns the request as bytes of HTTP/1.1, for a connection of [`Raw`](crate::Raw).
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            self.method, self.path, self.authority
        )
        .into_bytes();
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        let sized = header(&self.headers, "content-length").is_some();
        if sized || self.chunks.is_empty() {
            out.extend_from_slice(b"\r\n");
            out.extend(self.chunks.iter().flatten());
            return out;
        }
        out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        for chunk in &self.chunks {
            out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn build(&self, http: Http, body: Outgoing) -> hyper::Request<Outgoing> {
        let builder = match http {
            Http::One => hyper::Request::builder()
                .uri(&self.path)
                .header("host", &self.authority),
            Http::Two => {
                hyper::Request::builder().uri(format!("http://{}{}", self.authority, self.path))
            }
        };
        let mut request = builder
            .method(self.method.as_str())
            .body(body)
            .expect("a request that hyper accepts");
        for (name, value) in &self.headers {
            request.headers_mut().append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name of a header"),
                HeaderValue::from_bytes(value).expect("a value of a header"),
            );
        }
        request
    }
}

/// Body that the test sends in chunks.
struct Outgoing {
    frames: Option<UnboundedReceiver<Frame<Bytes>>>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.frames {
            Some(frames) => frames.poll_recv(context).map(|frame| frame.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.frames {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}

enum Sender {
    One(http1::SendRequest<Outgoing>),
    Two(http2::SendRequest<Outgoing>),
}

/// Connection.
pub(crate) struct Client {
    runtime: Runtime,
    sender: Sender,
}

impl Client {
    pub(crate) fn connect(http: Http, address: SocketAddr) -> Client {
        // A separate thread, so that bytes are transferred while the test does something else.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("no thread for a client");
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address)
                .await
                .expect("nobody listens");
            let _ = stream.set_nodelay(true);
            let stream = TokioIo::new(stream);
            match http {
                Http::One => {
                    let (sender, connection) =
                        http1::handshake(stream).await.expect("a fresh connection");
                    tokio::spawn(connection);
                    Sender::One(sender)
                }
                Http::Two => {
                    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
                        .await
                        .expect("a fresh connection");
                    tokio::spawn(connection);
                    Sender::Two(sender)
                }
            }
        });
        Client { runtime, sender }
    }

    fn send(&mut self, request: hyper::Request<Outgoing>) -> Answering {
        match &mut self.sender {
            Sender::One(sender) => {
                let answer = sender.send_request(request);
                self.runtime.spawn(answer)
            }
            Sender::Two(sender) => {
                let answer = sender.send_request(request);
                self.runtime.spawn(answer)
            }
        }
    }

    fn http(&self) -> Http {
        match self.sender {
            Sender::One(_) => Http::One,
            Sender::Two(_) => Http::Two,
        }
    }

    /// Sends the head of a request and leaves its body open.
    pub(crate) fn begin(mut self, request: &Request) -> Upload {
        let (body, frames) = unbounded_channel();
        let outgoing = Outgoing {
            frames: Some(frames),
        };
        let answering = self.send(request.build(self.http(), outgoing));
        let upload = Upload {
            client: self,
            answering,
            body: Some(body),
        };
        for chunk in &request.chunks {
            upload.send(chunk);
        }
        upload
    }

    /// Sends a request.
    pub(crate) fn open(mut self, request: &Request) -> Result<Live, String> {
        if request.chunks.is_empty() && request.trailers.is_empty() {
            let answering = self.send(request.build(self.http(), Outgoing { frames: None }));
            return Live::of(self, answering);
        }
        let upload = self.begin(request);
        if !request.trailers.is_empty() {
            let mut trailers = HeaderMap::new();
            for (name, value) in &request.trailers {
                trailers.insert(
                    HeaderName::from_bytes(name.as_bytes()).expect("a name of a header"),
                    HeaderValue::from_str(value).expect("a value of a header"),
                );
            }
            upload.push(Frame::trailers(trailers));
        }
        upload.finish()
    }
}

type Answering = JoinHandle<Result<hyper::Response<Incoming>, hyper::Error>>;

/// Request whose body is still being sent. Dropping it closes the connection.
pub struct Upload {
    client: Client,
    answering: Answering,
    body: Option<UnboundedSender<Frame<Bytes>>>,
}

impl Upload {
    fn push(&self, frame: Frame<Bytes>) {
        // After a response, the peer accepts no more bytes.
        if let Some(body) = &self.body {
            let _ = body.send(frame);
        }
    }

    /// Sends more of the body.
    pub fn send(&self, bytes: &[u8]) {
        self.push(Frame::data(Bytes::copy_from_slice(bytes)));
    }

    /// Ends the body without waiting.
    pub fn end(&mut self) {
        self.body = None;
    }

    /// Ends the body and waits for the head of the response.
    ///
    /// # Errors
    /// There is no response.
    pub fn finish(mut self) -> Result<Live, String> {
        self.end();
        Live::of(self.client, self.answering)
    }

    /// Waits for the head of the response with the body still open.
    ///
    /// # Errors
    /// There is no response.
    pub fn answered(self) -> Result<Live, String> {
        let mut live = Live::of(self.client, self.answering)?;
        live.upload = self.body;
        Ok(live)
    }
}

/// Response whose body may still be arriving. Dropping it closes the connection.
pub struct Live {
    client: Client,
    /// Status.
    pub status: u16,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    trailers: Vec<(String, Vec<u8>)>,
    body: Incoming,
    length: Option<usize>,
    /// Open end of a request with an early response: hyper closes the connection if it is dropped too soon.
    upload: Option<UnboundedSender<Frame<Bytes>>>,
}

fn list(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

impl Live {
    fn of(client: Client, answering: Answering) -> Result<Live, String> {
        let response = client
            .runtime
            .block_on(async { timeout(PATIENCE, answering).await })
            .map_err(|_| "no response came".to_owned())?
            .expect("sending does not panic")
            .map_err(|error| format!("{error:?}"))?;
        let headers = list(response.headers());
        let length = header(&headers, "content-length")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        Ok(Live {
            client,
            status: response.status().as_u16(),
            headers,
            trailers: Vec::new(),
            body: response.into_body(),
            length,
            upload: None,
        })
    }

    /// Returns the next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// The body ended early.
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            let frame = self
                .client
                .runtime
                .block_on(async { timeout(PATIENCE, self.body.frame()).await })
                .map_err(|_| "the body stopped coming".to_owned())?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(format!("{error:?}")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data.to_vec())),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.trailers = list(&trailers);
                        }
                    }
                },
            }
        }
    }

    /// Reads the rest of the response.
    pub fn rest(mut self) -> Response {
        let mut body = Vec::new();
        let mut broken = None;
        loop {
            match self.next_bytes() {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        Response {
            status: self.status,
            headers: self.headers,
            body,
            trailers: self.trailers,
            broken,
            length: self.length,
        }
    }
}

/// Response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Error that ended the body early.
    pub broken: Option<String>,
    /// Length in the headers.
    pub length: Option<usize>,
}

impl Response {
    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(header(&self.headers, name)?).ok()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// The body is not JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.broken, None, "the body broke off");
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }
}
