package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/moby/api/pkg/authconfig"
	apiregistry "github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// pingTime is how long the Docker daemon has to say that it is there.
const pingTime = 10 * time.Second

// dial finds the Docker daemon as the docker command does.
func dial(ctx context.Context) (*client.Client, error) {
	c, err := client.New(client.FromEnv)
	if err != nil {
		return nil, noDaemon(err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, errors.Join(noDaemon(err), c.Close())
	}
	return c, nil
}

func noDaemon(err error) error {
	return fmt.Errorf("no Docker daemon answers (%s); take the image from a registry with docker://REF, or from a file with docker-archive:FILE or oci-archive:FILE", registry.Shorten(err.Error()))
}

// daemonHas tells whether there is a daemon that has an image of this name.
func daemonHas(ctx context.Context, ref string) bool {
	c, err := dial(ctx)
	if err != nil {
		return false
	}
	_, err = c.ImageInspect(ctx, ref)
	return errors.Join(err, c.Close()) == nil
}

// openDaemon opens an image of the Docker daemon, which is pulled before where
// the policy says so, and saved into the work directory.
func (o *Opener) openDaemon(ctx context.Context, img *image, ref string, target flatten.Target) error {
	file, err := o.files.get("docker-daemon:"+ref+" "+target.String(), func() (string, error) { return o.save(ctx, ref, target) })
	if err != nil {
		return fmt.Errorf("%s: %w", img.name, err)
	}
	return o.openDockerArchive(ctx, img, file, "")
}

// save writes an image of the daemon into a file of the work directory.
func (o *Opener) save(ctx context.Context, ref string, target flatten.Target) (_ string, err error) {
	if o.WorkDir == "" {
		return "", errNoWorkDir
	}
	c, err := dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	id, size, err := o.fromDaemon(ctx, c, ref, target)
	if err != nil {
		return "", err
	}
	task := o.log().Start(progress.Reading, progress.Subject{Name: ref}, size)
	defer func() { task.Done(err) }()
	saved, err := c.ImageSave(ctx, []string{id})
	if err != nil {
		return "", fmt.Errorf("saving it from the Docker daemon: %w", short(err))
	}
	defer func() { err = errors.Join(err, saved.Close()) }()
	f, err := os.CreateTemp(o.WorkDir, "saved-*.tar")
	if err != nil {
		return "", err
	}
	limits := o.Limits.orDefault()
	r := &bounded{counted: counted{Reader: interruptible{ctx, reported{saved, task}}}, limits: limits}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// fromDaemon pulls an image as the policy says, and gives its id.
func (o *Opener) fromDaemon(ctx context.Context, c *client.Client, ref string, target flatten.Target) (id string, size int64, err error) {
	found, err := c.ImageInspect(ctx, ref)
	switch policy := cmp.Or(o.PullPolicy, Always); {
	case err != nil && !errdefs.IsNotFound(err):
		return "", 0, short(err)
	case policy == Never && err != nil:
		return "", 0, errors.New("the Docker daemon does not have it, and the pull policy is never")
	case policy == Never, policy == IfNotPresent && err == nil:
		return found.ID, found.Size, nil
	}
	there := err == nil
	// What is only in the daemon cannot be pulled, and need not be.
	if err := o.pull(ctx, c, ref, target); err != nil && !(there && errdefs.IsNotFound(err)) {
		hint := ""
		if there && ctx.Err() == nil {
			hint = "; pull policy if-not-present takes what the daemon has"
		}
		return "", 0, fmt.Errorf("pulling it with the Docker daemon: %w%s", short(err), hint)
	}
	if found, err = c.ImageInspect(ctx, ref); err != nil {
		return "", 0, short(err)
	}
	return found.ID, found.Size, nil
}

func (o *Opener) pull(ctx context.Context, c *client.Client, ref string, target flatten.Target) error {
	auth, err := o.daemonAuth(ctx, ref)
	if err != nil {
		return err
	}
	options := client.ImagePullOptions{RegistryAuth: auth}
	if target.Arch != "" {
		options.Platforms = []ocispec.Platform{{OS: target.OS, Architecture: target.Arch, Variant: target.Variant}}
	}
	task := o.log().Start(progress.Downloading, progress.Subject{Name: ref}, -1)
	answer, err := c.ImagePull(ctx, ref, options)
	if err == nil {
		err = answer.Wait(ctx)
	}
	task.Done(err)
	return err
}

// daemonAuth gives the credentials with which the daemon pulls.
func (o *Opener) daemonAuth(ctx context.Context, ref string) (string, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return "", err
	}
	keychain := o.Keychain
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	found, err := authn.Resolve(ctx, keychain, parsed.Context())
	if err != nil {
		return "", err
	}
	auth, err := authn.Authorization(ctx, found)
	if err != nil {
		return "", err
	}
	return authconfig.Encode(apiregistry.AuthConfig{
		Username: auth.Username, Password: auth.Password, Auth: auth.Auth,
		IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
		ServerAddress: parsed.Context().RegistryStr(),
	})
}

// short tells an error in few words.
func short(err error) error { return &reworded{err, registry.Shorten(err.Error())} }
