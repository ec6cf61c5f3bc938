package observeaws

import (
	"maps"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/failopen/failopen/depgraph/observe"
)

// fields are those of an operation's input that name what it is about.
var fields = []string{"TableName", "QueueUrl", "TopicArn", "Bucket", "StreamName", "FunctionName"}

// maxResources bounds the resources that are remembered; calls for others are
// recorded under their service.
const maxResources = 1000

// resource is the key of a name: a table and a queue may be called the same.
type resource struct{ service, name string }

// resources turns a call into the name to record it under: that of what it is
// about if Options.Names has one, else that of its service. Both maps are copied
// to add to them, so that reading takes no lock and allocates nothing.
type resources struct {
	r     *observe.Recorder
	names atomic.Pointer[map[resource]string]
	field atomic.Pointer[map[reflect.Type]int] // of an input; -1: it has none
	mu    sync.Mutex                           // while adding
}

func newResources(r *observe.Recorder) *resources {
	s := &resources{r: r}
	s.names.Store(&map[resource]string{})
	s.field.Store(&map[reflect.Type]int{})
	return s
}

// name never panics, whatever the parameters are.
//
// parameters is the input of an operation, a pointer to a struct of the SDK.
func (s *resources) name(service string, parameters any) string {
	v := reflect.ValueOf(parameters)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return service
	}
	v = v.Elem()
	i := s.fieldOf(v.Type())
	if i < 0 {
		return service
	}
	text, ok := v.Field(i).Interface().(*string)
	if !ok || text == nil {
		return service
	}
	of := resource{service, *text}
	if name, ok := (*s.names.Load())[of]; ok {
		return name
	}
	return s.add(of)
}

func (s *resources) add(of resource) string {
	name := of.service
	if exact := of.service + "/" + plain(of.name); s.r.Maps(exact) {
		name = exact
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := *s.names.Load(); len(old) < maxResources {
		fresh := maps.Clone(old)
		fresh[resource{of.service, strings.Clone(of.name)}] = name
		s.names.Store(&fresh)
	}
	return name
}

// fieldOf finds the first of fields in a type, once for each.
func (s *resources) fieldOf(t reflect.Type) int {
	if i, ok := (*s.field.Load())[t]; ok {
		return i
	}
	index := -1
	for _, name := range fields {
		if f, ok := t.FieldByName(name); ok && len(f.Index) == 1 && f.IsExported() {
			index = f.Index[0]
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := maps.Clone(*s.field.Load())
	fresh[t] = index
	s.field.Store(&fresh)
	return index
}

// plain is the name in an ARN or a URL: what follows the last slash or colon.
func plain(name string) string {
	if strings.HasPrefix(name, "arn:") || strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://") {
		return name[strings.LastIndexAny(name, "/:")+1:]
	}
	return name
}
