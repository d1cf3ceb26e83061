/** A file server for specs in Node whose answers can be made to misbehave, and which counts them. */
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';

export interface Asked {
  /** Path and query. */
  readonly url: string;
  /** 'bytes=0-9', or null. */
  readonly range: string | null;
}

/** Answers a request itself, or returns false for the usual answer. `count` is the number of this request for this path, from 1. */
export type Answer = (file: Uint8Array, response: ServerResponse, asked: Asked, count: number) => boolean;

export interface FileServer {
  /** 'http://localhost:1234' */
  readonly origin: string;
  readonly asked: Asked[];
  close(): Promise<void>;
}

/** Serves `files` by path ('/model/config.json') with byte ranges, unless `answer` does otherwise. */
export async function serve(files: Readonly<Record<string, Uint8Array>>, answer: Answer = () => false): Promise<FileServer> {
  const asked: Asked[] = [];
  const counts = new Map<string, number>();
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const url = request.url ?? '';
    const path = decodeURIComponent(new URL(url, 'http://localhost').pathname);
    const one = {url, range: request.headers.range ?? null};
    asked.push(one);
    const count = (counts.get(path) ?? 0) + 1;
    counts.set(path, count);
    const file = files[path];
    if (file === undefined) {
      response.writeHead(404).end('not here');
      return;
    }
    if (!answer(file, response, one, count)) sendRange(file, response, one.range);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** [first, last] of a Range header, within the file. */
export function rangeOf(file: Uint8Array, range: string | null): [number, number] {
  const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? 'bytes=0-');
  if (match === null) throw new Error(`range ${range}`);
  return [Number(match[1]), Math.min(file.length - 1, match[2] === '' ? Number.POSITIVE_INFINITY : Number(match[2]))];
}

export function sendRange(file: Uint8Array, response: ServerResponse, range: string | null, headers: Record<string, string> = {}): void {
  const [first, last] = rangeOf(file, range);
  if (first >= file.length) {
    response.writeHead(416, {'Content-Range': `bytes */${file.length}`}).end();
    return;
  }
  const body = file.subarray(first, last + 1);
  response.writeHead(206, {'Content-Range': `bytes ${first}-${last}/${file.length}`, 'Content-Length': body.length, ...headers}).end(body);
}

/** Promises `length` bytes, sends fewer and drops the connection. */
export function breakOff(response: ServerResponse, status: number, headers: Record<string, string | number>, sent: Uint8Array): void {
  response.writeHead(status, headers);
  response.write(sent, () => response.destroy());
}
