// Package store is a package of its own: facts cross its border.
package store

import (
	"context"
	"database/sql"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

type DB struct{ db *sql.DB }

func (d *DB) Ping(ctx context.Context) error { // want Ping:"reaches"
	return d.db.PingContext(ctx)
}

func (d *DB) Name() string { return "db" }

type API interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
}

func Record(ctx context.Context, api API) error { // want Record:"reaches"
	_, err := api.GetItem(ctx, nil)
	return err
}

// Handler answers by asking the database.
type Handler struct{ DB *DB }

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { // want ServeHTTP:"reaches"
	if err := h.DB.Ping(r.Context()); err != nil {
		w.WriteHeader(503)
	}
}
