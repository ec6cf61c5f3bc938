// Package importer reads what other tools know about dependencies (docker
// compose, Kubernetes, Backstage, systemd, AWS Resilience Hub) and writes
// manifests for people to edit.
//
// Every service and edge keeps where it was found, as its source. No tool says
// which dependency is soft, so every edge is hard unless the source says
// otherwise; each Result lists what its source could not know. Importers read
// files and nothing else: they run no program, ask no network, and take nothing
// from the environment of the process, so the same files give the same manifests
// on every machine, byte for byte.
//
// # What is promised
//
//   - An error names file and line and stops the import: a file that its own
//     tool would refuse gives no half-true graph.
//   - What is legal but leads nowhere (a reference to what is not in these files,
//     a unit that is a broken link) is a warning with its place in
//     [Result.Warnings].
//   - What is seen and left out on purpose (a Namespace, a template of Helm) is
//     counted by sort in [Result.Skipped], so that a thin graph can be explained.
//   - Values of variables and Secrets are looked at for addresses and are never
//     kept: they may hold passwords. Only names of variables reach a manifest.
//
// # The words
//
//   - A claim is what one place in a source says about one edge: needed at the
//     start, or at run time; soft, weak, assumed. Several places may claim
//     something about the same edge.
//   - An edge sums up its claims in one or two dependencies: what is known
//     outweighs what is assumed, and hard outweighs soft. An edge that is weak
//     orders two starts and requires nothing.
//   - Assumed is what nobody said: that a service which is waited for is needed
//     later, too, or that an address outside of the files is needed at all.
//   - The kind of a claim ("depends_on", "env", "After") is the word behind the
//     file and line in its source, and the key of [Result.Sources].
//
// # The map
//
// Begin with builder.go: all importers collect services and claims in a builder,
// whose finish makes the [Result]. Each importer has its own entry and the same
// way down: read files (yaml.go, or systemdfile.go), name services, resolve
// references to names, claim edges, finish.
//
//	importer.go       Result, and writing it as manifests
//	again.go          Result.Compare: a second import beside manifests that people edited
//	builder.go        claims, and how an edge sums them up
//	yaml.go           files, folders, YAML without aliases, lines of text
//	address.go        which host names a variable holds, and what they stand for
//	compose.go        Compose: what the fields of a service mean
//	composefile.go    ... from files to projects: folders, include, variables replaced
//	composeoverride.go ... files over files, and extends
//	composeenv.go     ... variables, .env and env_file
//	composeshape.go   ... shapes of fields that are refused
//	kubernetes.go     Kubernetes: workloads, and the host names that lead to them
//	kubernetescontainer.go ... what containers are given
//	delivery.go       ... the orders of Flux and Argo CD
//	backstage.go      Backstage: references between entities
//	systemd.go        Systemd: what units mean together, implicit dependencies included
//	systemdfile.go    ... a single unit file
//	systemdmount.go   ... paths, and the mounts that they need
//	resiliencehub.go  ResilienceHub, and Classify, which answers it
//
// A new importer is a function from paths to a Result, a row in the table of
// importers of cmd/depgraph, and a row in TestImporters_conform, which runs
// depgraphtest.TestImporter.
package importer
