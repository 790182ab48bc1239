package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParseBuilder: whatever stands in a builder.toml, its problems have places
// in it, and what is used of it leads nowhere.
func FuzzParseBuilder(f *testing.F) {
	for _, seed := range []string{"", "[", images, paketo, heroku + system, google, samples,
		images + "[[build.env]]\nname = 'A'\nvalue = 'b'\nsuffix = 'append'\ndelim = ':'", images + "[[targets]]\nos = 'linux'\narch = 'arm'\nvariant = 'v7'",
		"[stack]\nid = 's'\nbuild-image = 'b'\nrun-image = 'r'\nrun-image-mirrors = ['m']", "build = 1\nrun.images = [1]\nstack.id = {}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := ParseBuilder("dir/builder.toml", data)
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range problems {
			if p.Message == "" || p.Line < 0 || p.Line > lines {
				t.Errorf("problem %+v in a file of %d lines", p, lines)
			}
		}
		if problems.Err() != nil {
			return
		}
		if c.BuildImage == "" || len(c.RunImages) == 0 || c.RunImages[0].Image == "" {
			t.Errorf("missing image in %+v, without a problem", c)
		}
		for name := range c.Env {
			if filepath.Base(name) != name || name == "." || name == ".." {
				t.Errorf("environment variable %q is not a file name", name)
			}
		}
		if again, _ := ParseBuilder("dir/builder.toml", data); len(again.Env) != len(c.Env) || again.Dir != "dir" {
			t.Errorf("the same file gives %+v, and then %+v", c, again)
		}
	})
}
