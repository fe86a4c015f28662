// console.* as AWS's Node.js runtimes write it: text or JSON, to stdout or as telemetry frames.
//
// Owns: the format of each record and the id of the request it belongs to.
// Must never: touch process.stdout itself (making that object costs Init time and it is the user's).
'use strict';

const fs = require('fs');
const util = require('util');
const { toReport } = require('./client.cjs');

const REQUEST = Symbol.for('aws.lambda.runtime.requestId');
const TENANT = Symbol.for('aws.lambda.runtime.tenantId');
const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const METHODS = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, fatal: 5 };

let json = false;
let descriptor = null;

function setRequest(id, tenant) {
  globalThis[REQUEST] = id;
  globalThis[TENANT] = tenant;
}

function forgetRequest() {
  delete globalThis[REQUEST];
  delete globalThis[TENANT];
}

function writeAll(fd, bytes) {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += fs.writeSync(fd, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') return; // the reader is gone: a log line must not end the function
      if (fd === 1) {
        process.stdout.write(bytes.subarray(at)); // a full non-blocking pipe: Node queues the rest
        return;
      }
    }
  }
}

function withError(_key, value) {
  if (!(value instanceof Error)) return value;
  return {
    errorType: (value.constructor && value.constructor.name) || 'UnknownError',
    errorMessage: value.message,
    stackTrace: typeof value.stack === 'string' ? value.stack.split('\n') : value.stack,
    ...value,
  };
}

function jsonRecord(time, level, values) {
  const record = { timestamp: time, level, requestId: globalThis[REQUEST] };
  const tenant = globalThis[TENANT];
  if (tenant !== undefined && tenant !== null) record.tenantId = tenant;
  if (values.length === 1) {
    try {
      return JSON.stringify({ ...record, message: values[0] }, withError);
    } catch {
      return JSON.stringify({ ...record, message: util.format(values[0]) });
    }
  }
  record.message = util.format(...values);
  const error = values.find((value) => value instanceof Error);
  if (error) {
    const { errorType, errorMessage, stackTrace } = withError('', error);
    Object.assign(record, { errorType, errorMessage, stackTrace: stackTrace || [] });
  }
  return JSON.stringify(record);
}

function log(level, values) {
  const now = new Date();
  const time = now.toISOString();
  const line = json
    ? jsonRecord(time, LEVELS[level], values)
    : `${time}\t${globalThis[REQUEST]}\t${LEVELS[level]}\t${util.format(...values)}`;
  if (descriptor === null) {
    // One record stays one line of the stream.
    writeAll(1, Buffer.from(`${line.replace(/\n/g, '\r')}\n`));
    return;
  }
  const message = Buffer.from(json ? line : `${line}\n`);
  const head = Buffer.alloc(16);
  head.writeUInt32BE(((json ? 0xa55a0002 : 0xa55a0003) | ((level + 1) << 2)) >>> 0, 0);
  head.writeUInt32BE(message.length, 4);
  head.writeBigInt64BE(BigInt(now.valueOf()) * 1000n, 8);
  writeAll(descriptor, Buffer.concat([head, message]));
}

function patchConsole() {
  json = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const fd = process.env._LAMBDA_TELEMETRY_LOG_FD;
  if (fd !== undefined) {
    descriptor = Number.parseInt(fd, 10);
    delete process.env._LAMBDA_TELEMETRY_LOG_FD;
  }
  const lowest = Math.max(0, LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  for (const [name, level] of Object.entries(METHODS)) {
    const heard = level >= lowest || name === 'fatal';
    console[name] = heard ? (first, ...rest) => log(level, [first, ...rest]) : () => {};
  }
  console.log = console.info;
}

function describeError(_key, value) {
  if (!(value instanceof Error)) return value;
  const fields = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
  if (typeof value.stack === 'string') fields.stack = value.stack.split('\n');
  return fields;
}

function logError(title, thrown) {
  const error = thrown instanceof Error ? thrown : new Error(thrown);
  if (json) {
    console.error(error);
    return;
  }
  let text;
  try {
    text = JSON.stringify(error, describeError);
  } catch {
    text = JSON.stringify(toReport(error));
  }
  console.error(title, `\t${text}`);
}

// A line of the runtime itself, outside the user's records.
function raw(text) {
  writeAll(2, Buffer.from(`${text}\n`));
}

module.exports = { setRequest, forgetRequest, patchConsole, logError, raw };
