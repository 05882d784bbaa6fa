// A guest that answers every HTTP request with `Hello` and the path that was asked for.
//
// `wit/world.wit` lists what it imports and exports; `make` generates guest.h and guest.c from it.

#include "guest.h"
#include <stdint.h>
#include <string.h>

static void respond(wasi_http_types_own_response_outparam_t outparam, uint16_t status, const char *type,
                    const guest_string_t *parts, size_t count);

// Called for each request, by default in a new instance: no state is left from an earlier one, and memory need not
// be freed.
void exports_wasi_http_incoming_handler_handle(exports_wasi_http_incoming_handler_own_incoming_request_t request,
                                               exports_wasi_http_incoming_handler_own_response_outparam_t outparam) {
  guest_string_t path = {0};
  wasi_http_types_method_incoming_request_path_with_query(wasi_http_types_borrow_incoming_request(request), &path);

  // Change these three: the status, the content type and the body of the response, here of three parts.
  uint16_t status = 200;
  const char *type = "text/plain; charset=utf-8";
  guest_string_t body[] = {{(uint8_t *)"Hello ", 6}, path, {(uint8_t *)"\n", 1}};

  respond(outparam, status, type, body, sizeof body / sizeof *body);
}

static void respond(wasi_http_types_own_response_outparam_t outparam, uint16_t status, const char *type,
                    const guest_string_t *parts, size_t count) {
  wasi_http_types_own_fields_t headers = wasi_http_types_constructor_fields();
  wasi_http_types_field_name_t name = {(uint8_t *)"content-type", strlen("content-type")};
  wasi_http_types_field_value_t value = {(uint8_t *)type, strlen(type)};
  wasi_http_types_header_error_t invalid;
  wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(headers), &name, &value, &invalid);

  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(headers);
  wasi_http_types_borrow_outgoing_response_t borrowed = wasi_http_types_borrow_outgoing_response(response);
  wasi_http_types_method_outgoing_response_set_status_code(borrowed, status);
  wasi_http_types_own_outgoing_body_t body;
  wasi_http_types_method_outgoing_response_body(borrowed, &body);
  // From here on, the client receives what is written.
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(outparam, &result);

  wasi_io_streams_own_output_stream_t stream;
  wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream);
  wasi_io_streams_borrow_output_stream_t writer = wasi_io_streams_borrow_output_stream(stream);
  for (size_t i = 0; i < count; i++) {
    // One call takes at most 4096 bytes.
    for (size_t start = 0; start < parts[i].len; start += 4096) {
      size_t rest = parts[i].len - start;
      guest_list_u8_t piece = {parts[i].ptr + start, rest < 4096 ? rest : 4096};
      wasi_io_streams_stream_error_t error;
      if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(writer, &piece, &error)) {
        // The client has gone.
        return;
      }
    }
  }
  // The stream is a child of the body, and has to be dropped first.
  wasi_io_streams_output_stream_drop_own(stream);
  // The response is complete only with this. Without it, the client sees it cut off.
  wasi_http_types_error_code_t error;
  wasi_http_types_static_outgoing_body_finish(body, NULL, &error);
}
