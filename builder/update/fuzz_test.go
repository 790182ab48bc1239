package update_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/pelletier/go-toml/v2"

	"laminate/builder/update"
)

// FuzzUpdate updates whatever can be read: the result can be read, differs in
// strings only, and is up to date.
func FuzzUpdate(f *testing.F) {
	for _, path := range corpus() {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("buildpacks = [{uri = 'a/b@sha256:7f01deb819ab7218f900b138ccd02ab4a863c2b282ca0ecc72c2a42b09090e25'}, # 1.0.0 laminate: ~1\n]"))
	f.Add([]byte("[[run.images]]\nimage = '''\na/b:1.0.0'''\nmirrors = ['c/d:v1.0.0',\n\n'e:1.0.0-x']#laminate: >1\n[lifecycle]\nversion = \"\\u0031.0.0\""))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		RegisterTestingT(t)
		path := filepath.Join(dir, "builder.toml")
		e := &everything{versions: map[string][]string{"acme/x": {"1.0.0"}}, lists: map[string]int{}, issued: map[string]string{}}
		plan := func(data []byte) *update.Plan {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			files, err := update.Read(path)
			if err != nil {
				return nil
			}
			plan, err := files.Plan(context.Background(), update.Options{Registry: e, Jobs: 1})
			if err != nil {
				return nil
			}
			return plan
		}
		first := plan(data)
		if first == nil {
			return
		}
		outputs, err := first.Outputs()
		if err != nil {
			t.Fatalf("%v in %q", err, data)
		}
		if len(outputs) == 0 {
			return
		}
		for _, e := range outputs[0].Edits {
			if bytes.ContainsAny(data[e.Start:e.End], "#\"'") && e.New[0] != '#' && !bytes.Contains(data, []byte(`\`)) {
				t.Fatalf("edit %+v of %q", e, data)
			}
		}
		var before, after map[string]any
		trim := func(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\ufeff")) }
		if toml.Unmarshal(trim(data), &before) != nil || toml.Unmarshal(trim(outputs[0].New), &after) != nil {
			t.Fatalf("%q became %q", data, outputs[0].New)
		}
		found := map[string]any{}
		differences("", before, after, found)
		for key, value := range found {
			if _, is := value.(string); !is && !bytes.Contains(data, []byte("nan")) {
				t.Fatalf("%s changed: %q became %q", key, data, outputs[0].New)
			}
		}
		again := plan(outputs[0].New)
		if again == nil || again.Changes() > 0 {
			t.Fatalf("%q became %q, which is not up to date", data, outputs[0].New)
		}
	})
}
