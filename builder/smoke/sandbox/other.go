//go:build !linux

package sandbox

import (
	"context"
	"net"
	"time"
)

// Run returns [ErrUnsupported].
func Run(context.Context, Spec) (Result, error) { return Result{}, ErrUnsupported }

// Check returns [ErrUnsupported].
func Check(string) error { return ErrUnsupported }

// Main returns 2: no stage exists here.
func Main([]string) int { return 2 }

// Inside is a running sandbox; there is none here.
type Inside struct{}

// Dial returns [ErrUnsupported].
func (Inside) Dial(context.Context, string, string) (net.Conn, error) { return nil, ErrUnsupported }

// Stop does nothing.
func (Inside) Stop(time.Duration) {}
