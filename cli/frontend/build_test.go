package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// metadata is the label of a builder.
const metadata = `{"stack":{"runImage":{"image":"acme/run:1"}},"lifecycle":{"version":"0.21.0","apis":{"platform":{"supported":["0.12","0.15"]},"buildpack":{"supported":["0.10"]}}}}`

// project writes files of a build context, and returns it.
func project(files map[string]string) string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for name, content := range files {
		writeFile(filepath.Join(dir, name), content)
	}
	return dir
}

func writeFile(name, content string) {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(name), 0o755)).To(Succeed())
	Expect(os.WriteFile(name, []byte(content), 0o644)).To(Succeed())
}

// minimal is a project descriptor.
const minimal = "_.schema-version = '0.2'\n_.id = 'shop'\n[io.buildpacks]\nbuilder = 'acme/builder:1'\n"

// lab returns a gateway with a builder, its run image, and what the lifecycle exports.
func lab(descriptor string, opts map[string]string, lacks ...string) *gateway {
	GinkgoHelper()
	g := newGateway(project(map[string]string{"project.toml": descriptor, "main.go": "package main"}), opts, lacks...)
	run, err := random.Image(100, 2)
	Expect(err).NotTo(HaveOccurred())
	config, err := run.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	g.images["docker.io/acme/run:1"] = &v1.ConfigFile{RootFS: config.RootFS}
	g.images["docker.io/acme/builder:1"] = &v1.ConfigFile{Config: v1.Config{Env: []string{"CNB_USER_ID=1000", "CNB_GROUP_ID=1001", "PATH=/bin"}, Labels: map[string]string{
		"io.buildpacks.builder.metadata": metadata, "io.buildpacks.buildpack.order": `[{"group":[{"id":"acme/java"}]}]`,
		"io.buildpacks.buildpack.layers": `{"acme/java":{"1.0.0":{"api":"0.10","layerDiffID":"sha256:` + strings.Repeat("a", 64) + `"}}}`,
	}}}
	g.images["example.com/laminate-frontend:1"] = &v1.ConfigFile{}
	g.output = GinkgoT().TempDir()
	g.export(run)
	return g
}

// export writes what the lifecycle exports above a run image, whose layers it lacks.
func (g *gateway) export(run v1.Image) {
	GinkgoHelper()
	app := mutate.MediaType(run, types.OCIManifestSchema1)
	for range 3 {
		layer, err := random.Layer(1000, types.DockerLayer)
		Expect(err).NotTo(HaveOccurred())
		app, err = mutate.AppendLayers(app, layer)
		Expect(err).NotTo(HaveOccurred())
	}
	config, err := app.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{"io.buildpacks.lifecycle.metadata": `{"runImage":{"reference":"/layout/x"}}`}
	app, err = mutate.ConfigFile(app, config)
	Expect(err).NotTo(HaveOccurred())
	p, err := ocilayout.Write(filepath.Join(g.output, "app", "latest"), empty.Index)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.AppendImage(app)).To(Succeed())
	layers, err := run.Layers()
	Expect(err).NotTo(HaveOccurred())
	for _, l := range layers {
		digest, err := l.Digest()
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(g.blob(digest), nil, 0o644)).To(Succeed())
	}
}

func (g *gateway) blob(h v1.Hash) string {
	return filepath.Join(g.output, "app", "latest", "blobs", h.Algorithm, h.Hex)
}

// exported is the image in the output.
func (g *gateway) exported() (v1.Image, *v1.Manifest, *v1.ConfigFile) {
	GinkgoHelper()
	index, err := ocilayout.ImageIndexFromPath(filepath.Join(g.output, "app", "latest"))
	Expect(err).NotTo(HaveOccurred())
	m, err := index.IndexManifest()
	Expect(err).NotTo(HaveOccurred())
	img, err := index.Image(m.Manifests[0].Digest)
	Expect(err).NotTo(HaveOccurred())
	manifest, err := img.Manifest()
	Expect(err).NotTo(HaveOccurred())
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	return img, manifest, config
}

var _ = Describe("a build", func() {
	It("gives BuildKit the layers that the lifecycle exported, and its config", func(ctx SpecContext) {
		g := lab(minimal, nil)
		result, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		_, manifest, config := g.exported()

		Expect(g.pulled).To(HaveLen(1))
		served, err := g.pulled[0].Manifest()
		Expect(err).NotTo(HaveOccurred())
		for i, l := range served.Layers {
			Expect(l.Digest).To(Equal(manifest.Layers[2+i].Digest))
			Expect(l.MediaType).To(Equal(types.OCILayer))
		}
		Expect(g.merged).To(Equal(3), "the run image, what was pulled, and nothing of the build step")
		var got v1.ConfigFile
		Expect(json.Unmarshal(result.Metadata[exptypes.ExporterImageConfigKey], &got)).To(Succeed())
		Expect(got.RootFS).To(Equal(config.RootFS))
		Expect(got.Config.Labels["io.buildpacks.lifecycle.metadata"]).To(MatchRegexp(`^\{"runImage":\{"reference":"docker\.io/acme/run@sha256:[0-9a-f]{64}"\}\}$`))
		var list exptypes.Platforms
		Expect(json.Unmarshal(result.Metadata[exptypes.ExporterPlatformsKey], &list)).To(Succeed())
		Expect(list.Platforms).To(HaveExactElements(HaveField("ID", "linux/amd64")))
	})

	It("runs the lifecycle as the builder's user, with a cache that only this project has", func(ctx SpecContext) {
		g := lab(minimal, map[string]string{"build-arg:platform-api": "0.12"})
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		Expect(g.steps).To(HaveLen(1))
		meta := g.steps[0].Meta
		Expect(meta.User).To(Equal("1000:1001"))
		Expect(meta.Args).To(Equal([]string{"/laminate/laminate-frontend", "step", "--", "/cnb/lifecycle/creator", "-app", "/workspace", "-layers", "/layers",
			"-platform", "/platform", "-cache-dir", "/cache/build", "-run-image", "index.docker.io/laminate/run:latest"}))
		Expect(meta.Env).To(ContainElements("CNB_PLATFORM_API=0.12", "CNB_USE_LAYOUT=true", "PATH=/bin"))
		Expect(g.cacheIDs()).To(Equal([]string{"laminate/shop/linux/amd64/1000-1001"}))
	})

	DescribeTable("names its cache", func(ctx SpecContext, id string, opts map[string]string, want ...string) {
		g := lab(strings.Replace(minimal, "_.id = 'shop'", id, 1), opts)
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		Expect(g.cacheIDs()).To(HaveExactElements(want))
	},
		Entry("after the project's id", "_.id = 'a'\n_.name = 'b'", nil, "laminate/a/linux/amd64/1000-1001"),
		Entry("after its name", "_.name = 'b'", nil, "laminate/b/linux/amd64/1000-1001"),
		Entry("as the user says", "_.id = 'a'", map[string]string{"build-arg:cache-id": "c"}, "laminate/c/linux/amd64/1000-1001"),
		Entry("in a namespace", "_.id = 'a'", map[string]string{"build-arg:BUILDKIT_CACHE_MOUNT_NS": "n"}, "n/laminate/a/linux/amd64/1000-1001"),
		Entry("not at all, if nothing tells the project from others", "", nil),
	)

	It("names its cache after what else tells projects apart", func(ctx SpecContext) {
		seen := map[string]bool{}
		all := []map[string]string{
			{"vcs:source": "https://example.com/x.git"}, {"vcs:source": "https://example.com/y.git"},
			{"vcs:source": "https://example.com/x.git", "vcs:localdir:context": "a"},
			{"vcs:source": "https://example.com/x.git", "build-arg:builder": "docker.io/acme/builder:1"},
		}
		for _, opts := range all {
			g := lab(strings.Replace(minimal, "_.id = 'shop'", "", 1), opts)
			_, err := Build(ctx, g)
			Expect(err).NotTo(HaveOccurred())
			Expect(g.cacheIDs()).To(HaveExactElements(MatchRegexp(`^laminate/[0-9a-f]{64}/linux/amd64/1000-1001$`)))
			seen[g.cacheIDs()[0]] = true
		}
		Expect(seen).To(HaveLen(len(all)))
	})

	It("gives an OCI layout that docker load takes as an archive", func(ctx SpecContext) {
		g := lab(minimal, map[string]string{"build-arg:output": "layout", "build-arg:tag": "acme/shop:1"}, string(pb.CapMergeOp), string(pb.CapDiffOp))
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		Expect(g.pulled).To(BeEmpty())
		files := map[string]string{}
		for _, a := range g.files[len(g.files)-1].Actions {
			if f := a.GetMkfile(); f != nil {
				files[f.Path] = string(f.Data)
			}
			if c := a.GetCopy(); c != nil {
				files[c.Dest] = c.Src
			}
		}
		_, manifest, config := g.exported()
		var archive []struct {
			Config           string
			RepoTags, Layers []string
		}
		Expect(json.Unmarshal([]byte(files["/manifest.json"]), &archive)).To(Succeed())
		Expect(archive).To(HaveLen(1))
		Expect(archive[0].RepoTags).To(Equal([]string{"acme/shop:1"}))
		Expect(files).To(HaveKey("/" + archive[0].Config))
		for i, name := range archive[0].Layers {
			if i < 2 {
				Expect(name).To(HaveSuffix(config.RootFS.DiffIDs[i].Hex), "of the run image, which is not there")
				Expect(files).NotTo(HaveKey("/" + name))
				continue
			}
			Expect(name).To(HaveSuffix(manifest.Layers[i].Digest.Hex))
			Expect(files).To(HaveKeyWithValue("/"+name, "/app/latest/"+name))
		}
	})

	DescribeTable("refuses what the build step exports", func(ctx SpecContext, spoil func(g *gateway, m *v1.Manifest), want string) {
		for _, output := range []string{"image", "layout"} {
			g := lab(minimal, map[string]string{"build-arg:output": output})
			_, m, _ := g.exported()
			spoil(g, m)
			_, err := Build(ctx, g)
			Expect(err).To(MatchError(MatchRegexp(want)))
		}
	},
		Entry("without an image", func(g *gateway, _ *v1.Manifest) { Expect(os.RemoveAll(filepath.Join(g.output, "app"))).To(Succeed()) }, "^the lifecycle exported no usable image: .*index.json"),
		Entry("of other bytes", func(g *gateway, m *v1.Manifest) {
			Expect(os.WriteFile(g.blob(m.Layers[3].Digest), make([]byte, m.Layers[3].Size), 0o644)).To(Succeed())
		}, `layer sha256:\w+: it has other content$`),
		Entry("of another size", func(g *gateway, m *v1.Manifest) {
			Expect(os.WriteFile(g.blob(m.Layers[3].Digest), nil, 0o644)).To(Succeed())
		}, `layer sha256:\w+: its size is 0, and not \d+$`),
		Entry("without a blob", func(g *gateway, m *v1.Manifest) { Expect(os.Remove(g.blob(m.Layers[3].Digest))).To(Succeed()) }, `its blob is missing`),
		Entry("with links for blobs", func(g *gateway, m *v1.Manifest) {
			Expect(os.Remove(g.blob(m.Layers[3].Digest))).To(Succeed())
			Expect(os.Symlink("/etc/passwd", g.blob(m.Layers[3].Digest))).To(Succeed())
		}, `its size is`),
		Entry("with a spoiled config", func(g *gateway, m *v1.Manifest) {
			Expect(os.WriteFile(g.blob(m.Config.Digest), []byte("{}"), 0o644)).To(Succeed())
		}, `config: sha256:\w+ has other content$`),
		Entry("of a size without limit", func(g *gateway, _ *v1.Manifest) {
			writeFile(filepath.Join(g.output, "app/latest/index.json"), `{"manifests":[`+strings.Repeat("{},", 400_000)+`{}]}`)
		}, `/app/latest/index\.json is larger than 1 MiB$`),
		Entry("over another run image", func(g *gateway, _ *v1.Manifest) {
			g.images["docker.io/acme/run:1"].RootFS.DiffIDs[0].Hex = strings.Repeat("b", 64)
		}, `its layers do not begin with those of the run image$`),
	)

	It("says in one sentence why the lifecycle failed", func(ctx SpecContext) {
		g := lab(minimal, nil)
		for _, err := range []error{&gwpb.ExitError{ExitCode: 20}, errors.New(`process "/laminate/laminate-frontend step" did not complete successfully: exit code: 20`)} {
			g.failure = err
			_, err := Build(ctx, g)
			Expect(err).To(MatchError("no buildpacks fit this app: no group of the order passed detection (exit code 20); see the lifecycle's lines above"))
		}
	})

	DescribeTable("does not begin", func(ctx SpecContext, descriptor string, opts map[string]string, want string) {
		g := lab(descriptor, opts, slices.Collect(strings.SplitSeq(opts["lacks"], ","))...)
		_, err := Build(ctx, g)
		Expect(err).To(MatchError(want))
		Expect(g.steps).To(BeEmpty())
	},
		Entry("without a builder", "_.schema-version = '0.2'\n", nil, `project.toml names no builder; add builder = "IMAGE" to [io.buildpacks], or --build-arg builder=IMAGE`),
		Entry("without a builder, in the older tables", "[project]\n", nil, `project.toml names no builder; add builder = "IMAGE" to [build], or --build-arg builder=IMAGE`),
		Entry("without a schema version", "io.buildpacks.builder = 'x'\n", nil, `project.toml names no builder: [io.buildpacks] counts only with a schema version; add schema-version = "0.2" to [_]`),
		Entry("without a project descriptor", minimal, map[string]string{"filename": "other.toml"}, "there is no other.toml; name the project descriptor with --file, or --opt filename=NAME of buildctl"),
		Entry("with a broken one", "[_\n", nil, "project.toml:1: expected ']' to close table name"),
		Entry("with a missing builder", minimal, map[string]string{"build-arg:builder": "acme/none"}, "builder acme/none for linux/amd64: docker.io/acme/none:latest: not found"),
		Entry("with an image that is no builder", minimal, map[string]string{"build-arg:builder": "acme/run:1"}, "acme/run:1 is not a builder: it has no label io.buildpacks.builder.metadata"),
		Entry("with no reference", minimal, map[string]string{"build-arg:run-image": "A B"}, `run image "A B": invalid image reference: invalid reference format: repository name (library/A B) must be lowercase`),
		Entry("with an API that the lifecycle lacks", minimal, map[string]string{"build-arg:platform-api": "0.13"}, "builder acme/builder:1: lifecycle 0.21.0 does not support Platform API 0.13; it supports 0.12, 0.15"),
		Entry("with a previous image that is no app", minimal, map[string]string{"build-arg:previous-image": "acme/run:1"}, "previous image acme/run:1: not an app image: it has no label io.buildpacks.lifecycle.metadata"),
		Entry("with a target", minimal, map[string]string{"target": "x"}, `unknown target "x"; a project descriptor has no targets`),
		Entry("where layers cannot be merged", minimal, map[string]string{"lacks": "mergeop"}, "this BuildKit cannot put the lifecycle's layers into an image: it has no merge operation (Docker's own has none over its graph drivers); "+
			"build an OCI layout with --build-arg output=layout --output DIRECTORY, or use a BuildKit of its own with docker buildx or buildctl"),
		Entry("with nothing left of the app", minimal+"include = ['nothing']\n", nil, "include and exclude leave nothing of the build context"),
	)

	It("shows warnings, in the step where BuildKit has no place for them", func(ctx SpecContext) {
		for _, lacks := range []string{"", string(gwpb.CapGatewayWarnings)} {
			g := lab(strings.Replace(minimal, "_.id", "_.di", 1), map[string]string{"build-arg:run_image": "x"}, lacks)
			_, err := Build(ctx, g)
			Expect(err).NotTo(HaveOccurred())
			want := []string{`unknown build argument "run_image"; did you mean run-image?`, `project.toml:2: unknown key "_.di"; did you mean "id"?`,
				`project.toml has neither id nor name, so that nothing is kept for the next build; add id = "NAME" to [_], or --build-arg cache-id=NAME`}
			shown := g.warnings
			if lacks != "" {
				Expect(shown).To(BeEmpty())
				args := g.steps[0].Meta.Args
				for i, a := range args {
					if a == "--warning" {
						shown = append(shown, args[i+1])
					}
				}
			}
			Expect(shown).To(Equal(want))
		}
	})

	DescribeTable("that does not begin shows warnings with the error, where BuildKit has no place for them",
		func(ctx SpecContext, descriptor string, opts map[string]string, want any) {
			g := lab(descriptor, opts, string(gwpb.CapGatewayWarnings), string(pb.CapMergeOp))
			_, err := Build(ctx, g)
			Expect(err).To(MatchError(want))
		},
		Entry("of build arguments", minimal, map[string]string{"build-arg:ouput": "layout"}, MatchRegexp(`^this BuildKit cannot (?s:.*)\nwarning: unknown build argument "ouput"; did you mean output\?$`)),
		Entry("of the project descriptor", "_.schema-version = '0.2'\n_.id = 'x'\nio.buildpacks.biulder = 'acme/builder:1'\n", map[string]string{"build-arg:output": "layout"},
			MatchRegexp(`^project\.toml names no builder; .*\nwarning: project\.toml:3: unknown key "io\.buildpacks\.biulder"; did you mean "builder"\?$`)),
		Entry("where an image is missing", minimal, map[string]string{"build-arg:output": "layout", "build-arg:run_image": "x", "build-arg:run-image": "acme/none"},
			MatchRegexp(`^run image acme/none .*: not found\nwarning: unknown build argument "run_image"`)),
	)

	It("ends with its context", func() {
		ctx, cancel := context.WithCancel(context.Background())
		g := lab(minimal, nil)
		g.failure = context.Canceled
		cancel()
		_, err := Build(ctx, g)
		Expect(err).To(HaveOccurred())
	})
})

// cacheIDs are the names of the cache mounts of the build steps.
func (g *gateway) cacheIDs() (ids []string) {
	for _, s := range g.steps {
		for _, m := range s.Mounts {
			if m.CacheOpt != nil {
				ids = append(ids, m.CacheOpt.ID)
			}
		}
	}
	return ids
}

var _ client.Client = (*gateway)(nil)
