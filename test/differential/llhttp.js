// What Node's HTTP parser (llhttp) makes of the bytes of one connection: one line of hex in, one line of
// JSON out, {messages: [[method, target, body as hex]], end, code}. The parser alone, as Node's server
// sets it up, without the server's own rules; its end is "refused", "closed" or "waits".
'use strict';
const readline = require('readline');
const binding = process.binding('http_parser');
const { HTTPParser } = binding;
const methods = binding.allMethods || binding.methods;
const KEEP_ALIVE = 8; // index of shouldKeepAlive among what kOnHeadersComplete is told

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

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  process.stdout.write(JSON.stringify(read(Buffer.from(line, 'hex'))) + '\n');
});
