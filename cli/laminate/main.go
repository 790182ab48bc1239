// Command laminate packages Cloud Native Buildpacks so that they share image
// layers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"laminate/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(cli.Run(ctx, os.Args, os.Stdout, os.Stderr, os.Getenv))
}
