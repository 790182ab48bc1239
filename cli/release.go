package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/urfave/cli/v2"

	"laminate/builder/release"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/sink"
)

const releaseDescription = `It creates the builders and buildpackages that release.toml names, each once, and pushes them by digest to their first repository. It verifies what arrived there, builds the apps of [[builders.smoke]] with it, and only then copies those digests to the other repositories and moves the tags. What fails is never tagged.

If every digest is the one that the tags have already, nothing is released, and the exit code is 0. If something has changed and there is no version, it is 3. A version tag is never moved to another digest, unless --force is given. A run that was killed is finished by running it again.

The version is that of --release-version, the tag in GITHUB_REF_NAME of a workflow for a tag, or the content of version-file, in this order; a leading v is dropped.

Standard output has a line for each tag of the release: the digest, a tab, and the reference. The release notes go to --notes FILE and, in a GitHub workflow, to the job's summary.`

func (r *run) releaseCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Value: "release.toml", Usage: "read the release.toml `FILE`"},
		&cli.StringFlag{Name: "release-version", Usage: "release as `VERSION`, as in 1.2.3"},
		&cli.BoolFlag{Name: "force", Usage: "move version tags that point to something else, and release what has not changed"},
		&cli.StringFlag{Name: "notes", Usage: "write the release notes, in Markdown, to `FILE`"},
		&cli.StringSliceFlag{Name: "insecure-registry", Usage: "allow plain HTTP for the registry `HOST`; may be repeated"},
		jobsFlag(),
		&cli.BoolFlag{Name: "no-cache", Usage: "neither read nor fill the cache; see: laminate cache --help"},
		&cli.BoolFlag{Name: "dry-run", Usage: "create everything, say what would be released, and write to no registry"},
		outputFlag("text or json"),
	}
	return &cli.Command{
		Name: "release", Usage: "create, verify, smoke and publish builders and buildpackages", Description: releaseDescription, UsageText: releaseExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, commonFlags()),
		Action: func(c *cli.Context) error {
			return (&releaseRun{session: session{run: r, c: c}}).do(c.Context)
		},
	}
}

// releaseRun is one run of "release".
type releaseRun struct {
	session
	config  config.Release
	version string
	json    bool
	report  *release.Report
	note    string // what a failed run has written
}

func (r *releaseRun) do(ctx context.Context) error {
	var errs []error
	if n := r.c.Args().Len(); n > 0 {
		errs = append(errs, fmt.Errorf("%s; release.toml says what is released where", count(n, "argument")))
	}
	var err error
	r.json, err = wantsJSON(r.c)
	errs = append(append(errs, err), r.empty()...)
	errs = append(errs, checkHosts(r.list("insecure-registry"))...)
	errs = append(errs, r.readJobs()...)
	if err := errors.Join(errs...); err != nil {
		return wrongUse(r.c, "%w", err)
	}
	file := r.c.String("config")
	r.config, err = config.ReadRelease(file)
	if err = configError(err, file, "release.toml", !r.c.IsSet("config")); err != nil {
		return err
	}
	if r.version, err = r.readVersion(); err != nil {
		return err
	}
	failed := r.within(ctx, r.work)
	if failed != nil {
		failed = &releaseError{failed, r.note}
		if ctx.Err() != nil && r.note != "" {
			failed = &keptError{failed, r.note}
		}
	}
	notes := r.notes(failed)
	if err := r.writeNotes(notes); err != nil {
		return errors.Join(failed, err)
	}
	if r.report == nil {
		return failed
	}
	if err := standardOutput(r.print()); err != nil {
		return errors.Join(failed, err)
	}
	if err := r.forGitHub(failed, notes); err != nil {
		return errors.Join(failed, err)
	}
	if errors.Is(failed, errNoVersion) {
		fmt.Fprintf(r.stderr, "laminate: %v\n", errNoVersion)
		return errDifferent // with its exit code
	}
	if failed == nil {
		r.close()
	}
	return failed
}

// errNoVersion is the error of a change without a version to release it as.
var errNoVersion = errors.New("there is something to release, but no version for it; name one with --release-version, version-file or the tag of a workflow")

// readVersion returns the version of the release, or "".
func (r *releaseRun) readVersion() (string, error) {
	v := r.c.String("release-version")
	if v == "" && r.env("GITHUB_REF_TYPE") == "tag" {
		v = r.env("GITHUB_REF_NAME")
	}
	if v == "" && r.config.VersionFile != "" {
		file := r.config.VersionFile
		if !filepath.IsAbs(file) {
			file = filepath.Join(r.config.Dir, file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", r.config.Problem("version-file: "+fileReason(file, err), "version-file")
		}
		if v = strings.TrimSpace(string(data)); v == "" {
			return "", r.config.Problem("version-file "+file+" is empty", "version-file")
		}
	}
	return strings.TrimPrefix(v, "v"), nil
}

// builderID returns the URI of the GitHub workflow that this is a step of, or "".
func (r *releaseRun) builderID() string {
	if ref := r.env("GITHUB_WORKFLOW_REF"); ref != "" {
		return r.env("GITHUB_SERVER_URL") + "/" + ref
	}
	return ""
}

// work prepares the release, writes the notes, and publishes.
func (r *releaseRun) work(ctx context.Context) error {
	r.openSources()
	created, err := epoch(r.env("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	registries := sink.Options{Keychain: r.keychain, Pool: r.pool, Jobs: r.jobs, Insecure: r.list("insecure-registry"), Log: r.ui}
	sign, err := r.signer(registries)
	if err != nil {
		return err
	}
	prepared, err := release.Prepare(ctx, release.Options{
		Config: r.config, Version: r.version, Force: r.c.Bool("force"), Open: r.open,
		Engine:   engine.Options{Created: created, Cache: r.cache, WorkDir: r.workDir, Log: releaseLog{r.ui}},
		Registry: releaseRegistry{registries}, Sign: sign,
		Digest: releaseDigest, BuilderID: r.builderID(),
		LifecycleURL: r.env("LAMINATE_LIFECYCLE_URL"), Creator: version(),
	})
	unnamed := errors.Is(err, release.ErrNoVersion)
	if err != nil && !unnamed {
		return err
	}
	r.report = prepared.Report()
	// A file that cannot be written is an error before anything is published. A run that is killed
	// leaves these notes.
	if err := r.writeNotes("This release is not finished.\n\n" + releaseNotes(r.report)); err != nil {
		return err
	}
	if unnamed {
		return errNoVersion
	}
	if r.c.Bool("dry-run") {
		return nil
	}
	r.report, err = prepared.Publish(ctx)
	switch {
	case err == nil: // also if the interrupt came too late
	case prepared.Tagging:
		r.note = "some tags may have been written; run it again to finish"
	case ctx.Err() != nil:
		r.note = "no tag was written; run it again to go on"
	case !errors.As(err, new(*release.FailedError)): // which says it itself
		r.note = "no tag was written"
	}
	return err
}

// writeNotes writes the release notes to the file of --notes, if there is one.
func (r *releaseRun) writeNotes(notes string) error {
	file := r.c.String("notes")
	if file == "" {
		return nil
	}
	if err := os.WriteFile(file, []byte(notes), 0o666); err != nil {
		return fmt.Errorf("--notes: %w", err)
	}
	return nil
}

// releaseRegistry writes to registries.
type releaseRegistry struct{ options sink.Options }

// Push implements [release.Registry].
func (r releaseRegistry) Push(ctx context.Context, repository string, images []release.Image) error {
	digest, err := releaseDigest(images)
	if err != nil {
		return err
	}
	ref := repository + "@" + digest.String()
	to := location.Location{Kind: location.Registry, Ref: ref, Written: "docker://" + ref}
	_, err = sink.Write(ctx, to, sinkImages(images), r.options)
	return err
}

// Tag implements [release.Registry].
func (r releaseRegistry) Tag(ctx context.Context, repository string, digest v1.Hash, tags []string, keep bool) error {
	return sink.Tag(ctx, repository, digest, tags, keep, r.options)
}

// Attach implements [release.Registry].
func (r releaseRegistry) Attach(ctx context.Context, repository string, digest v1.Hash, documents []release.Document) error {
	var artifacts []sink.Artifact
	for _, d := range documents {
		artifacts = append(artifacts, sink.Artifact{Type: d.MediaType, MediaType: d.MediaType, Content: d.Content, Annotations: d.Annotations})
	}
	_, err := sink.Attach(ctx, repository+"@"+digest.String(), artifacts, r.options)
	return err
}

func releaseDigest(images []release.Image) (v1.Hash, error) { return sink.Digest(sinkImages(images)) }

func sinkImages(images []release.Image) []sink.Image {
	var all []sink.Image
	for _, img := range images {
		all = append(all, sink.Image{Image: img.Image, Target: img.Target})
	}
	return all
}
