"""A guest that answers every HTTP request with `Hello` and the path that was asked for.

`wit/world.wit` lists what it imports and exports; componentize-py makes the package `wit_world` of that.
"""

from componentize_py_types import Ok
from wit_world import exports
# If the world imports another interface with the name `types`, this one is called `wasi_http_types`.
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        """Called for each request, by default in a new instance: no state is left from an earlier one."""
        path = request.path_with_query() or ""

        # Change these three: the status, the header fields and the body of the response.
        status = 200
        fields = [("content-type", b"text/plain; charset=utf-8")]
        body = f"Hello {path}\n"

        respond(response_out, status, fields, body.encode())


def respond(
    response_out: ResponseOutparam, status: int, fields: list[tuple[str, bytes]], content: bytes
) -> None:
    # An error here means that the name or the value of a field is not valid in HTTP.
    response = OutgoingResponse(Fields.from_list(fields))
    response.set_status_code(status)
    body = response.body()
    # From here on, the client receives what is written.
    ResponseOutparam.set(response_out, Ok(response))
    # The stream is a child of the body, and has to be closed first.
    with body.write() as stream:
        # One call takes at most 4096 bytes.
        for start in range(0, len(content), 4096):
            stream.blocking_write_and_flush(content[start : start + 4096])
    # The response is complete only with this. Without it, the client sees it cut off.
    OutgoingBody.finish(body, None)
