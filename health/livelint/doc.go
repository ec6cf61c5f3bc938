// Package livelint is an analyzer that finds liveness checks that call a
// dependency: handlers of /livez and its like, liveness checks of health
// libraries, and calls of health.Process.Fatal, whose callees reach the
// network. Such a check turns an outage of a dependency into an endless
// restart of the service.
//
// It follows static calls, across packages by facts; calls of interfaces that
// are declared outside the standard library, to the types that this package and
// its imports have for them; and function values in variables and fields of the
// package. It knows routes whose path is put together, groups of routes, tables
// of routes, and what a middleware wraps. What runs in the background, and is not
// waited for, is no dependency of the answer, and neither is this host.
//
// Of this library's own API it finds the ways back to the same fault: Fatal
// because a call failed, Fatal because a state changed, a Beat that only a
// successful call leads to, and calls in a watched loop outside Wait.
//
// # Words
//
// A sink is a function that itself talks to the network ([isSink] decides). A
// way, or path, is the list of functions from a check to a sink, as it is printed:
// main.live -> db.Ping -> net.Dial. A route is what a router matches, as far as
// the code says it; a part that the code does not say is "{}". A place is a
// variable or a field that holds an answer for later. A frame is a call that is
// being looked into, and a cell is a field of a struct or the content of a map, a
// slice or a channel; both exist only for the whole program.
//
// # The way of one finding
//
// Both modes begin and end alike; they differ in who answers "does this
// expression lead to a sink?".
//
//  1. analyze (livelint.go) skips the standard library, and has index note what
//     is assigned to which variable, which call gives a path to a group of
//     routes, and which lines are let through. noteWrites (background.go) notes
//     what is stored for later, by whom.
//  2. solve (reach.go) finds the shortest way to a sink for each function of the
//     package, and exports it as the fact [Reaches].
//  3. look (patterns.go) visits each node once and tries the patterns: mount and
//     table and byPath (routes.go) for handlers, register and grpc (patterns.go)
//     for checks that a library is given, fatal, onChange and loop (watches.go)
//     for this library's own API.
//  4. A pattern that matches asks check for the way from the handler. What the
//     handler does not ask itself but remembers from a check in the background is
//     found by remembered (background.go, told.go).
//  5. say (livelint.go) drops what is let through, and reports at most one fault
//     of a place. The route is the category of the diagnostic: the command uses it
//     to say which probe of a manifest asks for it.
//
// # Two modes
//
// Under go vet the analyzer sees one package, and facts about the packages below
// it. check ends in value (reach.go), which looks at syntax and types only: cheap,
// and cached by the go command. It does not follow parameters, slices, maps and
// channels.
//
// [Whole] has the program in memory in SSA form. check ends in wholeValue
// (whole.go): eval (flow.go, cells.go) follows the value back to the functions
// that it may be, and wayFrom searches from those for the nearest sink, with node
// and callees (callees.go) saying what calls what. If the program does not know
// what a value is, wholeValue says so, and value answers.
//
// Shared by both: patterns, routes, sinks, lines that are let through, what is
// remembered, and the rules for watches. So a new router or a new client is one
// row or one case, never two.
//
// # Tables
//
//   - defaultPaths (livelint.go): paths of liveness. Add one if a platform or a
//     framework has it as its default; what one company uses belongs into -paths.
//   - knownClients (sinks.go): import paths of clients whose functions talk if they
//     take a context. Add the module's path without its major version's suffix if
//     the version is an element of its own.
//   - isSink (sinks.go): calls that take no context, by package. Add a case.
//   - listed (sinks.go): what is too large to read and hides no check.
//   - libraries (patterns.go): health libraries whose handler answers for what was
//     registered with them. registering: names of functions that take a check.
//   - grouping and handing (routes.go): methods of routers that take a prefix, and
//     that take a handler of the path given before.
//
// For each row there is a function in testdata/src/corpus: bad… if it has to be
// found, good… for its harmless neighbour. Write both; a row that has only a bad
// one says nothing about false alarms.
//
// # What is let through
//
//   - A statement with "//livelint:allow REASON" behind it, or on a line of its own
//     above it. Without a reason it has no effect.
//   - This host: net.Dial("unix", …), http.Get("http://127.0.0.1:9000/x"). Only
//     constants count; what comes from the configuration may be anywhere.
//   - What nobody waits for: time.AfterFunc(d, ask), and go refresh() unless the
//     same function has a receive, a select or a call of a method Wait.
//   - What is done once: in mux.Handle("/livez", newLive(db)) the calls of newLive
//     do not count, only those of the handler that it returns.
//   - Methods of the standard library's interfaces (io.Reader, fmt.Stringer):
//     everything implements them, so that following them would report everything.
//   - Clients: http.Get("http://peer/livez") and assertions about an
//     *http.Response name a liveness path and serve none.
//   - For what is remembered, the statuses 401, 403 and 405: they are about who
//     asks and how, and not about the state of the process.
//   - In a watched loop, calls inside Wait, and between Idle and the next Beat: the
//     watch stands still there.
//
// # Bounds
//
// Each search is bounded, because code is not: middleware wraps middleware, and
// values go in circles. Past a bound the answer is "not known", and nothing is
// reported for it; only frames that are nested too deeply are looked at without
// regard to who calls. A linter that is silent about one handler in a hundred is used;
// one that hangs, or accuses harmless code, is switched off. The constants that
// begin with most are these bounds, each beside the code that it bounds.
package livelint
