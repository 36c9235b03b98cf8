//go:build !linux

package broadcast

// BeCrowd: the benchmark with a crowd runs on Linux alone.
func BeCrowd() bool { return false }
