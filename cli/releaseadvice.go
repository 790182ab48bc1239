package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"laminate/builder/release"
)

// releaseError is the error of a release. Its text names keys of release.toml where that of other
// commands names flags. Note says what was written, or is "".
type releaseError struct {
	err  error
	note string
}

func (e *releaseError) Error() string { return e.err.Error() }
func (e *releaseError) Unwrap() error { return e.err }

// explainRelease returns the text of an error, with advice; errors about items, with advice for each.
func explainRelease(failed *releaseError) string {
	texts := []string{}
	for _, e := range joinedErrors(failed.err) {
		text := ""
		if of, ok := e.(*release.ItemError); ok {
			text, e = printable(of.Title)+": ", of.Err
		}
		texts = append(texts, text+explain(e))
	}
	all := strings.Join(texts, "\n")
	if len(texts) > 1 && strings.Count(all, "\n") == len(texts)-1 {
		all = fmt.Sprintf("%d problems:\n   %s", len(texts), strings.Join(texts, "\n   "))
	}
	all = inRelease(all)
	switch {
	case failed.note == "":
	case strings.Contains(all, "\n"):
		all += "\n" + failed.note
	default:
		all += "; " + failed.note
	}
	return all
}

// fileReason returns the file of release.toml that cannot be read, and why.
func fileReason(file string, err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file " + file
	}
	return fmt.Sprintf("%s: %v", file, err)
}

// joinedErrors returns the errors that an error joins, or the error itself.
func joinedErrors(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, joinedErrors(e)...)
	}
	return all
}

// releaseWords are flags in messages of packages that other commands use too, and what there is for
// them in release.toml, if anything.
var releaseWords = []struct {
	flag *regexp.Regexp
	word string
}{
	{regexp.MustCompile(`--flatten(?:-layers)?=(composites|all|auto|none|as-packaged)`), `flatten = "$1"`},
	{regexp.MustCompile(`--flatten=REF,\.\.\.|--flatten-group\b`), "flatten-groups"},
	{regexp.MustCompile(`--flatten-layers\b`), `flatten = "composites"`},
	{regexp.MustCompile(`--flatten-exclude\b`), "flatten-exclude"},
	{regexp.MustCompile(`--max-layers\b`), "max-layers"},
	{regexp.MustCompile(`--media-types (oci|docker)`), `media-types = "$1"`},
	{regexp.MustCompile(`; skip the check with --skip-run-image-check\b`), "; make sure that users can pull it, or skip the check with skip-run-image-check = true"},
	{regexp.MustCompile(`--skip-run-image-check\b`), "skip-run-image-check = true"},
	{regexp.MustCompile(`with --target, as in --target (\S+)`), `with targets = ["$1"]`},
	{regexp.MustCompile(`--target ([^\s"]+)`), `targets = ["$1"]`},
	{regexp.MustCompile(`with --target\b`), "with targets"},
	{regexp.MustCompile(`pass it with --lifecycle FILE`), "name it as uri in [lifecycle]"},
	{regexp.MustCompile(`with --lifecycle\b`), "as uri in [lifecycle]"},
	{regexp.MustCompile(`package with --config (\S+)`), "name it as config"},
	{regexp.MustCompile(` \(--on-conflict \S+\)`), ""},
	{regexp.MustCompile(`, or choose one with --on-conflict first\|last`), ""},
	{regexp.MustCompile(` \(--previous none does without it\)`), ""},
	{regexp.MustCompile(`; use --previous none to build without one`), ""},
	{regexp.MustCompile(`no image at DEST yet; planning for users without a previous image; name the previous release with --previous REF`), "there is no earlier release; planning for users without a previous image"},
	{regexp.MustCompile(`, or use another --pull-policy`), ""},
	{regexp.MustCompile(`; --pull-policy if-not-present uses the daemon's image`), ""},
}

// inRelease returns a message with the words of release.toml.
func inRelease(message string) string {
	for _, w := range releaseWords {
		message = w.flag.ReplaceAllString(message, w.word)
	}
	return message
}

// releaseLog is the log of a release.
type releaseLog struct{ *ui }

// Warn implements progress.Log.
func (l releaseLog) Warn(message string) { l.ui.Warn(inRelease(message)) }
