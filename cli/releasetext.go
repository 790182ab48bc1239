package cli

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"laminate/builder/release"
	"laminate/builder/smoke"
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
	fmt.Fprintf(&s, "## %s\n\n%s", mdText(title), sizesTable(r.Items))
	for _, item := range r.Items {
		fmt.Fprintf(&s, "\n### %s\n\n", mdText(item.Title))
		for _, tag := range item.Tags {
			fmt.Fprintf(&s, "- %s\n", mdCode(tag))
		}
		fmt.Fprintf(&s, "\nDigest: %s\n", mdCode(item.Digest))
		switch {
		case item.Changes == nil:
			s.WriteString("\nThere is no earlier release.\n")
		default:
			s.WriteString("\n" + strings.ReplaceAll("\n"+diffMarkdown(item.Changes), "\n###", "\n####")[1:])
		}
	}
	return s.String()
}

// sizesTable returns the table of sizes and layers. Variants are compared with the item before them
// that has the same targets: mostly the standard variant.
func sizesTable(items []release.ItemReport) string {
	var rows [][]string
	var standard *release.ItemReport
	for i, item := range items {
		if item.Variant == "standard" || item.Kind != "builder" {
			standard = &items[i]
		}
		for n, img := range item.Images {
			saved := ""
			if standard != nil && standard != &items[i] && n < len(standard.Images) {
				than := standard.Images[n]
				saved = fmt.Sprintf("%s, %s less than %s", count(than.Layers-img.Layers, "layer"), bytes(than.Bytes-img.Bytes), standard.Title)
			}
			pull := ""
			if c := item.Changes; c != nil && n < len(c.Images) && c.Images[n].Layers.Pull.Bytes != nil {
				pull = bytes(*c.Images[n].Layers.Pull.Bytes)
			}
			rows = append(rows, []string{item.Title, img.Target, fmt.Sprint(img.Layers), bytes(img.Bytes), pull, saved})
		}
	}
	return markdownTable("Image | Platform | Layers | Size | To pull | Saved", rows)
}

// outputName matches what cannot stand in the name of an output of a GitHub step.
var outputName = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// forGitHub writes the summary and the outputs of a step, if this is one of a GitHub workflow.
func (r *releaseRun) forGitHub() error {
	var s strings.Builder
	fmt.Fprintf(&s, "released=%t\nstate=%s\nversion=%s\n", r.report.Published, r.report.State, r.report.Version)
	for _, item := range r.report.Items {
		fmt.Fprintf(&s, "digest-%s=%s\n", outputName.ReplaceAllString(item.Title, "-"), item.Digest)
	}
	for name, text := range map[string]string{"GITHUB_OUTPUT": s.String(), "GITHUB_STEP_SUMMARY": releaseNotes(r.report)} {
		file := r.env(name)
		if file == "" {
			continue
		}
		if err := appendTo(file, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
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
