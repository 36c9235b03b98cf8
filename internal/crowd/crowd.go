// Package crowd is an audience in one process: thousands of real listeners of a
// space, who speak nothing but the public protocol.
package crowd
