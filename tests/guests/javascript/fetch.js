// Relays the answer of another server with the web platform's fetch, which the engine maps to wasi:http.

addEventListener('fetch', (event) => event.respondWith(relay(event.request)));

async function relay(request) {
  const url = new URL(request.url).searchParams.get('url');
  if (url === null) {
    return text(400, 'Say what to fetch: /?url=http://...\n');
  }
  try {
    // `new URL` refuses a relative URL. The engine would resolve it against this server, which would call itself.
    const answer = await fetch(new URL(url).href);
    // Read the whole body, so that a truncated answer is an error rather than half an answer.
    const body = await answer.arrayBuffer();
    const type = answer.headers.get('content-type') ?? 'application/octet-stream';
    // A status without a body (204, 304) does not even allow an empty one.
    return new Response(body.byteLength > 0 ? body : null, { status: answer.status, headers: { 'content-type': type } });
  } catch (error) {
    return text(502, `The request failed: ${error.message ?? error}\n`);
  }
}

function text(status, message) {
  return new Response(message, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } });
}
