package update

import (
	"fmt"

	"laminate/packager/config"
)

// Output is a file that changes.
type Output struct {
	Path     string
	Old, New []byte
	Edits    []config.Edit // of Old
}

// Outputs returns the files that change. It reads back what it wrote: each changed value is as
// planned.
func (p *Plan) Outputs() ([]Output, error) {
	var outputs []Output
	for _, f := range p.files {
		var edits []config.Edit
		for _, c := range p.changes {
			if c.file == f {
				edits = append(edits, c.edits...)
			}
		}
		if len(edits) == 0 {
			continue
		}
		data, err := config.Apply(f.Data, edits)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if err := p.check(f, data); err != nil {
			return nil, fmt.Errorf("this is a bug in laminate; nothing was written: %w", err)
		}
		outputs = append(outputs, Output{Path: f.Path, Old: f.Data, New: data, Edits: edits})
	}
	return outputs, nil
}

// check reports changes that are not in the new bytes.
func (p *Plan) check(f *file, data []byte) error {
	doc, problems := config.Parse(f.Path, data)
	if err := problems.Err(); err != nil {
		return err
	}
	for _, c := range p.changes {
		if text, ok := doc.Text(c.path...); c.file == f && (!ok || text.Value != c.value) {
			return fmt.Errorf("%s: %v is %q, expected %q", f.Path, c.path, text.Value, c.value)
		}
	}
	return nil
}
