// A guest that answers every HTTP request with `Hello` and the path that was asked for.
//
// The engine in the component turns each request into a fetch event, as in a service worker.

addEventListener('fetch', (event) => event.respondWith(handle(event.request)));

// Called for each request, by default in a new instance: no state is left from an earlier one.
async function handle(request) {
  const { pathname, search } = new URL(request.url);

  // Change these three: the status, the header fields and the body of the response.
  const status = 200;
  const headers = { 'content-type': 'text/plain; charset=utf-8' };
  const body = `Hello ${pathname}${search}\n`;

  return new Response(body, { status, headers });
}
