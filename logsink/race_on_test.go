//go:build race

package logsink

const raceDetector = true
