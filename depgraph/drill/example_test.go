package drill_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

var errNoPrice = errors.New("no price")

// prices asks a dependency that is declared soft.
type prices struct{ injector *fault.Injector }

func (p *prices) ask(ctx context.Context) error {
	if f := p.injector.Next(ctx, fault.Call{Service: "prices"}); f != nil {
		return errNoPrice
	}
	return nil
}

// page is the service: it shows a page with or without a price.
func (p *prices) page(ctx context.Context, _ int64) error {
	if err := p.ask(ctx); err != nil && !errors.Is(err, errNoPrice) {
		return err
	}
	return ctx.Err()
}

func TestShopServesWithoutPrices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := &prices{injector: fault.New(fault.Options{})}
		rules := []fault.Rule{fault.Network("prices", fault.Refuse)}
		drill.Test(t, drill.Experiment{
			Service: "shop", Dependency: "prices", Rules: rules,
			Target: drill.Func(svc.page), Fault: drill.Rules(svc.injector, rules...),
			Watch: 7 * time.Hour,
		})
	})
}
