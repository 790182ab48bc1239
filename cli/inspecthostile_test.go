package cli_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
)

// markdownMeans are what means itself in Markdown: escaped characters, and code.
var markdownMeans = regexp.MustCompile("\\\\[^\\w\\s]|`[^`\\n]*`")

// summary is an element in which Markdown means nothing.
var summary = regexp.MustCompile(`<summary>.*</summary>`)

// putLabelled writes an image of one layer with these labels to an OCI layout. LAYER in a label is
// the diffID.
func putLabelled(dir string, labels map[string]string, history string) {
	GinkgoHelper()
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: static.NewLayer(make([]byte, 1024), types.DockerUncompressedLayer)})
	Expect(err).NotTo(HaveOccurred())
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Labels = "linux", "amd64", map[string]string{}
	config.History[0].CreatedBy = history
	for key, value := range labels {
		config.Config.Labels[key] = strings.ReplaceAll(value, "LAYER", config.RootFS.DiffIDs[0].String())
	}
	img, err = mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	path, err := layout.Write(dir, empty.Index)
	Expect(err).NotTo(HaveOccurred())
	Expect(path.AppendImage(img)).To(Succeed())
}

var _ = Describe("inspect of an image that means harm", func() {
	BeforeEach(func() { GinkgoT().Chdir(GinkgoT().TempDir()) })

	// all returns what is printed in each form, and checks the text and the JSON.
	all := func(layout string) (text, markdown string) {
		GinkgoHelper()
		printed := map[string]string{}
		for _, form := range []string{"text", "json", "yaml", "markdown"} {
			r := laminate("inspect", layout, "--output", form)
			Expect(r.code).To(BeZero(), r.stderr)
			printed[form] = r.stdout
		}
		expectFit(printed["text"])
		workbench.ExpectValid("inspect.schema.json", []byte(printed["json"]))
		return printed["text"], printed["markdown"]
	}

	It("shows long names within the lines", func() {
		id, version := strings.Repeat("acme/", 39)+"x", strings.Repeat("9", 200)
		putLabelled("long", map[string]string{
			"io.buildpacks.buildpack.layers": fmt.Sprintf(`{%q:{%q:{"api":"0.10","layerDiffID":"LAYER","order":[{"group":[{"id":%[1]q,"version":"2"}]}]},"2":{"api":"0.10","layerDiffID":"LAYER"}}}`, id, version),
			"io.buildpacks.builder.metadata": fmt.Sprintf(`{"description":%q,"images":[{"image":%q}],"lifecycle":{"version":%[2]q}}`, strings.Repeat("long ", 2000), strings.Repeat("host/", 100)),
			"io.buildpacks.buildpack.order":  fmt.Sprintf(`[{"group":[{"id":%q,"version":%q,"optional":true}]}]`, id, version),
		}, strings.Repeat("RUN ", 500))
		text, _ := all("oci:long")
		Expect(text).To(And(ContainSubstring("… (optional)\n"), ContainSubstring("shared")))
		Expect(strings.Count(text, "\n")).To(BeNumerically("<", 100))
	})

	It("keeps what is in names from terminals and from Markdown", func() {
		evil := "\x1b[31m`a`|<script>alert(1)</script>\n# *b* @everyone ![x](y) \u202e\x7f"
		quoted, err := json.Marshal(evil)
		Expect(err).NotTo(HaveOccurred())
		q := string(quoted)
		putLabelled("evil", map[string]string{
			"io.buildpacks.buildpack.layers": `{"a":{"1":{"api":` + q + `,"layerDiffID":"LAYER","name":` + q + `,"homepage":` + q + `,"stacks":[{"id":` + q + `}],"targets":[{"os":` + q + `,"arch":` + q + `}],"order":[{"group":[{"id":` + q + `,"version":` + q + `}]}]}},
				"b":{"1":{"api":"0.10","layerDiffID":"LAYER","name":` + q + `,"stacks":[{"id":` + q + `}]}}}`,
			"io.buildpacks.buildpackage.metadata": `{"id":"a","version":"1","name":` + q + `,"description":` + q + `,"licenses":[{"Type":` + q + `}],"stacks":[{"id":` + q + `}]}`,
			"io.buildpacks.base.distro.name":      evil, "io.buildpacks.stack.id": evil,
		}, evil)
		putLabelled("app", map[string]string{
			"io.buildpacks.lifecycle.metadata": `{"runImage":{"image":` + q + `,"reference":` + q + `},"app":[{"sha":"LAYER"}]}`,
			"io.buildpacks.build.metadata":     `{"buildpacks":[{"id":` + q + `,"version":` + q + `,"homepage":` + q + `}],"processes":[{"type":` + q + `,"command":[` + q + `],"buildpackID":` + q + `}]}`,
		}, evil)
		for _, name := range []string{"oci:evil", "oci:app"} {
			_, markdown := all(name)
			summaries := strings.Join(summary.FindAllString(markdown, -1), "")
			Expect(summaries).NotTo(Or(ContainSubstring("<script"), ContainSubstring(" @everyone")), name)
			plain := markdownMeans.ReplaceAllString(summary.ReplaceAllString(markdown, ""), "")
			for _, harm := range []string{"\x1b", "\x7f", "\u202e", "<script", "# *", "*b*", " @everyone", "![", "`"} {
				Expect(plain).NotTo(ContainSubstring(harm), name)
			}
			Expect(strings.Count(plain, "|---|---|")).To(Equal(strings.Count(markdown, "|---|---|")))
		}
	})

	It("shows an order with more paths than anybody can count", func() {
		var modules []string
		for i := range 200 {
			next := fmt.Sprintf(`{"group":[{"id":"c%d","version":"1"},{"id":"c%[1]d"}]}`, i+1)
			modules = append(modules, fmt.Sprintf(`"c%d":{"1":{"api":"0.10","layerDiffID":"LAYER","order":[%s,%s]}}`, i, next, next))
		}
		modules = append(modules, `"c200":{"1":{"api":"0.10","layerDiffID":"LAYER"}}`)
		var entries []string
		for range 5000 {
			entries = append(entries, `{"id":"c200","version":"1"}`)
		}
		putLabelled("many", map[string]string{
			"io.buildpacks.buildpack.layers": "{" + strings.Join(modules, ",") + "}",
			"io.buildpacks.builder.metadata": "{}",
			"io.buildpacks.buildpack.order":  `[{"group":[{"id":"c0","version":"1"}]},{"group":[` + strings.Join(entries, ",") + `]}]`,
		}, "")
		before := time.Now()
		text, _ := all("oci:many")
		Expect(time.Since(before)).To(BeNumerically("<", 5*time.Second))
		Expect(text).To(And(ContainSubstring("c1@1 (see above)"), ContainSubstring("expands further"), MatchRegexp(`… and \d+ more lines; --output json has them`)))
		Expect(strings.Count(text, "\n")).To(BeNumerically("<", 2500))
	})
})
