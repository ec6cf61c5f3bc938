/* A rule for "depgraph check --rule": a critical service says how a person
   verifies that it is up. It needs no library: the input is read token by token.

     clang --target=wasm32-wasi --sysroot=/usr -O2 -o runbook.wasm rule.c
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *at; /* where the reader is; the input ends with a zero byte */

static void fail(const char *why) {
  fprintf(stderr, "%s\n", why);
  exit(1);
}

static void space(void) {
  while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
}

static int take(char c) {
  space();
  if (*at != c) return 0;
  at++;
  return 1;
}

/* A string as it stands in the input, escapes included, without its quotes. */
struct text {
  const char *start;
  int length;
};

static struct text string(void) {
  if (!take('"')) fail("expected a string");
  struct text t = {at, 0};
  while (*at != '"') {
    if (*at == '\\') at++;
    if (*at == 0) fail("the input ends in the middle");
    at++;
  }
  t.length = (int)(at++ - t.start);
  return t;
}

static int is(struct text t, const char *word) {
  return t.length == (int)strlen(word) && memcmp(t.start, word, t.length) == 0;
}

/* Skips a value of any kind. Brackets inside strings do not count. */
static void skip(void) {
  int depth = 0;
  do {
    space();
    switch (*at) {
      case 0: fail("the input ends in the middle");
      case '"': string(); break;
      case '{': case '[': depth++; at++; break;
      case '}': case ']': depth--; at++; break;
      case ',': case ':': at++; break;
      default: while (*at && !strchr(",]}: \n\r\t", *at)) at++;
    }
  } while (depth > 0);
}

static int findings = 0;

static void service(void) {
  struct text name = {"", 0}, criticality = {"", 0}, verify = {"", 0};
  if (!take('{')) fail("expected a service");
  while (!take('}')) {
    struct text key = string();
    if (!take(':')) fail("expected a colon");
    if (is(key, "service")) name = string();
    else if (is(key, "criticality")) criticality = string();
    else if (is(key, "verify")) verify = string();
    else skip();
    take(',');
  }
  if (is(criticality, "critical") && verify.length == 0)
    printf("%s{\"service\":\"%.*s\",\"message\":\"%.*s is critical and has no verify step\","
           "\"fix\":\"Say in verify how a person sees that it is up.\"}",
           findings++ ? "," : "", name.length, name.start, name.length, name.start);
}

static char *input(void) {
  size_t size = 0, room = 1 << 16;
  char *all = malloc(room);
  for (;;) {
    if (all == NULL) fail("out of memory");
    size_t n = fread(all + size, 1, room - size - 1, stdin);
    size += n;
    if (n == 0) break;
    if (room - size < 4096) all = realloc(all, room *= 2);
  }
  all[size] = 0;
  return all;
}

int main(void) {
  at = input();
  printf("{\"interface\":1,\"findings\":[");
  if (!take('{')) fail("expected an object");
  while (!take('}')) {
    struct text key = string();
    if (!take(':')) fail("expected a colon");
    if (is(key, "services")) {
      if (!take('[')) fail("expected a list");
      while (!take(']')) {
        service();
        take(',');
      }
    } else {
      skip();
    }
    take(',');
  }
  printf("]}\n");
  return 0;
}
