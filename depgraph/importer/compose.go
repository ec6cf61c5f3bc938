package importer

import (
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// Compose reads docker compose files as docker compose does. Files are one
// project, of which later ones override earlier ones, as with "docker compose
// -f A -f B"; below a folder, every folder with a compose file is a project,
// and services have its name in front if two projects use the same one. The
// name "-" reads the standard input, for "docker compose config". Variables
// come from .env files, never from the environment of this process, so that
// the result is the same everywhere.
//
// depends_on orders the start: until the other service is launched, healthy or
// done, as its condition says, soft with "required: false"; and it becomes an
// assumed run-time edge. An address in the environment of a service becomes a
// run-time edge. Edges from and to observers, and addresses for telemetry, are
// soft: no service is down because nobody watches it. So are addresses outside
// of the project, whose need nobody states.
func Compose(paths ...string) (*Result, error) {
	if len(paths) == 0 {
		return nil, errors.New("no compose file was given")
	}
	// Everything is read before anything is claimed: an error in the last file leaves
	// no half of a result, and names of all projects are needed to tell them apart.
	groups, err := composeProjects(paths)
	if err != nil {
		return nil, err
	}
	b := newBuilder()
	projects := make([]*project, len(groups))
	for i, files := range groups {
		if projects[i], err = loadProject(files); err != nil {
			return nil, err
		}
	}
	all := composeAll(b, projects)
	for _, c := range all {
		if err := c.run(); err != nil {
			return nil, err
		}
	}
	b.result.Unknown = []string{
		"Imported from " + allShown(paths) + ". Compose does not know which",
		"dependencies are soft: every one is hard until you say \"soft: true\". What is",
		"needed at run time was guessed from depends_on where it says \"assumed\". Nor does",
		"it know owners, availability, start durations, or calls whose address is not in",
		"the environment. Criticality is taken from service.criticality where it is set.",
	}
	res := b.finish()
	// A graph of islands looks like a system without dependencies. It is worth a word,
	// but no warning: the files may be right.
	if n := len(res.Services); n >= 5 && res.Edges()*5 < n {
		res.Unknown = append(res.Unknown, "There are few addresses in these files; they are probably in the code or in", "configuration files, so most dependencies are missing here.")
	}
	return res, nil
}

// composeAll makes the services of all projects, before any edge: one may lead from
// each project to each other. Projects that share a name of a service are systems of
// their own (examples beside each other in one folder, mostly), so every name gets its
// folder in front and no address leads from one to another. Projects that share none
// are taken for one system in several files, where a host name of one is known to all;
// of two, the first one that was named counts.
func composeAll(b *builder, projects []*project) []*compose {
	used, twice := map[string]bool{}, false
	for _, p := range projects {
		for name := range p.services {
			twice = twice || used[name]
			used[name] = true
		}
	}
	all := make([]*compose, len(projects))
	for i, p := range projects {
		c := &compose{builder: b, p: p, host: map[string]string{}}
		if twice {
			// The folder is part of the name only where it has to be, since people know
			// their services by the short one.
			c.prefix = cmp.Or(filepath.ToSlash(p.dir), ".") + "/"
		}
		b.result.Read += len(p.read)
		for _, file := range p.unread {
			b.skip("compose files that docker compose does not read by itself: " + file)
		}
		c.declare()
		all[i] = c
	}
	if twice {
		b.warnf("these folders hold %d projects that use the same names of services; each name has its folder in front", len(projects))
	} else if len(projects) > 1 { // one system in several files, as far as names tell
		for _, c := range all {
			for host, name := range c.host {
				for _, other := range all {
					if other.host[host] == "" {
						other.host[host] = name
					}
				}
			}
		}
	}
	return all
}

// compose turns one project into services and edges: declare first, for all projects,
// then run.
type compose struct {
	*builder
	p      *project
	prefix string
	host   map[string]string // names by which services are reached -> service
}

// names returns the services of the project in order, so that maps leave no trace in
// warnings or errors.
func (c *compose) names() []string {
	return slices.Sorted(maps.Keys(c.p.services))
}

// declare adds the services, and learns the names they can be reached by: their own,
// then container_name, hostname and the aliases in networks. A service's own name comes
// before any other, whatever the order, as in docker's DNS a container answers to it in
// every network.
func (c *compose) declare() {
	for _, name := range c.names() {
		s := c.p.services[name]
		svc := c.service(c.prefix+name, c.p.keyAt[name])
		svc.Kind = guessKind(text(get(s, "image")))
		var profiles []string
		for _, item := range items(get(s, "profiles")) {
			profiles = append(profiles, text(item))
		}
		if len(profiles) > 0 {
			svc.Note = "only started with profile " + strings.Join(profiles, " or ")
		}
		c.host[name] = c.prefix + name
	}
	// Other names afterwards, so that a container_name never takes the name of a
	// service.
	for _, name := range c.names() {
		s := c.p.services[name]
		others := []string{text(get(s, "container_name")), text(get(s, "hostname"))}
		pairs(get(s, "networks"), func(_, network *yaml.Node) {
			for _, a := range items(get(network, "aliases")) {
				others = append(others, text(a))
			}
		})
		for _, other := range others {
			if other != "" && c.host[other] == "" {
				c.host[other] = c.prefix + name
			}
		}
	}
}

// run claims the edges of every service, and takes over the warnings of reading. It
// stops at the first error, in order of service.
func (c *compose) run() error {
	for _, name := range c.names() {
		if err := c.one(name); err != nil {
			return err
		}
	}
	c.result.Warnings = append(c.result.Warnings, c.p.warnings...)
	return nil
}

// one claims the edges of a single service, field by field. Links come before the
// environment, since an alias of a link is a host name that only this service knows.
func (c *compose) one(name string) error {
	s, own := c.p.services[name], c.prefix+name
	var first error
	pairs(get(s, "depends_on"), func(key, value *yaml.Node) {
		if err := c.dependsOn(own, key, value); err != nil && first == nil {
			first = err
		}
	})
	if first != nil {
		return first
	}
	links := map[string]string{}
	for _, link := range items(get(s, "links")) {
		target, alias, _ := strings.Cut(text(link), ":")
		if to := c.used(own, "links", target, link); to != "" {
			c.implied(own, to, s, "links", target, link)
			c.depend(own, to, hardRuntime, "links", target, c.p.at(link))
			links[cmp.Or(alias, target)] = to
		}
	}
	for _, link := range items(get(s, "external_links")) {
		c.skip(outside + text(link) + " of " + own)
	}
	c.shared(own, s)
	return c.environment(name, own, links)
}

// known returns the service of the project with this name, prefix included, or "".
// Unlike reached it takes names of services alone: depends_on, links and the like know
// no others.
func (c *compose) known(name string) string {
	if c.p.services[name] == nil {
		return ""
	}
	return c.prefix + name
}

// outside is the sort of what is used and belongs to no file: containers that something
// else started. They are counted, since nothing more is known about them.
const outside = "containers outside of these files: "

// used is known, for what a service uses besides depends_on; a name that is not in
// these files is a warning and not an error, as the files may be part of a larger set.
func (c *compose) used(own, key, name string, at *yaml.Node) string {
	to := c.known(name)
	if to == "" {
		c.warnf("%s: %s of %s names %q, which is not in these files", c.p.at(at), key, own, name)
	}
	return to
}

// dependsOn claims one entry of depends_on: the start, as far as its condition says,
// and for everything but a job that has to end an assumed need at run time. A service
// that is not in these files is an error, as it is to docker compose, unless it is not
// required; a circle of one is left out with a warning.
func (c *compose) dependsOn(own string, key, value *yaml.Node) error {
	at, soft := c.p.at(key), text(get(value, "required")) == "false"
	target := c.known(key.Value)
	if target == "" {
		if soft {
			c.warnf("%s: %s depends on %q, which is not in these files and not required", at, own, key.Value)
			return nil
		}
		return errorAt(at, "%s depends on %q, which is not in these files", own, key.Value)
	}
	if target == own {
		c.warnf("%s: %s depends on itself, which docker compose refuses; the edge is left out", at, own)
		return nil
	}
	condition := cmp.Or(text(get(value, "condition")), "service_started")
	start := depgraph.Started
	switch condition {
	case "service_healthy":
		start = depgraph.Ready
	case "service_completed_successfully":
		start = depgraph.Done
	case "service_started":
	default:
		return errorAt(at, "%s: condition %q is not one of service_started, service_healthy, service_completed_successfully", own, condition)
	}
	// Compose waits for a launch or a health check, never for what the other one
	// needs at run time; as it refuses circles, no file that it accepts can be a
	// deadlock. That what is waited for is needed at run time too is a guess.
	c.depend(own, target, claim{start: start, soft: soft}, "depends_on", condition, at)
	if start != depgraph.Done {
		c.depend(own, target, claim{runtime: true, soft: soft || c.observes(own) || c.observes(target), assumed: true}, "depends_on", condition, at)
	}
	return nil
}

// implied orders a start after a service that is used without depends_on: docker
// compose starts it first, and waits for no more than its launch. Beside an entry in
// depends_on nothing is added; what that says counts.
//
// s is the service that says so, other the name as it is written there.
func (c *compose) implied(own, to string, s *yaml.Node, kind, other string, at *yaml.Node) {
	if get(s, "depends_on", other) == nil {
		c.depend(own, to, claim{start: depgraph.Started}, kind, other, c.p.at(at))
	}
}

// shared claims the services whose network, processes or volumes a service lives in. A
// namespace ends with the container that made it, so that is needed at run time;
// volumes stay when the other one is gone, so that orders the start alone.
func (c *compose) shared(own string, s *yaml.Node) {
	for _, key := range []string{"network_mode", "ipc", "pid"} {
		n := get(s, key)
		if _, ok := strings.CutPrefix(text(n), "container:"); ok {
			c.skip(outside + key + " of " + own)
		}
		other, ok := strings.CutPrefix(text(n), "service:")
		if !ok {
			continue
		}
		if to := c.used(own, key, other, n); to != "" {
			c.implied(own, to, s, key, other, n)
			c.depend(own, to, hardRuntime, key, other, c.p.at(n))
		}
	}
	for _, n := range items(get(s, "volumes_from")) {
		other, _, _ := strings.Cut(text(n), ":")
		if other == "container" {
			c.skip(outside + "volumes_from of " + own)
			continue
		}
		if to := c.used(own, "volumes_from", other, n); to != "" { // the volumes stay when the other one is gone
			c.implied(own, to, s, "volumes_from", other, n)
		}
	}
}

// environment claims what the variables of a service hold, in order of their names, and
// what its health check asks. A health check that asks another service restarts this
// one when that one is down: such an edge is marked, and a rule warns about it. A need
// that only a health check shows is assumed.
func (c *compose) environment(name, own string, links map[string]string) error {
	env, at, err := c.p.environment(name)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if key == "OTEL_RESOURCE_ATTRIBUTES" {
			if level := criticalityOf(env[key]); level != depgraph.CriticalityUnknown {
				c.services[own].Criticality = level
			}
			continue
		}
		for _, a := range addresses(key, env[key]) {
			c.address(own, key, a, links, at[key])
		}
	}
	// The check is a command, so only what has the form of an address counts.
	check := get(c.p.services[name], "healthcheck", "test")
	for _, a := range addresses("", strings.Join(texts(check), " ")) {
		if to := c.reached(a.host, links); to != "" && a.sure {
			if e := c.depend(own, to, claim{runtime: true, assumed: true}, "healthcheck", a.host, c.p.at(check)); e != nil {
				e.liveness = true
			}
		}
	}
	return nil
}

// reached returns the service behind a host name as one service sees it, or "": its own
// links come before names that everybody knows. DNS knows no case.
func (c *compose) reached(host string, links map[string]string) string {
	return cmp.Or(links[host], c.host[host], c.host[strings.ToLower(host)])
}

// address claims one address in a variable. For telemetry, and to or from a service that
// only watches, the edge is soft although nobody says so; evident lets that outweigh the
// guess that depends_on makes.
func (c *compose) address(own, key string, a found, links map[string]string, at depgraph.Position) {
	to := c.reached(a.host, links)
	if to == "" {
		c.foreign(own, key, a, at)
		return
	}
	watch := telemetryKey.MatchString(key) || c.observes(own) || c.observes(to)
	c.depend(own, to, claim{runtime: true, soft: watch, assumed: watch, evident: watch}, a.source("environment"), key, at)
}
