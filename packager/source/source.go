// Package source opens buildpacks, extensions, buildpackages and images from
// wherever they are: directories, archives, OCI layouts and archives, Docker
// archives, registries, the Docker daemon, web servers.
//
// Nothing that is read is trusted. Blobs are checked against their digest and
// size, layers against their diffID, names against leading out of where they
// belong, and sizes against [Limits]. Metadata is read when a source is
// opened; the content of layers and files only when somebody asks for it.
// A source must stay in place, and the work directory too, as long as what
// came from it is in use.
package source

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/cache"
	"laminate/packager/daemon"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/once"
	"laminate/packager/progress"
	"laminate/packager/registry"
	"laminate/packager/stream"
)

// Opener opens sources. Its zero value works for directories, OCI layouts and
// registries; all else needs a WorkDir. It is safe for concurrent use and must
// not be copied after its first use.
type Opener struct {
	// Keychain finds credentials; nil is authn.DefaultKeychain.
	Keychain authn.Keychain
	// Transport carries every request but those to the Docker daemon; nil is
	// a transport with sane timeouts.
	Transport http.RoundTripper
	// Insecure names hosts, as host or host:port, that may be spoken to
	// without TLS, besides this machine.
	Insecure []string
	// Stall is how long a server may be silent; 0 is registry.DefaultStall.
	Stall time.Duration
	// Pause is how long the second attempt waits; 0 is 250 ms.
	Pause time.Duration
	// Daemon says where the Docker daemon is.
	Daemon daemon.Options
	// PullPolicy says when the Docker daemon pulls what is asked of it. Without
	// one, that is always for images that a TOML file lists, and if-not-present
	// for those that are named as the daemon's.
	PullPolicy PullPolicy
	// FromDaemon makes the images that a TOML file lists (location.Listed) those
	// of the Docker daemon, under the pull policy, and a plain REF of the command
	// line the daemon's where it has one of this name. Without it, all of them
	// are in registries.
	FromDaemon bool
	// DryRun leaves the Docker daemon as it is: what would be pulled is read from
	// its registry instead.
	DryRun bool
	// Cache keeps files from web servers between runs; nil keeps none.
	Cache *cache.Cache
	// WorkDir takes what has to be unpacked, downloaded or saved. The caller
	// makes it, and removes it when nothing opened here is in use any more.
	WorkDir string
	Limits  stream.Limits
	Log     progress.Log // nil is progress.Discard
	// LeaveOut, where it is set, tells which files and directories are no part
	// of the directories that hold them, by their absolute paths: what a run
	// writes must not be what the next one reads.
	LeaveOut func(path string) bool

	files once.Map[string, string]   // downloads and saved images, by where they come from
	tars  once.Map[string, *archive] // archives that were read, by path
}

// PullPolicy tells when the Docker daemon pulls an image before it is read.
type PullPolicy string

// The policies.
const (
	Always       PullPolicy = "always"
	IfNotPresent PullPolicy = "if-not-present"
	Never        PullPolicy = "never"
)

// ParsePullPolicy reads the name of a policy.
func ParsePullPolicy(s string) (PullPolicy, error) {
	switch p := PullPolicy(s); p {
	case Always, IfNotPresent, Never:
		return p, nil
	}
	return "", fmt.Errorf("invalid pull policy %q; use always, if-not-present or never", s)
}

// Package opens a buildpack, an extension or a buildpackage. Target chooses
// among the images of an index and the folders that a directory or archive has
// for targets; where it is zero there must be but one image. The context
// bounds all reading, also what happens later.
func (o *Opener) Package(ctx context.Context, loc location.Location, kind flatten.Kind, target flatten.Target) (*image.Package, error) {
	if loc.Kind == location.HTTP || loc.Kind == location.Path {
		local, err := o.local(ctx, loc)
		if err != nil {
			return nil, err
		}
		tree, err := o.tree(ctx, loc, local, kind, target)
		if err != nil {
			return nil, err
		}
		if tree != nil {
			return tree.pack(kind)
		}
	}
	opened, err := o.Image(ctx, loc, target)
	if err != nil {
		return nil, err
	}
	return opened.Package(kind)
}

// Image opens an image. The context bounds all reading, also what happens later.
func (o *Opener) Image(ctx context.Context, loc location.Location, target flatten.Target) (*image.Image, error) {
	opened, err := o.open(ctx, loc, target)
	if err != nil {
		return nil, err
	}
	return opened.view()
}

// Config returns platform and labels of an image, for callers that need no more
// of it. An image of the Docker daemon is not read for that; it is pulled as
// the pull policy says.
func (o *Opener) Config(ctx context.Context, loc location.Location, target flatten.Target) (*v1.ConfigFile, error) {
	if loc.Kind != location.Listed || !o.FromDaemon {
		img, err := o.open(ctx, loc, target)
		if err != nil {
			return nil, err
		}
		return img.Config()
	}
	policy := cmp.Or(o.PullPolicy, Always)
	if o.DryRun && policy != Never {
		img := o.opening(ctx, loc.String())
		if err := o.openUnpulled(ctx, img, loc.Ref, policy, target); err != nil {
			return nil, err
		}
		return img.Config()
	}
	config, err := o.daemonConfig(ctx, loc.Ref, policy, target)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", loc, err)
	}
	return config, image.CheckTarget(loc.String(), config, target)
}

// open opens the image at a location.
func (o *Opener) open(ctx context.Context, loc location.Location, target flatten.Target) (*opening, error) {
	img := o.opening(ctx, loc.String())
	var err error
	switch loc.Kind {
	case location.Path, location.HTTP:
		err = o.openFile(ctx, img, loc, target)
	case location.OCILayout:
		err = img.openLayout(dirBlobs(loc.Path), loc.Ref, target)
	case location.OCIArchive:
		err = o.openOCIArchive(ctx, img, loc.Path, loc.Ref, target)
	case location.DockerArchive:
		err = o.openDockerArchive(ctx, img, loc.Path, loc.Ref)
	case location.Registry:
		err = img.openRegistry(loc.Ref, target)
	case location.Daemon:
		err = o.openDaemon(ctx, img, loc.Ref, cmp.Or(o.PullPolicy, IfNotPresent), target)
	case location.Listed:
		if o.FromDaemon {
			err = o.openDaemon(ctx, img, loc.Ref, cmp.Or(o.PullPolicy, Always), target)
		} else {
			err = img.openRegistry(loc.Ref, target)
		}
	case location.Name:
		err = o.openName(ctx, img, loc.Ref, target)
	default:
		err = fmt.Errorf("%s: location of an unknown kind", loc)
	}
	if err != nil {
		return nil, err
	}
	return img, img.checkTarget(target)
}

// opening returns an image that is still to be opened.
func (o *Opener) opening(ctx context.Context, name string) *opening {
	return &opening{
		ctx: ctx, registryOptions: o.registry(),
		Raw: image.Raw{Name: name, Limits: o.Limits.OrDefault(), WorkDir: o.WorkDir, Log: o.log()},
	}
}

func (o *Opener) registry() registry.Options {
	return registry.Options{Keychain: o.Keychain, Transport: o.Transport, Insecure: o.Insecure, Stall: o.Stall, Pause: o.Pause}
}

func (o *Opener) log() progress.Log {
	if o.Log == nil {
		return progress.Discard
	}
	return o.Log
}

// openName opens a plain REF of the command line.
func (o *Opener) openName(ctx context.Context, img *opening, ref string, target flatten.Target) error {
	if o.FromDaemon && (o.PullPolicy == Never || o.daemonHas(ctx, ref)) {
		return o.openDaemon(ctx, img, ref, cmp.Or(o.PullPolicy, IfNotPresent), target)
	}
	return img.openRegistry(ref, target)
}

// parseReference reads a reference and remembers nothing of the network.
func (i *opening) parseReference(ref string) (name.Reference, error) {
	parsed, err := i.registryOptions.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	return parsed, nil
}
