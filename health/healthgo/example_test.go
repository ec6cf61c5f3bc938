package healthgo_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthgo"
)

// A check of health-go's catalogue becomes a dependency, and the report is
// served in health-go's format.
func Example() {
	p := new(health.Process)
	d, err := healthgo.Import(hellofresh.Config{
		Name: "redis", SkipOnErr: true,
		Check: func(context.Context) error { return nil }, // checks/redis.New(...) in a real service
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Depend(d); err != nil {
		fmt.Println(err)
		return
	}
	h := healthgo.Handler(p, hellofresh.Component{Name: "shop", Version: "1.2"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 application/json
}
