package importer

import (
	"net"
	"regexp"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Addresses in environment variables say what a service talks to. Values may
// hold passwords, so only the names of variables are kept, never values.

// hostPattern finds host:port, scheme://host, user@host and Host=host.
var hostPattern = regexp.MustCompile(`(?i)(?:(://)(?:[^/@\s,;]*@)?|(@)|\b(?:host|hostname|server|data source|address)=(?:tcp:)?)?([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(:\d+)?`)

// addressKey matches the names of variables whose whole value is a host: the last word
// of the name says so, with or without a plural. "HOST_NAME_PREFIX" does not count,
// "DB_HOST" does.
var addressKey = regexp.MustCompile(`(?i)(^|_)(hosts?|hostnames?|addrs?|address|addresses|endpoints?|urls?|uris?|servers?|brokers?|upstreams?|targets?|dsn|seeds?|nodes?|peers?|members?|contact_?points?|bootstrap|zookeeper|masters?|primary|replicas?|backends?|proxy|gateway|cluster)$`)

// ownKey matches the names of variables that hold a service's own address, as others
// see it, and of those that hold pages for people. Such an address is no need, but it
// looks like one; a word anywhere in the name is enough, as PUBLIC_URL and URL_PUBLIC
// mean the same.
var ownKey = regexp.MustCompile(`(?i)(^|_)(public|external|advertised?|own|self|site|webhook|callback|redirect|root|base|canonical|origins?|cors|domain|docs?|help|support|homepage|website|frontend|link|links|referer|issuer)(_|$)`)

// telemetryKey matches the names of variables that say where to send traces, metrics
// and logs. Whole words count, so that BIOMETRICS_URL is none of them. What they lead
// to is soft: a service is not down because nobody watches it.
var telemetryKey = regexp.MustCompile(`(?i)(^|_)(otel|otlp|statsd|jaeger|zipkin|sentry|datadog|dd_agent|newrelic|fluentd?|loki|graylog|logstash|syslog|tracing|telemetry|metrics)(_|$)`)

// found is one address in a value. Nothing of the value but the host is kept: what
// stands around it may be a password.
type found struct {
	host string
	// sure says that the form alone makes it an address; otherwise it only
	// counts if a service of that name is known.
	sure bool
	// login says that it stands in a connection string: after user@ or Host=.
	login bool
}

// source is the kind under which the address is claimed: that a host comes from a
// connection string, which names a login, says more than that it is a variable.
func (f found) source(kind string) string {
	if f.login {
		return "connection-string"
	}
	return kind
}

// addresses finds the hosts that a variable names, in the order of its value, the same
// one twice if it is there twice. Only a form that is an address by itself (a scheme, a
// port) is sure; a bare word is one only if the variable's name says that it holds a
// host, and then counts only if something is known by that name. So MODE=store is no
// edge, and STORE_HOST=store is one.
//
// A number with a port is left out: "12:30" is a time, and an IP address leads to no
// service by name.
func addresses(key, value string) []found {
	var all []found
	whole := strings.TrimSpace(value)
	for _, m := range hostPattern.FindAllStringSubmatchIndex(value, -1) {
		// The groups: 1 the end of a scheme, 2 an @ without one, 3 the host, 4 its
		// port.
		host := value[m[6]:m[7]]
		prefix := value[m[0]:m[6]]
		port := m[8] >= 0
		switch {
		case strings.HasPrefix(prefix, "://"):
			all = append(all, found{host: host, sure: true, login: strings.HasSuffix(prefix, "@")})
		case prefix == "@":
			all = append(all, found{host: host, sure: port})
		case prefix != "":
			all = append(all, found{host: host, login: true})
		case port && !isNumber(host):
			all = append(all, found{host: host, sure: true})
		case addressKey.MatchString(key) && (host == whole || strings.Contains(value, ",")):
			all = append(all, found{host: host})
		}
	}
	return all
}

// isNumber reports whether a text is made of digits and dots: a number, a version or an
// IPv4 address.
func isNumber(s string) bool { return strings.Trim(s, "0123456789.") == "" }

// foreign reports whether an unknown host is worth a service of its own:
// a name, not this machine and not a number.
func foreign(host string) bool {
	return net.ParseIP(host) == nil && !isNumber(host) && host != "localhost" && !strings.HasSuffix(host, ".localhost") && host != "host.docker.internal"
}

// foreign takes an address outside of what is imported: it becomes a service of kind
// external, and the edge is soft and assumed, because nobody said that the owner cannot
// do without it. A single word may be anything and is skipped; so is an address whose
// variable says that it is one's own or a page for people, which is no need.
func (b *builder) foreign(own, key string, a found, at depgraph.Position) {
	if !a.sure || !foreign(a.host) {
		return
	}
	if !strings.Contains(strings.Trim(a.host, "."), ".") {
		b.skip("addresses of one word that nothing here is called: " + key + " of " + own)
		return
	}
	if ownKey.MatchString(key) {
		b.skip("addresses that look like one's own or a page for people: " + key + " of " + own)
		return
	}
	s := b.service(a.host, at)
	if s.Kind == depgraph.KindUnknown {
		s.Kind = depgraph.External
	}
	b.depend(own, a.host, claim{runtime: true, soft: true, assumed: true}, a.source("environment"), key, at)
}

// kinds guesses the kind of a service from its image, by words that hardly anything
// else contains. A row is a kind with its words, in lower case; to add a word, check
// that no product of another kind has it in its name.
var kinds = []struct {
	kind  depgraph.Kind
	words []string
}{
	{depgraph.Observer, []string{"prometheus", "grafana", "jaeger", "zipkin", "otel", "opentelemetry-collector", "statsd", "loki", "tempo", "alertmanager", "fluent", "vector", "kibana"}},
	{depgraph.Queue, []string{"kafka", "rabbitmq", "nats", "activemq", "pulsar", "redpanda", "mosquitto"}},
	{depgraph.Datastore, []string{"postgres", "mysql", "mariadb", "mongo", "redis", "valkey", "memcached", "elasticsearch", "opensearch", "cassandra", "etcd", "minio", "cockroach", "clickhouse", "influxdb"}},
}

// guessKind returns the kind of a service by the last part of its image's name, tag and
// digest included; KindUnknown without a match. The registry and the folder are left
// out: "redis/app" is an app of a team called redis. The first row with a match counts,
// observers before what they watch, as in "nats-exporter".
func guessKind(image string) depgraph.Kind {
	image = strings.ToLower(image)
	name := image[strings.LastIndex(image, "/")+1:]
	for _, k := range kinds {
		for _, w := range k.words {
			if strings.Contains(name, w) {
				return k.kind
			}
		}
	}
	return depgraph.KindUnknown
}

// criticalityOf reads the attribute service.criticality out of OpenTelemetry's resource
// attributes, "key=value,key=value" as in OTEL_RESOURCE_ATTRIBUTES. The first value
// that is a level counts; unknown ones are not reported, since the attribute is
// not ours to check.
func criticalityOf(value string) depgraph.Criticality {
	for _, pair := range strings.Split(value, ",") {
		if name, ok := strings.CutPrefix(strings.TrimSpace(pair), "service.criticality="); ok {
			if c, err := depgraph.ParseCriticality(name); err == nil {
				return c
			}
		}
	}
	return depgraph.CriticalityUnknown
}
