//go:build !linux

package delivery_test

import "testing"

func descriptors(testing.TB) int { return 0 } // not counted here

func beCrowd() bool { return false }
