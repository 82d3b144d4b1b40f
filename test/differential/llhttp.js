// What Node's HTTP parser (llhttp) makes of the bytes of one connection: one line of hex in, one line of
// JSON out, {messages: [[method, target, body as hex]], end, code}. The parser alone, as Node's server
// sets it up, without the server's own rules; its end is "refused", "closed" or "waits".
//
// With the argument "answers" it is set up as Node's client does it: a line has the kind of request and
// "ends" or "open" behind the bytes, messages are [[status, body as hex]], and the end may be "reused".
'use strict';
const readline = require('readline');
const binding = process.binding('http_parser');
const { HTTPParser } = binding;
const methods = binding.allMethods || binding.methods;
// Where among what kOnHeadersComplete is told.
const STATUS = 5;
const UPGRADE = 7;
const KEEP_ALIVE = 8;

function read(bytes) {
  const messages = [];
  const parser = new HTTPParser();
  let current = null;
  let isLast = false;
  let isInside = false;
  parser.initialize(HTTPParser.REQUEST, {}, 0, HTTPParser.kLenientNone || 0);
  parser[HTTPParser.kOnHeaders | 0] = () => {};
  parser[HTTPParser.kOnHeadersComplete | 0] = (...told) => {
    isInside = true;
    current = { method: methods[told[3]], target: told[4], body: [] };
    isLast = !told[KEEP_ALIVE];
    return 0;
  };
  parser[HTTPParser.kOnBody | 0] = (chunk) => { current.body.push(Buffer.from(chunk)); };
  parser[HTTPParser.kOnMessageComplete | 0] = () => {
    isInside = false;
    messages.push([current.method, current.target, Buffer.concat(current.body).toString('hex')]);
  };
  for (let rest = bytes; rest.length > 0;) {
    const result = parser.execute(rest);
    if (typeof result !== 'number') {
      // What follows a last message is thrown away, like everybody does.
      return { messages, end: result.code === 'HPE_CLOSED_CONNECTION' ? 'closed' : 'refused', code: result.code };
    }
    // Where a head asks for another protocol Node's wrapper tells no error, and pauses behind the message.
    if (result === 0 || (result < rest.length && isInside)) return { messages, end: 'refused', code: 'untold' };
    rest = rest.subarray(result);
  }
  const result = parser.finish();
  if (result instanceof Error) return { messages, end: 'waits', code: result.code };
  return { messages, end: isLast ? 'closed' : 'waits', code: '' };
}

// What its client makes of an answer's bytes, handed over `step` at a time, and then of their end.
function readAnswer(bytes, asked, step) {
  const parser = new HTTPParser();
  const seen = { status: 0, body: null, isOver: false, isKept: false, isSwitched: false, at: 0, code: '' };
  parser.initialize(HTTPParser.RESPONSE, {}, 0, HTTPParser.kLenientNone || 0);
  parser[HTTPParser.kOnHeaders | 0] = () => {};
  parser[HTTPParser.kOnHeadersComplete | 0] = (...told) => {
    if (seen.isOver) return 0;
    seen.isSwitched = told[UPGRADE];
    if (!seen.isSwitched && told[STATUS] >= 100 && told[STATUS] < 200) return 1; // an interim head
    seen.status = told[STATUS];
    seen.isKept = told[KEEP_ALIVE];
    seen.body = [];
    if (seen.isSwitched) return 2;
    return asked === 'head' || seen.status === 304 ? 1 : 0;
  };
  parser[HTTPParser.kOnBody | 0] = (chunk) => { if (!seen.isOver) seen.body.push(Buffer.from(chunk)); };
  parser[HTTPParser.kOnMessageComplete | 0] = () => { if (seen.body) seen.isOver = true; };
  while (seen.at < bytes.length && !seen.isOver && !seen.isSwitched) {
    const result = parser.execute(bytes.subarray(seen.at, seen.at + step));
    if (typeof result !== 'number') {
      seen.code = result.code;
      return seen;
    }
    seen.at += seen.isSwitched ? result : Math.min(step, bytes.length - seen.at);
  }
  if (!seen.isOver && !seen.isSwitched) {
    const last = parser.finish();
    seen.code = last instanceof Error ? last.code : 'ECONNRESET';
  }
  return seen;
}

function judgeAnswer(bytes, asked, ends) {
  let seen = readAnswer(bytes, asked, bytes.length);
  if (seen.isOver) seen = readAnswer(bytes, asked, 1); // where?
  if (seen.isSwitched) return { messages: [[seen.status, bytes.subarray(seen.at).toString('hex')]], end: 'closed', code: '' };
  if (!seen.isOver) return { messages: [], end: 'refused', code: seen.code };
  // On what comes behind an answer its client gives up the connection.
  const end = seen.isKept && seen.at === bytes.length && !ends ? 'reused' : 'closed';
  return { messages: [[seen.status, Buffer.concat(seen.body).toString('hex')]], end, code: '' };
}

const isOfAnswers = process.argv[2] === 'answers';
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [hex, asked, end] = line.split(' ');
  const bytes = Buffer.from(hex, 'hex');
  process.stdout.write(JSON.stringify(isOfAnswers ? judgeAnswer(bytes, asked, end === 'ends') : read(bytes)) + '\n');
});
