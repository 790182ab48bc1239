package sink

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"laminate/packager/progress"
)

// lookedAt is how many of the daemon's images are inspected for layers.
const lookedAt = 100

// An engine is a Docker daemon.
type engine struct {
	api *client.Client
	// byChain reports whether it looks up layers by chain ID before it opens their files in the
	// archive.
	byChain bool
}

// findsByChain reports whether this is Docker's engine with its own image store. With containerd's
// store it needs every blob; other engines are unknown.
func findsByChain(ctx context.Context, api *client.Client, components []system.ComponentVersion) bool {
	if !slices.ContainsFunc(components, func(c system.ComponentVersion) bool { return c.Name == "Engine" }) {
		return false
	}
	info, err := api.Info(ctx, client.InfoOptions{})
	return err == nil && !slices.ContainsFunc(info.Info.DriverStatus, func(s [2]string) bool {
		return strings.HasPrefix(s[1], "io.containerd.snapshotter")
	})
}

// standing returns how many of the image's lowest layers the daemon has, in the images of the tags
// or in others.
func (e engine) standing(ctx context.Context, c content, tags []name.Tag) int {
	if !e.byChain {
		return 0
	}
	var images []string
	for _, t := range tags {
		images = append(images, spelled(t))
	}
	if list, err := e.api.ImageList(ctx, client.ImageListOptions{}); err == nil {
		for _, item := range list.Items {
			images = append(images, item.ID)
		}
	}
	want, most := texts(c.diffIDs), 0
	for _, image := range images[:min(len(images), lookedAt)] {
		got, err := e.api.ImageInspect(ctx, image)
		if err != nil {
			continue
		}
		if n := commonPrefix(want, got.RootFS.Layers); n > most {
			most = n
		}
		if most == len(want) {
			break
		}
	}
	return most
}

func commonPrefix(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// send loads the image into the daemon, without the layers that it has. If one of those turns out
// to be missing, it sends everything.
func (e engine) send(ctx context.Context, c content, tags []name.Tag, log progress.Log) error {
	if have := e.standing(ctx, c, tags); have > 0 {
		err := e.stream(ctx, c, tags, have, log)
		var bad *blobError
		if err == nil || ctx.Err() != nil || errors.As(err, &bad) {
			return err
		}
	}
	return e.stream(ctx, c, tags, 0, log)
}
