//! Links `wasi:http/types.response`: responses that guests make, whose bodies go to the connection without the runtime's
//! channels, and files in them without being read.

use super::contents::BodyProducer;
use super::files::FileProducer;
use super::interface;
use crate::body::{BodyStream, BodyWriter, Outgoing};
use crate::instance::State;
use crate::wasi::Lent;
use crate::wasi::messages::new_body;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::combinators::UnsyncBoxBody;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use wasmtime::component::{
    FutureConsumer, FutureReader, Linker, Resource, Source, StreamConsumer, StreamReader, StreamResult,
};
use wasmtime::error::Context as _;
use wasmtime::{AsContextMut as _, StoreContextMut, format_err};
use wasmtime_wasi::p2::StreamError;
use wasmtime_wasi_http::p3::Response;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, FieldMap, WasiHttpView as _};

type Trailers = FutureReader<Result<Option<Resource<FieldMap>>, ErrorCode>>;
type Sent = FutureReader<Result<(), ErrorCode>>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    interface(linker, "wasi:http/types")?.func_wrap(
        "[static]response.new",
        |store: StoreContextMut<'_, State>,
         (headers, contents, trailers): (Resource<FieldMap>, Option<StreamReader<u8>>, Trailers)| {
            Ok((new_response(store, headers, contents, trailers)?,))
        },
    )
}

/// `[static]response.new`
fn new_response(
    mut store: StoreContextMut<'_, State>,
    headers: Resource<FieldMap>,
    contents: Option<StreamReader<u8>>,
    trailers: Trailers,
) -> wasmtime::Result<(Resource<Response>, Sent)> {
    let headers = HeaderMap::from(store.data_mut().table().delete(headers)?);
    let (mut writer, mut outgoing) =
        new_body(&headers).map_err(|_| format_err!("the Content-Length of a response is not one length"))?;
    store.data_mut().streams().begin_body(&writer);
    let sent = writer.when_sent();
    // It was not taken before.
    let stream = writer.take_stream().context("the body has no stream")?;
    let length = writer.length();
    let contents = contents.map(|contents| contents.try_into::<BodyProducer>(&mut store)).transpose();
    let (contents, inner) = match contents {
        Ok(producer) => (None, producer.and_then(|mut producer| producer.take())),
        Err(contents) => (Some(contents), None),
    };
    if let Some(inner) = inner {
        writer.leave_contents();
        outgoing.send_on(Box::new(inner), length);
    }
    let ending = Arc::new(Mutex::new(Ending {
        writer: Some(writer),
        has_contents: false,
        trailers: Trailing::Unknown,
    }));
    match contents {
        None => Ending::contents_end(&ending),
        Some(contents) => begin_contents(&mut store, contents, stream, length, &ending)?,
    }
    trailers.pipe(&mut store, TrailersConsumer(Some(Arc::clone(&ending))))?;

    let mut response = http::Response::new(outgoing);
    *response.headers_mut() = headers;
    let response = lend(store.data_mut(), response)?;
    let sent = async move {
        let is_complete = sent.await.unwrap_or(false);
        wasmtime::error::Ok(if is_complete { Ok(()) } else { Err(ErrorCode::ConnectionTerminated) })
    };
    Ok((response, FutureReader::new(&mut store, sent)?))
}

/// Gives an instance a response whose body it may read, and give away unread.
pub(super) fn lend(
    state: &mut State,
    response: http::Response<Outgoing>,
) -> wasmtime::Result<Resource<Response>> {
    let (parts, body) = response.into_parts();
    let body = Lent::new(body);
    let handle = body.handle();
    let (response, _) = Response::from_http(state.http().hooks, http::Response::from_parts(parts, body));
    let response = state.table().push(response)?;
    state.lent_bodies().remember(response.rep(), handle);
    Ok(response)
}

/// Has a stream become the contents of a body. A file is handed over unread, as far as the body's length goes.
fn begin_contents(
    store: &mut StoreContextMut<'_, State>,
    contents: StreamReader<u8>,
    stream: BodyStream,
    length: Option<u64>,
    ending: &Arc<Mutex<Ending>>,
) -> wasmtime::Result<()> {
    let contents = match contents.try_into::<FileProducer>(&mut *store) {
        Ok(mut producer) => {
            if producer.hand_over(&stream, length) {
                Ending::contents_end(ending);
                return Ok(());
            }
            StreamReader::new(&mut *store, producer)?
        }
        Err(contents) => contents,
    };
    contents.pipe(&mut *store, ContentsConsumer { stream, ending: Arc::clone(ending) })
}

/// What a body waits for before it is finished: the end of its contents, and its trailers.
struct Ending {
    writer: Option<BodyWriter>,
    has_contents: bool,
    trailers: Trailing,
}

/// The trailers of a body.
enum Trailing {
    /// It is not known yet whether there are any.
    Unknown,
    /// There are none, or these.
    Known(Option<HeaderMap>),
}

impl Ending {
    fn lock(this: &Mutex<Self>) -> MutexGuard<'_, Self> {
        this.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents_end(this: &Mutex<Self>) {
        let mut ending = Self::lock(this);
        ending.has_contents = true;
        ending.finish();
    }

    fn trailers_are(this: &Mutex<Self>, trailers: Option<HeaderMap>) {
        let mut ending = Self::lock(this);
        ending.trailers = Trailing::Known(trailers);
        ending.finish();
    }

    /// Leaves the body incomplete.
    fn give_up(this: &Mutex<Self>) {
        Self::lock(this).writer = None;
    }

    fn finish(&mut self) {
        if self.has_contents
            && let Trailing::Known(trailers) = &mut self.trailers
            && let Some(writer) = self.writer.take()
        {
            // A body that does not have the length of its head is left incomplete.
            let _ = writer.finish(trailers.take());
        }
    }
}

/// Writes a stream into a body.
struct ContentsConsumer {
    stream: BodyStream,
    ending: Arc<Mutex<Ending>>,
}

impl StreamConsumer<State> for ContentsConsumer {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let room = match self.stream.poll_room(context) {
            Poll::Ready(Ok(room)) => room,
            // The connection does not want more.
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        };
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.stream.write(Bytes::copy_from_slice(bytes)) {
            Ok(()) => {
                let written = bytes.len();
                source.mark_read(written);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(error) => {
                // More than the head promises: none of it is sent, and the body is not complete.
                if !matches!(error, StreamError::Closed) {
                    Ending::give_up(&self.ending);
                }
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

impl Drop for ContentsConsumer {
    /// The stream has ended, or the instance: its bodies were ended before that.
    fn drop(&mut self) {
        Ending::contents_end(&self.ending);
    }
}

/// Takes the trailers of a body.
struct TrailersConsumer(Option<Arc<Mutex<Ending>>>);

impl FutureConsumer<State> for TrailersConsumer {
    type Item = Result<Option<Resource<FieldMap>>, ErrorCode>;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'_, State>,
        mut source: Source<'_, Self::Item>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let this = self.get_mut();
        let mut trailers = None;
        source.read(store.as_context_mut(), &mut trailers)?;
        let Some(ending) = this.0.take() else { return Poll::Ready(Ok(())) };
        match trailers {
            Some(Ok(Some(trailers))) => {
                let trailers = store.data_mut().table().delete(trailers)?;
                Ending::trailers_are(&ending, Some(trailers.into()));
            }
            Some(Ok(None)) => Ending::trailers_are(&ending, None),
            Some(Err(_)) | None => Ending::give_up(&ending),
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for TrailersConsumer {
    fn drop(&mut self) {
        if let Some(ending) = &self.0 {
            Ending::give_up(ending);
        }
    }
}

/// A response that a guest has given.
pub enum Given {
    /// One that it has made.
    Own(http::Response<Outgoing>),
    /// One that it has got from another server.
    Foreign(http::Response<UnsyncBoxBody<Bytes, Error>>),
}

/// Takes a response that a guest has given out of its table.
pub fn take(mut store: StoreContextMut<'_, State>, response: Resource<Response>) -> wasmtime::Result<Given> {
    let number = response.rep();
    let body = store.data_mut().lent_bodies().take(number);
    let response = store.data_mut().table().delete(response)?;
    match body {
        Some(body) => {
            let mut own = http::Response::new(body);
            *own.status_mut() = response.status;
            *own.headers_mut() = response.headers.into();
            Ok(Given::Own(own))
        }
        None => Ok(Given::Foreign(response.into_http(store, std::future::ready(Ok(())))?)),
    }
}
