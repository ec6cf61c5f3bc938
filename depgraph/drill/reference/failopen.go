package reference

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/logsink"
)

// failOpen is the service with the packages of this project.
// This is what a team would write: a cache with the table as its shared tier and the
// origin as Load, a soft health dependency, and a log sink. Nothing in it handles an
// error of the table.
type failOpen struct {
	cache  *cache.Cache[string]
	health health.Process
	stop   context.CancelFunc
	done   chan struct{}
}

// build makes the sessions and the log of the service that fails open.
// What was started is closed again if a later part cannot be built.
func (s *Service) build(cfg aws.Config) error {
	store, err := dynamo.NewStore(dynamo.NewClient(cfg), dynamo.Options{Table: table})
	if err != nil {
		return err
	}
	sessions, err := cache.New(cache.Options[string]{
		Name: table, Store: store, Load: s.origin, TTL: ttl, MaxEntries: local, Cooldown: s.opts.Cooldown,
	})
	if err != nil {
		return err
	}
	sink, err := logsink.New(logsink.Options{Dest: s.destination()})
	if err != nil {
		return errors.Join(err, sessions.Close(context.Background()))
	}
	f := &failOpen{cache: sessions, done: make(chan struct{})}
	if err := f.health.Depend(health.Dependency{Name: table, Soft: true, Period: s.opts.Probe, Check: func(ctx context.Context) error {
		_, err := store.Get(ctx, "a test record")
		return err
	}}); err != nil {
		return errors.Join(err, sessions.Close(context.Background()), sink.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go func() { defer close(f.done); _ = f.health.Run(ctx) }() // its only error is a second Run
	f.health.Started()
	s.inner, s.logs = f, sinkLog{sink}
	return nil
}

// find is one lookup; which errors of the table lead on is the cache's affair.
func (f *failOpen) find(ctx context.Context, token string) (user, source string, err error) {
	r := f.cache.Lookup(ctx, token)
	return r.Value, r.Source.String(), r.Err
}

// alive asks nobody: a dependency that is gone is no reason to be restarted.
func (f *failOpen) alive(context.Context) bool { return f.health.Live() }

// close waits for the health checks, and then for what the cache has to write.
func (f *failOpen) close(ctx context.Context) error {
	f.stop()
	<-f.done
	return f.cache.Close(ctx)
}

// sinkLog is a log that waits for nothing.
type sinkLog struct{ *logsink.Sink }

func (l sinkLog) close(ctx context.Context) error { return l.Shutdown(ctx) }
