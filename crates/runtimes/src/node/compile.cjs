// Compiles all JavaScript below a directory and writes Node's compile cache of it to standard output, as a tar.
// Runs in a sandbox of its own, with the flags of the processes that will use it, and never runs what it compiles.
//
// Node compiles without running only inside (`--expose-internals`): what is used here is what `node --check` uses.
// A release that has it otherwise leaves with an error, and there is no cache.
'use strict';

const fs = require('fs');
const Module = require('module');
const path = require('path');
const { pathToFileURL } = require('url');
const { internalBinding } = require('internal/test/binding');
const { wrapSafe } = require('internal/modules/cjs/loader');

const { ModuleWrap } = internalBinding('module_wrap');
const { source_text_module_default_hdo: loadedByDefault } = internalBinding('symbols');

const CACHE = '/tmp/cache';
const BLOCK_BYTES = 512;

function* sources(directory) {
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) yield* sources(file);
    else if (entry.isFile() && /\.[cm]?js$/.test(entry.name)) yield file;
  }
}

// Whether the nearest package.json says that .js files are ES modules; by directory, since many files share one. The
// bootstrap asks the same of one handler, and gives it a warning; a file for both would cost each Init its loading.
const moduleFolders = new Map();

function isModuleFolder(folder) {
  if (!moduleFolders.has(folder)) moduleFolders.set(folder, findModuleFolder(folder));
  return moduleFolders.get(folder);
}

function findModuleFolder(folder) {
  if (folder.endsWith('/node_modules') || folder === '/') return false;
  try {
    return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).type === 'module';
  } catch (error) {
    return error.code === 'ENOENT' && isModuleFolder(path.dirname(folder));
  }
}

function compile(file) {
  const source = fs.readFileSync(file, 'utf8');
  if (file.endsWith('.mjs') || (file.endsWith('.js') && isModuleFolder(path.dirname(file)))) {
    new ModuleWrap(pathToFileURL(file).href, undefined, source, 0, 0, loadedByDefault);
  } else {
    wrapSafe(file, source, undefined, 'commonjs');
  }
}

// As much of the format as one file needs (ustar).
function header(name, size) {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value, at, digits) => block.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  block.write(name, 0, 100);
  octal(0o644, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(0, 136, 11);
  block.write(' '.repeat(8), 148);
  block.write('0', 156);
  block.write('ustar\x0000', 257, 'latin1');
  octal(block.reduce((sum, byte) => sum + byte), 148, 6);
  return block;
}

function write(bytes) {
  for (let done = 0; done < bytes.length;) done += fs.writeSync(1, bytes, done);
}

const { status } = Module.enableCompileCache(CACHE);
if (status !== Module.constants.compileCacheStatus.ENABLED) process.exit(1);
for (const file of sources(process.argv[2])) {
  try {
    compile(file);
  } catch {
    // Whatever is wrong with it is told to who loads it.
  }
}
Module.flushCompileCache();
for (const entry of fs.readdirSync(CACHE, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = path.join(entry.parentPath, entry.name);
  const bytes = fs.readFileSync(file);
  write(header(path.relative(CACHE, file), bytes.length));
  write(bytes);
  write(Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES));
}
write(Buffer.alloc(2 * BLOCK_BYTES));
