// Answers requests for files and pages, cross-origin isolated and with byte ranges: the one handler of karma, the bench and the demo pages.
import fs from 'node:fs';
import path from 'node:path';

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.ipynb': 'application/json',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

export const ISOLATION_HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

function mountedFile(mounts, url) {
  for (const [prefix, dirs] of Object.entries(mounts)) {
    if (!url.startsWith(prefix)) continue;
    for (const dir of [dirs].flat()) {
      const root = path.resolve(dir);
      const file = path.join(root, url.slice(prefix.length));
      if (file !== root && !file.startsWith(root + path.sep)) continue;
      if (fs.existsSync(file) && fs.statSync(file).isFile()) return file;
    }
  }
  return null;
}

/** 'bytes=a-b', 'bytes=a-' or 'bytes=-n' → [first, last], null for no range, undefined for one that cannot be served. */
function parseRange(header, size) {
  if (header === undefined) return null;
  const match = /^bytes=(\d*)-(\d*)$/.exec(header);
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const first = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const last = match[1] === '' || match[2] === '' ? size - 1 : Math.min(size - 1, Number(match[2]));
  return first <= last ? [first, last] : undefined;
}

function sendFile(file, request, response) {
  const size = fs.statSync(file).size;
  const range = parseRange(request.headers.range, size);
  response.setHeader('Content-Type', TYPES[path.extname(file)] ?? 'application/octet-stream');
  response.setHeader('Accept-Ranges', 'bytes');
  if (range === undefined) {
    response.statusCode = 416;
    response.setHeader('Content-Range', `bytes */${size}`);
    response.end();
    return;
  }
  const [first, last] = range ?? [0, size - 1];
  if (range !== null) {
    response.statusCode = 206;
    response.setHeader('Content-Range', `bytes ${first}-${last}/${size}`);
  }
  response.setHeader('Content-Length', last - first + 1);
  if (request.method === 'HEAD' || size === 0) {
    response.end();
    return;
  }
  const stream = fs.createReadStream(file, {start: first, end: last, highWaterMark: 2 ** 20});
  stream.on('error', () => response.destroy());
  // A page that closes mid-read must not leave the file open.
  response.on('close', () => stream.destroy());
  stream.pipe(response);
}

/**
 * mounts: {'/prefix/': dir or [dir, ...]}, the first folder that has the file serves it. pages: {'/url': html, or {file} or {body, type}}.
 * isolated: false for pages as most servers send them.
 * Returns (request, response, next?) => void; what is neither goes to `next`, or is a 404.
 */
export function staticHandler({mounts = {}, pages = {}, isolated = true} = {}) {
  return (request, response, next) => {
    for (const [name, value] of Object.entries(isolated ? ISOLATION_HEADERS : {})) response.setHeader(name, value);
    let url;
    try {
      url = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    } catch {
      response.statusCode = 400;
      response.end();
      return;
    }
    const page = Object.hasOwn(pages, url) ? pages[url] : undefined;
    const file = page?.file ?? (page === undefined ? mountedFile(mounts, url) : null);
    if (file === null && page === undefined) {
      if (next) {
        next();
        return;
      }
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader('Cache-Control', 'no-store');
    if (file !== null) {
      sendFile(file, request, response);
      return;
    }
    response.setHeader('Content-Type', page.type ?? TYPES['.html']);
    response.end(page.body ?? page);
  };
}
