// A rule for "depgraph check --rule": a critical service says how a person
// verifies that it is up. It needs no library: the input is read token by token.
//
//   npm install && npm run build

let input = "";
let at = 0;

function fail(why: string): void {
  process.stderr.write(why + "\n");
  process.exit(1);
}

function space(): void {
  while (at < input.length && " \n\r\t".includes(input.charAt(at))) at++;
}

function take(sign: string): bool {
  space();
  if (input.charAt(at) != sign) return false;
  at++;
  return true;
}

/** A string as it stands in the input, escapes included, without its quotes. */
function text(): string {
  if (!take('"')) fail("expected a string");
  const start = at;
  while (at < input.length && input.charAt(at) != '"') {
    at += input.charAt(at) == "\\" ? 2 : 1;
  }
  if (at >= input.length) fail("the input ends in the middle");
  return input.substring(start, at++);
}

/** Skips a value of any kind. Brackets inside strings do not count. */
function skip(): void {
  let depth = 0;
  do {
    space();
    if (at >= input.length) fail("the input ends in the middle");
    const sign = input.charAt(at);
    if (sign == '"') {
      text();
    } else if (sign == "{" || sign == "[") {
      depth++;
      at++;
    } else if (sign == "}" || sign == "]") {
      depth--;
      at++;
    } else if (sign == "," || sign == ":") {
      at++;
    } else {
      while (at < input.length && !",]}: \n\r\t".includes(input.charAt(at))) at++;
    }
  } while (depth > 0);
}

function service(): string {
  let name = "";
  let criticality = "";
  let verify = "";
  if (!take("{")) fail("expected a service");
  while (!take("}")) {
    const key = text();
    if (!take(":")) fail("expected a colon");
    if (key == "service") name = text();
    else if (key == "criticality") criticality = text();
    else if (key == "verify") verify = text();
    else skip();
    take(",");
  }
  if (criticality != "critical" || verify != "") return "";
  return `{"service":"${name}","message":"${name} is critical and has no verify step","fix":"Say in verify how a person sees that it is up."}`;
}

function readAll(): string {
  const chunk = new ArrayBuffer(65536);
  const parts: ArrayBuffer[] = [];
  let size = 0;
  for (;;) {
    const n = process.stdin.read(chunk);
    if (n <= 0) break;
    parts.push(chunk.slice(0, n));
    size += n;
  }
  const all = new Uint8Array(size);
  let offset = 0;
  for (let i = 0; i < parts.length; i++) {
    all.set(Uint8Array.wrap(parts[i]), offset);
    offset += parts[i].byteLength;
  }
  return String.UTF8.decode(all.buffer);
}

input = readAll();
const findings: string[] = [];
if (!take("{")) fail("expected an object");
while (!take("}")) {
  const key = text();
  if (!take(":")) fail("expected a colon");
  if (key == "services") {
    if (!take("[")) fail("expected a list");
    while (!take("]")) {
      const f = service();
      if (f != "") findings.push(f);
      take(",");
    }
  } else {
    skip();
  }
  take(",");
}
process.stdout.write('{"interface":1,"findings":[' + findings.join(",") + "]}\n");
