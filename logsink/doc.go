// Package logsink is a log writer that never blocks.
package logsink
