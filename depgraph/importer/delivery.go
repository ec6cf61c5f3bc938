package importer

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/failopen/failopen/depgraph"
)

// Tools that deliver to Kubernetes in an order: Flux and Argo CD.

// dependsOn reads the order of Flux: what depends on another object of its own kind is
// not applied before that one is ready. It says nothing about run time. Flux itself
// waits forever, without an error, for an object that does not exist or for itself; as
// that is found on the worst of days, it is a warning here, and the absent one becomes
// a service, so that the edge is not lost.
func (k *kubernetes) dependsOn(w *workload) {
	for _, dep := range items(get(w.root, "spec", "dependsOn")) {
		name := text(get(dep, "name"))
		namespace := cmp.Or(text(get(dep, "namespace")), w.namespace)
		at := w.doc.at(dep)
		if name == "" {
			k.warnf("%s: dependsOn of %s: expected a mapping with a name; it is left out", at, w.service)
			continue
		}
		// By kind, namespace and name, as Flux looks; a service's name is not that.
		target := ""
		for i := range k.workloads {
			if o := &k.workloads[i]; o.kind == w.kind && o.namespace == namespace && o.name == name {
				target = o.service
			}
		}
		if target == w.service {
			k.warnf("%s: %s depends on itself; Flux waits for it forever", at, w.service)
		}
		if target == "" {
			k.warnf("%s: %s depends on the %s %s/%s, which is not in these files; Flux waits for it forever", at, w.service, w.kind, namespace, name)
			target = namespace + "/" + name + " (" + w.kind + ")"
			k.service(target, at).Note = "named by others, not among the manifests"
		}
		k.depend(w.service, target, claim{start: depgraph.Ready}, "dependsOn", name, at)
	}
}

// maxWaveEdges bounds the orders between two sync waves: each member is ordered behind
// each, so waves of 200 and 200 would be 40,000 edges that no reader learns anything
// from. 2500 is 50 with 50.
const maxWaveEdges = 2500

// syncWaves orders what is in a sync wave behind what is in the wave before,
// as Argo CD does: it waits until that is healthy. Nothing is required by it.
func (k *kubernetes) syncWaves() {
	numbers := slices.Sorted(maps.Keys(k.waves))
	for i := 1; i < len(numbers); i++ {
		before, after := k.waves[numbers[i-1]], k.waves[numbers[i]]
		if len(before)*len(after) > maxWaveEdges {
			k.warnf("the sync waves %d and %d have too many members to be ordered one by one", numbers[i-1], numbers[i])
			continue
		}
		for _, a := range after {
			for _, b := range before {
				k.depend(a, b, claim{start: depgraph.Ready, weak: true}, "sync-wave", strconv.Itoa(numbers[i]), k.services[a].At)
			}
		}
	}
}
