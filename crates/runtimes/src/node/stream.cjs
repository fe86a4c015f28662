// Streamed responses: a Writable whose bytes leave as HTTP chunks, and AWS's HTTP integration prelude.
//
// Owns: the connection of one streamed response (the platform closes it behind the last byte).
// Must never: send a byte before the handler wrote, ended or failed, since headers leave with the first.
'use strict';

const { Writable } = require('stream');
const client = require('./client.cjs');

const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = Buffer.alloc(8);

class ResponseStream extends Writable {
  constructor(client, invocation, highWaterMark) {
    super(highWaterMark === undefined ? {} : { highWaterMark });
    this._client = client;
    this._invocation = invocation;
    this._contentType = 'application/octet-stream';
    this._onBeforeFirstWrite = undefined;
    this._socket = null;
    this._trailers = '';
    this._sent = false;
    // Resolves when the platform has answered or hung up: either way the invocation is over.
    this.answered = new Promise((resolve) => { this._resolve = resolve; });
    this.on('error', () => this._resolve());
  }

  setContentType(type) {
    if (this._sent) {
      const error = new Error('Cannot set content-type, too late.');
      error.name = 'Runtime.InvalidStreamingOperation';
      throw error;
    }
    this._contentType = type;
  }

  write(chunk, encoding, callback) {
    return super.write(bytesOrText(chunk), encoding, callback);
  }

  end(chunk, encoding, callback) {
    const given = chunk !== undefined && chunk !== null && typeof chunk !== 'function';
    return super.end(given ? bytesOrText(chunk) : chunk, encoding, callback);
  }

  // Ends the response with the error in its trailers: the bytes so far stay delivered.
  fail(error) {
    if (this.writableEnded || this.destroyed) {
      this._resolve();
      return;
    }
    const report = client.toReport(error);
    const body = Buffer.from(JSON.stringify(report)).toString('base64');
    this._trailers = client.headerLines({
      'Lambda-Runtime-Function-Error-Type': report.errorType,
      'Lambda-Runtime-Function-Error-Body': body,
    });
    this.end();
  }

  _start() {
    if (this._sent) return;
    this._sent = true;
    const socket = this._client.connect();
    this._socket = socket;
    socket.unref(); // pending writes keep the loop alive, an idle handler must not
    const answer = new client.Answer();
    socket.on('data', (piece) => answer.push(piece) && this._over());
    socket.on('close', () => this._over());
    socket.on('error', (error) => this.destroy(error));
    const target = `invocation/${encodeURIComponent(this._invocation.id)}/response`;
    socket.write(`${this._client.requestHead('POST', target, {
      'Content-Type': this._contentType,
      'Lambda-Runtime-Function-Response-Mode': 'streaming',
      'Lambda-Runtime-Invocation-Id': this._invocation.headers['lambda-runtime-invocation-id'],
      'Transfer-Encoding': 'chunked',
      Trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
    })}\r\n`);
    if (typeof this._onBeforeFirstWrite === 'function') {
      this._onBeforeFirstWrite((piece) => this._chunk(Buffer.from(piece)));
    }
  }

  _over() {
    this._socket.destroy();
    this._resolve();
    if (!this.writableEnded) this.destroy();
  }

  _chunk(bytes, callback) {
    if (bytes.length === 0) {
      if (callback) callback(); // an empty chunk would end the body
      return;
    }
    this._socket.cork();
    this._socket.write(`${bytes.length.toString(16)}\r\n`);
    this._socket.write(bytes);
    this._socket.write('\r\n', callback);
    this._socket.uncork();
  }

  _write(chunk, _encoding, callback) {
    this._start();
    this._chunk(chunk, callback);
  }

  _final(callback) {
    this._start();
    this._socket.ref(); // until the platform has answered
    this._socket.write(`0\r\n${this._trailers}\r\n`, callback);
  }
}

const bytesOrText = (chunk) => (typeof chunk === 'string' || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk));

const HttpResponseStream = {
  from(stream, prelude) {
    stream.setContentType(PRELUDE_TYPE);
    stream._onBeforeFirstWrite = (write) => {
      write(JSON.stringify(prelude));
      write(PRELUDE_END);
    };
    return stream;
  },
};

module.exports = { ResponseStream, HttpResponseStream };
