package importer

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// This file looks at what containers are given: commands of init containers that
// wait, liveness probes, and addresses in variables and arguments. What the
// workloads and host names are that they lead to is in kubernetes.go.

// waits matches commands of init containers that wait for somebody.
var (
	waits     = regexp.MustCompile(`\b(nc|ncat|curl|wget|until|while|wait[-a-z0-9]*|dockerize|pg_isready|mysqladmin|redis-cli|nslookup|getent|dig|ping)\b`)
	hostWords = regexp.MustCompile(`[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?`)
)

// waitsFor takes every word of a command that is the name of a service: scripts that
// wait are written in too many ways to parse. The caller makes sure that the command
// waits at all; "migrate store" names no service.
func (k *kubernetes) waitsFor(w *workload, command string, at depgraph.Position) {
	for _, word := range hostWords.FindAllString(command, -1) {
		if targets := k.resolve(w.namespace, word); len(targets) > 0 {
			k.dependAny(w.service, targets, claim{start: depgraph.Serving}, "initContainer", word, at)
		}
	}
}

// probe claims and marks edges to other services that a liveness probe asks: when one
// of those is down, the kubelet restarts this one. Addresses of the pod itself, which
// most probes ask, lead to no service.
//
// A probe that is absent has no hosts.
func (k *kubernetes) probe(w *workload, probe *yaml.Node) {
	hosts := []string{text(get(probe, "httpGet", "host")), text(get(probe, "tcpSocket", "host"))}
	for _, a := range addresses("", strings.Join(texts(get(probe, "exec", "command")), " ")) {
		hosts = append(hosts, a.host)
	}
	for _, host := range hosts {
		if targets := k.resolve(w.namespace, host); len(targets) > 0 {
			if e := k.dependAny(w.service, targets, hardRuntime, "livenessProbe", host, w.doc.at(probe)); e != nil {
				e.liveness = true
			}
		}
	}
}

// setting is a variable or an argument of a container, with the name under which an
// address in it is claimed; "" for a plain argument.
type setting struct {
	key, value string
	at         depgraph.Position
}

// holders are the kinds of objects that hold variables, with the fields of a
// container that refer to all of them and to one. A list, not a map: what is
// skipped is named in the same order each time.
var holders = []struct{ name, all, one string }{
	{"ConfigMap", "configMapRef", "configMapKeyRef"},
	{"Secret", "secretRef", "secretKeyRef"},
}

// held returns what a ConfigMap or Secret holds that a container refers to, and
// counts those that are not among the manifests: their addresses are unknown.
//
// The result belongs to the cluster, so callers only read it.
func (k *kubernetes) held(w *workload, kind string, ref *yaml.Node) map[string]string {
	name := text(get(ref, "name"))
	values, ok := k.configs[kind+"/"+w.namespace+"/"+name]
	if !ok && name != "" {
		k.skip("references to a ConfigMap or Secret that is not among the manifests: " + kind + " " + name + " of " + w.service)
	}
	return values
}

// reference is how one variable names another one, $(NAME), in values and arguments.
var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)`)

// container looks for addresses in what a container is given, and claims each as the
// caller says. Variables come first, since values and arguments refer to them; of two
// with one name the later counts, and a reference to none stays as it is, both as in
// the kubelet. A flag "--store-url=..." counts as a variable STORE_URL would.
func (k *kubernetes) container(w *workload, c *yaml.Node, as claim) {
	var all []setting
	for _, from := range items(get(c, "envFrom")) {
		prefix := text(get(from, "prefix"))
		for _, kind := range holders {
			values := k.held(w, kind.name, get(from, kind.all))
			for _, key := range slices.Sorted(maps.Keys(values)) {
				all = append(all, setting{prefix + key, values[key], w.doc.at(from)})
			}
		}
	}
	for _, v := range items(get(c, "env")) {
		value := text(get(v, "value"))
		for _, kind := range holders {
			if n := get(v, "valueFrom", kind.one); n != nil {
				value = k.held(w, kind.name, n)[text(get(n, "key"))]
			}
		}
		all = append(all, setting{text(get(v, "name")), value, w.doc.at(v)})
	}
	// What $(NAME) may refer to: all variables, the later of two with one name.
	env := map[string]string{}
	for _, s := range all {
		env[s.key] = s.value
	}
	// A flag with a value counts as a variable, anything else as plain words.
	for _, field := range []string{"command", "args"} {
		for _, arg := range texts(get(c, field)) {
			key, value, named := strings.Cut(arg, "=")
			if key = strings.ReplaceAll(strings.TrimLeft(key, "-"), "-", "_"); !named || !strings.HasPrefix(arg, "-") {
				key, value = "", arg
			}
			all = append(all, setting{key, value, w.doc.at(get(c, field))})
		}
	}
	for _, s := range all {
		value := reference.ReplaceAllStringFunc(s.value, func(ref string) string {
			if v, ok := env[ref[2:len(ref)-1]]; ok {
				return v
			}
			return ref
		})
		k.variable(w, s.key, value, as, s.at)
	}
}

// variable claims the addresses in one setting. A host of the cluster that is in no
// manifest becomes a service, if it is sure to be an address and is a variable's:
// commands hold too many words with colons. Telemetry and observers are soft,
// evidently. What is needed at run time is better up before the start, but nothing
// waits for it, so the start is ordered weakly.
func (k *kubernetes) variable(w *workload, key, value string, as claim, at depgraph.Position) {
	if key == "OTEL_RESOURCE_ATTRIBUTES" {
		k.services[w.service].Criticality = max(k.services[w.service].Criticality, criticalityOf(value))
		return
	}
	for _, a := range addresses(key, value) {
		targets := k.resolve(w.namespace, a.host)
		if len(targets) == 0 {
			if key == "" || !a.sure || !inCluster(a.host) || !foreign(a.host) {
				if key != "" {
					k.foreign(w.service, key, a, at)
				}
				continue
			}
			targets = []string{a.host}
			if s := k.service(a.host, at); s.Note == "" && s.Kind == depgraph.KindUnknown {
				s.Note = "named by others, not among the manifests"
			}
		}
		// How the edge is needed: as the caller says, or softly if it is for watching.
		use := as
		if watch := telemetryKey.MatchString(key) || k.observes(w.service) || k.observes(targets[0]); watch {
			use.soft, use.assumed, use.evident = true, true, true
		}
		k.dependAny(w.service, targets, use, a.source("env"), cmp.Or(key, "args"), at)
		if as.runtime && k.services[targets[0]].Kind != depgraph.External { // nothing waits for it, but it is better up before
			k.dependAny(w.service, targets, claim{start: depgraph.Serving, weak: true, assumed: true}, a.source("env"), cmp.Or(key, "args"), at)
		}
	}
}
