//! Links `[static]response.consume-body`: the contents of responses as streams, which another response takes over unread. So a
//! component that passes on what the component behind it has answered, with other fields, copies nothing of it.

use super::interface;
use super::outcome::Outcome;
use crate::body::{Outgoing, READ_MAX};
use crate::instance::State;
use bytes::Bytes;
use http_body::Body as _;
use std::any::{Any, TypeId};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasmtime::component::{
    Access, Destination, FutureReader, Linker, Resource, StreamProducer, StreamReader, StreamResult,
};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi_http::p3::Response;
use wasmtime_wasi_http::p3::bindings::http::types::{ErrorCode, HostResponseWithStore};
use wasmtime_wasi_http::{FieldMap, WasiHttp, WasiHttpView as _};

type Trailers = Result<Option<Resource<FieldMap>>, ErrorCode>;
type Consumed = (StreamReader<u8>, FutureReader<Trailers>);
type Processed = FutureReader<Result<(), ErrorCode>>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    interface(linker, "wasi:http/types")?.func_wrap(
        "[static]response.consume-body",
        |store: StoreContextMut<'_, State>, (response, processed): (Resource<Response>, Processed)| {
            Ok((consume(store, response, processed)?,))
        },
    )
}

/// `[static]response.consume-body`
fn consume(
    mut store: StoreContextMut<'_, State>,
    response: Resource<Response>,
    mut processed: Processed,
) -> wasmtime::Result<Consumed> {
    let Some(body) = store.data_mut().lent_bodies().take(response.rep()) else {
        let access = Access::<_, WasiHttp>::new(store, State::http);
        return WasiHttp::consume_body(access, response, processed);
    };
    store.data_mut().table().delete(response)?;
    // The host does not use what the guest says of it.
    processed.close(&mut store)?;
    let (trailers, future) = Outcome::new(&mut store, Ok(None))?;
    let producer = BodyProducer { body: Some(body), rest: Bytes::new(), trailers };
    Ok((StreamReader::new(&mut store, producer)?, future))
}

/// The body of a response, as a stream of its bytes. Another response takes it out of the stream again.
pub(super) struct BodyProducer {
    /// `None` once a response has taken it.
    body: Option<Outgoing>,
    /// What did not fit into the guest's last read.
    rest: Bytes,
    trailers: Outcome<Trailers>,
}

impl BodyProducer {
    /// What is left of the body. Its trailers stay with it: the guest is told of none.
    pub(super) fn take(&mut self) -> Option<Outgoing> {
        self.trailers.say(Ok(None));
        let rest = std::mem::take(&mut self.rest);
        let mut body = self.body.take();
        if let (Some(body), false) = (&mut body, rest.is_empty()) {
            body.put_back_bytes(rest);
        }
        body
    }
}

impl StreamProducer<State> for BodyProducer {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        destination: Destination<'a, u8, Bytes>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        // With no room, this says only whether there is something to read.
        let most = destination.remaining(store.as_context_mut()).unwrap_or(READ_MAX);
        loop {
            if !this.rest.is_empty() {
                let now = this.rest.split_to(most.min(this.rest.len()));
                if now.is_empty() {
                    return Poll::Ready(Ok(StreamResult::Completed));
                }
                let mut destination = destination.as_direct(store, now.len());
                destination.remaining()[..now.len()].copy_from_slice(&now);
                destination.mark_written(now.len());
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            let Some(body) = &mut this.body else { return Poll::Ready(Ok(StreamResult::Dropped)) };
            let frame = match Pin::new(body).poll_frame(context) {
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                frame => ready!(frame),
            };
            let trailers = match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                Some(Ok(Ok(bytes))) => {
                    this.rest = bytes;
                    continue;
                }
                Some(Ok(Err(frame))) => match frame.into_trailers() {
                    Ok(trailers) => {
                        let state = store.data_mut();
                        let trailers = FieldMap::new_immutable(state.http().hooks, trailers);
                        Ok(Some(state.table().push(trailers)?))
                    }
                    Err(_) => continue,
                },
                Some(Err(_)) => Err(ErrorCode::HttpResponseIncomplete),
                None => Ok(None),
            };
            this.trailers.say(trailers);
            this.body = None;
        }
    }

    fn try_into(mut this: Pin<Box<Self>>, wanted: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        if wanted != TypeId::of::<Self>() {
            return Err(this);
        }
        let rest = std::mem::take(&mut this.rest);
        let producer = Self { body: this.body.take(), rest, trailers: this.trailers.take() };
        Ok(Box::new(producer))
    }
}
