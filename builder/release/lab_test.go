package release_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/sink"
	"laminate/packager/source"
)

// lab is a directory with a builder of two components, acme/a and acme/b, and a buildpackage of both, and
// a registry. Its build image has an image for amd64 and one for arm64.
type lab struct {
	*workbench.Bench
	*fixtures.Traffic
	alias string // if set, release.toml has this for the registry's host
}

// RoundTrip implements http.RoundTripper.
func (l *lab) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	sent.URL.Scheme, sent.URL.Host = "http", l.Host
	answer, err := http.DefaultTransport.RoundTrip(sent)
	if err == nil {
		answer.Request = r
	}
	return answer, err
}

// builderTOML is what a builder.toml has besides buildpacks.
const builderTOML = "description = \"Two tools\"\n[build]\nimage = \"oci:base\"\n[[run.images]]\nimage = \"oci:base\"\n[lifecycle]\nuri = \"lifecycle.tgz\"\n[[targets]]\nos = \"linux\"\narch = \"amd64\"\n"

func newLab() *lab {
	GinkgoHelper()
	l := &lab{Bench: workbench.New(), Traffic: fixtures.CountedRegistry(GinkgoT())}
	base, err := fixtures.BaseImage("")
	Expect(err).NotTo(HaveOccurred())
	var images []mutate.IndexAddendum
	for _, arch := range []string{"amd64", "arm64"} {
		c := workbench.ConfigOf(base).DeepCopy()
		c.Architecture = arch
		img, err := mutate.ConfigFile(base, c)
		Expect(err).NotTo(HaveOccurred())
		images = append(images, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	_, err = layout.Write(l.At("base"), mutate.AppendManifests(empty.Index, images...))
	Expect(err).NotTo(HaveOccurred())
	l.Write("lifecycle.tgz", workbench.LifecycleArchive())
	l.Component("acme/a@1.0.0")
	l.Component("acme/b@1.0.0")
	l.Composite("acme/both@1.0.0", "acme/a@1.0.0", "acme/b@1.0.0")
	l.Write("package.toml", workbench.PackageTOML("acme_both@1.0.0", "acme_a@1.0.0", "acme_b@1.0.0")+"[[targets]]\nos = \"linux\"\narch = \"amd64\"\n")
	l.Write("builder.toml", builderTOML+builderOf("acme/a@1.0.0", "acme/b@1.0.0"))
	return l
}

// builderOf lists buildpacks on the bench, and an order of them.
func builderOf(refs ...string) string {
	s, order := "", "[[order]]\n"
	for _, r := range refs {
		s += fmt.Sprintf("[[buildpacks]]\nuri = %q\n", strings.ReplaceAll(r, "/", "_"))
		order += "[[order.group]]\n" + workbench.EntryTOML(r)
	}
	return s + order
}

// variants is a [[builders]] with both variants.
const variants = "[[builders.variants]]\nname = 'standard'\n[[builders.variants]]\nname = 'buildpackless'\n"

// toml returns [[builders]] of the name full, with repositories of the lab's registry and more lines.
func (l *lab) toml(repositories string, more ...string) string {
	return "[[builders]]\nname = 'full'\nconfig = 'builder.toml'\nrepositories = [" + l.repositories(repositories) + "]\n" + strings.Join(more, "\n") + "\n"
}

// javaTOML returns [[buildpackages]] of the name java.
func (l *lab) javaTOML(repositories string) string {
	return "[[buildpackages]]\nname = 'java'\nconfig = 'package.toml'\nrepositories = [" + l.repositories(repositories) + "]\n"
}

// repositories lists names of repositories; one with a host keeps it.
func (l *lab) repositories(names string) string {
	var all []string
	for n := range strings.FieldsSeq(names) {
		if !strings.Contains(n, ":") {
			n = cmp.Or(l.alias, l.Host) + "/" + n
		}
		all = append(all, "'"+n+"'")
	}
	return strings.Join(all, ", ")
}

// outcome is what came of a run.
type outcome struct {
	*release.Report
	prepared *release.Release
	err      error
}

type change func(*release.Options)

func force(o *release.Options) { o.Force = true }

// run prepares and publishes in a fresh work directory.
func (l *lab) run(toml, version string, changes ...change) outcome {
	GinkgoHelper()
	return l.runIn(context.Background(), toml, version, changes...)
}

func (l *lab) runIn(ctx context.Context, toml, version string, changes ...change) outcome {
	GinkgoHelper()
	cfg, problems := config.ParseRelease(l.At("release.toml"), []byte(toml))
	Expect(problems.Err()).NotTo(HaveOccurred())
	work := GinkgoT().TempDir()
	o := release.Options{
		Config: cfg, Version: version, Creator: "1.2.3", Engine: engine.Options{WorkDir: work, Log: &l.Log},
		Open:     &source.Opener{WorkDir: work, Log: &l.Log, Pause: time.Nanosecond},
		Registry: registry{sink.Options{Pause: time.Nanosecond, Log: &l.Log}}, Digest: digestOf,
	}
	if l.alias != "" {
		o.Open.Transport = l
		o.Registry = registry{sink.Options{Pause: time.Nanosecond, Log: &l.Log, Transport: l}}
	}
	for _, c := range changes {
		c(&o)
	}
	prepared, err := release.Prepare(ctx, o)
	if err != nil {
		return outcome{nil, prepared, err}
	}
	report, err := prepared.Publish(ctx)
	return outcome{report, prepared, err}
}

// succeed is a run that publishes.
func (l *lab) succeed(toml, version string, changes ...change) outcome {
	GinkgoHelper()
	o := l.run(toml, version, changes...)
	Expect(o.err).NotTo(HaveOccurred())
	Expect(o.Published).To(BeTrue())
	return o
}

// registry writes with package sink, as the command does.
type registry struct{ options sink.Options }

func (registry) Digest(images []release.Image) (v1.Hash, error) {
	return sink.Digest(sinkImages(images))
}

func (r registry) Push(ctx context.Context, repository string, images []release.Image) error {
	digest, err := digestOf(images)
	if err != nil {
		return err
	}
	ref := repository + "@" + digest.String()
	_, err = sink.Write(ctx, location.Location{Kind: location.Registry, Ref: ref, Written: "docker://" + ref}, sinkImages(images), r.options)
	return err
}

func (r registry) Tag(ctx context.Context, repository string, digest v1.Hash, tags []string, keep bool) error {
	return sink.Tag(ctx, repository, digest, tags, keep, r.options)
}

func (r registry) Attach(ctx context.Context, repository string, digest v1.Hash, documents []release.Document) error {
	var artifacts []sink.Artifact
	for _, d := range documents {
		artifacts = append(artifacts, sink.Artifact{Type: d.MediaType, MediaType: d.MediaType, Content: d.Content, Annotations: d.Annotations})
	}
	_, err := sink.Attach(ctx, repository+"@"+digest.String(), artifacts, r.options)
	return err
}

func digestOf(images []release.Image) (v1.Hash, error) { return sink.Digest(sinkImages(images)) }

func sinkImages(images []release.Image) []sink.Image {
	var all []sink.Image
	for _, img := range images {
		all = append(all, sink.Image{Image: img.Image, Target: img.Target})
	}
	return all
}

// tags returns the tags of the registry, as REPOSITORY:TAG, with what they point to; without those of
// attachments.
func (l *lab) tags() map[string]string {
	GinkgoHelper()
	all := l.allTags()
	maps.DeleteFunc(all, func(tag, _ string) bool { return strings.Contains(tag, ":sha256-") })
	return all
}

func (l *lab) allTags() map[string]string {
	GinkgoHelper()
	reg, err := name.NewRegistry(l.Host)
	Expect(err).NotTo(HaveOccurred())
	repositories, err := remote.Catalog(context.Background(), reg)
	Expect(err).NotTo(HaveOccurred())
	all := map[string]string{}
	for _, r := range repositories {
		list, err := remote.List(reg.Repo(r))
		Expect(err).NotTo(HaveOccurred())
		for _, t := range list {
			if strings.HasPrefix(t, "sha256:") { // the registry lists digests too
				continue
			}
			d, err := remote.Head(reg.Repo(r).Tag(t))
			Expect(err).NotTo(HaveOccurred())
			all[r+":"+t] = d.Digest.String()
		}
	}
	return all
}

// names are those tags, sorted.
func (l *lab) names() []string {
	GinkgoHelper()
	return slices.Sorted(maps.Keys(l.tags()))
}

// written are the manifests and blobs that a registry took, as "repository digest".
func (l *lab) written() map[string]bool {
	all := map[string]bool{}
	for _, r := range l.Requests(func(r fixtures.Request) bool {
		return r.Status == http.StatusCreated && strings.HasPrefix(r.Digest, "sha256:")
	}) {
		all[r.Repo+" "+r.Digest] = true
	}
	return all
}

// expectReadsOnly fails the spec if anything was written to a registry.
func expectReadsOnly(reg *fixtures.Traffic) {
	GinkgoHelper()
	Expect(reg.Requests(func(r fixtures.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead })).To(BeEmpty())
}

func (l *lab) image(ref string) v1.Image {
	GinkgoHelper()
	r, err := name.ParseReference(l.Host + "/" + ref)
	Expect(err).NotTo(HaveOccurred())
	img, err := remote.Image(r)
	Expect(err).NotTo(HaveOccurred())
	return img
}
