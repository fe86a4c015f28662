// A process that is started before it is known for which function: it rehearses, opens its connection,
// waits, and becomes what it would have been if it had been started for that function.
//
// Owns: the briefing and the rehearsal. What runs for the first time is compiled first, which takes 3 of the
// 4.5 ms from a briefing to the first `next`, and 20 of 22 where the handler is an ES module: the rehearsal,
// which goes all the way from a briefing to a response, has it done before anybody waits. Must never: leave anything behind that user code could find.
'use strict';

const fs = require('fs');
const net = require('net');
const Module = require('module');
const path = require('path');
const { Client } = require('./client.cjs');
const logs = require('./logs.cjs');

const EVENT = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Deadline-Ms: 0\r\n'
  + 'Lambda-Runtime-Aws-Request-Id: rehearsal\r\nLambda-Runtime-Trace-Id: Root=0\r\nContent-Length: 2\r\n\r\n{}');
const ACCEPTED = Buffer.from('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n');
// What runs often is compiled once more, better: after so many turns that is over for what is used here.
const REHEARSALS = 3;
const LISTENED = ['uncaughtException', 'unhandledRejection', 'beforeExit'];

// Resolves to the client with its open connection, once this process knows what it is for.
async function briefed(descriptor, serve) {
  const client = new Client(net, process.env.AWS_LAMBDA_RUNTIME_API);
  await rehearse(serve);
  // Last: who sees the connection takes this process for ready, and would wait for what it still rehearses.
  await client.connected();
  client.rehearse();
  const text = fs.readFileSync(descriptor, 'utf8');
  fs.closeSync(descriptor);
  if (text === '') process.exit(0); // nobody needs it any more
  heed(text);
  return client;
}

// Becomes what a briefing says: the working directory and behind it the variables, in their order, as if
// the process had been started with them.
function heed(text) {
  const [cwd, ...lines] = text.split('\0');
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const line of lines) {
    const at = line.indexOf('=');
    process.env[line.slice(0, at)] = line.slice(at + 1);
  }
  showVariables(text.slice(cwd.length + 1));
  process.chdir(cwd);
}

// Where the memory begins and ends that /proc/self/environ shows: it holds the first variables, and room
// was left in it for those to come.
let shown = null;

function findShown() {
  const fields = fs.readFileSync('/proc/self/stat', 'latin1').split(') ').pop().split(' ');
  return [Number(fields[47]), Number(fields[48])];
}

// Makes /proc/self/environ say what it would if the process had been started with them.
function showVariables(text) {
  shown ??= findShown();
  const [start, end] = shown;
  const block = Buffer.alloc(end - start);
  block.write(text);
  try {
    const memory = fs.openSync('/proc/self/mem', 'r+');
    fs.writeSync(memory, block, 0, block.length, start);
    fs.closeSync(memory);
  } catch {
    // A hardened kernel refuses it, and nothing but the show depends on it.
  }
}

async function rehearse(serve) {
  const before = briefingOf(process.env);
  for (let turn = 0; turn < REHEARSALS; turn += 1) {
    for (const handler of ['rehearsed.handler', 'rehearsal.handler']) {
      heed(briefingOf({ ...process.env, LAMBDA_TASK_ROOT: __dirname, _HANDLER: handler }));
      await new Promise((resolve) => { serve(clientOf(new Audience(resolve))); });
      LISTENED.forEach((name) => process.removeAllListeners(name));
      delete globalThis.awslambda;
      heed(before);
    }
    forget(path.join(__dirname, 'rehearsal.js'));
  }
  forget(__filename);
  logs.forgetRequest();
}

function briefingOf(variables) {
  return ['/', ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)].join('\0');
}

function clientOf(audience) {
  const client = new Client(net, process.env.AWS_LAMBDA_RUNTIME_API);
  client.socket = audience;
  audience.client = client;
  return client;
}

// Stands for the socket to the Runtime API: answers `next` with an event and the response with its
// acceptance; the second `next` is the end.
class Audience {
  constructor(done) {
    this.answers = [EVENT, ACCEPTED];
    this.done = done;
  }

  write() {
    const answer = this.answers.shift();
    if (!answer) {
      this.done();
      return;
    }
    const { waiting } = this.client;
    this.client.waiting = null;
    waiting.resolve(waiting.answer.push(answer));
  }

  ref() {}

  unref() {}
}

function forget(file) {
  const known = require.cache[file];
  delete require.cache[file];
  for (const other of Object.values(require.cache)) {
    const at = other.children.indexOf(known);
    if (at >= 0) other.children.splice(at, 1);
  }
  for (const [key, found] of Object.entries(Module._pathCache)) {
    if (found === file) delete Module._pathCache[key];
  }
}

module.exports = { briefed };
