// A process that is started before it is known for which function: it rehearses, opens its connection,
// waits, and becomes what it would have been if it had been started for that function.
//
// Owns: the briefing and the rehearsal. What runs for the first time is compiled first, which takes 3 of the
// 4.5 ms from a briefing to the first `next`, and 20 of 22 where the handler is an ES module: the rehearsal
// has it done before anybody waits. Must never: leave anything behind that user code could find.
'use strict';

const fs = require('fs');
const net = require('net');
const Module = require('module');
const path = require('path');
const { Client } = require('./client.cjs');
const logs = require('./logs.cjs');

const EVENT = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Deadline-Ms: 0\r\n'
  + 'Lambda-Runtime-Aws-Request-Id: rehearsal\r\nContent-Length: 2\r\n\r\n{}');
const ACCEPTED = Buffer.from('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n');
// A second time is quicker than the first, a fourth no more.
const REHEARSALS = 3;

// Resolves to the client with its open connection, once this process knows what it is for.
async function briefed(descriptor, Runtime, loadHandler) {
  const client = new Client(net, process.env.AWS_LAMBDA_RUNTIME_API);
  await rehearse(client, Runtime, loadHandler);
  const text = fs.readFileSync(descriptor, 'utf8');
  fs.closeSync(descriptor);
  if (text === '') process.exit(0); // nobody needs it any more
  const { variables, cwd } = JSON.parse(text);
  become(variables);
  process.chdir(cwd);
  return client;
}

// In their order, as if the process had been started with them.
function become(variables) {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, variables);
  showVariables(variables);
}

// Makes /proc/self/environ say what it would if the process had been started with them: it shows the
// memory in which the first variables lay, where room was left for those to come.
function showVariables(variables) {
  const fields = fs.readFileSync('/proc/self/stat', 'latin1').split(') ').pop().split(' ');
  const [start, end] = [Number(fields[47]), Number(fields[48])];
  const block = Buffer.alloc(end - start);
  block.write(Object.entries(variables).map(([name, value]) => `${name}=${value}\0`).join(''));
  try {
    const memory = fs.openSync('/proc/self/mem', 'r+');
    fs.writeSync(memory, block, 0, block.length, start);
    fs.closeSync(memory);
  } catch {
    // A hardened kernel refuses it, and nothing but the show depends on it.
  }
}

async function rehearse(client, Runtime, loadHandler) {
  const connected = client.connected();
  for (let turn = 0; turn < REHEARSALS; turn += 1) {
    await loadHandler(__dirname, 'rehearsed.handler');
    const handler = await loadHandler(__dirname, 'rehearsal.handler');
    logs.patchConsole();
    await new Promise((resolve) => { new Runtime(clientOf(new Audience(resolve)), handler).start(); });
    become({ ...process.env });
    forget(path.join(__dirname, 'rehearsal.js'));
  }
  await connected;
  client.rehearse();
  forget(__filename);
  logs.forgetRequest();
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
