// Package reference is a small service to drill: it says who a session token
// belongs to, from local memory, a DynamoDB table and a system of record, and
// writes a log line for each request. It exists twice, as New builds it: with
// the packages of this project, and as it was written before the outage of
// 7 December 2021.
//
// Everything runs inside the process and without a socket, in real time and in
// a testing/synctest bubble. What it depends on goes through one
// [fault.Injector]; rules name "dynamodb", "origin" and "logs".
//
// reference.go is the service without what differs, and the platform that watches
// it; failopen.go and naive.go are the two that differ, behind the interfaces
// sessions and logger; logtimes.go measures how long log lines wait. A request is
// Ask, then find: local memory, the table, the system of record.
package reference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultaws"
	"github.com/failopen/failopen/depgraph/drill/presets"
)

// Options of a service.
type Options struct {
	// Naive builds the service that expects one error of its table, its own
	// "not found"; writes its log lines to where they go, and waits; and
	// answers its liveness probe by reading a test record.
	Naive bool

	// Cooldown is for how long the table is left alone after it has failed.
	// Default 500 ms.
	Cooldown time.Duration

	// Probe is how often the platform asks whether the service is alive.
	// Default 10 s. After three answers of no it restarts the service,
	// which takes three times as long as that.
	Probe time.Duration

	// Seed makes faults repeatable.
	Seed uint64
}

// Sizes: the local tier is small, so that each of the tiers has work to do.
// Of a hundred tokens, asked for in turn, 32 have room: most requests ask the table.
const (
	tokens = 100
	local  = 32
	table  = "sessions"
	ttl    = time.Minute
)

// originTime is how long the system of record takes for an answer.
// It is short against every budget, so that an answer without the table is slower
// and still in time.
const originTime = 5 * time.Millisecond

// Service is one of the two. It is safe for concurrent use; Close ends it.
// The table is an emulator in the process and is not what fails: the faults are in
// the client's middleware. Fields up to pipe are set by New and only read.
type Service struct {
	injector *fault.Injector
	dynamo   *dynamotest.Server
	opts     Options
	inner    sessions
	logs     logger

	stop context.CancelFunc
	all  sync.WaitGroup
	pipe chan struct{} // held by the writer of a log line

	live       atomic.Bool // the last answer to the probe
	down       atomic.Bool // the platform restarts it
	restarts   atomic.Int64
	lastRemote atomic.Int64 // unix ns: when the table answered last
	asked      atomic.Int64
	log        logTimes
}

// sessions is what differs: who a token belongs to, and where that was found.
// source is "local", "remote", "origin" or "unknown", as package cache has it. alive
// is the answer to the liveness probe, within ctx.
type sessions interface {
	find(ctx context.Context, token string) (user, source string, err error)
	alive(ctx context.Context) bool
	close(ctx context.Context) error
}

// logger takes log lines.
// A Write returns when the line is taken; close, when all are where they go.
type logger interface {
	io.Writer
	close(ctx context.Context) error
}

// New starts a service with a table of its own. The caller closes it.
// ctx bounds the start only: the service runs until Close. In a synctest bubble New
// and Close belong into the bubble. A negative duration is an error.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Cooldown < 0 || o.Probe < 0 {
		return nil, fmt.Errorf("reference: Options.Cooldown is %v and Probe %v; neither may be negative", o.Cooldown, o.Probe)
	}
	if o.Cooldown == 0 {
		o.Cooldown = 500 * time.Millisecond
	}
	if o.Probe == 0 {
		o.Probe = 10 * time.Second
	}
	stalls := new(drill.Stalls)
	s := &Service{log: logTimes{stood: stalls.Within}, injector: fault.New(fault.Options{Seed: o.Seed}), dynamo: dynamotest.New(dynamotest.Options{}), opts: o, pipe: make(chan struct{}, 1)}
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(dynamotest.MemoryURL), HTTPClient: s.dynamo.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	}
	if err := dynamo.CreateTable(ctx, dynamo.NewClient(cfg), dynamo.Options{Table: table}); err != nil {
		return nil, fmt.Errorf("reference: create the table: %w", err)
	}
	cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(s.injector))
	var err error
	if o.Naive {
		s.inner, s.logs = newNaive(s, dynamodb.NewFromConfig(cfg)), direct{s.destination()}
	} else if err = s.build(cfg); err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	s.live.Store(true)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.all.Go(func() { s.platform(background) })
	s.all.Go(func() { stalls.Run(background) })
	return s, nil
}

// Injector is what the service's dependencies go through.
func (s *Service) Injector() *fault.Injector { return s.injector }

// Live is the last answer to the platform's probe.
func (s *Service) Live() bool { return s.live.Load() }

// Restarts counts how often the platform has restarted the service.
func (s *Service) Restarts() int64 { return s.restarts.Load() }

// LongestLog is the longest that a log line has taken, without the time for
// which this machine stood still. One that has only just ended is not in it yet.
func (s *Service) LongestLog() time.Duration { return s.log.longest() }

// errRestarting is what users get while the platform restarts the service.
var errRestarting = errors.New("connection refused: the platform is restarting the service")

// Ask implements drill.Target: who does token n belong to?
// A request without an answer to its log line is not answered either: that is what
// writing a log means to the naive service. Wrong is an answer that names another
// user.
func (s *Service) Ask(ctx context.Context, n int64) drill.Answer {
	if s.down.Load() {
		return drill.Answer{Err: errRestarting}
	}
	id := n % tokens
	user, source, err := s.inner.find(ctx, fmt.Sprintf("token-%03d", id))
	if source == "remote" && err == nil {
		s.lastRemote.Store(time.Now().UnixNano())
	}
	began := time.Now()
	if _, logErr := fmt.Fprintf(s.logs, "request %d: %s %s %v\n", s.asked.Add(1), user, source, err); logErr != nil && err == nil {
		err = fmt.Errorf("log: %w", logErr)
	}
	s.log.add(began, time.Now())
	return drill.Answer{Err: err, Source: source, Wrong: err == nil && user != userOf(fmt.Sprintf("token-%03d", id))}
}

func userOf(token string) string { return "user of " + token }

// origin is the system of record.
// Rules may break it by the name "origin": one that passes delays it only.
func (s *Service) origin(ctx context.Context, token string) (string, error) {
	if f := s.injector.Next(ctx, fault.Call{Service: "origin", Operation: "Session"}); f != nil {
		if err := f.Wait(ctx); err != nil {
			return "", err
		}
		if !f.Passes() {
			return "", errors.New("the system of record fails")
		}
	}
	timer := time.NewTimer(originTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return userOf(token), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// destination is where log lines go. It blocks for as long as a rule for
// "logs" says, whatever kind of fault that names: a log driver has no other
// way to fail.
func (s *Service) destination() io.Writer { return writerFunc(s.write) }

// write is the end of the service's log: one line at a time, and none while a
// rule about the service "logs" holds, as when a log driver has lost its
// server. It looks again after 10 ms, and more rarely the longer it lasts.
// It ignores the caller's context, as a pipe would.
func (s *Service) write(p []byte) (int, error) {
	s.pipe <- struct{}{} // one writer at a time, as with a pipe
	defer func() { <-s.pipe }()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		f := s.injector.Next(context.Background(), fault.Call{Service: "logs", Operation: "write"})
		if f == nil {
			return len(p), nil
		}
		timer := time.NewTimer(wait)
		<-timer.C
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// platform is what probes the service and restarts it.
// A probe gets as long as its period. Three failures in a row are a restart, during
// which requests fail; the count then begins anew, so a service that cannot get well
// is restarted for ever, as in the outage.
func (s *Service) platform(ctx context.Context) {
	tick := time.NewTicker(s.opts.Probe)
	defer tick.Stop()
	failures := 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		probe, cancel := context.WithTimeout(ctx, s.opts.Probe)
		live := s.inner.alive(probe)
		cancel()
		s.live.Store(live || ctx.Err() != nil)
		if failures++; live {
			failures = 0
		}
		if failures < 3 {
			continue
		}
		failures = 0
		s.restarts.Add(1)
		s.down.Store(true)
		boot := time.NewTimer(3 * s.opts.Probe)
		select {
		case <-boot.C:
		case <-ctx.Done():
		}
		boot.Stop()
		s.down.Store(false)
	}
}

// Invariants are what has to hold in each drill of this service: liveness never
// fails, the platform never restarts it, and no log line waits for where it
// goes, by more than limit.
// They are asked each second while the fault is in force.
func (s *Service) Invariants(limit time.Duration) []drill.Invariant {
	return []drill.Invariant{
		{Name: "liveness stays 200", Holds: func(context.Context) error {
			if !s.Live() || s.Restarts() > 0 {
				return fmt.Errorf("the probe is answered with 503, and the platform has restarted the service %d times", s.Restarts())
			}
			return nil
		}},
		{Name: "no log call waits", Holds: func(context.Context) error {
			if d := s.LongestLog(); d > limit {
				return fmt.Errorf("one took %v", d)
			}
			return nil
		}},
	}
}

// Recovered reports whether the table answers again, for an Experiment.
// The time counts from the first question, which comes when the fault is over: an
// answer of the table before that says nothing. Each call of Recovered gives a new
// function, for one drill.
func (s *Service) Recovered() func(context.Context) error {
	began := sync.OnceValue(func() int64 { return time.Now().UnixNano() })
	return func(context.Context) error {
		if s.lastRemote.Load() < began() {
			return errors.New("the table has not answered since")
		}
		return nil
	}
}

// Close ends the service, with what waits to be written.
// Rules are cleared first, since a log that is blocked would never be written. ctx
// bounds what waits to be written.
func (s *Service) Close(ctx context.Context) error {
	s.injector.Clear()
	s.stop()
	s.all.Wait()
	return errors.Join(s.inner.close(ctx), s.logs.close(ctx))
}

// Drill is the experiment that tries a preset on the service. No log line may
// wait longer than logLimit.
// The rate is 50 a second. Recovered is demanded only where the table is what was
// cut: it is not asked while another dependency fails.
func (s *Service) Drill(p presets.Preset, logLimit time.Duration) drill.Experiment {
	name := "failopen"
	if s.opts.Naive {
		name = "naive"
	}
	e := drill.Experiment{
		Title:   p.Name + ": " + p.Title,
		Service: name, Dependency: p.Dependency,
		Target: s, Fault: drill.Rules(s.injector, p.Rules...), Rules: p.Rules,
		Watch: p.Watch, Recovery: p.Recovery, Rate: 50,
		Invariants: s.Invariants(logLimit), Seed: s.opts.Seed,
	}
	if p.Dependency == "dynamodb" {
		e.Recovered = s.Recovered()
	}
	return e
}
