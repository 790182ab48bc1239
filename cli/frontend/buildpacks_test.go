package frontend

import (
	"errors"
	"fmt"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/solver/pb"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// layersLabel is the label of a builder or a buildpackage with buildpacks of an API.
func layersLabel(api string, refs ...string) string {
	var all []string
	for _, ref := range refs {
		id, version, _ := strings.Cut(ref, "@")
		all = append(all, fmt.Sprintf(`%q:{%q:{"api":%q,"layerDiffID":"sha256:%s"}}`, id, version, api, strings.Repeat("a", 64)))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// withGroups is a lab with a builder of several buildpacks and a buildpackage.
func withGroups(keys string, files map[string]string) *gateway {
	GinkgoHelper()
	g := lab(minimal+keys, nil)
	for name, content := range files {
		writeFile(path.Join(g.context, name), content)
	}
	labels := g.images["docker.io/acme/builder:1"].Config.Labels
	labels["io.buildpacks.buildpack.layers"] = layersLabel("0.10", "acme/java@1.0.0", "acme/go@2.0.0")
	labels["io.buildpacks.buildpack.order"] = `[{"group":[{"id":"acme/java"}]},{"group":[{"id":"acme/go","version":"2.0.0","optional":true}]}]`
	labels["io.buildpacks.buildpack.order-extensions"] = `[{"group":[{"id":"acme/ext","version":"1"}]}]`
	g.images["docker.io/acme/maven:latest"] = &v1.ConfigFile{Config: v1.Config{Labels: map[string]string{
		"io.buildpacks.buildpackage.metadata": `{"id":"acme/maven","version":"3"}`, "io.buildpacks.buildpack.layers": layersLabel("0.10", "acme/maven@3"),
	}}}
	return g
}

// written are the files that file operations of a build write, by path, and the copies, by destination.
func (g *gateway) written() map[string]string {
	all := map[string]string{}
	for _, f := range g.files {
		for _, a := range f.Actions {
			switch a := a.Action.(type) {
			case *pb.FileAction_Mkfile:
				all[a.Mkfile.Path] = string(a.Mkfile.Data)
			case *pb.FileAction_Copy:
				all[a.Copy.Dest] = a.Copy.Src
			}
		}
	}
	return all
}

const (
	module    = "api = '0.10'\n[buildpack]\nid = 'acme/local'\nversion = '1'\n"
	composite = module + "[[order]]\n[[order.group]]\nid = 'acme/go'\nversion = '2.0.0'\n[[order.group]]\nid = 'acme/none'\nversion = '1'\n"
)

func group(lines ...string) string {
	var all strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&all, "[[io.buildpacks.group]]\n%s\n", l)
	}
	return all.String()
}

var _ = Describe("buildpacks of the project descriptor", func() {
	DescribeTable("are the order", func(ctx SpecContext, keys string, files map[string]string, want ...string) {
		g := withGroups(keys, files)
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		order := g.written()["/cnb/order.toml"]
		var refs []string
		for line := range strings.Lines(order) {
			switch word := strings.TrimSpace(line); {
			case strings.HasPrefix(word, "[[order.group"), strings.HasPrefix(word, "[[order-ext"), word == "":
			case word == "[[order]]":
				refs = append(refs, "|")
			default:
				_, value, _ := strings.Cut(word, " = ")
				refs = append(refs, strings.Trim(value, `'"`))
			}
		}
		Expect(strings.Join(refs, " ")).To(Equal(strings.Join(append(want, "acme/ext 1"), " ")), order)
	},
		Entry("of the builder's", group("id = 'acme/java'", "id = 'acme/go'\nversion = '2.0.0'"), nil, "| acme/java 1.0.0 acme/go 2.0.0"),
		Entry("by URNs", group("uri = 'urn:cnb:builder:acme/go'", "uri = 'from=builder:acme/java@1.0.0'"), nil, "| acme/go 2.0.0 acme/java 1.0.0"),
		Entry("by name", group("uri = 'acme/go@2.0.0'"), nil, "| acme/go 2.0.0"),
		Entry("around the builder's order", group("id = 'x'\nscript = {api = '0.10', inline = 'y'}", "uri = 'from=builder'"), nil,
			"| x 0.0.0 acme/java 1.0.0", "| x 0.0.0 acme/go 2.0.0 true"),
		Entry("before and after it", "[[io.buildpacks.pre.group]]\nid = 'acme/go'\n[[io.buildpacks.post.group]]\nuri = 'docker://acme/maven'\n", nil,
			"| acme/go 2.0.0 acme/java 1.0.0 acme/maven 3", "| acme/go 2.0.0 acme/go 2.0.0 true acme/maven 3"),
		Entry("of an image", group("uri = 'acme/maven'"), nil, "| acme/maven 3"),
		Entry("of a directory", group("uri = './bp'"), map[string]string{"bp/buildpack.toml": module}, "| acme/local 1"),
	)

	It("are put where the lifecycle looks for them", func(ctx SpecContext) {
		g := withGroups(group("id = 'x'\nversion = '5'\nscript = {api = '0.10', inline = 'echo hi', shell = '/bin/bash'}", "uri = 'bp'", "uri = 'docker://acme/maven'"), map[string]string{"bp/buildpack.toml": module})
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		files := g.written()
		Expect(files).To(HaveKeyWithValue("/cnb/buildpacks/x/5/bin/build", "#!/bin/bash\n\necho hi\n"))
		Expect(files).To(HaveKeyWithValue("/cnb/buildpacks/x/5/bin/detect", "#!/bin/bash\n\nexit 0\n"))
		Expect(files["/cnb/buildpacks/x/5/buildpack.toml"]).To(MatchRegexp(`(?s)api = '0\.10'.*id = 'x'`))
		Expect(files).To(HaveKeyWithValue("/cnb/buildpacks/acme_local/1", "/bp"))
		Expect(files).To(HaveKeyWithValue("/cnb/buildpacks/acme_maven/3", "/cnb/buildpacks/acme_maven/3"))
		Expect(files).NotTo(HaveKey("/cnb/buildpacks"), "which may have buildpacks that the image's labels do not list")
	})

	DescribeTable("may be wrong", func(ctx SpecContext, keys string, files map[string]string, want string) {
		g := withGroups(keys, files)
		_, err := Build(ctx, g)
		Expect(err).To(MatchError(want))
		Expect(g.steps).To(BeEmpty())
	},
		Entry("unknown, with all the others", group("id = 'acme/jav'", "id = 'zzz'\nversion = '1'"), nil,
			"project.toml:5: unknown buildpack \"acme/jav\" of the builder acme/builder:1; did you mean acme/java@1.0.0?\nproject.toml:7: unknown buildpack \"zzz@1\" of the builder acme/builder:1"),
		Entry("twice the builder's order", group("uri = 'from=builder'", "uri = 'from=builder'"), nil, "project.toml:7: duplicate from=builder; the builder's order can be at one place only"),
		Entry("a download", group("uri = 'https://example.com/x.tgz'"), nil, "project.toml:5: buildpack https://example.com/x.tgz: downloads are not supported; put its directory into the build context, or name an image, as docker://IMAGE"),
		Entry("a file", group("uri = 'file:///bp'"), nil, "project.toml:5: buildpack file:///bp: files of this machine are not supported; write a directory of the build context, relative to the project descriptor"),
		Entry("one name for two scripts", group("id = 'x'\nscript = {api = '0.10', inline = 'y'}", "id = 'x'\nscript = {api = '0.10', inline = 'z'}"), nil, "project.toml:8: duplicate buildpack x@0.0.0; give each script an id or a version of its own"),
		Entry("one name for a directory and a script", group("uri = 'bp'", "id = 'acme/local'\nversion = '1'\nscript = {api = '0.10', inline = 'z'}"), map[string]string{"bp/buildpack.toml": module},
			"project.toml:7: duplicate buildpack acme/local@1; give each script an id or a version of its own"),
		Entry("one name for a script and a directory", group("id = 'acme/local'\nversion = '1'\nscript = {api = '0.10', inline = 'z'}", "uri = 'bp'"), map[string]string{"bp/buildpack.toml": module},
			"project.toml:9: duplicate buildpack acme/local@1; an earlier entry has other files of that name"),
		Entry("one name for two directories", group("uri = 'bp'", "uri = 'pb'"), map[string]string{"bp/buildpack.toml": module, "pb/buildpack.toml": module},
			"project.toml:7: duplicate buildpack acme/local@1; an earlier entry has other files of that name"),
		Entry("nearly one of the builder's", group("uri = 'acme/jav'"), nil, "project.toml:5: buildpack acme/jav for linux/amd64: docker.io/acme/jav:latest: not found; there is no such directory in the build context, and no such buildpack in the builder; did you mean acme/java@1.0.0?"),
		Entry("the registry", group("uri = 'urn:cnb:registry:acme/java'"), nil, "project.toml:5: buildpack urn:cnb:registry:acme/java: the registry of buildpacks is not supported; name the image, as docker://IMAGE"),
		Entry("an archive", group("uri = 'bp.cnb'"), map[string]string{"bp.cnb": ""}, "project.toml:5: buildpack bp.cnb: archives are not supported; put its directory into the build context, or name an image, as docker://IMAGE"),
		Entry("an empty directory", group("uri = 'bp'"), map[string]string{"bp/x": ""}, "project.toml:5: buildpack bp: no buildpack.toml in this directory of the build context"),
		Entry("a directory that is none", group("uri = '../bp'"), nil, "project.toml:5: buildpack \"../bp\": invalid image reference: invalid reference format; there is no such directory in the build context, and no such buildpack in the builder"),
		Entry("a broken one", group("uri = 'bp'"), map[string]string{"bp/buildpack.toml": "["}, `project.toml:5: bp/buildpack.toml:1: expected key but reached end of input`),
		Entry("an image that is missing", group("uri = 'docker://acme/none'"), nil, "project.toml:5: buildpack acme/none for linux/amd64: docker.io/acme/none:latest: not found"),
		Entry("an image of another kind", group("uri = 'docker://acme/run:1'"), nil, "project.toml:5: acme/run:1 is not a buildpackage: it has no label io.buildpacks.buildpackage.metadata"),
		Entry("an invalid id", group("id = '../x'\nscript = {api = '0.10', inline = 'y'}"), nil, `project.toml:5: buildpack ../x@0.0.0: invalid id "../x"; use letters, digits and . - _ +`),
		Entry("a composite without its components", group("uri = 'bp'"), map[string]string{"bp/buildpack.toml": composite},
			"buildpack acme/local@1: missing buildpack acme/none@1; add it to [[io.buildpacks.group]], or name an image that has both"),
		Entry("an API that the lifecycle lacks", group("id = 'x'\nscript = {api = '0.9', inline = 'y'}"), nil, "buildpack x@0.0.0 has Buildpack API 0.9, which lifecycle 0.21.0 does not support"),
	)

	It("may be an image for every architecture, as the command package makes it", func(ctx SpecContext) {
		g := withGroups(group("uri = 'docker://acme/maven'"), nil)
		g.images["docker.io/acme/maven:latest"].OS = "linux"
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		g.images["docker.io/acme/maven:latest"].Architecture = "arm64"
		_, err = Build(ctx, g)
		Expect(err).To(MatchError("project.toml:5: buildpack acme/maven: it is for linux/arm64, and not for linux/amd64"))
	})

	It("must be there if the builder has no order", func(ctx SpecContext) {
		g := withGroups("", nil)
		delete(g.images["docker.io/acme/builder:1"].Config.Labels, "io.buildpacks.buildpack.order")
		_, err := Build(ctx, g)
		Expect(err).To(MatchError("builder acme/builder:1 has no order of buildpacks; name them in [[io.buildpacks.group]]"))
	})

	It("cannot be what the builder's labels make up", func(ctx SpecContext) {
		for _, label := range []string{"io.buildpacks.builder.metadata", "io.buildpacks.buildpack.order", "io.buildpacks.buildpack.layers"} {
			g := withGroups(group("id = 'acme/java'"), nil)
			g.images["docker.io/acme/builder:1"].Config.Labels[label] = "{"
			_, err := Build(ctx, g)
			Expect(err).To(MatchError(Or(ContainSubstring("label "+label), ContainSubstring("layers label"))))
		}
		g := withGroups("", nil)
		g.images["docker.io/acme/builder:1"].Config.Env = []string{"CNB_USER_ID=0"}
		_, err := Build(ctx, g)
		Expect(errors.Unwrap(err)).NotTo(HaveOccurred())
		Expect(err).To(MatchError(ContainSubstring("it must be the id of the build user, which is not root")))
	})
})
