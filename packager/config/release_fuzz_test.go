package config

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

// FuzzParseRelease: problems have places in the file, and what is taken names repositories and tags
// that there can be.
func FuzzParseRelease(f *testing.F) {
	for _, seed := range append(seeds, wholeRelease, releaseOf("tags = ['{version}-{{name}}']"), releaseOf("variants = [{name = 'a', tags = ['x']}, {}]\nsmoke = [{app = 'x', variants = ['a']}]")) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, problems := ParseRelease("dir/release.toml", data)
		mustStandInFile(t, data, problems)
		if problems.Err() != nil {
			return
		}
		if len(r.Images) == 0 {
			t.Fatal("nothing is released, without a problem")
		}
		for _, img := range r.Images {
			if img.Config == "" || len(img.Repositories) == 0 || len(img.Tags) == 0 {
				t.Fatalf("missing values in %+v, without a problem", img)
			}
			for _, repository := range img.Repositories {
				for _, tag := range img.Tags {
					at := repository + ":" + tag.For("1.2.3", img)
					if _, err := name.NewTag(at); err != nil && len(at) < 128 {
						t.Fatalf("tag %q: %v", at, err)
					}
				}
			}
		}
	})
}
