package frontend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"laminate/builder/lifecycle"
	"laminate/cli/frontend/step"
	"laminate/flatten"
)

// appBuild is the build of the app for one platform.
type appBuild struct {
	*build
	platform  ocispecs.Platform
	builder   *resolved
	metadata  flatten.BuilderMetadata
	lifecycle *lifecycle.Platform
	run       *resolved
	self      *resolved // this front end
	previous  *previous // nil if there is none but that of the build before

	step   llb.State        // what the build step exports
	output client.Reference // of that
	made   *exported
}

// platform builds the app for a platform.
func (b *build) platform(ctx context.Context, p ocispecs.Platform) (*appBuild, error) {
	a := &appBuild{build: b, platform: p}
	err := a.prepare(ctx)
	if err != nil {
		return nil, b.withWarnings(err)
	}
	if a.output, err = b.solve(ctx, a.step, llb.Platform(p)); err == nil {
		err = evaluate(ctx, a.output)
	}
	if err != nil {
		return nil, a.failure(err)
	}
	a.made, err = a.readExported(ctx)
	return a, err
}

// prepare finds all that the build step needs, and describes the step.
func (a *appBuild) prepare(ctx context.Context) error {
	if err := a.resolveImages(ctx); err != nil {
		return err
	}
	buildpacks, err := a.buildpacks(ctx)
	if err != nil {
		return err
	}
	if err := a.findPrevious(ctx); err != nil {
		return err
	}
	a.step, err = a.buildStep(buildpacks)
	return err
}

// evaluate waits until BuildKit has computed a reference.
func evaluate(ctx context.Context, ref client.Reference) error {
	_, err := ref.StatFile(ctx, client.StatRequest{Path: "/"})
	return err
}

// resolveImages finds the builder, the run image and this front end.
func (a *appBuild) resolveImages(ctx context.Context) (err error) {
	if a.builder, err = a.resolve(ctx, "builder", a.args.builder, a.platform); err != nil {
		return err
	}
	if _, is := a.builder.config.Config.Labels[flatten.BuilderMetadataLabel]; !is {
		return fmt.Errorf("%s is not a builder: it has no label %s", a.builder.written, flatten.BuilderMetadataLabel)
	}
	if err := a.builder.label(flatten.BuilderMetadataLabel, &a.metadata); err != nil {
		return err
	}
	if a.lifecycle, err = lifecycle.PlatformOf(a.metadata, a.builder.config.Config.Env); err != nil {
		return fmt.Errorf("builder %s: %w", a.builder.written, err)
	}
	if want := a.args.platformAPI; want != "" {
		if !slices.Contains(a.metadata.Lifecycle.APIs.Platform.All(), want) {
			return fmt.Errorf("builder %s: lifecycle %s does not support Platform API %s; it supports %s", a.builder.written,
				a.metadata.Lifecycle.Version, want, strings.Join(a.metadata.Lifecycle.APIs.Platform.All(), ", "))
		}
		a.lifecycle.API = want
	}
	name := a.args.runImage
	if name == "" {
		name = lifecycle.RunImage(a.metadata)
	}
	if name == "" {
		return fmt.Errorf("builder %s names no run image; add --build-arg run-image=IMAGE", a.builder.written)
	}
	if a.run, err = a.resolve(ctx, "run image", name, a.platform); err != nil {
		return err
	}
	a.self, err = a.findSelf(ctx)
	return err
}

// findSelf finds the image of this front end for the platform, or for the one that runs it: their programs
// can be the same, as for linux/386 on linux/amd64.
func (a *appBuild) findSelf(ctx context.Context) (*resolved, error) {
	source := a.BuildOpts().Opts["source"]
	if source == "" {
		return nil, errors.New("the front end does not know its own image; run it with # syntax=IMAGE, or --opt source=IMAGE of buildctl")
	}
	self, err := a.resolve(ctx, "front end", source, a.platform)
	if err == nil || a.platform.Architecture != "386" {
		return self, err
	}
	host := a.ui.BuildPlatforms[0]
	host.Variant = ""
	return a.resolve(ctx, "front end", source, host)
}

// buildStep returns the step that runs the lifecycle, as far as it exports the app image.
func (a *appBuild) buildStep(buildpacks buildpacks) (llb.State, error) {
	uid, gid := a.lifecycle.UID, a.lifecycle.GID
	owner := llb.WithUIDGID(uid, gid)
	owned := llb.Scratch().File(llb.Mkdir("/layers", 0o755, owner).Mkdir("/cache", 0o755, owner).Mkdir("/app", 0o755, owner), internal("prepare directories"))
	root := a.builder.state(a.build).File(a.platformEnv(), internal("set the environment of the build"))
	root = buildpacks.add(root)
	images, err := a.layouts()
	if err != nil {
		return llb.State{}, err
	}
	opts := []llb.RunOption{
		llb.Args(append([]string{"/laminate/laminate-frontend", "step"}, a.command()...)),
		llb.Dir(step.AppDir), llb.User(fmt.Sprintf("%d:%d", uid, gid)), llb.Network(a.ui.NetworkMode),
		llb.AddMount("/laminate", a.self.state(a.build), llb.Readonly),
		llb.AddMount(step.AppDir, a.app.workspace(uid, gid), llb.SourcePath("/app"), llb.ForceNoOutput),
		llb.AddMount(step.LayersDir, owned, llb.SourcePath("/layers"), llb.ForceNoOutput),
		llb.AddMount(step.LayoutDir, images, llb.SourcePath("/layout"), llb.ForceNoOutput),
		llb.WithCustomName(fmt.Sprintf("[%s] build with %s", platformName(a.platform), a.builder.written)),
	}
	if n := a.previous.sbomLayers(); n > 0 {
		opts = append(opts, llb.AddMount(step.PreviousDir, a.previous.below(a.build, n), llb.Readonly))
	}
	cache := []llb.MountOption{llb.SourcePath("/cache")}
	if id := a.cacheID(); id != "" {
		cache = append(cache, llb.AsPersistentCacheDir(id, llb.CacheMountLocked))
	} else {
		cache = append(cache, llb.ForceNoOutput)
	}
	opts = append(opts, llb.AddMount(step.CacheDir, owned, cache...))
	for _, host := range a.ui.ExtraHosts {
		opts = append(opts, llb.AddExtraHost(host.Host, host.IP))
	}
	if a.ui.IsNoCache("build") {
		opts = append(opts, llb.IgnoreCache)
	}
	if proxy := a.proxy(); proxy != nil {
		opts = append(opts, llb.WithProxy(*proxy))
	}
	for _, v := range a.environment() {
		name, value, _ := strings.Cut(v, "=")
		root = root.AddEnv(name, value)
	}
	return root.Run(opts...).AddMount(step.Output, owned, llb.SourcePath("/app")), nil
}

// internal is a name of steps that users need not know of.
func internal(name string) llb.ConstraintsOpt { return llb.WithCustomName("[internal] " + name) }

// command is the command line of the step, beginning with that of the lifecycle.
func (a *appBuild) command() []string {
	var args []string
	for _, w := range a.warnings {
		args = append(args, "--warning", w)
	}
	return append(args, "--", "/cnb/lifecycle/creator", "-app", step.AppDir, "-layers", step.LayersDir, "-platform", "/platform",
		"-cache-dir", step.CacheDir+"/build", "-run-image", step.Run)
}

// environment is that of the lifecycle.
func (a *appBuild) environment() []string {
	var more []string
	if a.args.epoch != "" {
		more = append(more, "SOURCE_DATE_EPOCH="+a.args.epoch)
	}
	if a.args.logLevel != "" {
		more = append(more, "CNB_LOG_LEVEL="+a.args.logLevel)
	}
	return a.lifecycle.Environment(step.LayoutDir, more...)
}

// platformEnv writes the environment of the user's build, where the lifecycle reads it.
func (a *appBuild) platformEnv() *llb.FileAction {
	files := llb.Mkdir("/platform/env", 0o755, llb.WithParents(true))
	env := map[string]string{}
	var names []string
	for _, e := range slices.Concat(a.project.Env, a.args.env) {
		if _, twice := env[e.Name]; !twice {
			names = append(names, e.Name)
		}
		env[e.Name] = e.Value
	}
	slices.Sort(names)
	for _, name := range names {
		files = files.Mkfile("/platform/env/"+name, 0o644, []byte(env[name]))
	}
	return files
}

// proxy returns the proxies of the client, or nil.
func (a *appBuild) proxy() *llb.ProxyEnv {
	var p llb.ProxyEnv
	for name, into := range map[string]*string{"HTTP_PROXY": &p.HTTPProxy, "HTTPS_PROXY": &p.HTTPSProxy, "FTP_PROXY": &p.FTPProxy, "NO_PROXY": &p.NoProxy, "ALL_PROXY": &p.AllProxy} {
		for _, form := range []string{name, strings.ToLower(name)} {
			if value := a.ui.BuildArgs[form]; value != "" {
				*into = value
			}
		}
	}
	if p == (llb.ProxyEnv{}) {
		return nil
	}
	return &p
}

// cacheID returns the name of the cache that stays from build to build, or "" if nothing tells this app
// from others. Two apps never share one, nor do two platforms or users, who could not use the other's.
func (a *appBuild) cacheID() string {
	id := a.projectName()
	if id == "" {
		return ""
	}
	id = fmt.Sprintf("laminate/%s/%s/%d-%d", id, platforms.Format(a.platform), a.lifecycle.UID, a.lifecycle.GID)
	if a.ui.CacheIDNamespace != "" {
		id = a.ui.CacheIDNamespace + "/" + id
	}
	return id
}

// projectName returns what tells this app from others, or "": what the user says, the id or the name of the
// project, or a hash of where the build context is from, and of the builder.
func (b *build) projectName() string {
	for _, name := range []string{b.args.cacheID, b.project.ID, b.project.Name} {
		if name != "" {
			return name
		}
	}
	if from := b.contextName(); from != "" {
		return fmt.Sprintf("%x", sha256.Sum256([]byte(from+"\x00"+b.args.builder)))
	}
	return ""
}

// contextName returns what tells this build context from others: the address of a remote one, or the
// repository and the directory in it that clients such as buildx send along; or "", since BuildKit does not
// tell the directory of a local one.
func (b *build) contextName() string {
	opts := b.BuildOpts().Opts
	if remote := opts["context"]; remote != "" {
		return remote + "\x00" + opts["filename"]
	}
	if source := opts["vcs:source"]; source != "" {
		return source + "\x00" + opts["vcs:localdir:context"] + "\x00" + opts["filename"]
	}
	return ""
}

// failure returns the error of a build step that failed.
func (a *appBuild) failure(err error) error {
	if exit := (*gwpb.ExitError)(nil); errors.As(err, &exit) {
		return errors.New(step.Failure(int(exit.ExitCode)))
	}
	text := err.Error() // BuildKit of Docker 20.10 has no such error
	if _, code, is := strings.Cut(text, "laminate-frontend"); is {
		var n int
		if _, after, is := strings.Cut(code, "exit code: "); is {
			if _, err := fmt.Sscanf(after, "%d", &n); err == nil {
				return errors.New(step.Failure(n))
			}
		}
	}
	return plain(err)
}
