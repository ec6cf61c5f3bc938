// Package health answers the probes of a platform.
package health
