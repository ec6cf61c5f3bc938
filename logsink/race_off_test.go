//go:build !race

package logsink

const raceDetector = false
