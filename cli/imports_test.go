package cli_test

import (
	"os/exec"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

// importRules say which of the module's packages a package may import, by
// prefix, and why no others. Packages below a prefix share its rule; the
// longest prefix counts. Tests are free.
var importRules = []struct {
	in, may, because string
}{
	{"laminate/flatten", "", "it is the heart: values and pure functions that know nothing of where things come from"},
	{"laminate/flatten/layer", "laminate/flatten laminate/flatten/layer/digests laminate/flatten/layer/inflate", "it makes layers of what it is given, and opens no network"},
	{"laminate/flatten/layer/inflate", "", "it reads gzip, and knows not what is in it"},
	{"laminate/flatten/layer/digests", "", "it hashes, and knows not what"},
	{"laminate/flatten/auto", "laminate/flatten", "it is a pure function, which a simulation calls as a builder's creation does"},
	{"laminate/packager/progress", "", "everybody tells through it"},
	{"laminate/packager/location", "", "it is a grammar, and opens nothing"},
	{"laminate/packager/filesys", "", "it is what operating systems do in different ways, and opens nothing"},
	{"laminate/packager/localfile", "laminate/packager/filesys", "it opens files, and does not know what they hold"},
	{"laminate/packager/config", "laminate/flatten laminate/packager/localfile", "it reads TOML files, and opens nothing that they name"},
	{"laminate/packager/cache", "laminate/packager/filesys laminate/packager/localfile laminate/packager/scratch", "it keeps bytes by key, and knows not what they are"},
	{"laminate/packager/mediatype", "", "it is a table of names"},
	{"laminate/packager/scratch", "laminate/packager/filesys", "it makes and removes directories, and knows not what is in them"},
	{"laminate/packager/registry", "laminate/packager/location", "sources and sinks share it, and it knows neither"},
	{"laminate/packager/daemon", "", "sources and sinks share it, and it knows neither"},
	{"laminate/packager/stream", "", "it reads streams, and does not know what is in them"},
	{"laminate/packager/image", "laminate/flatten laminate/flatten/layer laminate/packager/config laminate/packager/progress laminate/packager/registry laminate/packager/stream", "it is a view of an image that a transport has opened"},
	{"laminate/packager/source", "laminate/flatten laminate/flatten/layer laminate/packager/cache laminate/packager/config laminate/packager/daemon laminate/packager/filesys laminate/packager/image laminate/packager/localfile laminate/packager/location laminate/packager/once laminate/packager/progress laminate/packager/registry laminate/packager/signing laminate/packager/stream", "it reads; where things are written is no concern of it"},
	{"laminate/packager/sink", "laminate/flatten laminate/packager/daemon laminate/packager/filesys laminate/packager/localfile laminate/packager/location laminate/packager/mediatype laminate/packager/progress laminate/packager/registry laminate/packager/scratch laminate/packager/signing laminate/packager/stream", "it writes images; how they came to be is no concern of it"},
	{"laminate/packager/signing", "", "it signs bytes, and does not know where they are"},
	{"laminate/packager/once", "", "it is a map"},
	{"laminate/packager/engine", "laminate/flatten laminate/flatten/auto laminate/flatten/layer laminate/packager/cache laminate/packager/config laminate/packager/image laminate/packager/location laminate/packager/mediatype laminate/packager/once laminate/packager/progress laminate/packager/source", "all recipes share it, and it knows none of them"},
	{"laminate/packager/inspect", "laminate/flatten laminate/flatten/layer laminate/packager/config laminate/packager/image laminate/packager/progress", "it describes images that the caller opened"},
	{"laminate/packager/attest", "laminate/flatten laminate/packager/image laminate/packager/registry", "it makes and reads documents, and does not know where they go"},
	{"laminate/packager/verify", "laminate/flatten laminate/flatten/layer laminate/packager/attest laminate/packager/config laminate/packager/image laminate/packager/registry laminate/packager/signing laminate/packager/source", "it checks images that the caller opened, and tells a registry that does not answer from an image that is broken"},
	{"laminate/packager/diff", "laminate/flatten laminate/packager/image", "it compares images that the caller opened, and reads no layer"},
	{"laminate/packager/relayer", "laminate/flatten laminate/flatten/layer laminate/packager/config laminate/packager/engine laminate/packager/image laminate/packager/location laminate/packager/mediatype laminate/packager/source", "it makes images and does not choose where they go"},
	{"laminate/packager", "laminate/flatten laminate/flatten/layer laminate/packager/config laminate/packager/engine laminate/packager/image laminate/packager/location laminate/packager/mediatype laminate/packager/source", "it makes images and does not choose where they go"},
	{"laminate/builder", "laminate/flatten laminate/flatten/layer laminate/packager/config laminate/packager/engine laminate/packager/image laminate/packager/location laminate/packager/mediatype laminate/packager/source", "it makes images and does not choose where they go"},
	{"laminate/builder/history", "laminate/flatten", "it reads bytes that the caller opened"},
	{"laminate/builder/history/collect", "laminate/builder/history laminate/flatten laminate/packager/image laminate/packager/progress laminate/packager/registry", "it reads what registries say, and writes no file"},
	{"laminate/builder/update", "laminate/flatten laminate/packager/config laminate/packager/localfile laminate/packager/location laminate/packager/registry", "it edits bytes, asks registries through an interface of its own, and writes no file"},
	{"laminate/builder/lifecycle", "laminate/flatten", "it says how a lifecycle is run, and runs nothing"},
	{"laminate/builder/smoke", "laminate/builder/lifecycle laminate/flatten laminate/flatten/layer laminate/builder/smoke/ownership laminate/builder/smoke/rootfs laminate/builder/smoke/sandbox laminate/builder/smoke/tardiff laminate/packager/cache laminate/packager/config laminate/packager/engine laminate/packager/image laminate/packager/location laminate/packager/mediatype laminate/packager/progress laminate/packager/source laminate/packager/stream", "it builds with a builder that the caller opened, and does not choose where the image goes"},
	{"laminate/builder/release", "laminate/builder laminate/builder/smoke laminate/builder/smoke/sandbox laminate/flatten laminate/packager laminate/packager/attest laminate/packager/config laminate/packager/diff laminate/packager/engine laminate/packager/image laminate/packager/location laminate/packager/mediatype laminate/packager/source laminate/packager/stream laminate/packager/verify", "it publishes through an interface, and does not choose a sink"},
	{"laminate/builder/simulate", "laminate/flatten laminate/flatten/auto laminate/builder/history", "it moves no byte of any image"},
	{"laminate/builder/smoke/rootfs", "laminate/flatten laminate/packager/cache laminate/packager/image laminate/packager/progress laminate/packager/stream", "it unpacks an image that the caller opened, and runs nothing of it"},
	{"laminate/builder/smoke/ownership", "", "it compares what is in a directory, and does not know what runs"},
	{"laminate/builder/smoke/tardiff", "", "it compares streams, and does not know whose they are"},
	{"laminate/builder/smoke/sandbox", "", "it runs a command, and does not know where the root comes from"},
	{"laminate/cli", "laminate/builder laminate/builder/release laminate/builder/history laminate/builder/history/collect laminate/builder/simulate laminate/builder/update laminate/builder/smoke laminate/builder/smoke/sandbox laminate/cli/inspecthtml laminate/flatten laminate/flatten/layer laminate/packager laminate/packager/diff laminate/packager/engine laminate/packager/inspect laminate/packager/relayer laminate/packager/verify laminate/packager/cache laminate/packager/config laminate/packager/daemon laminate/packager/localfile laminate/packager/location laminate/packager/mediatype laminate/packager/once laminate/packager/progress laminate/packager/registry laminate/packager/scratch laminate/packager/signing laminate/packager/sink laminate/packager/source", "it is the only one to choose a sink; no package imports it"},
	{"laminate/cli/inspecthtml", "laminate/packager/inspect", "it draws a report, and does not know how it came to be"},
	{"laminate/cli/laminate", "laminate/cli", "it is a few lines"},
	{"laminate/fixtures/workbench", "laminate/fixtures laminate/flatten laminate/packager/location laminate/packager/progress laminate/packager/sink", "tests make and look at images with it; production code imports none of it"},
	{"laminate/fixtures/verifycost", "laminate/fixtures laminate/flatten/layer/inflate", "it measures what reading layers takes at least"},
	{"laminate/fixtures", "laminate/cli laminate/flatten laminate/builder/history laminate/packager/filesys laminate/fixtures laminate/fixtures/pack", "it serves tests and the demo; nobody else imports it"},
}

var _ = Describe("imports", func() {
	It("point one way", func() {
		list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "laminate/...")
		list.Dir = fixtures.Root()
		out, err := list.Output()
		Expect(err).NotTo(HaveOccurred())
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			in, imports := words[0], words[1:]
			i := -1
			for j, rule := range importRules {
				if (in == rule.in || strings.HasPrefix(in, rule.in+"/")) && (i < 0 || len(rule.in) > len(importRules[i].in)) {
					i = j
				}
			}
			Expect(i).NotTo(Equal(-1), "package %s has no rule", in)
			for _, imported := range imports {
				if strings.HasPrefix(imported, "laminate/") {
					Expect(slices.Contains(strings.Fields(importRules[i].may), imported)).To(BeTrue(),
						"%s imports %s, but %s", in, imported, importRules[i].because)
				}
			}
		}
	})
})
