package sink

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/moby/client"

	"laminate/flatten"
	"laminate/packager/location"
)

// DaemonTarget returns the platform of the Docker daemon for dest. If it does not respond, the
// error suggests alternatives.
func DaemonTarget(ctx context.Context, dest location.Location, o Options) (flatten.Target, error) {
	tag, err := name.NewTag(dest.Ref)
	if err != nil {
		return flatten.Target{}, fmt.Errorf("output %s: %w", dest, err)
	}
	api, err := o.Daemon.Client()
	if err != nil {
		return flatten.Target{}, fmt.Errorf("output %s: %w", dest, err)
	}
	defer api.Close()
	version, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return flatten.Target{}, noDaemon(ctx, tag, err)
	}
	return flatten.Target{OS: version.Os, Arch: version.Arch}, nil
}
