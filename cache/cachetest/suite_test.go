package cachetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

func TestStore(t *testing.T) {
	cachetest.TestStore(t, func(*testing.T) cache.Store { return new(cachetest.Store) })
}

func TestBulletin(t *testing.T) {
	cachetest.TestBulletin(t, func(*testing.T) cache.BulletinStore {
		return &cachetest.Bulletin{Store: new(cachetest.Store)}
	})
}

// Every kind breaks a store that works, and the store recovers.
func TestBreak(t *testing.T) {
	for _, kind := range cachetest.Kinds() {
		synctest.Test(t, func(t *testing.T) {
			store, over := new(cachetest.Store), make(chan struct{})
			store.Put("k", cache.Item{Value: []byte("v")})
			store.Inject(cachetest.Break(kind, over))
			began := time.Now()
			done := make(chan error, 1)
			go func() {
				result := errors.New("the goroutine ended")
				defer func() {
					if recover() != nil {
						result = errors.New("it panicked")
					}
					done <- result
				}()
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_, result = store.Get(ctx, "k")
			}()
			wait := time.NewTimer(time.Minute)
			select {
			case err := <-done:
				if err == nil {
					t.Errorf("%s: the call went well after %v", kind, time.Since(began))
				}
			case <-wait.C:
				if kind != cachetest.KindDeaf {
					t.Errorf("%s: the call did not end with its context", kind)
				}
			}
			close(over)
			store.Inject(nil)
			if _, err := store.Get(t.Context(), "k"); err != nil {
				t.Errorf("%s: afterwards: %v", kind, err)
			}
			if store.Active() != 0 {
				synctest.Wait()
			}
		})
	}
}

func TestBreak_unknown_kind(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a misspelt kind breaks nothing, in silence")
		}
	}()
	cachetest.Break("hagn", nil)
}
