// Package depgraph declares what each service depends on, and how critically.
package depgraph
