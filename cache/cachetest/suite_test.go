package cachetest_test

import (
	"testing"

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
