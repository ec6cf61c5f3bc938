package importer

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

func TestAddresses_of_one_variable(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"X", "http://store", "store sure"},
		{"X", "http://store:80/path?q=1", "store sure"},
		{"X", "https://user:secret@store:443/x", "store sure login"},
		{"X", "postgres://user@store/db", "store sure login"},
		{"X", "store:5432", "store sure"},
		{"X", "store.shop.svc.cluster.local:80", "store.shop.svc.cluster.local sure"},
		{"X", "user@store:22", "store sure"},
		{"X", "someone@example.com", "example.com"}, // a mail address: only a known name counts
		{"X", "10.0.0.1:80", ""},                    // a number and a port, a time of day for example
		{"X", "12:30", ""},
		{"X", "store", ""}, // any word may be the name of a service
		{"X", "", ""},
		{"X", "a,b", ""},
		{"STORE_HOST", "store", "store"},
		{"STORE_HOST", " store ", "store"},
		{"STORE_HOSTS", "a,b", "a | b"},
		{"store_addr", "store", "store"},
		{"HOSTING", "store", ""}, // the word must end there
		{"STORE_HOST", "the store", ""},
		{"BROKERS", "k1:9092,k2:9092", "k1 sure | k2 sure"},
		{"DSN", "Host=store;Port=5432;Password=secret", "store login"},
		{"DSN", "Server=tcp:store,1433;Database=x", "store login | 1433 | Database | x"}, // the key says that there are addresses; only known names count
		{"DSN", "Data Source=store", "store login"},
		{"DSN", "host=store user=x", "store login"},
		{"X", "http://a:1 http://b:2", "a sure | b sure"},
		{"X", "amqp://a:1,amqp://b:2", "a sure | b sure"},
		{"X", "http://[::1]:80", ""},
		{"X", "http://", ""},
		{"X", "://:@:::", ""},
		{"X", "http://sto\x00re:80", "sto sure | re sure"},
		{"X", "http://-x:80", "x sure"},
	} {
		var got []string
		for _, a := range addresses(c.key, c.value) {
			word := a.host
			if a.sure {
				word += " sure"
			}
			if a.login {
				word += " login"
			}
			got = append(got, word)
		}
		if s := strings.Join(got, " | "); s != c.want {
			t.Errorf("%s=%q: %q, want %q", c.key, c.value, s, c.want)
		}
	}
}

func TestForeign_is_a_name_elsewhere(t *testing.T) {
	for host, want := range map[string]bool{
		"api.example.com": true, "store": true, "localhost": false, "db.localhost": false, "127.0.0.1": false, "::1": false,
		"10.1": false, "host.docker.internal": false,
	} {
		if got := foreign(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

// TestTelemetryKey_and_own_key must match whole words: METRICS_URL is telemetry,
// BIOMETRICS_URL is a need.
func TestTelemetryKey_and_own_key_match_whole_words(t *testing.T) {
	for key, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "telemetry", "METRICS_URL": "telemetry", "APP_SENTRY_DSN": "telemetry", "loki_url": "telemetry", "FLUENT_HOST": "telemetry",
		"BIOMETRICS_URL": "", "TELEMETRYX_URL": "", "PUBLIC_URL": "own", "APP_WEBHOOK": "own", "ADVERTISE_ADDR": "own", "BASE_URL": "own",
		"DATABASE_URL": "", "REPUBLIC_URL": "", "STORE_URL": "",
	} {
		got := ""
		switch {
		case telemetryKey.MatchString(key):
			got = "telemetry"
		case ownKey.MatchString(key):
			got = "own"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestGuessKind_by_the_last_part_of_the_image(t *testing.T) {
	for image, want := range map[string]depgraph.Kind{
		"postgres": depgraph.Datastore, "docker.io/library/Postgres:16": depgraph.Datastore, "bitnami/kafka:3@sha256:00": depgraph.Queue,
		"prom/prometheus": depgraph.Observer, "otel/opentelemetry-collector-contrib": depgraph.Observer, "fluent/fluent-bit": depgraph.Observer,
		"redis/app": depgraph.KindUnknown, "own/web": depgraph.KindUnknown, "": depgraph.KindUnknown, "/": depgraph.KindUnknown,
		"nats-exporter/prometheus-nats-exporter": depgraph.Observer, // the watcher, not what it watches
	} {
		if got := guessKind(image); got != want {
			t.Errorf("%q: %q, want %q", image, got, want)
		}
	}
	for _, k := range kinds {
		for _, w := range k.words {
			if w != strings.ToLower(w) {
				t.Errorf("%q can never match: images are compared in lower case", w)
			}
		}
	}
}

func TestCriticalityOf_a_list_of_attributes(t *testing.T) {
	for value, want := range map[string]depgraph.Criticality{
		"service.criticality=critical":                     depgraph.Critical,
		"service.name=x, service.criticality=low,x=y":      depgraph.Low,
		"service.criticality=wrong":                        depgraph.CriticalityUnknown,
		"service.criticality=":                             depgraph.CriticalityUnknown,
		"service.criticality=odd,service.criticality=high": depgraph.High,
		"service.criticality=high,service.criticality=low": depgraph.High,
		"team=service.criticality=high":                    depgraph.CriticalityUnknown,
		"":                                                 depgraph.CriticalityUnknown,
	} {
		if got := criticalityOf(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestFileName_is_safe_in_every_folder(t *testing.T) {
	long := strings.Repeat("x", 250)
	for name, want := range map[string]string{
		"web": "web", "azAZ09": "azAZ09", "`{[@/:": "___@__", "Web-1_a.b@c": "Web-1_a.b@c", "a/b": "a_b", `a\b`: "a_b", "../../etc/passwd": "_.._etc_passwd", "..": "_", ".hidden": "hidden",
		"a b\n\x00c": "a_b__c", "é": "_", "a:b|c*d?": "a_b_c_d_", long: long,
	} {
		if got := fileName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	r := &Result{Services: []depgraph.Service{{Name: "web"}, {Name: "WEB"}, {Name: long}, {Name: ".."}}}
	for i, want := range []string{
		"out/web-4b5e57f6eb2f.depgraph.yaml", "out/WEB-9dcfaae14b39.depgraph.yaml",
		"out/" + long[:200] + "-086d4a1c293b.depgraph.yaml", "out/_.depgraph.yaml",
	} {
		if got := filepath.ToSlash(r.fileNames("out")[i]); got != want {
			t.Errorf("%.20q: %s, want %s", r.Services[i].Name, got, want)
		}
	}
}

// TestWriteDir_a_name_of_dots was written to a file that no load looks for.
func TestWriteDir_a_name_of_dots_is_read_back(t *testing.T) {
	dir := t.TempDir()
	r := &Result{Services: []depgraph.Service{{Name: "..", Source: "x:1"}}}
	if _, err := r.WriteDir(dir, false); err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Load(t.Context(), depgraph.LoadOptions{Paths: []string{dir}})
	if err != nil || !g.Has("..") {
		t.Errorf("not read back: %v", err)
	}
}
