package location_test

import (
	"testing"

	"laminate/packager/location"
)

var seeds = []string{
	"hello-moon", "./x", "x.cnb", "oci:d:t", "oci-archive:x:1", "docker-archive:x:a/b:1", "docker://localhost:5000/x", "docker:/x",
	"docker:///x", "docker-daemon:x", "a/b@sha256:0", "file:///x%20y", "file://localhost/x", "https://u:p@h/x?q", "urn:cnb:registry:x", `C:\x`, "foo://x", "",
}

// What is read once can be read again from what it was written as, and means
// the same; but for a URL, of which secrets are not written.
func FuzzParseSource(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, s string) {
		l, err := location.ParseSource(s, dir)
		if err != nil {
			if l != (location.Location{}) {
				t.Fatalf("%q: an error and a location", s)
			}
			return
		}
		if l.Kind == 0 || l.Path == "" && l.Ref == "" && l.URL == "" {
			t.Fatalf("%q: nothing in %#v", s, l)
		}
		again, err := location.ParseSource(l.Written, dir)
		if l.Kind == location.HTTP {
			l.URL, again.URL = "", ""
		}
		if err != nil || again != l {
			t.Fatalf("%q: %#v, then %#v, %v", s, l, again, err)
		}
	})
}

func FuzzParseDest(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, false, "")
		f.Add(s, true, "")
		f.Add(s, false, "file")
	}
	f.Fuzz(func(t *testing.T, s string, publish bool, format string) {
		o := location.DestOptions{Publish: publish, Format: format}
		l, err := location.ParseDest(s, o)
		if err != nil {
			return
		}
		if l.Kind == location.HTTP || l.Kind == location.Name || l.Path == "" && l.Ref == "" {
			t.Fatalf("%q %+v: no destination in %#v", s, o, l)
		}
		if again, err := location.ParseDest(l.Written, o); err != nil || again != l {
			t.Fatalf("%q: %#v, then %#v, %v", s, l, again, err)
		}
	})
}
