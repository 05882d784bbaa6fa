// Answers a request with its own header fields and its body, piece by piece, and ends with its trailers. A request without a
// body gets an empty one. The status is that of the query: /?418.

#include "guest.h"
#include <stdbool.h>
#include <stdlib.h>

// The most bytes that one blocking-write-and-flush takes.
#define PIECE_BYTES 4096

static uint16_t status_of(wasi_http_types_borrow_incoming_request_t request) {
  guest_string_t path;
  if (!wasi_http_types_method_incoming_request_path_with_query(request, &path)) {
    return 200;
  }
  unsigned status = 0;
  bool in_query = false;
  for (size_t i = 0; i < path.len; i++) {
    if (in_query && path.ptr[i] >= '0' && path.ptr[i] <= '9' && status < 1000) {
      status = status * 10 + (path.ptr[i] - '0');
    }
    in_query |= path.ptr[i] == '?';
  }
  return status >= 200 && status <= 599 ? (uint16_t)status : 200;
}

// Copies a body until its end. Returns whether it was whole.
static bool copy(wasi_io_streams_borrow_input_stream_t from, wasi_io_streams_borrow_output_stream_t to) {
  for (;;) {
    guest_list_u8_t piece;
    wasi_io_streams_stream_error_t error;
    if (!wasi_io_streams_method_input_stream_blocking_read(from, PIECE_BYTES, &piece, &error)) {
      return error.tag == WASI_IO_STREAMS_STREAM_ERROR_CLOSED;
    }
    bool written = wasi_io_streams_method_output_stream_blocking_write_and_flush(to, &piece, &error);
    guest_list_u8_free(&piece);
    if (!written) {
      return false;
    }
  }
}

void exports_wasi_http_incoming_handler_handle(exports_wasi_http_incoming_handler_own_incoming_request_t request,
                                               exports_wasi_http_incoming_handler_own_response_outparam_t outparam) {
  wasi_http_types_borrow_incoming_request_t borrowed = wasi_http_types_borrow_incoming_request(request);
  wasi_http_types_own_fields_t received = wasi_http_types_method_incoming_request_headers(borrowed);
  // The fields of a request cannot be changed, and their copy can.
  wasi_http_types_own_fields_t fields = wasi_http_types_method_fields_clone(wasi_http_types_borrow_fields(received));
  wasi_http_types_fields_drop_own(received);

  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(fields);
  wasi_http_types_borrow_outgoing_response_t head = wasi_http_types_borrow_outgoing_response(response);
  wasi_http_types_method_outgoing_response_set_status_code(head, status_of(borrowed));
  wasi_http_types_own_outgoing_body_t body;
  wasi_http_types_own_incoming_body_t content;
  wasi_http_types_own_input_stream_t from;
  wasi_http_types_own_output_stream_t to;
  if (!wasi_http_types_method_outgoing_response_body(head, &body) ||
      !wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &to) ||
      !wasi_http_types_method_incoming_request_consume(borrowed, &content) ||
      !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(content), &from)) {
    abort();
  }
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(outparam, &result);

  if (!copy(wasi_io_streams_borrow_input_stream(from), wasi_io_streams_borrow_output_stream(to))) {
    abort();
  }
  wasi_io_streams_input_stream_drop_own(from);
  wasi_io_streams_output_stream_drop_own(to);

  // Ready at once: the body has ended.
  wasi_http_types_own_future_trailers_t future = wasi_http_types_static_incoming_body_finish(content);
  wasi_http_types_borrow_future_trailers_t trailers = wasi_http_types_borrow_future_trailers(future);
  wasi_io_poll_own_pollable_t pollable = wasi_http_types_method_future_trailers_subscribe(trailers);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(pollable));
  wasi_io_poll_pollable_drop_own(pollable);
  wasi_http_types_result_result_option_own_trailers_error_code_void_t ended;
  if (!wasi_http_types_method_future_trailers_get(trailers, &ended) || ended.is_err || ended.val.ok.is_err) {
    abort();
  }
  wasi_http_types_error_code_t error;
  wasi_http_types_own_trailers_t *sent = ended.val.ok.val.ok.is_some ? &ended.val.ok.val.ok.val : NULL;
  wasi_http_types_static_outgoing_body_finish(body, sent, &error);
}
