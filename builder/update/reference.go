package update

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/location"
)

// reference is a value that names something in a registry, or that might.
type reference struct {
	file  *file
	text  config.Text
	path  []any
	key   string
	kind  flatten.Kind // of what it names; "" for other images
	group string       // references of one group move to one version
	pair  []any        // path of the version beside a uri, if there is one
	limit *note

	image
	lifecycle bool   // the value is a version of the lifecycle, not a reference
	left      string // why it is left alone, or ""
}

// image is an image reference, in the parts in which it is written.
type image struct {
	before     string // docker:// or ""
	repository string
	tag        string
	digest     string
	// inComment is the tag in the comment of a reference that has a digest and no tag.
	inComment string
}

// String returns the value.
func (i image) String() string {
	s := i.before + i.repository
	if i.tag != "" {
		s += ":" + i.tag
	}
	if i.digest != "" {
		s += "@" + i.digest
	}
	return s
}

// name returns the repository's name without defaults, equal for all spellings.
func (i image) canonical() string {
	r, err := name.NewRepository(i.repository)
	if err != nil {
		return i.repository // was checked
	}
	return r.Name()
}

// parseImage splits a value whose reference is valid.
func parseImage(value, ref string) image {
	i := image{before: strings.TrimSuffix(value, ref)}
	ref, i.digest, _ = strings.Cut(ref, "@")
	i.repository = ref
	if at := strings.LastIndex(ref, ":"); at > strings.LastIndex(ref, "/") {
		i.repository, i.tag = ref[:at], ref[at+1:]
	}
	return i
}

// digestForm matches digests that registries have; go-containerregistry accepts others.
var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// classify parses the value of a key uri, which may be many things, or of a key that always names
// an image.
func (r *reference) classify(isURI bool) error {
	if strings.HasPrefix(r.text.Value, "urn:cnb:registry") {
		r.left = "the Buildpack Registry is not supported"
		return nil
	}
	parse := location.ListedImage
	if isURI {
		parse = location.ParseListed
	}
	l, err := parse(r.text.Value, r.file.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), err == nil && l.Kind == location.Path:
		r.left = "a local path"
	case strings.HasPrefix(r.text.Value, "urn:"), strings.HasPrefix(r.text.Value, "from="):
		r.left = "not in a registry"
	case err != nil:
		return err
	case l.Kind == location.HTTP:
		r.left = "a URL"
	case l.Kind != location.Listed:
		r.left = "not in a registry"
	default:
		r.image = parseImage(r.text.Value, l.Ref)
		if r.digest != "" && !digestForm.MatchString(r.digest) {
			return errors.New("unsupported digest; write sha256: and 64 hexadecimal digits")
		}
	}
	return nil
}

// problem returns an error at the reference.
func (r *reference) problem(err error) error {
	if err == nil {
		return nil
	}
	return config.Problem{File: r.file.Path, Line: r.text.Line, Message: r.key + ": " + err.Error(), Cause: err}
}

// tagInComment matches the first word of a comment if it may be a version.
var tagInComment = regexp.MustCompile(`^#+[ \t]*(v?[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*)(?:$|[\s,;])`)

// readTag reads the tag in the comment of a reference that has a digest and no tag.
func (r *reference) readTag() {
	if r.digest == "" || r.tag != "" {
		return
	}
	n := r.file.comments.at[r.text.LastLine]
	if n == nil || r.file.shares(r) {
		return
	}
	if m := tagInComment.FindStringSubmatch(n.Text); m != nil {
		if _, is := parseVersion(m[1]); is {
			r.inComment = m[1]
		}
	}
}

// edits returns the edits that make the reference another image.
func (r *reference) edits(to image, tag string) ([]config.Edit, error) {
	value := to.String()
	if r.lifecycle {
		value = r.written(tag)
	}
	edit, err := r.text.Replace(value)
	if err != nil {
		return nil, err
	}
	edits := []config.Edit{edit}
	if r.digest == "" || r.tag != "" || tag == "" || r.file.shares(r) {
		return edits, nil
	}
	if e, ok := r.noteTag(tag); ok {
		edits = append(edits, e)
	}
	return edits, nil
}

// noteTag returns the edit that puts a tag into the comment on the line. A comment without a tag
// gets one only if it is a constraint; other comments stay as they are.
func (r *reference) noteTag(tag string) (config.Edit, bool) {
	n := r.file.comments.at[r.text.LastLine]
	if n == nil {
		end := r.file.doc.LineEnd(r.text.LastLine)
		rest := string(r.file.Data[r.text.End:end])
		if strings.Trim(rest, ",]} \t") != "" {
			return config.Edit{}, false // there is more on the line
		}
		at := r.text.End + len(strings.TrimRight(rest, " \t"))
		return config.Edit{Start: at, End: at, New: " # " + tag}, true
	}
	if r.inComment != "" {
		at := n.Start + strings.Index(n.Text, r.inComment)
		return config.Edit{Start: at, End: at + len(r.inComment), New: tag}, true
	}
	if n.limits && !tagInComment.MatchString(n.Text) {
		at := n.Start + len(n.Text) - len(strings.TrimLeft(n.Text, "# \t"))
		return config.Edit{Start: at, End: at, New: tag + " "}, true
	}
	return config.Edit{}, false
}
