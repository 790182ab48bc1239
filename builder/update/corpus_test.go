package update_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/pelletier/go-toml/v2"

	"laminate/builder/update"
	"laminate/fixtures"
	"laminate/packager/config"
)

// everything is a registry with every repository. Each has a buildpackage of
// every id that the files' orders name, in versions above those.
//
// It is no stand-in for a registry's behaviour, which other tests have over
// HTTP: it makes up contents for files whose images are not here.
type everything struct {
	versions map[string][]string // by id
	mu       sync.Mutex
	lists    map[string]int
	issued   map[string]string // the tag of each digest
}

func (e *everything) Tags(_ context.Context, repository string) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists[repository]++
	tags := []string{"latest", "sha-0123456", "99.0.0-rc.1", "99.0.0-other"}
	for i := range 50 {
		for _, form := range []string{"%d.1.0", "v%d.0.1", "%d.0.1-jammy"} {
			tags = append(tags, fmt.Sprintf(form, i))
		}
	}
	return tags, nil
}

func (e *everything) Digest(ctx context.Context, repository, tag string) (string, error) {
	digest, _, err := e.Labels(ctx, repository, tag)
	return digest, err
}

func (e *everything) Labels(_ context.Context, repository, reference string) (string, map[string]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if strings.HasPrefix(reference, "sha256:") {
		tag := cmp.Or(e.issued[reference], "1.0.0") // an old image
		return reference, e.labels(repository, tag), nil
	}
	sum := sha256.Sum256([]byte(repository + reference))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	e.issued[digest] = reference
	return digest, e.labels(repository, reference), nil
}

func (e *everything) labels(repository, reference string) map[string]string {
	refs := []string{repositoryID(repository) + "@" + strings.TrimPrefix(reference, "v")}
	isOld := !strings.HasPrefix(strings.TrimPrefix(reference, "v"), "49.")
	for id, versions := range e.versions {
		if isOld {
			for _, v := range versions {
				refs = append(refs, id+"@"+v)
			}
		} else {
			refs = append(refs, id+"@49.1.0")
		}
	}
	labels := packaged(refs...)
	labels["io.buildpacks.extension.layers"] = labels["io.buildpacks.buildpack.layers"]
	return labels
}

func repositoryID(repository string) string {
	return "repository/" + strings.NewReplacer("/", ".", ":", ".").Replace(repository)
}

// versionsIn are the versions of each id in the orders of a document.
func versionsIn(v any, into map[string][]string) {
	switch v := v.(type) {
	case map[string]any:
		id, named := v["id"].(string)
		version, versioned := v["version"].(string)
		if named && versioned && !strings.Contains(version, "{") {
			into[id] = append(into[id], version)
		}
		for _, below := range v {
			versionsIn(below, into)
		}
	case []any:
		for _, below := range v {
			versionsIn(below, into)
		}
	}
}

// corpus are the files of the fixtures, and those in the directory that
// LAMINATE_UPDATE_CORPUS names, where it is set.
func corpus() (files []string) {
	for _, root := range []string{filepath.Join(fixtures.Root(), "update"), os.Getenv("LAMINATE_UPDATE_CORPUS")} {
		if root == "" {
			continue
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if base := filepath.Base(path); err == nil && (strings.HasSuffix(base, "builder.toml") || base == "package.toml") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	return files
}

// planned is the plan of a file over everything.
func planned(path string) (*update.Plan, *everything) {
	GinkgoHelper()
	e := &everything{versions: map[string][]string{}, lists: map[string]int{}, issued: map[string]string{}}
	for _, name := range []string{path, filepath.Join(filepath.Dir(path), "buildpack.toml")} {
		data, err := os.ReadFile(name)
		if err == nil {
			versionsIn(parsed(data), e.versions)
		}
	}
	files, err := update.Read(path)
	Expect(err).NotTo(HaveOccurred())
	plan, err := files.Plan(context.Background(), update.Options{Registry: e})
	Expect(err).NotTo(HaveOccurred())
	return plan, e
}

func parsed(data []byte) map[string]any {
	GinkgoHelper()
	var v map[string]any
	Expect(toml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &v)).To(Succeed())
	return v
}

// without removes the edited ranges.
func without(data []byte, edits []config.Edit) []byte {
	GinkgoHelper()
	for i := range edits {
		edits[i].New = ""
	}
	rest, err := config.Apply(data, edits)
	Expect(err).NotTo(HaveOccurred())
	return rest
}

// differences are the paths at which two documents differ, with what the
// second one has.
func differences(path string, a, b any, into map[string]any) {
	switch x := a.(type) {
	case map[string]any:
		y, same := b.(map[string]any)
		if !same || len(x) != len(y) {
			into[path] = b
			return
		}
		for k := range x {
			differences(path+"."+k, x[k], y[k], into)
		}
	case []any:
		y, same := b.([]any)
		if !same || len(x) != len(y) {
			into[path] = b
			return
		}
		for i := range x {
			differences(path, x[i], y[i], into)
		}
	default:
		if !reflect.DeepEqual(a, b) {
			into[path] = b
		}
	}
}

var _ = Describe("the files of builders and packages", func() {
	for _, path := range corpus() {
		It("change in their values only: "+path, func() {
			plan, everything := planned(path)
			for repository, n := range everything.lists {
				Expect(n).To(Equal(1), repository)
			}
			outputs, err := plan.Outputs()
			Expect(err).NotTo(HaveOccurred())
			changes := 0
			for _, o := range outputs {
				// What was not edited is there, in order.
				kept, shift := bytes.Clone(without(o.Old, append([]config.Edit{}, o.Edits...))), 0
				inNew := slices.Clone(o.Edits) // in the order of the plan; by place here
				sortEdits(inNew)
				for i, e := range inNew {
					inNew[i] = config.Edit{Start: e.Start + shift, End: e.Start + shift + len(e.New)}
					shift += len(e.New) - (e.End - e.Start)
				}
				Expect(without(o.New, inNew)).To(Equal(kept))
				// The document differs in the values of the plan.
				found := map[string]any{}
				differences("", parsed(o.Old), parsed(o.New), found)
				for _, i := range plan.Items {
					if i.File == o.Path && i.Status == update.Update {
						changes++
						Expect(found).To(HaveKey("."+i.Key), "%v", found)
					}
				}
				for key, value := range found {
					Expect(value).To(BeAssignableToTypeOf(""), key)
				}
			}
			Expect(changes).To(Equal(plan.Changes()))

			// Once more, nothing changes.
			dir := GinkgoT().TempDir()
			for _, name := range []string{filepath.Base(path), "buildpack.toml"} {
				data, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
				for _, o := range outputs {
					if filepath.Base(o.Path) == name {
						data = o.New
					}
				}
				if err == nil {
					Expect(os.WriteFile(filepath.Join(dir, name), data, 0o644)).To(Succeed())
				}
			}
			again, _ := planned(filepath.Join(dir, filepath.Base(path)))
			Expect(again.Changes()).To(BeZero(), "%v", again.Items)
		})
	}

	It("change whatever their form", func() {
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		for range 300 {
			text, want := randomBuilder(random)
			path := newFolder(map[string]string{"builder.toml": text}).at("builder.toml")
			plan, _ := planned(path)
			outputs, err := plan.Outputs()
			Expect(err).NotTo(HaveOccurred(), text)
			got := text
			if len(outputs) > 0 {
				got = string(outputs[0].New)
			}
			Expect(got).To(Equal(want))
		}
	})
})

func sortEdits(edits []config.Edit) {
	for i := range edits {
		for j := i; j > 0 && edits[j].Start < edits[j-1].Start; j-- {
			edits[j], edits[j-1] = edits[j-1], edits[j]
		}
	}
}
