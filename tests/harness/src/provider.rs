//! Provider double: an upstream that sends the responses of a test byte for byte, and records the requests it receives.

use crate::wait::{PATIENCE, wait_for};
use crate::wire::{MessageHead, Wire, header};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// State of a request at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The request is still arriving.
    Not,
    /// The request arrived completely.
    Whole,
    /// The connection was closed before the end.
    Broken,
}

/// Received request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The received part of the body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// State of the request.
    pub ended: Ended,
}

impl Received {
    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(header(&self.headers, name)?).ok()
    }
}

/// Gate that holds a response until the test opens it.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Opens the gate for all that wait now and later.
    pub fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let (open, changed) = &*self.0;
        let _ = changed.wait_timeout_while(lock(open), PATIENCE, |open| !*open);
    }
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Wait(Gate),
    Pause(Duration),
    HangUp,
}

/// Response of the provider to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    parts: Vec<Part>,
    early: bool,
    closes: bool,
}

impl Answer {
    /// Creates a response with this body and its length. `headers` without `content-length`.
    pub fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut all = headers.to_vec();
        all.push(("content-length", &length));
        Answer::start(status, &all).bytes(body)
    }

    /// Creates a JSON response.
    pub fn json(status: u16, body: &[u8]) -> Answer {
        Answer::new(status, &[("content-type", "application/json")], body)
    }

    /// Creates a response that ends after its head for now.
    pub fn start(status: u16, headers: &[(&str, &str)]) -> Answer {
        let mut head = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Answer::raw(head.into_bytes())
    }

    /// Creates a response of any bytes.
    pub fn raw(bytes: Vec<u8>) -> Answer {
        Answer {
            parts: vec![Part::Bytes(bytes)],
            early: false,
            closes: false,
        }
    }

    /// Creates the head of a chunked response.
    pub fn chunked(status: u16, headers: &[(&str, &str)]) -> Answer {
        let mut all = headers.to_vec();
        all.push(("transfer-encoding", "chunked"));
        Answer::start(status, &all)
    }

    /// Creates no response: closes the connection once the request has arrived.
    pub fn none() -> Answer {
        Answer {
            parts: vec![Part::HangUp],
            early: false,
            closes: false,
        }
    }

    /// Returns the bytes after the head of a response that is sent in one piece.
    pub fn body(&self) -> Vec<u8> {
        let all = self.parts.iter().filter_map(|part| match part {
            Part::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        // The first part is the head.
        all.skip(1).flatten().copied().collect()
    }

    /// Appends bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Answer {
        self.parts.push(Part::Bytes(bytes.to_vec()));
        self
    }

    /// Appends a chunk.
    pub fn chunk(self, bytes: &[u8]) -> Answer {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.bytes(&framed)
    }

    /// Appends the end of a chunked response.
    pub fn end(self) -> Answer {
        self.bytes(b"0\r\n\r\n")
    }

    /// Appends the end of a chunked response, with a trailer.
    pub fn end_with_trailer(self, name: &str, value: &str) -> Answer {
        self.bytes(format!("0\r\n{name}: {value}\r\n\r\n").as_bytes())
    }

    /// Waits until the gate is open.
    pub fn wait(mut self, gate: &Gate) -> Answer {
        self.parts.push(Part::Wait(gate.clone()));
        self
    }

    /// Waits for a time.
    pub fn pause(mut self, time: Duration) -> Answer {
        self.parts.push(Part::Pause(time));
        self
    }

    /// Sends the response after the gate was opened.
    pub fn after(mut self, gate: &Gate) -> Answer {
        self.parts.insert(0, Part::Wait(gate.clone()));
        self
    }

    /// Closes the connection here.
    pub fn hang_up(mut self) -> Answer {
        self.parts.push(Part::HangUp);
        self
    }

    /// Sends the response without waiting for the request's body.
    pub fn early(mut self) -> Answer {
        self.early = true;
        self
    }

    /// Closes the connection after the response.
    pub fn close(mut self) -> Answer {
        self.closes = true;
        self
    }

    /// Sends the response. Returns whether the connection can be reused.
    fn play(&self, mut stream: &TcpStream) -> io::Result<bool> {
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => stream.write_all(bytes)?,
                Part::Wait(gate) => gate.pass(),
                Part::Pause(time) => std::thread::sleep(*time),
                Part::HangUp => {
                    stream.shutdown(Shutdown::Both)?;
                    return Ok(false);
                }
            }
        }
        Ok(!self.closes)
    }
}

/// Function that creates the response to a request.
type MadeAnswer = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

#[derive(Default)]
struct State {
    next: VecDeque<Answer>,
    otherwise: Option<Answer>,
    made: Option<MadeAnswer>,
    received: Vec<Received>,
    /// Number of requests that began before the first of `received`.
    forgotten: usize,
    /// Whether received requests are not recorded.
    forgetful: bool,
}

impl State {
    /// Returns the request with a number that [`Provider::note`] gave it.
    fn noted(&mut self, number: usize) -> Option<&mut Received> {
        self.received.get_mut(number.checked_sub(self.forgotten)?)
    }

    /// Discards the first requests.
    fn forget(&mut self, count: usize) {
        self.received.drain(..count);
        self.forgotten += count;
    }

    fn answer(&mut self) -> Answer {
        let next = self.next.pop_front();
        next.or_else(|| self.otherwise.clone())
            .unwrap_or_else(|| Answer::json(200, b"{}"))
    }
}

/// Provider double. It listens as long as the process lives.
#[derive(Clone)]
pub struct Provider {
    /// The listening address.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    /// Starts a provider double. Its default response is an empty JSON object.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start() -> Provider {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("no free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State::default()));
        let provider = Provider { address, state };
        let double = provider.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let double = double.clone();
                std::thread::spawn(move || {
                    let _ = double.serve(stream);
                });
            }
        });
        provider
    }

    /// Starts a provider double that records nothing, for benchmarks.
    pub(crate) fn forgetful() -> Provider {
        let provider = Provider::start();
        lock(&provider.state).forgetful = true;
        provider
    }

    /// Sets the default response.
    pub fn answer_always(&self, answer: Answer) {
        lock(&self.state).otherwise = Some(answer);
    }

    /// Sets a function that creates the default response of each complete request.
    pub fn answer_with(&self, make: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        lock(&self.state).made = Some(Arc::new(make));
    }

    /// Drops the queued responses that were not sent.
    pub fn drop_queued(&self) {
        lock(&self.state).next.clear();
    }

    /// Queues the response to the next request.
    pub fn answer_next(&self, answer: Answer) {
        lock(&self.state).next.push_back(answer);
    }

    /// Returns all received requests, in the order in which they began.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// Returns the number of recorded requests, including those that are still arriving.
    pub fn count(&self) -> usize {
        lock(&self.state).received.len()
    }

    /// Returns the last received request.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn last(&self) -> Received {
        let received = lock(&self.state).received.last().cloned();
        received.expect("nothing has reached the provider")
    }

    /// Returns the request with this number, once it has ended.
    ///
    /// # Panics
    /// It never arrives or never ends.
    #[track_caller]
    pub fn ended(&self, number: usize) -> Received {
        wait_for("a request to end at the provider", || {
            let received = lock(&self.state).received.get(number).cloned()?;
            (received.ended != Ended::Not).then_some(received)
        })
    }

    /// Returns the first complete request with this number or a later one: heads of aborted requests may arrive late.
    ///
    /// # Panics
    /// It never arrives or never ends.
    #[track_caller]
    pub fn whole(&self, number: usize) -> Received {
        wait_for("a whole request at the provider", || {
            let state = lock(&self.state);
            let mut later = state.received.iter().skip(number);
            later
                .find(|received| received.ended == Ended::Whole)
                .cloned()
        })
    }

    /// Discards the received requests up to the first that has not ended, for tests that send thousands.
    pub fn forget(&self) {
        let mut state = lock(&self.state);
        let open = |received: &Received| received.ended == Ended::Not;
        let ended = state.received.iter().position(open);
        let ended = ended.unwrap_or(state.received.len());
        state.forget(ended);
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut wire = Wire::new(stream);
        while let Some(head) = wire.head()? {
            let number = self.note(&head);
            if let Some(answer) = self.early() {
                // The response is sent before the body was read; Envoy closes the connection.
                answer.play(wire.stream())?;
                let read = self.read_body(&mut wire, &head, number);
                self.end(number, read.is_ok());
                return read;
            }
            let read = self.read_body(&mut wire, &head, number);
            let received = self.end(number, read.is_ok());
            read?;
            // The response is chosen now: the head of a request that is denied on its way may arrive, and must not take
            // another's response.
            if !self.answer(received).play(wire.stream())? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn note(&self, head: &MessageHead) -> usize {
        let mut words = head.start.split(' ');
        let mut state = lock(&self.state);
        if state.forgetful {
            let all = state.received.len();
            state.forget(all);
        }
        state.received.push(Received {
            method: words.next().unwrap_or_default().to_owned(),
            path: words.next().unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
            body: Vec::new(),
            trailers: Vec::new(),
            ended: Ended::Not,
        });
        state.forgotten + state.received.len() - 1
    }

    /// Takes the next response, if it does not wait for a body.
    fn early(&self) -> Option<Answer> {
        let state = &mut *lock(&self.state);
        match state.next.front().or(state.otherwise.as_ref()) {
            Some(answer) if answer.early => Some(state.answer()),
            _ => None,
        }
    }

    fn answer(&self, received: Option<Received>) -> Answer {
        let mut state = lock(&self.state);
        match (state.made.clone(), received) {
            (Some(make), Some(received)) if state.next.is_empty() => {
                drop(state);
                make(&received)
            }
            _ => state.answer(),
        }
    }

    fn read_body(&self, wire: &mut Wire, head: &MessageHead, number: usize) -> io::Result<()> {
        let told = |bytes: &[u8]| {
            let state = &mut *lock(&self.state);
            if !state.forgetful
                && let Some(received) = state.noted(number)
            {
                received.body.extend_from_slice(bytes);
            }
        };
        if head.is_chunked() {
            let trailers = wire.chunked(told)?;
            if let Some(received) = lock(&self.state).noted(number) {
                received.trailers = trailers;
            }
            Ok(())
        } else if head.header("upgrade").is_some() {
            wire.rest(told)
        } else {
            wire.sized(head.content_length().unwrap_or(0), told)
        }
    }

    /// Records that a request has ended. Returns the request.
    fn end(&self, number: usize, whole: bool) -> Option<Received> {
        let mut state = lock(&self.state);
        let received = state.noted(number)?;
        received.ended = if whole { Ended::Whole } else { Ended::Broken };
        Some(received.clone())
    }
}
