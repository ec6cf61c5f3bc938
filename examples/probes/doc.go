// Package probes keeps the snippets of docs/guide/health-snippets true: what a
// platform is told to ask must be what package health answers.
package probes
