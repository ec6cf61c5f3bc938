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

// addressKey matches the names of variables whose whole value is a host.
var addressKey = regexp.MustCompile(`(?i)(^|_)(hosts?|hostnames?|addrs?|address|addresses|endpoints?|urls?|uris?|servers?|brokers?|upstreams?|targets?|dsn|seeds?|nodes?|peers?|members?|contact_?points?|bootstrap|zookeeper|masters?|primary|replicas?|backends?|proxy|gateway|cluster)$`)

// ownKey matches the names of variables that hold a service's own address, as
// others see it, and of those that hold pages for people.
var ownKey = regexp.MustCompile(`(?i)(^|_)(public|external|advertised?|own|self|site|webhook|callback|redirect|root|base|canonical|origins?|cors|domain|docs?|help|support|homepage|website|frontend|link|links|referer|issuer)(_|$)`)

// telemetryKey matches the names of variables that say where to send traces,
// metrics and logs.
var telemetryKey = regexp.MustCompile(`(?i)(^|_)(otel|otlp|statsd|jaeger|zipkin|sentry|datadog|dd_agent|newrelic|fluentd?|loki|graylog|logstash|syslog|tracing|telemetry|metrics)(_|$)`)

// found is one address in a value.
type found struct {
	host string
	// sure says that the form alone makes it an address; otherwise it only
	// counts if a service of that name is known.
	sure bool
	// login says that it stands in a connection string: after user@ or Host=.
	login bool
}

// source is the name under which the address is counted.
func (f found) source(kind string) string {
	if f.login {
		return "connection-string"
	}
	return kind
}

// addresses finds the hosts that a variable names.
func addresses(key, value string) []found {
	var all []found
	whole := strings.TrimSpace(value)
	for _, m := range hostPattern.FindAllStringSubmatchIndex(value, -1) {
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

func isNumber(s string) bool { return strings.Trim(s, "0123456789.") == "" }

// foreign reports whether an unknown host is worth a service of its own:
// a name, not this machine and not a number.
func foreign(host string) bool {
	return net.ParseIP(host) == nil && !isNumber(host) && host != "localhost" && !strings.HasSuffix(host, ".localhost") && host != "host.docker.internal"
}

// foreign takes an address outside of what is imported. That it is needed is a
// guess; a single word may be anything, and an address of one's own is no need.
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

// kinds guesses the kind of a service from its image, by words that hardly
// anything else contains.
var kinds = []struct {
	kind  depgraph.Kind
	words []string
}{
	{depgraph.Observer, []string{"prometheus", "grafana", "jaeger", "zipkin", "otel", "opentelemetry-collector", "statsd", "loki", "tempo", "alertmanager", "fluent", "vector", "kibana"}},
	{depgraph.Queue, []string{"kafka", "rabbitmq", "nats", "activemq", "pulsar", "redpanda", "mosquitto"}},
	{depgraph.Datastore, []string{"postgres", "mysql", "mariadb", "mongo", "redis", "valkey", "memcached", "elasticsearch", "opensearch", "cassandra", "etcd", "minio", "cockroach", "clickhouse", "influxdb"}},
}

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

// criticalityOf reads OpenTelemetry's resource attributes.
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
