package dynamotest

import (
	"strconv"
	"strings"
	"time"
)

// timeToLive is a TimeToLiveSpecification.
type timeToLive struct {
	AttributeName string
	Enabled       bool
}

// updateTimeToLive switches on or off, at once. Doing so twice is an error, as
// with the service; programs that start up have to ask first.
//
// The service takes up to an hour, and refuses another change until then. Items
// that are expired by the new attribute stay until Sweep.
func (c *call) updateTimeToLive(in *struct {
	TableName               string
	TimeToLiveSpecification *timeToLive
},
) (any, *apiError) {
	spec := in.TimeToLiveSpecification
	if spec == nil || spec.AttributeName == "" {
		return nil, validation("1 validation error detected: Value null at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must not be null")
	}
	t, err := c.named(in.TableName)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	switch {
	case spec.Enabled && t.ttl != "":
		return nil, validation("TimeToLive is already enabled")
	case !spec.Enabled && t.ttl == "":
		return nil, validation("TimeToLive is already disabled")
	case !spec.Enabled && t.ttl != spec.AttributeName:
		return nil, validation("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.ttl)
	}
	t.ttl = ""
	if spec.Enabled {
		t.ttl = spec.AttributeName
	}
	return map[string]any{"TimeToLiveSpecification": spec}, nil
}

// describeTimeToLive never says ENABLING or DISABLING, as both take no time
// here.
func (c *call) describeTimeToLive(in *struct{ TableName string }) (any, *apiError) {
	t, err := c.named(in.TableName)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	d := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.ttl != "" {
		d = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttl}
	}
	return map[string]any{"TimeToLiveDescription": d}, nil
}

// maxTTLAge keeps items whose time to live lies more than five years in the
// past, as the service does to protect against wrong units.
const maxTTLAge = 5 * 365 * 24 * time.Hour

// Sweep deletes the items whose time to live is over by the server's clock,
// and returns how many. The service does the same in the background, within
// days; here it happens only when asked for, so that a test decides whether an
// expired item is still there.
//
// It takes no capacity, as the service's deletions do not, and counts as no
// request. An item without the attribute, or with another type than N in it,
// never expires.
func (s *Server) Sweep() int {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	swept := 0
	for _, t := range s.tables {
		for key, it := range t.items {
			if v := it[t.ttl]; v != nil && v.expired(now) {
				t.remember(s.luck, key, now)
				delete(t.items, key)
				swept++
			}
		}
	}
	return swept
}

// expired reports whether v, of the TTL attribute, is a time in the past, in
// seconds since 1970. One that is more than five years past is ignored, as the
// service does.
//
// A fraction of a second is cut off. The moment itself is not past yet.
func (v *value) expired(now time.Time) bool {
	if v.kind != "N" {
		return false
	}
	whole, _, _ := strings.Cut(v.num.String(), ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	return err == nil && sec < now.Unix() && sec > now.Add(-maxTTLAge).Unix()
}

// Len returns the number of items in a table, expired ones included; 0 if
// there is no such table.
func (s *Server) Len(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tables[name]; t != nil {
		return len(t.items)
	}
	return 0
}
