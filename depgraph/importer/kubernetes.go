package importer

import (
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// Kubernetes reads manifests, from files or folders, as "kubectl apply -f"
// would. Workloads become services, and addresses in the environment of their
// containers become edges: found by the name of a Service and its selector.
//
// Nothing in Kubernetes waits for an address, so such an edge is needed at run
// time and orders the start weakly; one that an init container names holds the
// start back.
func Kubernetes(paths ...string) (*Result, error) {
	docs, err := readYAML(paths, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	k := kubernetes{builder: newBuilder(), hosts: map[string][]string{}, configs: map[string]*yaml.Node{}}
	for _, doc := range docs {
		k.collect(doc, doc.root)
	}
	k.name()
	for i := range k.workloads {
		k.workload(&k.workloads[i])
	}
	k.result.Unknown = []string{
		"Imported from " + strings.Join(paths, ", ") + ". Kubernetes does not know which",
		"dependencies are soft, nor how critical a service is: every dependency is hard",
		"until you say \"soft: true\". Nor does it know owners, availability, start",
		"durations, phases, or addresses that are kept in secrets or in code.",
	}
	return k.finish(), nil
}

type kubernetes struct {
	*builder
	workloads []workload
	routes    []route
	hosts     map[string][]string // namespace/name -> services that answer
	configs   map[string]*yaml.Node
}

type workload struct {
	doc             document
	root, pod       *yaml.Node
	kind, namespace string
	name, service   string
	labels          map[string]string
}

// route is a Service object: a host name for the workloads that it selects.
type route struct {
	name, namespace string
	selector        map[string]string
}

// podPaths says where the pod template of each kind is.
var podPaths = map[string][]string{
	"Deployment":  {"spec", "template"},
	"StatefulSet": {"spec", "template"},
	"DaemonSet":   {"spec", "template"},
	"ReplicaSet":  {"spec", "template"},
	"Job":         {"spec", "template"},
	"CronJob":     {"spec", "jobTemplate", "spec", "template"},
	"Pod":         {},
}

func (k *kubernetes) collect(doc document, root *yaml.Node) {
	kind := text(get(root, "kind"))
	namespace := text(get(root, "metadata", "namespace"))
	name := text(get(root, "metadata", "name"))
	path, isWorkload := podPaths[kind]
	switch {
	case kind == "":
		k.warnf("%s: no kind; skipped", doc.at(root))
	case kind == "List":
		for _, item := range items(get(root, "items")) {
			k.collect(doc, item)
		}
	case kind == "Service":
		k.routes = append(k.routes, route{name, namespace, stringMap(get(root, "spec", "selector"))})
	case kind == "ConfigMap":
		k.configs[namespace+"/"+name] = get(root, "data")
	case isWorkload && name == "":
		k.warnf("%s: a %s without a name; skipped", doc.at(root), kind)
	case isWorkload:
		pod := get(root, path...)
		k.workloads = append(k.workloads, workload{
			doc: doc, root: root, pod: get(pod, "spec"), kind: kind, namespace: namespace, name: name,
			labels: stringMap(get(pod, "metadata", "labels")),
		})
	}
}

func stringMap(n *yaml.Node) map[string]string {
	m := map[string]string{}
	pairs(n, func(key, value *yaml.Node) { m[key.Value] = text(value) })
	return m
}

// name gives each workload a service and each Service object a workload. Only
// names that several namespaces use carry their namespace.
func (k *kubernetes) name() {
	count := map[string]int{}
	for _, w := range k.workloads {
		count[w.name]++
	}
	for i := range k.workloads {
		w := &k.workloads[i]
		if w.service = w.name; count[w.name] > 1 {
			w.service = w.namespace + "/" + w.name
			if k.services[w.service] != nil {
				w.service += " (" + w.kind + ")"
			}
		}
		s := k.service(w.service, w.doc.at(w.root))
		s.Note = w.kind
		for _, c := range items(get(w.pod, "containers")) {
			if kind := guessKind(text(get(c, "image"))); s.Kind == depgraph.KindUnknown {
				s.Kind = kind
			}
		}
	}
	for _, r := range k.routes {
		for i := range k.workloads {
			if w := &k.workloads[i]; w.namespace == r.namespace && len(r.selector) > 0 && selects(r.selector, w.labels) {
				k.addHost(r.name, r.namespace, w.service)
			}
		}
	}
	for i := range k.workloads {
		w := &k.workloads[i]
		if _, taken := k.hosts[namespaceOf(w.namespace)+"/"+w.name]; !taken {
			k.addHost(w.name, w.namespace, w.service)
		}
	}
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// namespaceOf fills the default in.
func namespaceOf(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}

func (k *kubernetes) addHost(name, namespace, service string) {
	key := namespaceOf(namespace) + "/" + name
	if !slices.Contains(k.hosts[key], service) {
		k.hosts[key] = append(k.hosts[key], service)
	}
}

// resolve finds a host as the cluster's DNS does for a pod of a namespace: a
// short name in that namespace alone, and with "name.namespace", then ".svc"
// and the cluster's domain, in any.
func (k *kubernetes) resolve(namespace, host string) []string {
	labels := strings.SplitN(strings.TrimSuffix(host, "."), ".", 3)
	switch {
	case host == "":
		return nil
	case len(labels) == 1:
		return k.hosts[namespaceOf(namespace)+"/"+host]
	case len(labels) == 3 && labels[2] != "svc" && !strings.HasPrefix(labels[2], "svc."):
		return nil
	}
	return k.hosts[labels[1]+"/"+labels[0]]
}

func (k *kubernetes) workload(w *workload) {
	for _, c := range items(get(w.pod, "initContainers")) {
		k.container(w, c, claim{start: depgraph.Serving})
	}
	for _, c := range items(get(w.pod, "containers")) {
		k.container(w, c, hardRuntime)
		probe := get(c, "livenessProbe", "httpGet", "host")
		if targets := k.resolve(w.namespace, text(probe)); len(targets) > 0 {
			if e := k.dependAny(w.service, targets, hardRuntime, "livenessProbe", text(probe), w.doc.at(probe)); e != nil {
				e.liveness = true
			}
		}
	}
}

func (k *kubernetes) container(w *workload, c *yaml.Node, as claim) {
	for _, v := range items(get(c, "env")) {
		key, value := text(get(v, "name")), text(get(v, "value"))
		if ref := get(v, "valueFrom", "configMapKeyRef"); ref != nil {
			value = text(get(k.configs[w.namespace+"/"+text(get(ref, "name"))], text(get(ref, "key"))))
		}
		k.variable(w, key, value, as, w.doc.at(v))
	}
	for _, from := range items(get(c, "envFrom")) {
		pairs(k.configs[w.namespace+"/"+text(get(from, "configMapRef", "name"))], func(key, value *yaml.Node) {
			k.variable(w, key.Value, text(value), as, w.doc.at(from))
		})
	}
}

func (k *kubernetes) variable(w *workload, key, value string, as claim, at depgraph.Position) {
	if key == "OTEL_RESOURCE_ATTRIBUTES" {
		k.services[w.service].Criticality = max(k.services[w.service].Criticality, criticalityOf(value))
		return
	}
	for _, a := range addresses(key, value) {
		targets := k.resolve(w.namespace, a.host)
		if len(targets) == 0 {
			if !a.sure || !foreign(a.host) {
				continue
			}
			targets = []string{a.host}
			s := k.service(a.host, at)
			if s.Note == "" {
				s.Kind, s.Note = depgraph.External, "named by others, not among the manifests"
			}
		}
		k.dependAny(w.service, targets, as, a.source("env"), key, at)
		if as.runtime && k.services[targets[0]].Kind != depgraph.External { // nothing waits for it, but it is better up before
			k.dependAny(w.service, targets, claim{start: depgraph.Serving, weak: true, assumed: true}, a.source("env"), key, at)
		}
	}
}
