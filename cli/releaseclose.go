package cli

import (
	"fmt"
	"strings"

	"laminate/builder/release"
)

// close says on standard error, unless the user wants quiet, how the release ended.
func (r *releaseRun) close() {
	if anywhere(r.c, "quiet") || r.json {
		return
	}
	fmt.Fprintln(r.stderr, closing(r.report, r.c.Bool("dry-run"))) // the results are on standard output
}

// closing says how a release ended that did not fail.
func closing(report *release.Report, dry bool) string {
	version := report.Version
	if version == "" {
		version = "this"
	}
	switch {
	case report.State == release.Unchanged:
		return "nothing to release: nothing has changed"
	case report.State == release.Released:
		return version + " is released already"
	case dry:
		return "dry run: " + version + " is not released, and nothing was verified or smoked"
	}
	images, apps, tags := 0, 0, 0
	var titles []string
	for _, item := range report.Items {
		titles = append(titles, printable(item.Title))
		images, apps, tags = images+len(item.Verified), apps+len(item.Smoke), tags+len(item.Tags)
	}
	did := count(images, "image") + " verified"
	if apps > 0 {
		did += ", " + count(apps, "app") + " built"
	}
	return fmt.Sprintf("released %s: %s; %s, %s written", version, strings.Join(titles, ", "), did, count(tags, "tag"))
}
