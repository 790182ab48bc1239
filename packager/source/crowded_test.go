package source_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/location"
)

// crowd is a list of more entries than a document may have, in 300 kB.
var crowd = "[" + strings.Repeat("{},", 100_000) + "{}]"

// stack is documents by their digests, of which one leads to the next.
type stack map[string]string

// add adds a document, and returns a descriptor of it.
func (s stack) add(kind, document string) string {
	h, size, err := v1.SHA256(strings.NewReader(document))
	Expect(err).NotTo(HaveOccurred())
	s[h.String()] = document
	return fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.%s.v1+json","size":%d,"digest":%q}`, kind, size, h)
}

// layout writes the documents into an OCI layout.
func (s stack) layout(index string) string {
	dir := layoutOf(nil)
	Expect(os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755)).To(Succeed())
	for h, document := range s {
		put("blobs/sha256/"+strings.TrimPrefix(h, "sha256:"), document)(dir)
	}
	put("index.json", index)(dir)
	return dir
}

// serve answers with the documents, and with the last one for every tag.
func (s stack) serve(last, kind string) location.Location {
	host := registryThat(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		document, known := s[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		switch {
		case known:
		case strings.Contains(r.URL.Path, "/manifests/"):
			document = last
		}
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", "application/vnd.oci.image."+kind+".v1+json")
		}
		_, _ = w.Write([]byte(document))
	})
	return at(location.Registry, "", host+"/acme/root:1")
}

var _ = Describe("a document of very many entries", func() {
	const few = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]},"history":[]}`
	// each makes documents that end in the last one, of that kind.
	each := map[string]func(s stack) (last, kind string){
		"the index": func(stack) (string, string) { return `{"schemaVersion":2,"manifests":` + crowd + `}`, "index" },
		"an index within": func(s stack) (string, string) {
			return `{"schemaVersion":2,"manifests":[` + s.add("index", `{"schemaVersion":2,"manifests":`+crowd+`}`) + `]}`, "index"
		},
		"the layers": func(s stack) (string, string) {
			return `{"schemaVersion":2,"config":` + s.add("config", few) + `,"layers":` + crowd + `}`, "manifest"
		},
		"the layers of an image in an index": func(s stack) (string, string) {
			m := s.add("manifest", `{"schemaVersion":2,"config":`+s.add("config", few)+`,"layers":`+crowd+`}`)
			return `{"schemaVersion":2,"manifests":[` + m + `]}`, "index"
		},
		"the diffIDs": func(s stack) (string, string) {
			c := strings.Replace(few, `"diff_ids":[]`, `"diff_ids":`+strings.ReplaceAll(crowd, "{}", `""`), 1)
			return `{"schemaVersion":2,"config":` + s.add("config", c) + `,"layers":[]}`, "manifest"
		},
		"the history": func(s stack) (string, string) {
			c := strings.Replace(few, `"history":[]`, `"history":`+crowd, 1)
			return `{"schemaVersion":2,"config":` + s.add("config", c) + `,"layers":[]}`, "manifest"
		},
		"the history of an image in an index": func(s stack) (string, string) {
			c := strings.Replace(few, `"history":[]`, `"history":`+crowd, 1)
			m := s.add("manifest", `{"schemaVersion":2,"config":`+s.add("config", c)+`,"layers":[]}`)
			return `{"schemaVersion":2,"manifests":[` + m + `]}`, "index"
		},
	}
	refused := func(loc location.Location) {
		GinkgoHelper()
		_, err := openAt(loc, flatten.Target{})
		Expect(err).To(MatchError(And(HavePrefix(loc.Written+": "), MatchRegexp("too many JSON entries: 1000[0-9]*, the limit is 100000"))))
	}
	for what, build := range each {
		It("is refused in "+what, func() {
			s := stack{}
			last, kind := build(s)
			dir := s.layout(last)
			if kind == "manifest" {
				dir = s.layout(`{"schemaVersion":2,"manifests":[` + s.add("manifest", last) + `]}`)
			}
			refused(at(location.OCILayout, dir, ""))
			refused(at(location.OCIArchive, file("x.tar", tarOfDir(dir, "")), ""))
			refused(s.serve(last, kind))
		})
	}

	It("is refused in a Docker archive", func() {
		for _, content := range [][2]string{
			{crowd, few},
			{`[{"Config":"config","Layers":` + strings.ReplaceAll(crowd, "{}", `""`) + `}]`, few},
			{`[{"Config":"config","Layers":[]}]`, strings.Replace(few, `"history":[]`, `"history":`+crowd, 1)},
		} {
			refused(at(location.DockerArchive, file("saved.tar", tarOf(regular("manifest.json", content[0]), regular("config", content[1]))), ""))
		}
	})
})
