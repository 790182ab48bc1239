package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"laminate/builder/release"
	"laminate/builder/smoke"
	"laminate/packager/config"
)

// print prints what was released, or what failed.
func (r *releaseRun) print() error {
	if r.json {
		return writeJSON(r.stdout, r.report)
	}
	for _, item := range r.report.Items {
		if err := r.printItem(item); err != nil {
			return err
		}
	}
	return nil
}

// printItem prints the tags of an item or, if it failed, what is wrong with it.
func (r *releaseRun) printItem(item release.ItemReport) error {
	if !item.Passed() {
		p := &page{}
		p.verified(item.Title, item.Verified)
		if err := p.print(r.stdout); err != nil {
			return err
		}
		return (&smokeRun{session: r.session}).print(smoke.Report{Apps: item.Smoke})
	}
	switch {
	case r.report.State == release.Unchanged:
		_, err := fmt.Fprintf(r.stdout, "%s is unchanged since %s: %s\n", printable(item.Title), printable(item.Last), item.Digest)
		return err
	case r.report.State == release.Pending && !r.report.Published && !r.c.Bool("dry-run"):
		return nil // the error says why
	}
	for _, tag := range item.Tags {
		if _, err := fmt.Fprintf(r.stdout, "%s\tdocker://%s\n", item.Digest, tag); err != nil {
			return err
		}
	}
	return nil
}

// releaseNotes returns the release notes, in Markdown.
func releaseNotes(r *release.Report) string {
	var s strings.Builder
	title := "Release"
	if r.Version != "" {
		title += " " + r.Version
	}
	if r.State == release.Unchanged {
		title = "Nothing to release"
	}
	fmt.Fprintf(&s, "## %s\n\n%s", mdText(title), sizesTable(r.Items))
	for _, item := range r.Items {
		fmt.Fprintf(&s, "\n### %s\n\n", mdText(item.Title))
		if r.State == release.Unchanged {
			fmt.Fprintf(&s, "Unchanged since %s.\n", mdCode(item.Last))
		} else {
			for _, tag := range item.Tags {
				fmt.Fprintf(&s, "- %s\n", mdCode(tag))
			}
		}
		fmt.Fprintf(&s, "\nDigest: %s\n", mdCode(item.Digest))
		switch {
		case r.State == release.Unchanged:
		case item.Changes == nil:
			s.WriteString("\nThere is no earlier release.\n")
		default:
			s.WriteString("\n" + strings.ReplaceAll("\n"+diffMarkdown(item.Changes), "\n###", "\n####")[1:])
		}
	}
	return s.String()
}

// sizesTable returns the table of sizes and layers. Variants of a builder are compared with the
// standard one.
func sizesTable(items []release.ItemReport) string {
	var rows [][]string
	for _, item := range items {
		for _, img := range item.Images {
			rows = append(rows, []string{item.Title, img.Target, fmt.Sprint(img.Layers), bytes(img.Bytes), toPull(item, img), saved(items, item, img)})
		}
	}
	return markdownTable("Image | Platform | Layers | Size | To pull | Saved", rows)
}

// toPull returns how many bytes users of the last release pull, or "".
func toPull(item release.ItemReport, img release.ImageReport) string {
	if item.Changes == nil {
		return ""
	}
	for _, c := range item.Changes.Images {
		if c.New.Digest == img.Digest && c.Layers.Pull.Bytes != nil {
			return bytes(*c.Layers.Pull.Bytes)
		}
	}
	return ""
}

// saved returns what an image of a variant has less than that of the standard variant, or "".
func saved(items []release.ItemReport, item release.ItemReport, img release.ImageReport) string {
	for _, standard := range items {
		if standard.Variant != config.StandardVariant || item.Title != item.Variant+"-"+standard.Title {
			continue
		}
		for _, than := range standard.Images {
			if than.Target == img.Target && than.Layers >= img.Layers && than.Bytes >= img.Bytes {
				return fmt.Sprintf("%s, %s less than %s", count(than.Layers-img.Layers, "layer"), bytes(than.Bytes-img.Bytes), standard.Title)
			}
		}
	}
	return ""
}

// outputName matches what cannot stand in the name of an output of a GitHub step.
var outputName = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// notes returns the notes of a run that has ended: those of the release, or why there is none.
func (r *releaseRun) notes(failed error) string {
	switch {
	case errors.Is(failed, errNoVersion):
		return "Not released: there is no version.\n\n" + releaseNotes(r.report)
	case failed != nil:
		return "## Not released\n\n" + notReleased(failed) + "\n"
	case r.c.Bool("dry-run"):
		return "This is a dry run.\n\n" + releaseNotes(r.report)
	}
	return releaseNotes(r.report)
}

// notReleased returns the first line of an error, which is all there is to say of most, and what was
// written, in Markdown.
func notReleased(failed error) string {
	first, more, _ := strings.Cut(explain(failed), "\n")
	text := mdText(first)
	var of *releaseError
	if errors.As(failed, &of) && of.note != "" && more != "" {
		text += "\n\n" + mdText(of.note)
	}
	return text
}

// state returns the state of the release after the run.
func (r *releaseRun) state() release.State {
	if r.report.Published {
		return release.Released
	}
	return r.report.State
}

// forGitHub writes the summary and the outputs of a step, if this is one of a GitHub workflow. There
// are no digests of what failed.
func (r *releaseRun) forGitHub(failed error, notes string) error {
	var outputs strings.Builder
	fmt.Fprintf(&outputs, "released=%t\nstate=%s\nversion=%s\n", r.report.Published, r.state(), r.report.Version)
	for _, item := range r.report.Items {
		if failed == nil {
			fmt.Fprintf(&outputs, "digest-%s=%s\n", outputName.ReplaceAllString(item.Title, "-"), item.Digest)
		}
	}
	for _, to := range []struct{ name, text string }{{"GITHUB_OUTPUT", outputs.String()}, {"GITHUB_STEP_SUMMARY", notes}} {
		file := r.env(to.name)
		if file == "" {
			continue
		}
		if err := appendTo(file, to.text); err != nil {
			return fmt.Errorf("%s: %w", to.name, err)
		}
	}
	return nil
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
