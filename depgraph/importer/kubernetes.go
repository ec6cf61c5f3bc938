package importer

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// Kubernetes reads manifests, from files or folders, as "kubectl apply -f"
// would. Whatever runs pods becomes a service, and the addresses that its
// containers are given become edges: in variables, arguments, ConfigMaps and
// Secrets, of which only the names are kept. A host name is looked up as the
// cluster does, by Service and namespace; several workloads behind one Service
// are alternatives. Flux's Kustomizations and HelmReleases become services too,
// ordered by dependsOn, and sync waves of Argo CD order what carries them.
//
// Nothing in Kubernetes waits for an address, so such an edge is needed at run
// time and orders the start weakly; one that an init container waits for holds
// the start back.
func Kubernetes(paths ...string) (*Result, error) {
	k := kubernetes{
		builder: newBuilder(), hosts: map[string][]string{}, bare: map[string]*route{}, configs: map[string]map[string]string{},
		waves: map[int][]string{}, kinds: map[string]bool{},
	}
	docs, err := readYAML(paths, func(string) bool { return true }, k.template)
	if err != nil {
		return nil, err
	}
	files := map[string]bool{}
	for _, doc := range docs {
		files[doc.file] = true
		// Nothing is resolved yet: what is referred to may be in a later file.
		k.collect(doc, doc.root)
	}
	k.result.Read = len(files)
	k.name()
	k.bareRoutes()
	for i := range k.workloads {
		k.workload(&k.workloads[i])
	}
	k.syncWaves()
	k.result.Unknown = []string{
		"Imported from " + allShown(paths) + ". Kubernetes does not know which",
		"dependencies are soft, nor how critical a service is: every dependency is hard",
		"until you say \"soft: true\". Nor does it know owners, availability, start",
		"durations, phases, or addresses that are in code.",
	}
	return k.finish(), nil
}

// kubernetes holds what the documents say until all of them are read: a workload may be
// named by a Service, a ConfigMap or a host name of any other file. Keys of its maps
// are "namespace/name", with the kind in front where several kinds share a map.
type kubernetes struct {
	*builder
	workloads []workload
	routes    []route
	hosts     map[string][]string          // namespace/name -> services that answer
	bare      map[string]*route            // namespace/name -> Service whose pods are in no manifest
	configs   map[string]map[string]string // of ConfigMaps and Secrets, by kind/namespace/name
	waves     map[int][]string             // sync waves of Argo CD
	kinds     map[string]bool              // Flux services, by kind/namespace/name
}

// workload is what becomes a service: it runs pods, or orders others, then pod is nil.
// service is the name that it gets, labels those of its pods, by which Service objects
// select.
type workload struct {
	doc             document
	root, pod       *yaml.Node
	kind, namespace string
	name, service   string
	labels          map[string]string
	again           bool // the same object stands in another document before this one
}

// key is what the cluster knows an object by. No part of it can hold a slash.
func (w *workload) key() string { return w.kind + "/" + w.namespace + "/" + w.name }

// route is a Service object: a host name for the workloads that it selects, or for a
// name outside. One with neither is remembered all the same; see bareRoutes.
type route struct {
	name, namespace string
	selector        map[string]string
	external        string
	doc             document
	root            *yaml.Node
}

// template reports whether a file is a template, which is no YAML yet, and counts it.
// Below a folder "templates", as in a chart of Helm, two braces are enough; elsewhere a
// file counts as one only if it does not parse, since ConfigMaps hold templates of
// other tools as plain text.
func (k *kubernetes) template(name string, data []byte) bool {
	if name == "-" || !bytes.Contains(data, []byte("{{")) {
		return false
	}
	below := slices.Contains(strings.Split(filepath.ToSlash(filepath.Dir(name)), "/"), "templates")
	if _, err := parseYAML(name, data); err == nil && !below {
		return false
	}
	k.skip("templates of Helm (\"helm template\" renders them): " + filepath.ToSlash(name))
	return true
}

// podPaths says where the pod template of a kind is, where it is not below
// spec.template. These kinds run pods even if they list no containers.
var podPaths = map[string][]string{
	"CronJob": {"spec", "jobTemplate", "spec", "template"},
	"Pod":     {},
}

// podOf returns the pod template of an object that runs pods, or nil. The kind does not
// matter much: whatever has containers below spec.template runs them, so Rollouts,
// Knative services and other custom resources count without a list of kinds that would
// be out of date.
//
// It returns the template with its metadata; the pod itself is below "spec".
func podOf(kind string, root *yaml.Node) *yaml.Node {
	path, special := podPaths[kind]
	if !special {
		path = []string{"spec", "template"}
	}
	if pod := get(root, path...); get(pod, "spec", "containers") != nil || special && get(pod, "spec") != nil {
		return pod
	}
	return nil
}

// collect sorts one object into routes, configurations and workloads; lists are
// followed to any depth. What is left is counted by kind, and an object without a kind
// by its place, so that nothing disappears. A Knative service is called Service as
// well: the API group tells them apart.
func (k *kubernetes) collect(doc document, root *yaml.Node) {
	kind, api := text(get(root, "kind")), text(get(root, "apiVersion"))
	namespace := namespaceOf(text(get(root, "metadata", "namespace")))
	name := text(get(root, "metadata", "name"))
	pod := podOf(kind, root)
	switch {
	case kind == "":
		k.skip("documents without a kind: " + doc.at(root).String())
	case strings.HasSuffix(kind, "List") && get(root, "items") != nil:
		for _, item := range items(get(root, "items")) {
			k.collect(doc, item)
		}
	case named[kind] && name == "":
		k.warnf("%s: a %s without a name; skipped", doc.at(root), kind)
	case kind == "Service" && (api == "v1" || api == ""):
		r := route{name: name, namespace: namespace, selector: stringMap(get(root, "spec", "selector")), doc: doc, root: root}
		if text(get(root, "spec", "type")) == "ExternalName" {
			r.external = text(get(root, "spec", "externalName"))
		}
		k.routes = append(k.routes, r)
	case kind == "ConfigMap" || kind == "Secret":
		k.config(kind+"/"+namespace+"/"+name, root)
	case pod != nil && name == "":
		k.warnf("%s: a %s without a name; skipped", doc.at(root), kind)
	case pod != nil:
		k.workloads = append(k.workloads, workload{
			doc: doc, root: root, pod: get(pod, "spec"), kind: kind, namespace: namespace, name: name, labels: stringMap(get(pod, "metadata", "labels")),
		})
	case isDelivery(kind, api) && name != "":
		k.workloads = append(k.workloads, workload{doc: doc, root: root, kind: kind, namespace: namespace, name: name})
		k.kinds[kind+"/"+namespace+"/"+name] = true
	default:
		k.skip("objects of kind " + kind + ": " + cmp.Or(name, doc.at(root).String()))
	}
}

// named are the kinds, beside workloads, that others refer to by their name.
var named = map[string]bool{"Service": true, "ConfigMap": true, "Secret": true}

// isDelivery reports whether an object stands for a part of the system that a
// tool delivers in order.
func isDelivery(kind, api string) bool {
	return strings.HasPrefix(api, "kustomize.toolkit.fluxcd.io/") && kind == "Kustomization" ||
		strings.HasPrefix(api, "helm.toolkit.fluxcd.io/") && kind == "HelmRelease" ||
		strings.HasPrefix(api, "argoproj.io/") && kind == "Application"
}

// config remembers what a ConfigMap or Secret holds, values decoded as a container sees
// them; stringData goes over data, as in the API server. A value that is not base64
// is a warning without the value in it.
//
// Values are looked at for addresses while the import runs, and dropped with it.
func (k *kubernetes) config(key string, root *yaml.Node) {
	values := stringMap(get(root, "data"))
	if strings.HasPrefix(key, "Secret/") {
		for name, value := range values {
			plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
			if err != nil {
				k.warnf("a value of %s is not base64; it is left out", key)
			}
			values[name] = string(plain)
		}
		for name, value := range stringMap(get(root, "stringData")) {
			values[name] = value
		}
	}
	k.configs[key] = values
}

// stringMap returns the scalars of a mapping by key; of a value that is no scalar, ""
// is left.
func stringMap(n *yaml.Node) map[string]string {
	m := map[string]string{}
	pairs(n, func(key, value *yaml.Node) { m[key.Value] = text(value) })
	return m
}

// name gives each workload a service and each Service object its workloads. Only names
// that are used more than once carry their namespace, and of those that share even
// that, later ones their kind. A workload can be reached by its own name only where no
// Service object has that name; strictly it cannot be reached so at all, but files
// often lack the Service.
//
// An object that is declared again, as in a folder of rendered charts beside the
// originals, is one object to the cluster. It stays one service, which gets the
// dependencies of all its documents: which of them is the last to be applied is not in
// the files.
func (k *kubernetes) name() {
	// Names are counted first, so that all that share one carry their namespace, not
	// only those after the first. An object that is there twice shares its name with
	// nobody.
	count, first := map[string]int{}, map[string]*workload{}
	for i := range k.workloads {
		w := &k.workloads[i]
		if o := first[w.key()]; o != nil {
			w.again = true
			k.warnf("%s: the %s %s/%s is declared again, first at %s; both are one service, with the dependencies of both",
				w.doc.at(w.root), w.kind, w.namespace, w.name, o.doc.at(o.root))
			continue
		}
		first[w.key()] = w
		count[w.name]++
	}
	for i := range k.workloads {
		w := &k.workloads[i]
		if w.again { // the first has its name already
			w.service = first[w.key()].service
		} else if w.service = w.name; count[w.name] > 1 {
			w.service = w.namespace + "/" + w.name
			if k.services[w.service] != nil {
				w.service += " (" + w.kind + ")"
			}
		}
		s := k.service(w.service, w.doc.at(w.root))
		s.Note = w.kind
		if w.pod == nil {
			s.Kind = depgraph.Infra
		}
		for _, c := range items(get(w.pod, "containers")) {
			if kind := guessKind(text(get(c, "image"))); s.Kind == depgraph.KindUnknown {
				s.Kind = kind
			}
		}
	}
	// A Service object answers under its own name, whatever its workloads are called.
	for _, r := range k.routes {
		if r.external != "" {
			k.service(r.external, r.doc.at(r.root)).Kind = depgraph.External
			k.addHost(r.name, r.namespace, r.external)
		}
		for i := range k.workloads {
			if w := &k.workloads[i]; w.namespace == r.namespace && len(r.selector) > 0 && selects(r.selector, w.labels) {
				k.addHost(r.name, r.namespace, w.service)
			}
		}
	}
	for i := range k.workloads {
		w := &k.workloads[i]
		if _, taken := k.hosts[w.namespace+"/"+w.name]; !taken && w.pod != nil {
			k.addHost(w.name, w.namespace, w.service)
		}
	}
}

// bareRoutes notes the Service objects that select nothing here: an operator makes
// their pods, or their endpoints are outside. They become services only once somebody
// needs them, in behind.
//
// name must have run.
func (k *kubernetes) bareRoutes() {
	for i := range k.routes {
		r := &k.routes[i]
		if key := r.namespace + "/" + r.name; k.hosts[key] == nil && r.name != "" {
			k.bare[key] = r
		}
	}
}

// behind returns the services that answer for a Service object. One whose pods
// are not here becomes a service as soon as somebody needs it.
func (k *kubernetes) behind(namespace, name string) []string {
	key := namespace + "/" + name
	if r := k.bare[key]; r != nil && k.hosts[key] == nil {
		service := r.name
		if k.services[service] != nil {
			service = key
		}
		k.service(service, r.doc.at(r.root)).Note = "Service whose pods are not among the manifests"
		k.addHost(name, namespace, service)
	}
	return k.hosts[key]
}

// selects reports whether a pod with these labels is behind a selector. An empty
// selector, which selects all here, selects nothing in a Service object; the caller
// sees to that.
func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// namespaceOf fills the default in.
func namespaceOf(namespace string) string { return cmp.Or(namespace, "default") }

// addHost lets a service answer for a host name, once.
func (k *kubernetes) addHost(name, namespace, service string) {
	key := namespace + "/" + name
	if !slices.Contains(k.hosts[key], service) {
		k.hosts[key] = append(k.hosts[key], service)
	}
}

// ordinal ends the name of a pod of a StatefulSet, as in "db-0.db".
var ordinal = regexp.MustCompile(`-[0-9]+$`)

// resolve finds a host as the cluster's DNS does for a pod of a namespace: a short name
// in that namespace alone, and "name.namespace", then ".svc" and the cluster's domain,
// in any; with the name of a StatefulSet's pod in front or not. It returns the services
// that answer, which are alternatives, or nil. DNS knows no case, and a dot at the end
// is legal.
//
// An IP address, "localhost" and names of the internet have no answer here.
func (k *kubernetes) resolve(namespace, host string) []string {
	if host == "" {
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	for _, skip := range []int{0, 1} {
		if len(labels) <= skip || skip == 1 && !ordinal.MatchString(labels[0]) {
			break
		}
		switch rest := labels[skip:]; {
		case len(rest) == 1:
			if found := k.behind(namespace, rest[0]); found != nil {
				return found
			}
		case len(rest) == 2 || rest[2] == "svc":
			if found := k.behind(rest[1], rest[0]); found != nil {
				return found
			}
		}
	}
	return nil
}

// inCluster reports whether a host that no manifest has is one of the cluster: a single
// word, or one with "svc" where the cluster's domain begins. "name.namespace" may be a
// domain of the internet as well and is not counted.
func inCluster(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	return len(labels) == 1 || len(labels) > 2 && slices.Contains(labels[2:], "svc")
}

// workload claims the edges of one workload. Its sync wave is only noted, as the waves
// of all are needed to order them. An init container must end before the others begin,
// so what it talks to is needed for the start; one that restarts always is a sidecar,
// which runs beside them.
func (k *kubernetes) workload(w *workload) {
	if wave := get(w.root, "metadata", "annotations", "argocd.argoproj.io/sync-wave"); wave != nil {
		if n, err := strconv.Atoi(strings.TrimSpace(text(wave))); err == nil {
			if !w.again || !slices.Contains(k.waves[n], w.service) {
				k.waves[n] = append(k.waves[n], w.service)
			}
		} else {
			k.warnf("%s: the sync wave %q is not a number", w.doc.at(wave), text(wave))
		}
	}
	if w.pod == nil {
		k.dependsOn(w)
		return
	}
	for _, c := range items(get(w.pod, "initContainers")) {
		if text(get(c, "restartPolicy")) == "Always" { // a sidecar
			k.container(w, c, hardRuntime)
			continue
		}
		k.container(w, c, claim{start: depgraph.Serving})
		if command := strings.Join(append(texts(get(c, "command")), texts(get(c, "args"))...), " "); waits.MatchString(command) {
			k.waitsFor(w, command, w.doc.at(c))
		}
	}
	for _, c := range items(get(w.pod, "containers")) {
		k.container(w, c, hardRuntime)
		k.probe(w, get(c, "livenessProbe"))
	}
}
