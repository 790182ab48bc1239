package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/pkg/authconfig"
	apiregistry "github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/registry"
	"laminate/packager/stream"
)

// dial connects to the Docker daemon.
func (o *Opener) dial(ctx context.Context) (*client.Client, error) {
	c, err := o.Daemon.Client()
	if err != nil {
		return nil, noDaemon(err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Daemon.PingTime())
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, errors.Join(noDaemon(err), c.Close())
	}
	return c, nil
}

func noDaemon(err error) error {
	return fmt.Errorf("no Docker daemon responds (%s); use docker://REF for a registry, or docker-archive:FILE or oci-archive:FILE for a file", registry.Shorten(err.Error()))
}

// daemonHas reports whether there is a daemon that has an image of this name.
func (o *Opener) daemonHas(ctx context.Context, ref string) bool {
	c, err := o.dial(ctx)
	if err != nil {
		return false
	}
	_, err = c.ImageInspect(ctx, ref)
	return errors.Join(err, c.Close()) == nil
}

// openDaemon pulls an image of the Docker daemon if the policy says so, exports it into the work
// directory, and opens it.
func (o *Opener) openDaemon(ctx context.Context, img *opening, ref string, policy PullPolicy, target flatten.Target) error {
	if o.DryRun && policy != Never {
		return o.openUnpulled(ctx, img, ref, policy, target)
	}
	key := fmt.Sprintf("docker-daemon:%s %s %s", ref, policy, target)
	file, err := o.files.Do(key, func() (string, error) { return o.save(ctx, ref, policy, target) })
	if err != nil {
		return fmt.Errorf("%s: %w", img.Name, err)
	}
	img.Saved = true
	return o.openDockerArchive(ctx, img, file, "")
}

// openUnpulled opens the image that the daemon would have after a pull, without pulling: the image
// in the registry or, depending on policy and registry, the daemon's.
func (o *Opener) openUnpulled(ctx context.Context, img *opening, ref string, policy PullPolicy, target flatten.Target) error {
	there := o.daemonHas(ctx, ref)
	if there && policy == IfNotPresent {
		return o.openDaemon(ctx, img, ref, Never, target)
	}
	inRegistry := *img
	err := inRegistry.openRegistry(ref, target)
	switch {
	case err == nil:
		*img = inRegistry
		return nil
	case there && registry.IsAbsent(err):
		return o.openDaemon(ctx, img, ref, Never, target)
	}
	return err
}

// save exports an image of the daemon into a file in the work directory.
func (o *Opener) save(ctx context.Context, ref string, policy PullPolicy, target flatten.Target) (_ string, err error) {
	if o.WorkDir == "" {
		return "", errNoWorkDir
	}
	c, err := o.dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	found, err := o.ensure(ctx, c, ref, policy, target)
	if err != nil {
		return "", err
	}
	task := o.log().Start(progress.Reading, progress.Subject{Name: ref}, found.Size)
	defer func() { task.Done(err) }()
	saved, err := c.ImageSave(ctx, []string{found.ID})
	if err != nil {
		return "", fmt.Errorf("exporting from the Docker daemon: %w", short(err))
	}
	defer func() { err = errors.Join(err, saved.Close()) }()
	f, err := os.CreateTemp(o.WorkDir, "saved-*.tar")
	if err != nil {
		return "", err
	}
	limits := o.Limits.OrDefault()
	r := stream.Within(limits, stream.WithContext(ctx, reported{saved, task}), nil)
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// ensure pulls an image if the policy says so, and inspects it. With Never, neither laminate nor
// the daemon accesses a registry.
func (o *Opener) ensure(ctx context.Context, c *client.Client, ref string, policy PullPolicy, target flatten.Target) (client.ImageInspectResult, error) {
	found, err := c.ImageInspect(ctx, ref)
	there := err == nil
	switch {
	case err != nil && !errdefs.IsNotFound(err):
		return found, short(err)
	case policy == Never && !there:
		return found, notThere{errors.New("not in the Docker daemon, and the pull policy is never; pull it first, or use another --pull-policy")}
	case policy == Never, policy == IfNotPresent && there:
		return found, nil
	}
	// An image that is in no registry need not be pulled.
	if err := o.pull(ctx, c, ref, target); err != nil && !(there && errdefs.IsNotFound(err)) {
		hint := ""
		if there && ctx.Err() == nil {
			hint = "; --pull-policy if-not-present uses the daemon's image"
		}
		failed := fmt.Errorf("pulling with the Docker daemon: %w%s", short(err), hint)
		if errdefs.IsNotFound(err) || errdefs.IsUnauthorized(err) || errdefs.IsPermissionDenied(err) {
			return found, notThere{failed}
		}
		return found, failed
	}
	if found, err = c.ImageInspect(ctx, ref); err != nil {
		return found, short(err)
	}
	return found, nil
}

// ErrNotThere matches errors for images that the Docker daemon lacks and must not pull, and that
// the registry lacks or denies.
var ErrNotThere = errors.New("image does not exist")

type notThere struct{ error }

func (notThere) Is(target error) bool { return target == ErrNotThere }
func (e notThere) Unwrap() error      { return e.error }

// daemonConfig pulls an image of the daemon if the policy says so, and returns its config without
// exporting it.
func (o *Opener) daemonConfig(ctx context.Context, ref string, policy PullPolicy, target flatten.Target) (_ *v1.ConfigFile, err error) {
	c, err := o.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	found, err := o.ensure(ctx, c, ref, policy, target)
	if err != nil {
		return nil, err
	}
	config := &v1.ConfigFile{OS: found.Os, Architecture: found.Architecture, Variant: found.Variant}
	if found.Config != nil {
		config.Config.Labels = found.Config.Labels
	}
	return config, nil
}

// pull pulls an image for the target. Docker 20.10 refuses images without an architecture if one is
// requested; they are pulled without.
func (o *Opener) pull(ctx context.Context, c *client.Client, ref string, target flatten.Target) error {
	err := o.pullFor(ctx, c, ref, target)
	if err != nil && target.Arch != "" && strings.Contains(err.Error(), "does not match the specified platform") {
		err = o.pullFor(ctx, c, ref, flatten.Target{})
	}
	return err
}

func (o *Opener) pullFor(ctx context.Context, c *client.Client, ref string, target flatten.Target) error {
	auth, err := o.daemonAuth(ctx, ref)
	if err != nil {
		return err
	}
	options := client.ImagePullOptions{RegistryAuth: auth}
	if target.Arch != "" {
		options.Platforms = []ocispec.Platform{{OS: target.OS, Architecture: target.Arch, Variant: target.Variant}}
	}
	task := o.log().Start(progress.Pulling, progress.Subject{Name: ref}, -1)
	answer, err := c.ImagePull(ctx, ref, options)
	if err == nil {
		err = answer.Wait(ctx)
	}
	task.Done(err)
	return err
}

// daemonAuth returns the credentials for pulls by the daemon.
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

// short shortens the message of an error.
func short(err error) error { return registry.Reword(err, registry.Shorten(err.Error())) }
