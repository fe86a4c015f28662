// HTTP/1.1 to the Runtime API over one kept raw socket, and the error shapes that go over it.
//
// Owns: the socket and the parsing of answers. Must never: hold the event loop open unless a request is
// under way (the socket is unref'ed in between).
'use strict';

const util = require('util');

const API = '/2018-06-01/runtime/';
// The platform crops the header above this: a cropped JSON text is of no use.
const CAUSE_LIMIT_BYTES = 64 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');

function headerLines(headers) {
  let text = '';
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && value !== '') text += `${name}: ${asHeader(value)}\r\n`;
  }
  return text;
}

// A header line holds neither line ends nor bytes above ASCII.
const asHeader = (value) => String(value).replace(/[^\x20-\x7e]/g, '?');

// Reads one answer out of any sequence of pieces.
class Answer {
  constructor() {
    this.pieces = [];
    this.size = 0;
    this.head = null;
    this.wanted = -1;
  }

  // Returns {status, headers, body, rest} once all of it is here, else null.
  push(piece) {
    this.pieces.push(piece);
    this.size += piece.length;
    for (;;) {
      if (!this.head && !this.readHead()) return null;
      if (this.head.status >= 200) break;
      this.head = null; // an interim answer such as 100 Continue
    }
    if (this.chunked) return this.readChunks();
    if (this.wanted < 0 || this.size < this.wanted) return null;
    return this.finish(this.wanted, (all) => all.subarray(0, this.wanted));
  }

  all() {
    if (this.pieces.length !== 1) this.pieces = [Buffer.concat(this.pieces, this.size)];
    return this.pieces[0];
  }

  readHead() {
    const all = this.all();
    const end = all.indexOf(HEAD_END);
    if (end < 0) return false;
    const lines = all.toString('utf8', 0, end).split('\r\n');
    const headers = {};
    for (let i = 1; i < lines.length; i += 1) {
      const colon = lines[i].indexOf(':');
      headers[lines[i].slice(0, colon).trim().toLowerCase()] = lines[i].slice(colon + 1).trim();
    }
    this.head = { status: Number(lines[0].split(' ')[1]), headers };
    this.chunked = /chunked/i.test(headers['transfer-encoding'] || '');
    const length = headers['content-length'];
    const bodiless = this.head.status === 204 || this.head.status === 304;
    this.wanted = bodiless ? 0 : length === undefined ? -1 : Number(length);
    this.pieces = [all.subarray(end + 4)];
    this.size = this.pieces[0].length;
    return true;
  }

  readChunks() {
    const all = this.all();
    const parts = [];
    let at = 0;
    for (;;) {
      const end = all.indexOf('\r\n', at);
      if (end < 0) return null;
      const size = parseInt(all.toString('latin1', at, end), 16);
      if (size === 0) {
        const last = all.indexOf('\r\n\r\n', end);
        return last < 0 ? null : this.finish(last + 4, () => Buffer.concat(parts));
      }
      if (all.length < end + 2 + size + 2) return null;
      parts.push(all.subarray(end + 2, end + 2 + size));
      at = end + 2 + size + 2;
    }
  }

  finish(used, body) {
    const all = this.all();
    return { ...this.head, body: body(all), rest: all.subarray(used) };
  }

  // The peer closed: that ends a body without a length.
  close() {
    const whole = this.head && this.wanted < 0 && !this.chunked;
    return whole ? this.finish(this.size, (all) => all) : null;
  }
}

class Client {
  constructor(net, address) {
    const colon = address.lastIndexOf(':');
    this.net = net;
    this.host = address.slice(0, colon).replace(/^\[|\]$/g, '');
    this.port = Number(address.slice(colon + 1));
    this.common = `Host: ${address}\r\nUser-Agent: dormouse-nodejs/${process.versions.node}\r\n`;
    this.socket = null;
    this.waiting = null;
  }

  connect(highWaterMark) {
    const socket = this.net.connect({ host: this.host, port: this.port, highWaterMark });
    socket.setNoDelay(true);
    return socket;
  }

  // Opens the connection ahead of the first request.
  connected() {
    if (!this.socket) this.open();
    return new Promise((resolve) => { this.socket.once('connect', resolve); });
  }

  // Has the code of a request compiled: nothing goes out.
  rehearse() {
    this.requestHead('GET', 'invocation/next', {});
    this.socket.ref();
    this.socket.write(Buffer.alloc(0));
    this.socket.unref();
  }

  async next() {
    const answer = await this.request('GET', 'invocation/next', {}, undefined);
    if (answer.status !== 200) {
      throw new Error(`the Runtime API answered next with ${answer.status}: ${answer.body}`);
    }
    return answer;
  }

  post(target, headers, text) {
    return this.request('POST', target, headers, Buffer.from(text, 'utf8'));
  }

  requestHead(method, target, headers) {
    return `${method} ${API}${target} HTTP/1.1\r\n${this.common}${headerLines(headers)}`;
  }

  request(method, target, headers, body) {
    let head = this.requestHead(method, target, headers);
    head += body === undefined ? '\r\n' : `Content-Length: ${body.length}\r\n\r\n`;
    const whole = body === undefined ? Buffer.from(head) : Buffer.concat([Buffer.from(head), body]);
    const reused = this.socket !== null;
    return this.exchange(whole).catch((error) => {
      // A kept connection may have been closed by the peer while it was idle: one fresh attempt.
      if (!reused) throw error;
      return this.exchange(whole);
    });
  }

  exchange(whole) {
    return new Promise((resolve, reject) => {
      if (this.waiting) {
        reject(new Error('a request to the Runtime API is already under way'));
        return;
      }
      this.waiting = { resolve, reject, answer: new Answer() };
      if (!this.socket) this.open();
      this.socket.ref();
      this.socket.write(whole);
    });
  }

  open() {
    const socket = this.connect();
    this.socket = socket;
    const lost = (error) => {
      if (this.socket !== socket) return;
      this.socket = null;
      socket.destroy();
      const waiting = this.waiting;
      this.waiting = null;
      if (!waiting) return;
      const answer = error ? null : waiting.answer.close();
      if (answer) waiting.resolve(answer);
      else waiting.reject(error || new Error('connection closed by the Runtime API'));
    };
    socket.on('data', (piece) => {
      if (!this.waiting) return;
      const answer = this.waiting.answer.push(piece);
      if (!answer) return;
      const { resolve } = this.waiting;
      this.waiting = null;
      socket.unref();
      if ((answer.headers.connection || '').toLowerCase() === 'close') {
        this.socket = null;
        socket.destroy();
      }
      resolve(answer);
    });
    socket.on('error', lost);
    socket.on('close', () => lost());
  }
}

// ---------------------------------------------------------------- errors on the wire

const isErrorLike = (value) => value && ['name', 'message', 'stack'].every((key) => typeof value[key] === 'string' && value[key]);
const plain = (text) => typeof text === 'string' ? text.replace(/\x7F/g, '%7F') : text;

function toReport(error) {
  try {
    if (util.types.isNativeError(error) || isErrorLike(error)) {
      return { errorType: plain(error.name), errorMessage: plain(error.message), trace: plain(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

// The X-Ray cause of an error as one ASCII header value; undefined when there is none or it is too long.
function causeOf(error) {
  try {
    const stack = String(error.stack || '').split('\n').slice(1).map((line) => {
      const match = /^at (?:(.*) \()?(.*?):(\d+)(?::\d+)?\)?$/.exec(line.trim());
      return match && { path: match[2], line: Number(match[3]), label: match[1] || 'anonymous' };
    }).filter(Boolean);
    const text = JSON.stringify({
      working_directory: process.cwd(),
      exceptions: [{ type: error.name, message: error.message, stack }],
      paths: [...new Set(stack.map((entry) => entry.path))],
    }).replace(/[\x7f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
    return text.length < CAUSE_LIMIT_BYTES ? text : undefined;
  } catch {
    return undefined;
  }
}

module.exports = { Client, Answer, causeOf, headerLines, toReport };
