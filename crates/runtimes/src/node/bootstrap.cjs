// Runtime API client of the managed Node.js runtimes (16 and newer, nothing but Node's own modules).
//
// Owns: the connection to the Runtime API, loading the handler, the context, console, error reports.
// Must never: keep the event loop alive while the handler runs (AWS's contract for callbacks is "the
// response leaves when the loop is empty"), load `http` (3 ms of Init), or know whether the process was
// frozen while it waited. CommonJS, since an ES module as entry point costs Init time.
'use strict';

const net = require('net');
const fs = require('fs');
const path = require('path');
const { Client, causeOf, toReport } = require('./client.cjs');
// Loaded when a handler streams: the file costs Init time.
const streams = () => require('./stream.cjs');
const logs = require('./logs.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

function fault(name, message) {
  const error = new Error();
  error.name = `Runtime.${name}`;
  error.message = String(message);
  Error.captureStackTrace(error, fault);
  return error;
}

// ---------------------------------------------------------------- the handler

function exists(file) {
  try {
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

// Whether the nearest package.json says that .js files are ES modules.
function isModuleFolder(folder) {
  if (folder.endsWith('/node_modules')) return false;
  const file = path.join(folder, 'package.json');
  if (exists(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder === '/' ? false : isModuleFolder(path.dirname(folder));
}

async function loadModule(root, folder, name) {
  const base = path.resolve(root, folder, name);
  if (exists(base)) return require(base);
  if (exists(`${base}.js`)) {
    const esm = isModuleFolder(path.dirname(base));
    return esm ? import(`${base}.js`) : require(`${base}.js`);
  }
  if (exists(`${base}.mjs`)) return import(`${base}.mjs`);
  if (exists(`${base}.cjs`)) return require(`${base}.cjs`);
  return require(require.resolve(name, { paths: [root, folder] }));
}

async function loadHandler(root, text) {
  if (text.includes('..')) {
    throw fault('MalformedHandlerName', `'${text}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const last = path.basename(text);
  const folder = text.substring(0, text.indexOf(last));
  const parts = /^([^.]*)\.(.*)$/.exec(last);
  if (!parts) throw fault('MalformedHandlerName', 'Bad handler');
  let loaded;
  try {
    loaded = await loadModule(root, folder, parts[1]);
  } catch (error) {
    if (error instanceof SyntaxError) throw fault('UserCodeSyntaxError', error);
    if (error && error.code === 'MODULE_NOT_FOUND') throw fault('ImportModuleError', error);
    throw error;
  }
  const handler = parts[2].split('.').reduce((inside, key) => inside && inside[key], loaded);
  if (!handler) throw fault('HandlerNotFound', `${text} is undefined or not exported`);
  if (typeof handler !== 'function') throw fault('HandlerNotFound', `${text} is not a function`);
  return handler;
}

// What was compiled ahead, if anything was: Node looks there for what it would compile, and believes no more than
// what fits the source.
function useBytecode(directory) {
  if (fs.readdirSync(directory).length > 0) require('module').enableCompileCache(directory);
}

// node24 took callback handlers away; the earlier runtimes keep them.
function takesCallbacks() {
  const major = /nodejs(\d+)\.x$/.exec(process.env.AWS_EXECUTION_ENV || '');
  return Number(major ? major[1] : process.versions.node.split('.')[0]) < 24;
}

function provideGlobal() {
  const off = process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA;
  if (off === '1' || off === 'true') return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (options && typeof options.highWaterMark === 'number') {
        handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      }
      return handler;
    },
    get HttpResponseStream() { return streams().HttpResponseStream; },
  };
}

// ---------------------------------------------------------------- the context

function parseHeader(text, label) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${label} as json: ${error}`);
  }
}

function fillContext(context, headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return Object.assign(context, {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseHeader(headers['lambda-runtime-client-context'], 'ClientContext'),
    identity: parseHeader(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  });
}

const isPromise = (value) => value && typeof value.then === 'function';

// ---------------------------------------------------------------- the loop

class Runtime {
  constructor(client, handler) {
    this.client = client;
    this.handler = handler;
    this.streaming = handler[STREAMING] === 'response';
    this.callbacks = takesCallbacks();
    // What to do when the event loop runs empty: the end of a callback handler is that moment.
    this.onEmptyLoop = () => {};
    this.current = null; // the invocation that has not been answered yet
  }

  start() {
    setImmediate(() => this.turn().catch((error) => fatal(this, 129, 'Uncaught Exception', error)));
  }

  async turn() {
    this.onEmptyLoop = () => {};
    const { headers, body } = await this.client.next();
    const id = headers['lambda-runtime-aws-request-id'];
    logs.setRequest(id, headers['lambda-runtime-aws-tenant-id']);
    const trace = headers['lambda-runtime-trace-id'];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    this.current = { id, headers, settled: false };
    if (this.streaming) await this.stream(this.current, body);
    else this.buffered(this.current, body);
  }

  // ------------------------------------------------ one response

  buffered(invocation, body) {
    let waits = true;
    let called = false;
    const once = (act) => (...values) => {
      if (called) return;
      act(...values);
      called = true;
    };
    const done = (error, result) => {
      this.onEmptyLoop = () => {};
      if (error !== undefined && error !== null) this.fail(invocation, error);
      else this.succeed(invocation, result);
    };
    const callback = (error, result) => {
      if ((error !== undefined && error !== null) || !waits) done(error, result);
      else this.onEmptyLoop = () => this.succeed(invocation, result);
    };
    const fail = (error) => done(error === undefined || error === null ? 'handled' : error);
    const succeed = (result) => done(null, result);
    const context = this.callbacks
      ? { succeed: once(succeed), fail: once(fail), done: once(done) }
      : {};
    const [settle, reject] = [once(succeed), once(fail)];
    if (this.callbacks) {
      Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
        get: () => waits,
        set: (value) => { waits = value; },
        enumerable: true,
        configurable: true,
      });
    }
    const back = once(callback);
    this.onEmptyLoop = () => this.succeed(invocation, null);
    try {
      const event = JSON.parse(body.toString('utf8'));
      fillContext(context, invocation.headers);
      const result = this.callbacks
        ? this.handler(event, context, back)
        : this.handler(event, context);
      if (isPromise(result)) result.then(settle, reject).catch(reject);
      else if (!this.callbacks) settle(result);
    } catch (error) {
      back(error);
    }
  }

  succeed(invocation, result) {
    if (invocation.settled) {
      console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.');
      return;
    }
    let text;
    try {
      text = JSON.stringify(result === undefined ? null : result);
    } catch {
      throw new Error('Unable to stringify response body');
    }
    invocation.settled = true;
    // A function or a symbol has no JSON: the response is empty then.
    this.post(invocation, 'response', { 'Content-Type': 'application/json' }, text === undefined ? '' : text);
  }

  fail(invocation, error) {
    logs.logError('Invoke Error', error);
    if (invocation.settled) return;
    invocation.settled = true;
    const report = toReport(error);
    this.post(invocation, 'error', this.errorHeaders(report, error), JSON.stringify(report));
  }

  errorHeaders(report, error) {
    return {
      'Content-Type': 'application/json',
      'Lambda-Runtime-Function-Error-Type': report.errorType,
      'Lambda-Runtime-Function-XRay-Error-Cause': causeOf(error),
    };
  }

  post(invocation, kind, headers, text) {
    const attempt = invocation.headers['lambda-runtime-invocation-id'];
    const all = { ...headers, 'Lambda-Runtime-Invocation-Id': attempt };
    const target = `invocation/${encodeURIComponent(invocation.id)}/${kind}`;
    this.client.post(target, all, text).then(({ status, body }) => {
      if (status >= 300) {
        // The caller was told by the platform (too large, too late): the loop goes on.
        logs.raw(`the Runtime API refused the ${kind} with ${status}: ${body.toString().trim()}`);
      }
      if (this.current === invocation) this.current = null;
      this.start();
    }).catch((error) => fatal(this, 129, 'Uncaught Exception', error));
  }

  // ------------------------------------------------ a streamed response

  async stream(invocation, body) {
    const stream = new (streams().ResponseStream)(this.client, invocation, this.handler[HIGH_WATER_MARK]);
    invocation.stream = stream;
    let waits = true;
    const context = this.callbacks ? {
      get callbackWaitsForEmptyEventLoop() { return waits; },
      set callbackWaitsForEmptyEventLoop(value) { waits = value; },
    } : {};
    if (!this.callbacks) waits = false;
    const fail = (error) => {
      logs.logError('Invoke Error', error);
      return stream.fail(error);
    };
    // Nothing is left that could ever end the stream.
    this.onEmptyLoop = () => {
      this.onEmptyLoop = () => {};
      fail('Response stream is not finished.');
    };
    try {
      const event = JSON.parse(body.toString('utf8'));
      const result = this.handler(event, stream, fillContext(context, invocation.headers));
      if (!isPromise(result)) throw 'Streaming does not support non-async handlers.';
      if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
    } catch (error) {
      waits = false;
      fail(error);
    }
    await stream.answered;
    invocation.settled = true;
    if (this.current === invocation) this.current = null;
    if (waits) this.onEmptyLoop = () => this.start();
    else this.start();
  }
}

// ---------------------------------------------------------------- the end of the process

let dying = false;

// Reports an error nobody caught to whoever waits for an answer, then ends the process.
function fatal(runtime, code, title, error) {
  if (dying) return;
  dying = true;
  const leave = () => process.exit(code);
  try {
    logs.logError(title, error);
    const client = runtime.client;
    const current = runtime.current;
    if (current && current.stream) {
      current.stream.fail(error);
      current.stream.answered.then(leave, leave);
    } else if (current && !current.settled) {
      const report = toReport(error);
      current.settled = true;
      const target = `invocation/${encodeURIComponent(current.id)}/error`;
      const body = JSON.stringify(report);
      client.post(target, runtime.errorHeaders(report, error), body).then(leave, leave);
    } else if (!runtime.handler) {
      const report = toReport(error);
      const headers = { 'Content-Type': 'application/json', 'Lambda-Runtime-Function-Error-Type': report.errorType };
      client.post('init/error', headers, JSON.stringify(report)).then(leave, leave);
    } else {
      leave();
    }
  } catch {
    leave();
  }
}

// Open in a process that is started before it is known for which function: see ahead.cjs.
const BRIEFING_DESCRIPTOR = 61;

function isStartedAhead() {
  try {
    fs.fstatSync(BRIEFING_DESCRIPTOR);
    return true;
  } catch {
    return false;
  }
}

async function main() {
  // Waited for in either case, so that a stack shows no difference.
  const connected = await (isStartedAhead()
    && require('./ahead.cjs').briefed(BRIEFING_DESCRIPTOR, serve));
  await serve(connected || new Client(net, process.env.AWS_LAMBDA_RUNTIME_API));
}

// Loads the handler that the variables name and has it serve what comes to this client.
async function serve(client) {
  logs.patchConsole();
  let runtime = { client, handler: null, current: null };
  process.on('uncaughtException', (error) => fatal(runtime, 129, 'Uncaught Exception', error));
  process.on('unhandledRejection', (reason) => {
    const error = fault('UnhandledPromiseRejection', reason);
    error.reason = reason;
    fatal(runtime, 128, 'Unhandled Promise Rejection', error);
  });
  process.on('beforeExit', () => runtime.onEmptyLoop && runtime.onEmptyLoop());
  provideGlobal();
  useBytecode(path.join(__dirname, 'bytecode'));
  try {
    const root = process.env.LAMBDA_TASK_ROOT || '/var/task';
    const handler = await loadHandler(root, process.env._HANDLER || '');
    const mode = handler[STREAMING];
    if (mode && mode !== 'response') throw fault('MalformedStreamingHandler', 'Only response streaming is supported.');
    if (handler.length >= 3 && !mode && !takesCallbacks()) {
      throw fault('CallbackHandlerDeprecated', 'callback-based handlers are not supported from nodejs24.x on: use an async handler');
    }
    runtime = new Runtime(client, handler);
    runtime.start();
  } catch (error) {
    fatal(runtime, 129, 'Uncaught Exception', error);
  }
}

main();
