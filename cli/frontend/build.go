package frontend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/config"
)

// build is the state of a build.
type build struct {
	client.Client
	ui      *dockerui.Client
	source  *dockerui.Source // of the project descriptor
	project config.Project
	args    arguments
	app     app
	// warnings are those that BuildKit has no place for; the build step prints them.
	warnings []string
}

// Build builds the app in the build context, for each of the platforms that the client wants.
func Build(ctx context.Context, c client.Client) (*client.Result, error) {
	result, err := run(ctx, c)
	if err != nil && ctx.Err() == nil {
		err = errors.New(err.Error()) // of an error of its own, BuildKit shows no more than that
	}
	return result, err
}

func run(ctx context.Context, c client.Client) (*client.Result, error) {
	if opts := c.BuildOpts().Opts; opts["filename"] == "" {
		opts["filename"] = config.ProjectFile
	}
	ui, err := dockerui.NewClient(c)
	if err != nil {
		return nil, err
	}
	b := &build{Client: c, ui: ui}
	err = b.checkClient()
	if err == nil {
		err = b.read(ctx)
	}
	if err == nil {
		err = b.readContext(ctx)
	}
	if err != nil {
		return nil, b.withWarnings(err)
	}
	targets := ui.TargetPlatforms
	if len(targets) == 0 {
		targets = ui.BuildPlatforms[:1]
	}
	builds := make([]*appBuild, len(targets))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, p := range targets {
		group.Go(func() error {
			var err error
			builds[i], err = b.platform(groupCtx, p)
			if err != nil && len(targets) > 1 {
				err = fmt.Errorf("%s: %w", platformName(p), err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return b.result(ctx, targets, builds)
}

// checkClient reports what this BuildKit, or the user's command line, cannot do.
func (b *build) checkClient() error {
	var err error
	if b.args, b.warnings, err = readArguments(b.ui.BuildArgs); err != nil {
		return err
	}
	if b.ui.Target != "" {
		return fmt.Errorf("unknown target %q; a project descriptor has no targets", b.ui.Target)
	}
	if !b.args.layout && b.lacks(pb.CapMergeOp) {
		return errors.New("this BuildKit cannot put the lifecycle's layers into an image: it has no merge operation (Docker's own has none over its graph drivers); " +
			"build an OCI layout with --build-arg output=layout --output DIRECTORY, or use a BuildKit of its own with docker buildx or buildctl")
	}
	return nil
}

// withWarnings returns an error before the build step, with the warnings that this would have printed: they
// may name the cause.
func (b *build) withWarnings(err error) error {
	for _, w := range b.warnings {
		err = fmt.Errorf("%w\nwarning: %s", err, w)
	}
	return err
}

// lacks reports whether BuildKit lacks a capability.
func (b *build) lacks(capability apicaps.CapID) bool {
	caps := b.BuildOpts().LLBCaps
	return caps.Supports(capability) != nil
}

// read reads the project descriptor.
func (b *build) read(ctx context.Context) error {
	name := b.BuildOpts().Opts["filename"]
	var err error
	if b.source, err = b.ui.ReadEntrypoint(ctx, "toml"); err != nil {
		if strings.Contains(err.Error(), "no such file") {
			return fmt.Errorf("there is no %s; name the project descriptor with --file, or --opt filename=NAME of buildctl", name)
		}
		return fmt.Errorf("%s: %w", name, plain(err))
	}
	project, problems := config.ParseProject(name, b.source.Data)
	if err := problems.Few().Err(); err != nil {
		return err
	}
	b.project = project
	warnings := b.warnings
	b.warnings = nil
	if name := b.args.previousImage; name != "" && !b.canReuse() {
		warnings = append(warnings, "the previous image "+flatten.Clip(name)+" is ignored: its layers cannot be taken into an OCI layout, nor by a BuildKit older than 0.11")
		b.args.previousImage = ""
	}
	for _, w := range warnings {
		b.warn(ctx, w, 0)
	}
	for _, w := range problems.Few().Warnings() {
		b.warn(ctx, w.Error(), w.Line)
	}
	if b.args.builder == "" {
		b.args.builder = project.Builder
	}
	if b.args.builder == "" {
		return b.noBuilder(name)
	}
	if b.projectName() == "" {
		b.warn(ctx, name+" has neither id nor name, so that nothing is kept for the next build; add id = \"NAME\" to "+b.about()+", or --build-arg cache-id=NAME", 0)
	}
	return nil
}

// about returns the name of the table that says what the project is.
func (b *build) about() string {
	if b.project.Has("_", "schema-version") {
		return "[_]"
	}
	return "[project]"
}

// noBuilder returns the error of a project without a builder.
func (b *build) noBuilder(name string) error {
	table := "[io.buildpacks]"
	switch {
	case b.project.Has("io", "buildpacks", "builder"):
		return fmt.Errorf(`%s names no builder: [io.buildpacks] counts only with a schema version; add schema-version = "0.2" to [_]`, name)
	case !b.project.Has("_", "schema-version"):
		table = "[build]"
	}
	return fmt.Errorf(`%s names no builder; add builder = "IMAGE" to %s, or --build-arg builder=IMAGE`, name, table)
}

// warn shows a warning, at a line of the project descriptor if it is not 0.
func (b *build) warn(ctx context.Context, text string, line int) {
	if caps := b.BuildOpts().Caps; caps.Supports(gwpb.CapGatewayWarnings) != nil {
		b.warnings = append(b.warnings, text)
		return
	}
	opts := client.WarnOpts{}
	if line > 0 {
		opts.Range = []*pb.Range{{Start: &pb.Position{Line: int32(line)}, End: &pb.Position{Line: int32(line)}}}
	}
	b.source.Warn(ctx, text, opts)
}

// platformName returns the name of a platform for messages.
func platformName(p ocispecs.Platform) string {
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}
