// Package source opens buildpacks, extensions, buildpackages and images from directories, archives,
// OCI layouts and archives, Docker archives, registries, the Docker daemon, and web servers.
//
// All input is verified: blobs by digest and size, layers by diffID, names against path traversal,
// and sizes against [Limits]. Opening a source reads metadata; the content of layers and files is
// read on demand. Sources and the work directory must stay unchanged as long as anything opened is
// in use.
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
	"github.com/google/go-containerregistry/pkg/v1/remote"

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

// Opener opens sources. The zero value works for directories, OCI layouts and registries; other
// sources need a WorkDir. It is safe for concurrent use and must not be copied after its first use.
type Opener struct {
	// Keychain finds credentials; nil means authn.DefaultKeychain.
	Keychain authn.Keychain
	// Pool is what the requests of a run share; nil means that each image that is opened has one of its
	// own.
	Pool *registry.Pool
	// Transport sends all requests except those to the Docker daemon; nil means a default with
	// timeouts.
	Transport http.RoundTripper
	// Insecure lists hosts, as host or host:port, that may be accessed without TLS, in addition to
	// loopback.
	Insecure []string
	// Stall is how long a server may move no byte; 0 means registry.DefaultStall.
	Stall time.Duration
	// Pause is the delay before the second attempt; 0 means 250 ms.
	Pause time.Duration
	// Daemon locates the Docker daemon.
	Daemon daemon.Options
	// PullPolicy is when the Docker daemon pulls images. The default is always for images listed in
	// TOML files, and if-not-present for docker-daemon:REF.
	PullPolicy PullPolicy
	// FromDaemon takes images listed in TOML files (location.Listed) from the Docker daemon, under
	// the pull policy, and a plain REF on the command line as well if the daemon has it. Otherwise
	// they are taken from registries.
	FromDaemon bool
	// DryRun prevents pulls by the Docker daemon: what it would pull is read from the registry
	// instead.
	DryRun bool
	// Cache keeps downloads between runs; nil keeps none.
	Cache *cache.Cache
	// WorkDir is for unpacked, downloaded and exported files. The caller creates it, and removes it
	// when nothing opened is in use any more.
	WorkDir string
	Limits  stream.Limits
	Log     progress.Log // nil means progress.Discard
	// LeaveOut, if set, reports files and directories to exclude from source directories, by
	// absolute path, so that the output of a run is not part of the input of the next.
	LeaveOut func(path string) bool

	files once.Map[string, string]   // downloads and exported images, by source
	tars  once.Map[string, *archive] // listed archives, by path
}

// PullPolicy is when the Docker daemon pulls an image before it is read.
type PullPolicy string

// The policies.
const (
	Always       PullPolicy = "always"
	IfNotPresent PullPolicy = "if-not-present"
	Never        PullPolicy = "never"
)

// ParsePullPolicy parses a pull policy.
func ParsePullPolicy(s string) (PullPolicy, error) {
	switch p := PullPolicy(s); p {
	case Always, IfNotPresent, Never:
		return p, nil
	}
	return "", fmt.Errorf("invalid pull policy %q; use always, if-not-present or never", s)
}

// Package opens a buildpack, an extension or a buildpackage. Target selects the image of an index,
// or the target folder of a directory or archive; with a zero target, an index must have a single
// image. All reading ends with ctx, including later reads of content.
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

// Image opens an image. All reading ends with ctx, including later reads of layers.
func (o *Opener) Image(ctx context.Context, loc location.Location, target flatten.Target) (*image.Image, error) {
	opened, err := o.open(ctx, loc, target)
	if err != nil {
		return nil, err
	}
	return opened.view()
}

// Config returns the config of an image. Images of the Docker daemon are not exported for it, but
// pulled according to the pull policy.
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

// IsRemote reports whether opening the image at a location means nothing but requests to a registry.
func (o *Opener) IsRemote(loc location.Location) bool {
	return loc.Kind == location.Registry || (loc.Kind == location.Listed || loc.Kind == location.Name) && !o.FromDaemon
}

// Prefetch reads the manifest at a location in a registry, so that the pool has it when the image is
// opened for a target that is not known yet. It ignores errors: opening the image finds them again.
func (o *Opener) Prefetch(ctx context.Context, loc location.Location) {
	if o.Pool == nil || !o.IsRemote(loc) {
		return
	}
	ref, err := o.registry().ParseReference(loc.Ref)
	if err != nil {
		return
	}
	if puller, err := remote.NewPuller(o.registry().Remote(ctx)...); err == nil {
		_, _ = puller.Get(registry.RecentTags(ctx), ref)
	}
}

// open opens the image at a location.
func (o *Opener) open(ctx context.Context, loc location.Location, target flatten.Target) (*opening, error) {
	img := o.opening(ctx, loc.String())
	if err := o.openAt(ctx, img, loc, target); err != nil {
		return nil, err
	}
	return img, img.checkTarget(target)
}

// openAt opens an image from a location of any kind.
func (o *Opener) openAt(ctx context.Context, img *opening, loc location.Location, target flatten.Target) (err error) {
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
		err = fmt.Errorf("%s: unknown kind of location", loc)
	}
	return err
}

// opening returns an image that is not opened yet.
func (o *Opener) opening(ctx context.Context, name string) *opening {
	return &opening{
		ctx: ctx, registryOptions: o.registry(),
		Raw: image.Raw{Name: name, Limits: o.Limits.OrDefault(), WorkDir: o.WorkDir, Log: o.log()},
	}
}

func (o *Opener) registry() registry.Options {
	return registry.Options{Keychain: o.Keychain, Pool: o.Pool, Transport: o.Transport, Insecure: o.Insecure, Stall: o.Stall, Pause: o.Pause}
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

// parseReference parses a reference, without network access.
func (i *opening) parseReference(ref string) (name.Reference, error) {
	parsed, err := i.registryOptions.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	return parsed, nil
}
