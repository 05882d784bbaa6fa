// Another server's answer, with the interfaces of the web platform: the engine turns them into wasi:http.

addEventListener('fetch', (event) => event.respondWith(relay(event.request)));

async function relay(request) {
  const url = new URL(request.url).searchParams.get('url');
  if (url === null) {
    return text(400, 'Say what to fetch: /?url=http://...\n');
  }
  try {
    // The engine would complete a relative address with this server's own, and the server would ask itself.
    const answer = await fetch(new URL(url).href);
    // Read to its end, so that an answer cut short is a failure rather than half an answer.
    const body = await answer.arrayBuffer();
    const type = answer.headers.get('content-type') ?? 'application/octet-stream';
    // A status that excludes a body (204, 304) excludes an empty one as well.
    return new Response(body.byteLength > 0 ? body : null, { status: answer.status, headers: { 'content-type': type } });
  } catch (error) {
    return text(502, `The request failed: ${error.message ?? error}\n`);
  }
}

function text(status, message) {
  return new Response(message, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } });
}
