package location

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
)

// parseScheme parses the forms with a scheme. It returns false if there is none.
func parseScheme(s string) (Location, bool, error) {
	scheme, rest, found := strings.Cut(s, ":")
	if !found {
		return Location{}, false, nil
	}
	var l Location
	var err error
	switch scheme {
	case "oci":
		l, err = withTag(OCILayout, rest, checkTag)
	case "oci-archive":
		l, err = withTag(OCIArchive, rest, checkTag)
	case "docker-archive":
		l, err = withTag(DockerArchive, rest, checkReference)
	case "docker-daemon":
		l, err = Location{Kind: Daemon, Ref: rest}, checkReference(rest)
	case "docker":
		if !strings.HasPrefix(rest, "/") {
			return Location{}, false, nil // docker:TAG is a plain reference
		}
		ref := rest[min(len(rest), slashes(rest)):]
		l, err = Location{Kind: Registry, Ref: ref}, checkReference(ref)
	case "file":
		if !strings.HasPrefix(rest, "/") {
			return Location{}, false, nil
		}
		l, err = fileURL(rest)
	case "http", "https":
		if !strings.HasPrefix(rest, "//") {
			return Location{}, false, nil
		}
		l, err = httpURL(s)
	case "containers-storage", "dir", "ostree", "sif", "tarball":
		err = fmt.Errorf("unsupported scheme %s:; write %s", scheme, forms)
	default:
		if strings.HasPrefix(rest, "//") {
			err = fmt.Errorf("unsupported scheme %s://; write %s", scheme, forms)
		} else {
			return Location{}, false, nil
		}
	}
	return l, true, err
}

// slashes counts the leading slashes, at most three: pack accepts docker:/REF, docker://REF and
// docker:///REF.
func slashes(s string) int {
	return min(3, len(s)-len(strings.TrimLeft(s, "/")))
}

// withTag parses PATH[:TAG]. As in skopeo, the path ends at the first colon.
func withTag(kind Kind, s string, check func(string) error) (Location, error) {
	file, ref, tagged := strings.Cut(s, ":")
	if file == "" {
		return Location{}, errors.New("missing file or directory")
	}
	if tagged {
		if err := check(ref); err != nil {
			return Location{}, err
		}
	}
	return Location{Kind: kind, Path: filepath.Clean(file), Ref: ref}, nil
}

// refName is the grammar of org.opencontainers.image.ref.name (OCI image
// spec, "Pre-Defined Annotation Keys").
var refName = regexp.MustCompile(`^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$`)

func checkTag(tag string) error {
	if redactAddress(tag, false) != tag {
		return errors.New("invalid tag; write a name such as 1.0, without user and password: for a registry write docker://REF, and log in with `docker login`")
	}
	if !refName.MatchString(tag) {
		return fmt.Errorf("invalid tag %q; tags may hold letters, digits and the signs . _ - / + @ : only", tag)
	}
	return nil
}

func checkReference(ref string) error {
	if err := NoSecret(ref); err != nil {
		return err
	}
	if _, err := name.ParseReference(ref); err == nil {
		return nil
	}
	// The errors of the parts of ParseReference are better than its own.
	_, err := name.NewTag(ref)
	if strings.Contains(ref, "@") {
		_, err = name.NewDigest(ref)
	}
	return err
}

// fileURL parses what follows "file:". The path is percent-decoded. Without a third slash it is
// relative, as in pack, except for localhost.
func fileURL(rest string) (Location, error) {
	rest = strings.TrimPrefix(rest, "//")
	if after, ok := strings.CutPrefix(rest, "localhost/"); ok {
		rest = "/" + after
	}
	file, err := url.PathUnescape(rest)
	switch {
	case err != nil:
		return Location{}, err
	case file == "":
		return Location{}, errors.New("missing file or directory")
	case strings.ContainsFunc(file, unicode.IsControl):
		return Location{}, errors.New("control characters are not allowed")
	}
	return Location{Kind: Path, Path: filepath.Clean(file)}, nil
}

func httpURL(s string) (Location, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return Location{}, errors.New("invalid URL") // the parser's own error quotes the URL
	}
	return Location{Kind: HTTP, URL: s}, nil
}
