// Routes requests with Hono, on the fetch events of the engine. `/` relays the answer of another server with the web
// platform's fetch, which the engine maps to wasi:http.

import { Hono } from 'hono';
import { fire } from 'hono/service-worker';

const app = new Hono();

app.get('/', async (context) => {
  const url = context.req.query('url');
  if (url === undefined) {
    return context.text('Say what to fetch: /?url=http://...\n', 400);
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
    return context.text(`The request failed: ${error.message ?? error}\n`, 502);
  }
});

app.post('/echo', (context) => new Response(context.req.raw.body));
app.all('/request', ({ req }) => new Response(`${req.method} ${req.url}\n${JSON.stringify([...req.raw.headers])}\n`));
app.post('/json', async (context) => context.json({ received: await context.req.json() }));

// Otherwise, a request that no route is for would be sent on, to this server.
fire(app, { fetch: undefined });
