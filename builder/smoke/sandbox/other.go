//go:build !linux

package sandbox

import "context"

// Run returns [ErrUnsupported].
func Run(context.Context, Spec) (Result, error) { return Result{}, ErrUnsupported }

// Check returns [ErrUnsupported].
func Check(string) error { return ErrUnsupported }

// Main returns 2: no stage exists here.
func Main([]string) int { return 2 }
